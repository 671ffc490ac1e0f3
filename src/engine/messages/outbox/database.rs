//! The database file: opening it, setting a damaged one aside, reopening it after a failure.
//!
//! 1. No content of the file makes the process panic: a panic of the library counts as damage.
//! 2. A damaged file is set aside only when the store is opened, never under a running node. The same holds for a file that
//!    a newer version wrote; a version that can read it imports it (`adopted.rs`).
//! 3. The library's cache is [`CACHE_BYTES`], so that an idle node uses little memory.
//!
//! Not here: the lock (`crate::engine::state_dir::lock`), the content (`transaction.rs`).

use super::memory::{Mark, Memory};
use super::rows;
use super::tables::{
    ADOPTED_PACKED, ADOPTED_UNSENT, FORMAT, FORMAT_WITHOUT_PACKED, IDS, MARKS, NUMBERS, PACKED, RECENT, TEXTS, UNSENT,
    or_empty,
};
use crate::cluster::ids::Nonce;
use crate::cluster::messages::message::Producer;
use crate::engine::random;
use crate::engine::state_dir::{StateError, private_file};
use redb::backends::FileBackend;
use redb::{Builder, Database, ReadableDatabase, ReadableTable, ReadableTableMetadata, StorageBackend};
use std::fs::{File, OpenOptions};
use std::io;
use std::ops::RangeInclusive;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// The size of the library's cache. Raising it speeds up large outboxes and costs memory in every node.
const CACHE_BYTES: usize = 1 << 20;

/// Up to this size every page is checked when the file is opened, which takes some tens of milliseconds.
const CHECKED_BYTES: u64 = 32 << 20;

/// The suffix of the name of a file that a newer version wrote.
pub(super) const NEWER: &str = "newer";

/// The progress that the library reports only if it had to return to the write before the last one: 0 is reported for every
/// check of an opened file, and 0.6 and more for the rest of it.
const WENT_BACK: RangeInclusive<f64> = 0.1..=0.5;

#[derive(Debug)]
struct OpenFile {
    path: PathBuf,
    /// A second handle of the open file, to check whether it is still at its path, and to write it there again.
    file: Option<File>,
    database: Option<Database>,
}

impl OpenFile {
    /// The open file, if another file or none is at its path.
    fn removed(&self) -> Option<io::Result<File>> {
        let file = self.file.as_ref().filter(|file| private_file::is_astray(file, &self.path))?;
        Some(file.try_clone())
    }
}

/// The file, open or to be reopened.
#[derive(Debug)]
pub(super) struct Disk {
    slot: RwLock<OpenFile>,
    #[cfg(test)]
    pub(super) faults: Option<std::sync::Arc<dyn super::tests::faults::Media>>,
}

impl Disk {
    pub(super) fn new(path: &Path) -> Self {
        Self {
            slot: RwLock::new(OpenFile { path: path.to_owned(), file: None, database: None }),
            #[cfg(test)]
            faults: None,
        }
    }

    fn slot(&self) -> RwLockReadGuard<'_, OpenFile> {
        self.slot.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn slot_mut(&self) -> RwLockWriteGuard<'_, OpenFile> {
        self.slot.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn path(&self) -> PathBuf {
        self.slot().path.clone()
    }

    /// Whether the file was removed or replaced while it was open.
    pub(super) fn is_removed(&self) -> bool {
        self.slot().removed().is_some()
    }

    /// Whether the file is open.
    pub(super) fn is_open(&self) -> bool {
        self.slot().database.is_some()
    }

    /// Runs a read on the open file; a panic in it becomes an error.
    pub(super) fn read<T>(&self, work: impl FnOnce(&Database) -> Result<T, redb::Error>) -> Result<T, StateError> {
        let slot = self.slot();
        let database = slot.database.as_ref().ok_or(StateError::Closed)?;
        contained(|| work(database)).map_err(|problem| problem.into_state_error(&slot.path))
    }

    /// Opens the file, or creates it; sets a damaged one aside.
    pub(super) fn open_or_begin(&self) -> Result<(Producer, Memory), StateError> {
        let mut slot = self.slot_mut();
        let problem = match self.open_and_load(&mut slot) {
            Ok(loaded) => return Ok(loaded),
            Err(problem) => problem,
        };
        match problem {
            Problem::Damaged(detail) => {
                let new_file = private_file::set_aside(&slot.path, "corrupt")?;
                tracing::error!(
                    file = %slot.path.display(), new_file = %new_file.display(), %detail,
                    "the store of this node is damaged and was set aside; the unsent messages in it will not be sent"
                );
            }
            Problem::Newer(format) => {
                let new_file = private_file::set_aside(&slot.path, NEWER)?;
                tracing::error!(
                    file = %slot.path.display(), new_file = %new_file.display(), format,
                    "a newer version wrote the store of this node; it was set aside, and its unsent messages are sent when that version runs here again"
                );
            }
            problem => return Err(problem.into_state_error(&slot.path)),
        }
        self.open_and_load(&mut slot).map_err(|problem| problem.into_state_error(&slot.path))
    }

