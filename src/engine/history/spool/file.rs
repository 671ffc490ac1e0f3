//! One spool file: a head, then records one after the other, each with its length and a checksum.
//!
//! ```text
//! "clawsp01" · position of the first unconfirmed record (8 bytes, twice) │ length (4) · checksum (4) · JSON │ …
//! ```
//!
//! 1. A file belongs to the process that has locked it; the lock ends with that process, however it dies.
//! 2. No content of a file makes the process panic: a record that cannot be read ends the file, and the file is set aside.
//! 3. When `append` returns, the record is in the page cache: it survives the death of the process, not a power cut.
//!
//! Not here: the set of files, and the content of records (`mod.rs`).

use super::super::super::state_dir::checksum::checksum;
use super::super::super::state_dir::{StateError, make_folder, private_file};
use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

const MAGIC: &[u8; 8] = b"clawsp01";
/// The beginning of spool files of all formats; two digits follow.
const FAMILY: &[u8] = b"clawsp";
/// The position of the first record.
const BODY: u64 = 24;
/// The bytes before each record: its length and its checksum.
const HEAD: u64 = 8;
/// The maximum length of a record; a longer one counts as damage.
const LONGEST: u64 = 16 << 20;

/// An open spool file, locked by this process.
#[derive(Debug)]
pub(super) struct SpoolFile {
    path: PathBuf,
    file: File,
    end: u64,
    /// Whether something after the last good record cannot be read.
    damaged: bool,
    /// Whether it contains records that only a newer version can read.
    newer: bool,
}

/// The position of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    offset: u64,
    length: u64,
}

impl Place {
    fn end(self) -> u64 {
        self.offset + HEAD + self.length
    }
}

impl SpoolFile {
    /// Opens a file, or creates it. `None`: another process has locked it, or has removed it.
    pub(super) fn open(path: &Path) -> Result<Option<Self>, StateError> {
        let file = private_file::open(path)?;
        if file.try_lock().is_err() {
            return Ok(None);
        }
        let failed = |error: io::Error| StateError::io(path, &error);
        let found = file.metadata().map_err(failed)?;
        if std::fs::metadata(path).map(|named| named.ino()).ok() != Some(found.ino()) {
            return Ok(None);
        }
        let mut opened = Self { path: path.to_owned(), file, end: found.len(), damaged: false, newer: false };
        if found.len() == 0 {
            opened.clear()?;
        }
        Ok(Some(opened))
    }

