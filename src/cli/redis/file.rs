//! The file of an export: a line that says what it is, the entries, and a line with their number and a checksum.
//!
//! 1. A file appears under its name only when it is complete and on disk. It never replaces another one, and only this user can read it.
//! 2. A file is checked as a whole before an entry of it is used: every flipped bit and every cut shows.
//! 3. Memory is bounded: one entry at a time.
//!
//! An entry is a line with the lengths of its name and its value and its time of expiry, then name and value as they are, and a line feed.
//!
//! Not here: reading and writing the keys (`crate::store::redis::transfer`).

use crate::store::redis::transfer::{Entry, LONGEST_VALUE};
use ring::digest::{Context, SHA256};
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, BufWriter, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The format that this version writes and reads.
const FORMAT: u32 = 1;
/// The longest line; those of this format are shorter than 600 bytes.
const LONGEST_LINE: u64 = 4_096;
/// The longest name of a key.
const LONGEST_NAME: u64 = 1 << 20;
/// How much is read or written at once.
const BUFFER_BYTES: usize = 256 << 10;

/// What an export is of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Header {
    /// The format of the file.
    clawster_export: u32,
    /// The cluster's name.
    pub(super) cluster: String,
    /// The server that the data is from.
    pub(super) server: String,
    /// The version of clawster that wrote it.
    clawster: String,
    /// When, in ms on this host's clock.
    at_ms: u64,
}

impl Header {
    pub(super) fn new(cluster: &str, server: &str, at_ms: u64) -> Self {
        let clawster = env!("CARGO_PKG_VERSION").to_owned();
        Self { clawster_export: FORMAT, cluster: cluster.to_owned(), server: server.to_owned(), clawster, at_ms }
    }
}

/// The line in front of an entry.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Lengths {
    name: u64,
    value: u64,
    expires_at_ms: Option<u64>,
}

/// The last line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct End {
    keys: u64,
    sha256: String,
}

/// A line behind the first one.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Line {
    Entry(Lengths),
    End(End),
}

/// What was written or checked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Size {
    /// Number of keys.
    pub(super) keys: u64,
    /// Bytes of the file.
    pub(super) bytes: u64,
}

/// A file that is being written; dropping it unfinished removes it.
pub(super) struct Draft {
    path: PathBuf,
    temporary: PathBuf,
    file: BufWriter<File>,
    digest: Context,
    size: Size,
}

impl Draft {
    /// Creates the file under a temporary name beside its own.
    ///
    /// # Errors
    /// When there is a file with that name, or none can be created there.
    pub(super) fn create(path: &Path, header: &Header) -> Result<Self, String> {
        if path.symlink_metadata().is_ok() {
            return Err(exists(path));
        }
        let Some(name) = path.file_name() else {
            return Err(format!("{} does not name a file; name one, such as cluster.export", path.display()));
        };
        let temporary = path.with_file_name(format!(".{}.{}.tmp", name.to_string_lossy(), std::process::id()));
        let mut options = OpenOptions::new();
        let file = options.write(true).create_new(true).mode(0o600).open(&temporary);
        let file = file.map_err(|error| {
            format!(
                "cannot create {}: {error}; choose another place, or make that folder writable",
                temporary.display()
            )
        })?;
        let file = BufWriter::with_capacity(BUFFER_BYTES, file);
        let mut draft =
            Self { path: path.to_owned(), temporary, file, digest: Context::new(&SHA256), size: Size::default() };
        draft.line(header)?;
        Ok(draft)
    }

    /// How much was written so far.
    pub(super) fn size(&self) -> Size {
        self.size
    }

    /// Adds an entry.
    ///
    /// # Errors
    /// When the disk does not take it.
    pub(super) fn put(&mut self, entry: &Entry) -> Result<(), String> {
        let (name, value) = (entry.key.len() as u64, entry.value.len() as u64);
        self.line(&Lengths { name, value, expires_at_ms: entry.expires_at })?;
        for part in [entry.key.as_slice(), entry.value.as_slice(), b"\n"] {
            self.bytes(part)?;
        }
        self.size.keys += 1;
        Ok(())
    }