    /// Opens the file as it is; fails if it cannot be read.
    pub(super) fn open(&self) -> Result<(Producer, Memory), StateError> {
        let mut slot = self.slot_mut();
        self.open_and_load(&mut slot).map_err(|problem| problem.into_state_error(&slot.path))
    }

    /// Reopens the file after a failure, with the content that was durable. A removed file is reopened through its open
    /// handle: a new file at its path would be empty.
    pub(super) fn reopen(&self) -> Result<(), StateError> {
        let mut slot = self.slot_mut();
        drop(slot.database.take());
        let opened = match slot.removed() {
            Some(file) => file.map_err(Problem::Failed).and_then(|file| self.open_on(&slot.path, file)),
            None => self.open_file(&slot.path),
        };
        slot.database = Some(opened.map_err(|problem| problem.into_state_error(&slot.path))?);
        if slot.removed().is_none() {
            slot.file = again(&slot.path);
        }
        Ok(())
    }

    /// Writes a removed file to its path again and continues there. On failure it is reopened through its open handle.
    pub(super) fn put_back(&self) -> Result<(), StateError> {
        let mut slot = self.slot_mut();
        let Some(file) = slot.removed() else { return Ok(()) };
        let file = file.map_err(|error| StateError::io(&slot.path, &error))?;
        // Closing writes what is pending.
        let database = slot.database.take();
        let closed = contained(|| {
            drop(database);
            Ok(())
        });
        closed.map_err(|problem| problem.into_state_error(&slot.path))?;
        let back = private_file::put_back(&file, &slot.path);
        if back.is_ok() {
            slot.file = again(&slot.path);
        }
        drop(slot);
        self.reopen().and(back.map(drop))
    }

    /// Renames the file and continues under the new name; on failure it keeps the old name.
    pub(super) fn move_to(&self, target: &Path) -> Result<(), StateError> {
        let mut slot = self.slot_mut();
        drop(slot.database.take());
        let moved = std::fs::rename(&slot.path, target).map_err(|error| StateError::io(target, &error));
        let opened = moved.and_then(|()| {
            let synced = private_file::sync_folder(target);
            let opened =
                synced.and_then(|()| self.open_file(target).map_err(|problem| problem.into_state_error(target)));
            if opened.is_err() && std::fs::rename(target, &slot.path).is_err() {
                // The file has the new name now.
                slot.path = target.to_owned();
            }
            opened
        });
        match opened {
            Ok(database) => {
                slot.path = target.to_owned();
                slot.database = Some(database);
                slot.file = again(target);
                Ok(())
            }
            Err(error) => {
                // If this fails too, the next use tries again.
                slot.database = self.open_file(&slot.path).ok();
                Err(error)
            }
        }
    }

    fn open_and_load(&self, slot: &mut OpenFile) -> Result<(Producer, Memory), Problem> {
        let database = self.open_file(&slot.path)?;
        let of_this_version = contained(|| format_of(&database)).and_then(|format| match format {
            Some(format) if format > FORMAT => Err(Problem::Newer(format)),
            _ => Ok(()),
        });
        let begun = of_this_version.and_then(|()| contained(|| begin(&database)));
        let loaded = match begun.and_then(|()| load(&database)) {
            Ok(loaded) => loaded,
            Err(problem) => {
                // Closing must not panic either; it comes before the file is set aside.
                let _ = catch_unwind(AssertUnwindSafe(|| drop(database)));
                return Err(problem);
            }
        };
        slot.database = Some(database);
        slot.file = again(&slot.path);
        Ok(loaded)
    }

    fn open_file(&self, path: &Path) -> Result<Database, Problem> {
        self.open_on(path, private_file::open(path).map_err(Problem::Refused)?)
    }

    fn open_on(&self, path: &Path, file: File) -> Result<Database, Problem> {
        #[cfg(test)]
        if let Some(media) = &self.faults {
            let backend = media.backend(file).map_err(|error| Problem::Refused(StateError::io(path, &error)))?;
            return open_on(path, backend);
        }
        let backend = contained(|| Ok(FileBackend::new(file)?))?;
        open_on(path, backend)
    }
}

/// A second handle for reading and writing; none if the file is already gone.
fn again(path: &Path) -> Option<File> {
    OpenOptions::new().read(true).write(true).open(path).ok()
}

fn open_on(path: &Path, backend: impl StorageBackend) -> Result<Database, Problem> {
    let length = backend.len().map_err(|error| Problem::Refused(StateError::io(path, &error)))?;
    let shown = path.to_owned();
    contained(|| {
        let mut builder = Builder::new();
        builder.set_cache_size(CACHE_BYTES);
        builder.set_check_integrity_on_open(length > 0 && length <= CHECKED_BYTES);
        builder.set_repair_callback(move |session| {
            if WENT_BACK.contains(&session.progress()) {
                tracing::warn!(
                    file = %shown.display(),
                    "the last write to the store of this node is incomplete or damaged; using the state before that write"
                );
            }
        });
        Ok(builder.create_with_backend(backend)?)
    })
}

