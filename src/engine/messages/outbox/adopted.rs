//! What a store imports from another store whose node id it takes over: unsent messages, and remembered ids.
//!
//! 1. Imported messages are sent under the producer that accepted them, in their order, so that its mark shows which of
//!    them were already sent.
//! 2. An imported id counts as a duplicate like an id of the store itself.
//! 3. Importing the same store twice changes nothing: a crash in between neither loses nor repeats a message.
//!
//! Not here: when two stores are merged (`crate::engine::node::membership`), sending (`super::super::publisher`).

use super::database::{Disk, NEWER};
use super::job::{Job, Part};
use super::memory::SavedChange;
use super::rows::{Batch, packed, single};
use super::tables::{ADOPTED_IDS, ADOPTED_PACKED, ADOPTED_UNSENT, IDS, PACKED, UNSENT, or_empty};
use super::transaction::Change;
use super::{Accepted, NodeStore};
use crate::cluster::ids::{MessageSeq, NodeId, Nonce};
use crate::cluster::messages::message::{Producer, Run};
use crate::cluster::protocol::Packed;
use crate::engine::state_dir::lock::NodeLock;
use crate::engine::state_dir::{StateDir, StateError, private_file};
use redb::{Database, ReadableDatabase, ReadableTable};
use std::path::PathBuf;

/// The bytes of one step of an import.
const STEP_BYTES: usize = 4 << 20;

/// Imported messages of one producer.
#[derive(Debug)]
pub struct AdoptedBatch {
    /// The producer that accepted them.
    pub producer: Producer,
    /// The messages, in order.
    pub entries: Vec<Packed>,
}

/// The steps of an import.
#[derive(Default)]
struct Parts {
    done: Vec<Part>,
    part: Part,
    bytes: usize,
}

impl Parts {
    fn grow(&mut self, bytes: usize) {
        self.bytes += bytes;
        if self.bytes >= STEP_BYTES {
            self.bytes = 0;
            self.done.push(std::mem::take(&mut self.part));
        }
    }

    fn single(&mut self, producer: &str, seq: u64, json: &[u8]) {
        self.part.singles.push((producer.to_owned(), seq, json.to_vec()));
        self.grow(json.len());
    }

    fn packed(&mut self, producer: &str, entry: Packed) {
        let bytes = entry.body.len();
        self.part.packed.push((producer.to_owned(), entry));
        self.grow(bytes);
    }
}

/// Reads everything that another store imports from this one, in steps.
fn read(database: &Database, producer: &Producer) -> Result<Vec<Part>, redb::Error> {
    let transaction = database.begin_read()?;
    let mut parts = Parts::default();
    if let Some(table) = or_empty(transaction.open_table(ADOPTED_UNSENT))? {
        for row in table.iter()? {
            let (key, json) = row?;
            let (of, seq) = key.value();
            parts.single(of, seq, json.value());
        }
    }
    if let Some(table) = or_empty(transaction.open_table(ADOPTED_PACKED))? {
        for row in table.iter()? {
            let (key, value) = row?;
            let (of, first) = key.value();
            parts.packed(of, packed(first, value.value())?);
        }
    }
    for row in transaction.open_table(UNSENT)?.iter()? {
        let (seq, json) = row?;
        parts.single(producer.as_str(), seq.value(), json.value());
    }
    for row in transaction.open_table(PACKED)?.iter()? {
        let (first, value) = row?;
        parts.packed(producer.as_str(), packed(first.value(), value.value())?);
    }
    let Parts { done: mut parts, mut part, .. } = parts;
    if let Some(table) = or_empty(transaction.open_table(ADOPTED_IDS))? {
        for row in table.iter()? {
            let (key, value) = row?;
            let (at, entry) = value.value();
            part.ids.push((key.value().to_owned(), at, entry));
        }
    }
    for row in transaction.open_table(IDS)?.iter()? {
        let (key, value) = row?;
        let (_, at, entry) = value.value();
        part.ids.push((key.value().to_owned(), at, entry));
    }
    parts.push(part);
    Ok(parts)
}