    /// Adds the end, waits until everything is on disk, and gives the file its name.
    ///
    /// # Errors
    /// When the disk does not take it, or a file with that name appeared meanwhile.
    pub(super) fn finish(mut self) -> Result<Size, String> {
        let sha256 = hex(self.digest.clone().finish().as_ref());
        self.line(&End { keys: self.size.keys, sha256 })?;
        let failed = failed(&self.path);
        self.file.flush().and_then(|()| self.file.get_ref().sync_all()).map_err(&failed)?;
        match std::fs::hard_link(&self.temporary, &self.path) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(exists(&self.path)),
            // A file system without links.
            Err(_) if self.path.symlink_metadata().is_ok() => return Err(exists(&self.path)),
            Err(_) => std::fs::rename(&self.temporary, &self.path).map_err(&failed)?,
        }
        // After a rename it is gone already.
        let _ = std::fs::remove_file(&self.temporary);
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(&failed)?;
        Ok(self.size)
    }

    fn line(&mut self, line: &impl Serialize) -> Result<(), String> {
        let text = serde_json::to_string(line).map_err(|error| failed(&self.path)(error.into()))?;
        self.bytes(text.as_bytes())?;
        self.bytes(b"\n")
    }

    fn bytes(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.digest.update(bytes);
        self.size.bytes += bytes.len() as u64;
        self.file.write_all(bytes).map_err(failed(&self.path))
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // After `finish` it is gone. A failure to remove it changes nothing.
        let _ = std::fs::remove_file(&self.temporary);
    }
}

fn failed(path: &Path) -> impl Fn(io::Error) -> String {
    let path = path.display().to_string();
    move |error| format!("cannot write {path}: {error}; free space on that disk, or choose another place")
}

fn exists(path: &Path) -> String {
    format!("{} exists and is not replaced; remove it, or choose another name", path.display())
}

/// A complete and undamaged export.
#[derive(Debug)]
pub(super) struct Export {
    pub(super) header: Header,
    pub(super) size: Size,
    path: PathBuf,
    file: BufReader<File>,
    /// Entries that were not read yet.
    left: u64,
}

impl Export {
    /// Opens a file and checks all of it.
    ///
    /// # Errors
    /// When it cannot be read, is no export, is of another format, or is damaged.
    pub(super) fn open(path: &Path) -> Result<Self, String> {
        let shown = path.display();
        let unreadable =
            |error: io::Error| format!("cannot read {shown}: {error}; name a file that clawster redis export wrote");
        let is_file = path.metadata().map_err(unreadable)?.is_file();
        if !is_file {
            return Err(format!("{shown} is not a regular file; name a file that clawster redis export wrote"));
        }
        let file = File::open(path).map_err(unreadable)?;
        let mut reader =
            Reader { file: BufReader::with_capacity(BUFFER_BYTES, file), digest: Context::new(&SHA256), at: 0 };
        let (header, size) = reader.check().map_err(|why| match why {
            Damage::Foreign => format!("{shown} is no export of clawster; name a file that clawster redis export wrote"),
            Damage::Format(format) => format!(
                "{shown} has format {format}, and this version of clawster reads format {FORMAT}; use the version that wrote it"
            ),
            Damage::At(at, why) => {
                format!("{shown} is damaged at byte {at}: {why}; nothing was written. Copy the file again, or repeat the export")
            }
        })?;
        let mut export = Self { header, size, path: path.to_owned(), file: reader.file, left: 0 };
        export.rewind()?;
        Ok(export)
    }