/// The format in the file; none in a new file.
fn format_of(database: &Database) -> Result<Option<u64>, redb::Error> {
    match database.begin_read()?.open_table(NUMBERS) {
        Ok(numbers) => Ok(numbers.get("format")?.map(|format| format.value())),
        Err(redb::TableError::TableDoesNotExist(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Whether this version, or a later one, has created the file's tables.
fn has_all_tables(database: &Database) -> Result<bool, redb::Error> {
    Ok(or_empty(database.begin_read()?.open_table(PACKED))?.is_some())
}

/// Creates missing tables and the producer id. A file of an earlier version gets the tables of this one: what is in its own ones is read
/// as it is, so that opening it needs neither time nor room.
fn begin(database: &Database) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    {
        let mut numbers = transaction.open_table(NUMBERS)?;
        let mut texts = transaction.open_table(TEXTS)?;
        let known = numbers.get("format")?.map(|format| format.value());
        match known {
            // Dropping the transaction aborts it.
            Some(FORMAT_WITHOUT_PACKED..=FORMAT) if has_all_tables(database)? => return Ok(()),
            Some(FORMAT_WITHOUT_PACKED..=FORMAT) => {}
            Some(other) => return Err(redb::Error::Corrupted(format!("its format is {other}, not {FORMAT}"))),
            None => {
                let producer = random::nonce().map_err(redb::Error::Io)?;
                texts.insert("producer", producer.as_str())?;
                numbers.insert("format", FORMAT_WITHOUT_PACKED)?;
            }
        }
        transaction.open_table(PACKED)?;
        transaction.open_table(UNSENT)?;
        transaction.open_table(IDS)?;
        transaction.open_table(RECENT)?;
        transaction.open_table(MARKS)?;
    }
    Ok(transaction.commit()?)
}

fn load(database: &Database) -> Result<(Producer, Memory), Problem> {
    contained(|| {
        let transaction = database.begin_read()?;
        let damaged = |what: &str| redb::Error::Corrupted(what.to_owned());
        let texts = transaction.open_table(TEXTS)?;
        let text = |name: &str| -> Result<Option<String>, redb::Error> {
            Ok(texts.get(name)?.map(|text| text.value().to_owned()))
        };
        let producer =
            text("producer")?.and_then(|text| Nonce::new(text).ok()).ok_or_else(|| damaged("no producer id"))?;
        let facts = match text("saved")? {
            Some(json) => serde_json::from_str(&json).map_err(|_| damaged("the saved state is not valid JSON"))?,
            None => Default::default(),
        };
        let unsent = rows::load_unsent(&transaction)?;
        let singles = or_empty(transaction.open_table(ADOPTED_UNSENT))?.map_or(Ok(0), |table| table.len())?;
        let packed = or_empty(transaction.open_table(ADOPTED_PACKED))?.map_or(Ok(0), |table| table.len())?;
        let adopted = singles + packed;
        let began = unsent.last_accepted_seq;
        let mut memory = Memory { unsent, adopted, facts, began, ..Memory::default() };
        for row in transaction.open_table(MARKS)?.iter()? {
            let (producer, mark) = row?;
            let (seq, touched) = mark.value();
            let producer = Nonce::new(producer.value()).map_err(|_| damaged("a mark has no valid producer id"))?;
            memory.touches = memory.touches.max(touched);
            memory.marks.insert(producer, Mark { seq, touched });
        }
        Ok((producer, memory))
    })
}

/// What is wrong with the file.
#[derive(Debug)]
pub(super) enum Problem {
    Refused(StateError),
    Failed(io::Error),
    InUse,
    Damaged(String),
    /// A newer version wrote it, in this format.
    Newer(u64),
}

impl Problem {
    pub(super) fn into_state_error(self, path: &Path) -> StateError {
        match self {
            Self::Refused(error) => error,
            Self::Failed(error) => StateError::io(path, &error),
            Self::InUse => StateError::InUse { what: path.display().to_string(), holder: "another process".to_owned() },
            Self::Damaged(detail) => StateError::Damaged { path: path.to_owned(), detail },
            Self::Newer(format) => StateError::Io {
                path: path.to_owned(),
                detail: format!("a newer version wrote it, in format {format}"),
                remedy: "run that version",
                full: false,
            },
        }
    }
}

impl From<redb::Error> for Problem {
    fn from(error: redb::Error) -> Self {
        match error {
            redb::Error::Io(error)
                if matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof) =>
            {
                Self::Damaged(error.to_string())
            }
            redb::Error::Io(error) => Self::Failed(error),
            redb::Error::PreviousIo => Self::Failed(io::Error::other("an earlier access failed")),
            redb::Error::DatabaseAlreadyOpen | redb::Error::LockProtocolMismatch => Self::InUse,
            redb::Error::Unsupported => Self::Failed(io::Error::from(io::ErrorKind::Unsupported)),
            other => Self::Damaged(other.to_string()),
        }
    }
}

/// Runs an operation of the library; its errors and panics become a [`Problem`].
pub(super) fn contained<T>(work: impl FnOnce() -> Result<T, redb::Error>) -> Result<T, Problem> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(result) => result.map_err(Problem::from),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("the library gave up");
            Err(Problem::Damaged(text.to_owned()))
        }
    }
}