impl Change<'_> {
    /// Imports a part of another store.
    pub(super) fn adopt(&mut self, part: &Part) -> Result<(), redb::Error> {
        for (producer, seq, json) in &part.singles {
            if self.adopted_singles.insert((producer.as_str(), *seq), json.as_slice())?.is_none() {
                self.adopted += 1;
            }
        }
        for (producer, entry) in &part.packed {
            let row = (entry.count, entry.body.as_bytes());
            if self.adopted_packed.insert((producer.as_str(), entry.first), row)?.is_none() {
                self.adopted += 1;
            }
        }
        for (key, at, entry) in &part.ids {
            self.adopted_ids.insert(key.as_str(), (*at, *entry))?;
        }
        Ok(())
    }

    /// Removes imported messages that are in the stream.
    pub(super) fn adopted_sent(&mut self, producer: &Producer, run: Run) -> Result<(), redb::Error> {
        let range = (producer.as_str(), run.first)..=(producer.as_str(), run.last);
        let mut gone = 0;
        for row in self.adopted_singles.extract_from_if(range.clone(), |_, _| true)? {
            row?;
            gone += 1;
        }
        let mut rest = None;
        for row in self.adopted_packed.extract_from_if(range, |_, _| true)? {
            let (key, value) = row?;
            gone += 1;
            let entry = packed(key.value().1, value.value())?;
            rest = if entry.last() > run.last { entry.after(run.last) } else { None };
        }
        if let Some(rest) = rest {
            // Only a part of it was sent.
            self.adopted_packed.insert((producer.as_str(), rest.first), (rest.count, rest.body.as_bytes()))?;
            gone -= 1;
        }
        self.adopted = self.adopted.saturating_sub(gone);
        Ok(())
    }

    /// Whether an imported store remembered this id; `fresh` says whether its age counts.
    pub(super) fn adopted_duplicate(
        &self,
        key: &str,
        fresh: impl Fn(u64) -> bool,
        no_entry: u64,
    ) -> Result<Option<Accepted>, redb::Error> {
        let Some((at, entry)) = self.adopted_ids.get(key)?.map(|row| row.value()) else { return Ok(None) };
        let entry = (entry != no_entry).then_some(MessageSeq(entry));
        Ok(fresh(at).then_some(Accepted::Duplicate { producer_seq: 0, entry }))
    }
}

/// The first producer with imported messages, and as many of them as fit into the batch.
fn read_batch(database: &Database, mut batch: Batch) -> Result<Option<AdoptedBatch>, redb::Error> {
    let transaction = database.begin_read()?;
    let mut producer: Option<Producer> = None;
    // False: the batch is complete.
    let mut add = |batch: &mut Batch, of: &str, entry: Option<Packed>| {
        let (Some(entry), Ok(of)) = (entry, Nonce::new(of)) else { return true };
        *producer.get_or_insert_with(|| of.clone()) == of && batch.add(entry).is_none()
    };
    if let Some(table) = or_empty(transaction.open_table(ADOPTED_UNSENT))? {
        for row in table.iter()? {
            let (key, json) = row?;
            let (of, seq) = key.value();
            if !add(&mut batch, of, single(seq, json.value())) {
                break;
            }
        }
    }
    // The single messages of a producer come before its packed ones.
    if let Some(table) = or_empty(transaction.open_table(ADOPTED_PACKED))?.filter(|_| batch.is_empty()) {
        for row in table.iter()? {
            let (key, value) = row?;
            let (of, first) = key.value();
            if !add(&mut batch, of, Some(packed(first, value.value())?)) {
                break;
            }
        }
    }
    let entries = batch.finish();
    Ok(producer.filter(|_| !entries.is_empty()).map(|producer| AdoptedBatch { producer, entries }))
}

impl NodeStore {
    /// Whether imported messages wait to be sent. Cheap.
    #[must_use]
    pub fn has_adopted(&self) -> bool {
        self.shared.memory().adopted > 0
    }

