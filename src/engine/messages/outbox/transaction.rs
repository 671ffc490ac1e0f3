//! One transaction: the changes of calls to the tables.
//!
//! 1. A call is checked (duplicates, the size limit) before its first write, so that a refused call does not affect the
//!    others of the transaction.
//! 2. Memory is not changed here: the change is returned as [`Outcome`], to be applied after the commit.
//!
//! Not here: grouping calls into transactions, and their durability (`writer.rs`).

use super::memory::{Facts, Mark, Memory, SavedChange, Unsent};
use super::prepared::Prepared;
use super::saved_state::SavedState;
use super::tables::{
    ADOPTED_IDS, ADOPTED_PACKED, ADOPTED_UNSENT, FORMAT, FORMAT_WITHOUT_PACKED, IDS, MARKS, NO_ENTRY, NUMBERS, PACKED,
    RECENT, TEXTS, UNSENT,
};
use super::{AcceptError, Accepted, rows};
use crate::cluster::ids::MessageSeq;
use crate::cluster::messages::message::{Producer, Run};
use crate::cluster::protocol::Packed;
use redb::{ReadableTable, ReadableTableMetadata, Table, WriteTransaction};
use std::collections::HashMap;

/// How long an id is remembered, in milliseconds.
const REMEMBERED_MS: u64 = 24 * 60 * 60 * 1000;

/// The maximum number of remembered ids.
const REMEMBERED_IDS: u64 = 100_000;

/// The change to memory, to be applied after the commit.
#[derive(Debug)]
pub(super) struct Outcome {
    unsent: Unsent,
    facts: Facts,
    adopted: u64,
    marks: HashMap<Producer, Mark>,
    forgotten: Vec<Producer>,
    touches: u64,
    confirmed: bool,
    reserved: u64,
    /// What was accepted and is not ready to be sent yet.
    pub(super) written: Vec<Packed>,
    /// The bytes of the messages that were removed.
    pub(super) removed_bytes: u64,
    /// The new producer of the store, if it changes.
    pub(super) producer: Option<Producer>,
}

impl Outcome {
    pub(super) fn take_over(self, memory: &mut Memory) {
        memory.unsent = self.unsent;
        memory.facts = self.facts;
        memory.adopted = self.adopted;
        memory.touches = self.touches;
        memory.confirmed = self.confirmed;
        memory.reserved = self.reserved;
        memory.marks.extend(self.marks);
        for producer in self.forgotten {
            memory.marks.remove(&producer);
        }
    }
}

/// The open tables of a transaction.
pub(super) struct Change<'t> {
    pub(super) numbers: Table<'t, &'static str, u64>,
    pub(super) texts: Table<'t, &'static str, &'static str>,
    singles: Table<'t, u64, &'static [u8]>,
    packed: Table<'t, u64, (u64, &'static [u8])>,
    ids: Table<'t, &'static str, (u64, u64, u64)>,
    recent: Table<'t, u64, &'static str>,
    marks: Table<'t, &'static str, (u64, u64)>,
    pub(super) adopted_singles: Table<'t, (&'static str, u64), &'static [u8]>,
    pub(super) adopted_packed: Table<'t, (&'static str, u64), (u64, &'static [u8])>,
    pub(super) adopted_ids: Table<'t, &'static str, (u64, u64)>,
    /// The rows of imported messages.
    pub(super) adopted: u64,
    /// What was accepted and is not in the table yet: small calls share a row.
    fresh: Vec<Packed>,
    /// The last sequence that was given in the queue; what has one was made ready to be sent there.
    numbered: u64,
    written: Vec<Packed>,
    removed_bytes: u64,
    pub(super) counts: Unsent,
    pub(super) state: SavedState,
    pub(super) confirmed: bool,
    pub(super) new_producer: Option<Producer>,
    /// The last reserved sequence, and whether this transaction reserves more if few are left.
    pub(super) reserved: (u64, bool),
}