    /// Reads the unconfirmed records and gives each to `take`, which returns whether it can be decoded. An intact record
    /// that cannot be decoded is from a newer version and is skipped; everything after a broken record is ignored.
    pub(super) fn load(&mut self, mut take: impl FnMut(Place, &[u8]) -> bool) -> Result<(), StateError> {
        if self.is_newer().map_err(|error| StateError::io(&self.path, &error))? {
            return Err(StateError::Io {
                path: self.path.clone(),
                detail: "a newer version wrote it".to_owned(),
                remedy: "run that version to record its heartbeats",
                full: false,
            });
        }
        let Some(mut offset) = self.begin().map_err(|error| StateError::io(&self.path, &error))? else {
            self.damaged = true;
            return Ok(());
        };
        while offset < self.end {
            match self.record_at(offset) {
                Ok(Found::Record(place, bytes)) => {
                    self.newer |= !take(place, &bytes);
                    offset = place.end();
                }
                // A process that dies while it writes leaves an incomplete record at the end; no caller was promised that
                // one.
                Ok(Found::Half) => {
                    tracing::warn!(
                        file = %self.path.display(), bytes = self.end - offset,
                        "removed an incomplete record at the end of a history spool file: a process ended while it was writing, or the file is damaged"
                    );
                    self.end = offset;
                    return self.file.set_len(offset).map_err(|error| StateError::io(&self.path, &error));
                }
                Ok(_) | Err(_) => {
                    self.damaged = true;
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Whether this is a spool file of another format than this version writes.
    fn is_newer(&self) -> io::Result<bool> {
        let mut head = [0; 8];
        match self.file.read_exact_at(&mut head, 0) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
            read => read.map(|()| {
                head != *MAGIC && head.starts_with(FAMILY) && head.iter().skip(FAMILY.len()).all(u8::is_ascii_digit)
            }),
        }
    }

    /// The position of the first unconfirmed record; `None`: this is not a spool file.
    fn begin(&self) -> io::Result<Option<u64>> {
        let mut head = [0; 24];
        match self.file.read_exact_at(&mut head, 0) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            read => read?,
        }
        let number = |at: usize| head.get(at..at + 8).and_then(|b| b.try_into().ok()).map_or(0, u64::from_le_bytes);
        if head.get(..8) != Some(MAGIC.as_slice()) {
            return Ok(None);
        }
        let (first, again) = (number(8), number(16));
        // Half of the head was written: treat every record as unconfirmed; the store recognizes those that it has.
        Ok(Some(if first == again && (BODY..=self.end).contains(&first) { first } else { BODY }))
    }

    fn record_at(&self, offset: u64) -> io::Result<Found> {
        if self.end - offset < HEAD {
            return Ok(Found::Half);
        }
        let mut head = [0; 8];
        self.file.read_exact_at(&mut head, offset)?;
        let word = |at: usize| head.get(at..at + 4).and_then(|b| b.try_into().ok()).map_or(0, u32::from_le_bytes);
        let (length, sum) = (u64::from(word(0)), word(4));
        if length > LONGEST {
            return Ok(Found::Nonsense);
        }
        if self.end - offset - HEAD < length {
            return Ok(Found::Half);
        }
        let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
        self.file.read_exact_at(&mut bytes, offset + HEAD)?;
        if checksum(&bytes) != sum {
            return Ok(Found::Nonsense);
        }
        Ok(Found::Record(Place { offset, length }, bytes))
    }

    /// Appends a record; on failure the file is unchanged.
    pub(super) fn append(&mut self, bytes: &[u8]) -> io::Result<Place> {
        let length = u32::try_from(bytes.len()).map_err(|_| io::ErrorKind::FileTooLarge)?;
        let mut record = Vec::with_capacity(bytes.len() + 8);
        record.extend(length.to_le_bytes());
        record.extend(checksum(bytes).to_le_bytes());
        record.extend(bytes);
        let place = Place { offset: self.end, length: u64::from(length) };
        if let Err(error) = self.file.write_all_at(&record, place.offset) {
            // If this fails too, an incomplete record stays at the end: the next process removes it, and this one
            // overwrites it.
            let _ = self.file.set_len(self.end);
            return Err(error);
        }
        self.end = place.end();
        Ok(place)
    }

    /// Reads a record again; `None`: it differs from what was written.
    pub(super) fn read(&self, place: Place) -> Option<Vec<u8>> {
        match self.record_at(place.offset) {
            Ok(Found::Record(found, bytes)) if found == place => Some(bytes),
            _ => None,
        }
    }

    /// Marks all records up to this one as confirmed.
    pub(super) fn confirm(&self, last: Place) -> io::Result<()> {
        let begin = last.end().to_le_bytes();
        self.file.write_all_at(&[begin, begin].concat(), 8)
    }

    /// Removes all records; none of them is needed any more.
    pub(super) fn clear(&mut self) -> Result<(), StateError> {
        let failed = |error: io::Error| StateError::io(&self.path, &error);
        let begin = BODY.to_le_bytes();
        self.file.set_len(0).map_err(failed)?;
        self.file.write_all_at(&[*MAGIC, begin, begin].concat(), 0).map_err(failed)?;
        self.end = BODY;
        Ok(())
    }

    /// The length of the file, in bytes.
    pub(super) fn bytes(&self) -> u64 {
        self.end
    }

    pub(super) fn damaged(&self) -> bool {
        self.damaged
    }

    /// Whether it contains records that only a newer version can read.
    pub(super) fn newer(&self) -> bool {
        self.newer
    }

    /// Whether the file was removed or replaced while it was open.
    fn is_removed(&self) -> bool {
        private_file::is_astray(&self.file, &self.path)
    }

    /// Writes a removed file to its path again, with its full content.
    fn put_back(&mut self) -> Result<(), StateError> {
        let file = private_file::put_back(&self.file, &self.path)?;
        // No other process opens a file between these two calls: its name contains this process's.
        let _ = file.try_lock();
        self.file = file;
        Ok(())
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Ends the file: removes it, or sets it aside if it is damaged; returns the new path.
    pub(super) fn end(self) -> Result<Option<PathBuf>, StateError> {
        if self.damaged || self.newer {
            return private_file::set_aside(&self.path, if self.damaged { "corrupt" } else { "newer" }).map(Some);
        }
        std::fs::remove_file(&self.path).map_err(|error| StateError::io(&self.path, &error))?;
        Ok(None)
    }
}

/// Writes files that were removed to their paths in this folder again.
pub(super) fn put_back<'f>(files: impl Iterator<Item = &'f mut SpoolFile>, folder: &Path) -> Result<(), StateError> {
    for file in files.filter(|file| file.is_removed()) {
        if let Some(cluster) = folder.parent() {
            make_folder(cluster)?;
        }
        private_file::guarded_folder(folder)?;
        file.put_back()?;
        tracing::warn!(file = %file.path.display(), "a history spool file was removed; writing it again");
    }
    Ok(())
}

enum Found {
    Record(Place, Vec<u8>),
    /// The file ends before the record does.
    Half,
    Nonsense,
}