    /// The imported messages that wait to be sent, of one producer, in order; `None`: there are none.
    ///
    /// # Errors
    /// [`StateError`] when the disk fails.
    pub fn next_adopted(&self, max_entries: usize, max_bytes: usize) -> Result<Option<AdoptedBatch>, StateError> {
        if !self.has_adopted() {
            return Ok(None);
        }
        self.shared.disk.read(|database| read_batch(database, Batch::new(max_entries, max_bytes)))
    }

    /// Removes imported messages that are in the stream.
    ///
    /// # Errors
    /// [`StateError`] when the disk fails; the messages stay unsent then.
    pub fn sent_adopted(&self, producer: &Producer, run: Run) -> Result<(), StateError> {
        let producer = producer.clone();
        self.ask(|reply| Job::AdoptedSent { producer, run, reply })
    }

    /// Imports everything from a store that ends: its unsent messages, remembered ids, marks and numbers.
    fn adopt(&self, other: &Self) -> Result<(), StateError> {
        other.flush()?;
        let parts = other.shared.disk.read(|database| read(database, &other.producer()))?;
        for part in parts {
            self.ask(|reply| Job::Adopt { part: Box::new(part), reply })?;
        }
        let producers = other.producers();
        let saved = other.saved();
        let change = SavedChange {
            numbers: Some(saved.numbers),
            marks: saved.marks,
            producers,
            durable: true,
            ..SavedChange::default()
        };
        self.save(&change)
    }

    /// Imports the stores of this node id that an older version set aside because it could not read them.
    pub(crate) fn take_back(&self) -> Result<(), StateError> {
        let path = self.shared.disk.path();
        let Some((folder, name)) = path.parent().zip(path.file_name().and_then(|name| name.to_str())) else {
            return Ok(());
        };
        let is_one = |found: &PathBuf| {
            let rest = found.file_name().and_then(|found| found.to_str()).and_then(|found| found.strip_prefix(name));
            rest.and_then(|rest| rest.strip_prefix('.')).is_some_and(|rest| rest.starts_with(NEWER))
        };
        let found = std::fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok).map(|file| file.path());
        let mut set_aside: Vec<PathBuf> = found.filter(is_one).collect();
        set_aside.sort();
        for path in set_aside {
            let disk = Disk::new(&path);
            // This version cannot read it either.
            let Ok(loaded) = disk.open() else { continue };
            let other = Self::start(disk, NodeLock::none(), u64::MAX, loaded)?;
            self.adopt(&other)?;
            drop(other);
            std::fs::remove_file(&path).map_err(|error| StateError::io(&path, &error))?;
            tracing::info!(file = %path.display(), "imported a store that an older version had set aside");
        }
        Ok(())
    }

    /// Moves the whole store to another node id. If that id has a store that no process uses, it is imported: its messages
    /// are sent, its ids remembered.
    ///
    /// # Errors
    /// The unchanged store and the reason: [`StateError::InUse`] when a live process holds the new id.
    #[allow(clippy::result_large_err)]
    pub fn rename(self, dir: &StateDir, new_id: &NodeId) -> Result<Self, (Self, StateError)> {
        let target = dir.database_path(new_id);
        let path = self.shared.disk.path();
        if target == path {
            return Ok(self);
        }
        let moved = dir.lock_existing(new_id).and_then(|(lock, other)| {
            let meets = other.is_some();
            if let Some(other) = other {
                self.adopt(&other)?;
            }
            self.flush()?;
            if let Some(old_id) = path.file_stem().and_then(|stem| NodeId::new(stem.to_string_lossy()).ok()) {
                dir.note_move(&old_id, new_id)?;
            }
            if meets {
                let renamed = private_file::set_aside(&target, "adopted")?;
                tracing::info!(file = %renamed.display(), "renaming this node: imported the store of its new node id");
                self.shared.disk.move_to(&target)?;
                // The renamed store now has all of its content.
                if let Err(error) = std::fs::remove_file(&renamed) {
                    tracing::warn!(file = %renamed.display(), %error, "cannot remove a store that was imported");
                }
            } else {
                self.shared.disk.move_to(&target)?;
            }
            Ok(lock)
        });
        match moved {
            Ok(lock) => {
                *self.shared.lock() = lock;
                Ok(self)
            }
            Err(error) => Err((self, error)),
        }
    }
}