impl<'t> Change<'t> {
    pub(super) fn begin(transaction: &'t WriteTransaction, memory: &Memory) -> Result<Self, redb::Error> {
        Ok(Self {
            numbers: transaction.open_table(NUMBERS)?,
            texts: transaction.open_table(TEXTS)?,
            singles: transaction.open_table(UNSENT)?,
            packed: transaction.open_table(PACKED)?,
            ids: transaction.open_table(IDS)?,
            recent: transaction.open_table(RECENT)?,
            marks: transaction.open_table(MARKS)?,
            adopted_singles: transaction.open_table(ADOPTED_UNSENT)?,
            adopted_packed: transaction.open_table(ADOPTED_PACKED)?,
            adopted_ids: transaction.open_table(ADOPTED_IDS)?,
            adopted: memory.adopted,
            fresh: Vec::new(),
            numbered: 0,
            written: Vec::new(),
            removed_bytes: 0,
            counts: memory.unsent,
            state: SavedState::begin(memory),
            confirmed: memory.confirmed,
            new_producer: None,
            reserved: (memory.reserved, false),
        })
    }

    /// Brings a reopened file to the state of memory: removes messages whose commit was reported as failed, and marks
    /// everything else to be written. Sequences after `answered` were given to calls that failed.
    pub(super) fn restore(&mut self, memory: &Memory, answered: u64) -> Result<(), redb::Error> {
        let last = memory.unsent.last_accepted_seq;
        self.singles.retain_in(answered.saturating_add(1).., |_, _| false)?;
        self.packed.retain_in(answered.saturating_add(1).., |_, _| false)?;
        loop {
            let newest = self.recent.last()?.map(|(seq, _)| seq.value());
            let Some(seq) = newest.filter(|seq| *seq > answered) else { break };
            self.forget(seq)?;
        }
        // The caller repeats removals that were not durable; until then the counts are those of the file.
        let (messages, bytes) = rows::count(&self.singles, &self.packed)?;
        self.counts = Unsent { messages, bytes, last_accepted_seq: last };
        self.adopted = self.adopted_singles.len()? + self.adopted_packed.len()?;
        self.state.facts_changed = true;
        self.state.touched.clone_from(&memory.marks);
        Ok(())
    }

    /// Accepts the messages of a call, under these sequences if they were given in the queue, or refuses them; a refused call writes nothing.
    pub(super) fn accept(
        &mut self,
        messages: Prepared,
        first: Option<u64>,
        now_ms: u64,
        bound: u64,
    ) -> Result<Result<Vec<Accepted>, AcceptError>, redb::Error> {
        let last = first.map_or(self.counts.last_accepted_seq, |first| first - 1);
        let plan = self.plan(&messages, last, now_ms)?;
        let keys = messages.keys.len();
        let mut new_keys = Vec::with_capacity(keys);
        let mut messages = messages;
        for (at, key) in std::mem::take(&mut messages.keys) {
            if let Some(Accepted::New { producer_seq }) = plan.get(at) {
                new_keys.push((*producer_seq, key));
            }
        }
        let entries = messages.into_new(&plan);
        let asked: u64 = entries.iter().map(Packed::message_bytes).sum();
        let waiting = self.counts.bytes;
        if first.is_none() && asked > 0 && waiting.saturating_add(asked) > bound {
            return Ok(Err(AcceptError::Full { waiting, asked, bound }));
        }
        if !self.confirmed && self.state.facts.unconfirmed.is_none() && !entries.is_empty() {
            self.state.facts.unconfirmed = Some(self.counts.last_accepted_seq);
            self.state.facts_changed = true;
        }
        for mut entry in entries {
            entry.first += last + 1;
            self.counts.messages += entry.count;
            self.counts.last_accepted_seq = entry.last().max(self.counts.last_accepted_seq);
            if first.is_some() {
                self.numbered = entry.last();
            }
            let alike = |known: &&mut Packed| first.is_some() || known.first > self.numbered;
            let apart = match self.fresh.last_mut().filter(alike) {
                Some(known) => known.join(entry),
                None => Some(entry),
            };
            self.fresh.extend(apart);
        }
        self.counts.bytes += asked;
        let remembered = new_keys.len() as u64;
        for (producer_seq, key) in new_keys {
            let earlier = self.ids.insert(key.as_str(), (producer_seq, now_ms, NO_ENTRY))?.map(|row| row.value().0);
            if let Some(earlier) = earlier {
                self.recent.remove(earlier)?;
            }
            self.recent.insert(producer_seq, key.as_str())?;
        }
        self.forget_old(now_ms, remembered)?;
        Ok(Ok(plan))
    }