    /// Goes back to the first entry.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(super) fn rewind(&mut self) -> Result<(), String> {
        self.file.rewind().map_err(|error| self.lost(&error))?;
        self.left = self.size.keys;
        self.line().map(|_| ())
    }

    /// The next entry; `None` at the end.
    ///
    /// # Errors
    /// When the file cannot be read, or was changed since it was checked.
    pub(super) fn next(&mut self) -> Result<Option<Entry>, String> {
        if self.left == 0 {
            return Ok(None);
        }
        let line = self.line()?;
        let lengths = match serde_json::from_slice::<Lengths>(&line) {
            Ok(lengths) if lengths.is_possible() => lengths,
            Ok(_) | Err(_) => return Err(self.lost(&"it was changed meanwhile")),
        };
        self.left -= 1;
        let mut take = |length: u64| {
            let mut bytes = vec![0; usize::try_from(length).unwrap_or(usize::MAX)];
            self.file.read_exact(&mut bytes).map(|()| bytes)
        };
        let parts = take(lengths.name).and_then(|key| Ok((key, take(lengths.value)?, take(1)?)));
        let (key, value, _) = parts.map_err(|error| self.lost(&error))?;
        Ok(Some(Entry { key, value, expires_at: lengths.expires_at_ms }))
    }

    fn line(&mut self) -> Result<Vec<u8>, String> {
        let mut line = Vec::new();
        let read = self.file.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line);
        read.map(|_| line).map_err(|error| self.lost(&error))
    }

    fn lost(&self, why: &dyn std::fmt::Display) -> String {
        format!("cannot read {} any more: {why}", self.path.display())
    }
}

impl Lengths {
    fn is_possible(&self) -> bool {
        self.name <= LONGEST_NAME && self.value <= LONGEST_VALUE as u64
    }
}

/// What is wrong with a file.
enum Damage {
    /// It is something else.
    Foreign,
    /// It is of another format.
    Format(u64),
    /// Where, and what.
    At(u64, String),
}

/// Reads a file for the first time.
struct Reader {
    file: BufReader<File>,
    digest: Context,
    at: u64,
}

impl Reader {
    fn check(&mut self) -> Result<(Header, Size), Damage> {
        let first = self.line()?;
        let header = serde_json::from_slice::<serde_json::Value>(&first).map_err(|_| Damage::Foreign)?;
        match header["clawster_export"].as_u64() {
            Some(format) if format == u64::from(FORMAT) => {}
            Some(format) => return Err(Damage::Format(format)),
            None => return Err(Damage::Foreign),
        }
        let header = serde_json::from_value(header).map_err(|error| self.damage(error))?;
        self.digest.update(&first);
        let mut keys = 0;
        loop {
            let line = self.line()?;
            let whole = line.ends_with(b"\n");
            match serde_json::from_slice(&line) {
                Ok(Line::Entry(lengths)) if whole && lengths.is_possible() => {
                    self.digest.update(&line);
                    self.skip(lengths.name + lengths.value)?;
                    let end = self.skip(1)?;
                    if end != Some(b'\n') {
                        return Err(self.damage("the end of an entry is missing"));
                    }
                    keys += 1;
                }
                Ok(Line::End(end)) if whole => {
                    let sum = hex(self.digest.clone().finish().as_ref());
                    if end.keys != keys || end.sha256 != sum {
                        return Err(self.damage("its checksum is wrong"));
                    }
                    let at = self.at;
                    if !self.file.fill_buf().map_err(|error| Damage::At(at, error.to_string()))?.is_empty() {
                        return Err(self.damage("something follows its end"));
                    }
                    return Ok((header, Size { keys, bytes: self.at }));
                }
                _ if line.is_empty() => return Err(self.damage("its end is missing")),
                _ => return Err(self.damage("a line cannot be understood")),
            }
        }
    }

    fn damage(&self, why: impl std::fmt::Display) -> Damage {
        Damage::At(self.at, why.to_string())
    }

    /// The next line, with its line feed; empty at the end of the file.
    fn line(&mut self) -> Result<Vec<u8>, Damage> {
        let mut line = Vec::new();
        let read = self.file.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line);
        read.map_err(|error| self.damage(error))?;
        self.at += line.len() as u64;
        Ok(line)
    }

    /// Passes over bytes, which count for the checksum; returns the last one.
    fn skip(&mut self, mut length: u64) -> Result<Option<u8>, Damage> {
        let mut last = None;
        while length > 0 {
            let buffer = self.file.fill_buf().map_err(|error| Damage::At(self.at, error.to_string()))?;
            let taken = buffer.len().min(usize::try_from(length).unwrap_or(usize::MAX));
            let Some(bytes) = buffer.get(..taken).filter(|bytes| !bytes.is_empty()) else {
                return Err(self.damage("its end is missing"));
            };
            self.digest.update(bytes);
            last = bytes.last().copied();
            self.file.consume(taken);
            self.at += taken as u64;
            length -= taken as u64;
        }
        Ok(last)
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests;