    /// Writes the accepted messages to the table.
    fn write_fresh(&mut self) -> Result<(), redb::Error> {
        for entry in self.fresh.drain(..) {
            self.packed.insert(entry.first, (entry.count, entry.body.as_bytes()))?;
            if entry.first > self.numbered {
                self.written.push(entry);
            }
        }
        Ok(())
    }

    fn plan(&self, messages: &Prepared, mut last: u64, now_ms: u64) -> Result<Vec<Accepted>, redb::Error> {
        let mut plan = Vec::with_capacity(messages.count);
        let mut inside: HashMap<&str, u64> = HashMap::with_capacity(messages.keys.len());
        let mut keys = messages.keys.iter().peekable();
        for at in 0..messages.count {
            let key = keys.next_if(|(of, _)| *of == at).map(|(_, key)| key.as_str());
            if let Some(key) = key {
                if let Some(producer_seq) = inside.get(key).copied() {
                    plan.push(Accepted::Duplicate { producer_seq, entry: None });
                    continue;
                }
                let known = self.ids.get(key)?.map(|row| row.value());
                if let Some((producer_seq, _, entry)) = known.filter(|(_, at, _)| is_fresh(*at, now_ms)) {
                    let entry = (entry != NO_ENTRY).then_some(MessageSeq(entry));
                    plan.push(Accepted::Duplicate { producer_seq, entry });
                    continue;
                }
                if let Some(duplicate) = self.adopted_duplicate(key, |at| is_fresh(at, now_ms), NO_ENTRY)? {
                    plan.push(duplicate);
                    continue;
                }
            }
            last += 1;
            if let Some(key) = key {
                inside.insert(key, last);
            }
            plan.push(Accepted::New { producer_seq: last });
        }
        Ok(plan)
    }

    /// Forgets ids beyond the limit, and some that are too old; only some, to keep transactions short.
    fn forget_old(&mut self, now_ms: u64, remembered: u64) -> Result<(), redb::Error> {
        let mut surplus = self.recent.len()?.saturating_sub(REMEMBERED_IDS);
        for _ in 0..surplus.saturating_add(2 * remembered + 64) {
            let Some((seq, key)) = self.recent.first()?.map(|(seq, key)| (seq.value(), key.value().to_owned())) else {
                return Ok(());
            };
            let at = self.ids.get(key.as_str())?.map(|row| row.value().1);
            if surplus == 0 && at.is_some_and(|at| is_fresh(at, now_ms)) {
                return Ok(());
            }
            surplus = surplus.saturating_sub(1);
            self.forget(seq)?;
        }
        Ok(())
    }

    fn forget(&mut self, seq: u64) -> Result<(), redb::Error> {
        let Some(key) = self.recent.remove(seq)?.map(|key| key.value().to_owned()) else { return Ok(()) };
        let current = self.ids.get(key.as_str())?.map(|row| row.value().0);
        if current == Some(seq) {
            self.ids.remove(key.as_str())?;
        }
        Ok(())
    }

    /// Removes messages that are in the stream, and remembers their positions. (S1) The newest position is saved in the same
    /// transaction: if Redis loses the message, the next process of this node knows a sequence number that Redis does not,
    /// and all members get a gap.
    pub(super) fn sent(&mut self, runs: &[Run]) -> Result<(), redb::Error> {
        for run in runs {
            self.state.facts.saw_message(run.end());
            self.state.facts_changed = true;
            self.remove(run.first, run.last)?;
            let named = self.recent.range(run.first..=run.last)?;
            let named = named.map(|row| row.map(|(seq, key)| (seq.value(), key.value().to_owned())));
            for (seq, key) in named.collect::<Result<Vec<_>, _>>()? {
                let known = self.ids.get(key.as_str())?.map(|row| row.value());
                if let Some((_, at, _)) = known.filter(|(known, _, _)| *known == seq)
                    && let Some(place) = run.place(seq)
                {
                    self.ids.insert(key.as_str(), (seq, at, place.0))?;
                }
            }
        }
        Ok(())
    }

    /// Removes the unsent messages of a range.
    pub(super) fn remove(&mut self, first: u64, last: u64) -> Result<(), redb::Error> {
        self.write_fresh()?;
        let (messages, bytes) = rows::remove(&mut self.singles, &mut self.packed, (first, last))?;
        self.counts.messages = self.counts.messages.saturating_sub(messages);
        self.counts.bytes = self.counts.bytes.saturating_sub(bytes);
        self.removed_bytes += bytes;
        Ok(())
    }

    /// Writes the remaining changes and closes the tables.
    pub(super) fn finish(mut self, memory: &Memory) -> Result<Outcome, redb::Error> {
        self.numbers.insert("last_seq", self.counts.last_accepted_seq)?;
        let reserved = self.reserve()?;
        self.numbers.insert("unsent_messages", self.counts.messages)?;
        self.numbers.insert("unsent_bytes", self.counts.bytes)?;
        self.write_fresh()?;
        let (rows, adopted_rows) = (self.packed.len()?, self.adopted_packed.len()?);
        self.numbers.insert("unsent_rows", self.singles.len()? + rows)?;
        let format = if rows + adopted_rows > 0 { FORMAT } else { FORMAT_WITHOUT_PACKED };
        self.numbers.insert("format", format)?;
        let forgotten = self.state.write(memory, &mut self.texts, &mut self.marks)?;
        Ok(Outcome {
            unsent: self.counts,
            facts: self.state.facts,
            adopted: self.adopted,
            marks: self.state.touched,
            forgotten,
            touches: self.state.touches,
            confirmed: self.confirmed,
            reserved,
            written: self.written,
            removed_bytes: self.removed_bytes,
            producer: self.new_producer,
        })
    }
}

/// Saves the state of the node alone, as each acknowledgement does: the tables of messages are not touched.
pub(super) fn save_only(
    transaction: &WriteTransaction,
    memory: &Memory,
    changes: &[&SavedChange],
) -> Result<Outcome, redb::Error> {
    let mut state = SavedState::begin(memory);
    changes.iter().for_each(|change| state.save(change, memory));
    let (mut texts, mut marks) = (transaction.open_table(TEXTS)?, transaction.open_table(MARKS)?);
    let forgotten = state.write(memory, &mut texts, &mut marks)?;
    Ok(Outcome {
        unsent: memory.unsent,
        facts: state.facts,
        adopted: memory.adopted,
        marks: state.touched,
        forgotten,
        touches: state.touches,
        confirmed: memory.confirmed,
        reserved: memory.reserved,
        written: Vec::new(),
        removed_bytes: 0,
        producer: None,
    })
}

/// Whether an id is recent enough to count. If the clock was set back, an id counts as recent, so that nothing is sent
/// twice.
fn is_fresh(at_ms: u64, now_ms: u64) -> bool {
    now_ms.saturating_sub(at_ms) < REMEMBERED_MS
}
