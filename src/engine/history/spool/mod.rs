//! The queue of unrecorded samples: on disk, so that it survives the process, and in memory if the disk fails.
//!
//! 1. Entries are confirmed in the order in which they were added; none is confirmed twice.
//! 2. The files of this host use at most [`MOST_BYTES`] in all, and samples that are only in memory at most
//!    [`MOST_IN_MEMORY`]; further samples are refused, and their number is reported.
//! 3. Files that other processes left behind are taken over, at most [`MOST_OPEN`] at a time, and come first. It is unknown
//!    whether their samples were recorded.
//! 4. Every call blocks on the disk, and runs on a blocking thread.
//!
//! Not here: the files (`file.rs`), recording (`super::recorder`).

mod file;
#[cfg(any(test, feature = "fuzz"))]
pub(crate) mod fuzz;
#[cfg(test)]
mod tests;

use super::super::state_dir::{StateDir, StateError, private_file};
use crate::cluster::history::{Sample, Summary};
use crate::store::history::Batch;
use file::{Place, SpoolFile};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, VecDeque};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// The maximum size of all spool files of this host, in bytes.
pub(super) const MOST_BYTES: u64 = 64 << 20;
/// The maximum number of open files of other processes: a process may have only few files open.
const MOST_OPEN: usize = 32;
/// A short-lived process continues a file that another process left behind, up to this size.
const SHORT_BYTES: u64 = 1 << 20;
/// The size at which a new file is started, so that space is freed file by file.
const FILE_BYTES: u64 = 8 << 20;
/// The maximum number of samples in memory while the disk fails.
pub(super) const MOST_IN_MEMORY: usize = 10_000;
/// The file name extension.
const ENDING: &str = "spool";

/// A record on disk.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    samples: Vec<Sample>,
    summaries: Vec<Summary>,
}

#[derive(Debug)]
struct Entry {
    /// The number of the file, and the position in it; `None`: not on disk.
    place: Option<(u64, Place)>,
    /// The batch, if it is not on disk.
    batch: Option<Batch>,
    samples: usize,
    unsure: bool,
}

/// See the head of this file.
#[derive(Debug)]
pub(super) struct Spool {
    folder: PathBuf,
    name: String,
    limit: u64,
    /// The number of files created or taken over so far.
    count: u64,
    files: VecDeque<(u64, SpoolFile)>,
    /// The file that is written to, the last one of `files`.
    own: Option<u64>,
    entries: VecDeque<Entry>,
    /// Whether there are more files to take over later.
    more: bool,
    /// Files that cannot be used.
    refused: BTreeSet<PathBuf>,
    trouble: bool,
}

/// The oldest unrecorded samples.
#[derive(Debug)]
pub(super) struct Portion {
    /// The samples to record.
    pub(super) batch: Batch,
    /// The number of entries in it, for [`Spool::confirm`].
    pub(super) entries: usize,
    /// The number of samples that could not be read.
    pub(super) lost: usize,
}

/// A file that was taken over: its number, and its entries.
type Adopted = (u64, SpoolFile, Vec<Entry>);

/// Ends a file without unrecorded samples.
fn end(file: SpoolFile) {
    match file.end() {
        Ok(None) => {}
        Ok(Some(renamed)) => {
            tracing::error!(file = %renamed.display(), "renamed a history spool file that is damaged or was written by a newer version")
        }
        Err(error) => tracing::warn!(%error, "cannot remove a history spool file that is no longer needed"),
    }
}

impl Spool {
    /// The spool of the process called `name`; it uses the disk only when it is first needed.
    pub(super) fn new(dir: &StateDir, name: &str) -> Self {
        Self::within(&dir.folder().join("history"), name, MOST_BYTES)
    }

    fn within(folder: &Path, name: &str, limit: u64) -> Self {
        Self {
            folder: folder.to_owned(),
            name: name.to_owned(),
            limit,
            count: 0,
            files: VecDeque::new(),
            own: None,
            entries: VecDeque::new(),
            more: false,
            refused: BTreeSet::new(),
            trouble: false,
        }
    }

    /// Takes over the files of ended processes of this host.
    pub(super) fn take_over(&mut self) {
        if let Err(error) = private_file::guarded_folder(&self.folder).and_then(|()| self.adopt_all()) {
            self.complain(&error);
        }
    }

    /// Continues a small file of an ended process, so that many short processes leave few files.
    pub(super) fn go_on(&mut self) {
        let Ok(mut paths) = self.left() else { return };
        // The newest one: it is the one with room left.
        while let Some((_, path, bytes)) = paths.pop() {
            match self.adopt(&path) {
                Ok(Some((number, file, entries))) if bytes < SHORT_BYTES && !file.damaged() => {
                    self.files.push_back((number, file));
                    self.entries.extend(entries);
                    self.own = Some(number);
                    return;
                }
                _ => {}
            }
        }
    }

    /// The spool files in the folder, oldest first, with their lengths.
    fn left(&self) -> Result<Vec<(SystemTime, PathBuf, u64)>, StateError> {
        let failed = |error: std::io::Error| StateError::io(&self.folder, &error);
        let mut paths: Vec<(SystemTime, PathBuf, u64)> = std::fs::read_dir(&self.folder)
            .map_err(failed)?
            .filter_map(Result::ok)
            .filter(|found| found.path().extension().is_some_and(|ending| ending == ENDING))
            .filter_map(|found| {
                let about = found.metadata().ok()?;
                Some((about.modified().ok()?, found.path(), about.len()))
            })
            .collect();
        paths.sort();
        Ok(paths)
    }

    fn adopt_all(&mut self) -> Result<(), StateError> {
        self.more = false;
        let mut taken = Vec::new();
        let mut samples = 0;
        for (_, path, _) in self.left()? {
            if taken.len() >= MOST_OPEN {
                self.more = true;
                break;
            }
            if self.refused.contains(&path) {
                continue;
            }
            match self.adopt(&path) {
                Ok(Some((_, file, entries))) if entries.is_empty() => end(file),
                Ok(Some(found)) => {
                    samples += found.2.iter().map(|entry| entry.samples).sum::<usize>();
                    taken.push(found);
                }
                Ok(None) => {}
                // A file that cannot be used must not block the others.
                Err(error) => {
                    tracing::warn!(%error, "cannot use a history spool file of an earlier process; its heartbeats are not recorded");
                    self.refused.insert(path);
                }
            }
        }
        if samples > 0 {
            tracing::info!(samples, "recording heartbeats that earlier processes on this host could not record");
        }
        // Before the existing entries, in their own order.
        for (number, file, entries) in taken.into_iter().rev() {
            self.files.push_front((number, file));
            entries.into_iter().rev().for_each(|entry| self.entries.push_front(entry));
        }
        Ok(())
    }

    /// Takes over a file; `None`: another process has it.
    fn adopt(&mut self, path: &Path) -> Result<Option<Adopted>, StateError> {
        let Some(mut file) = SpoolFile::open(path)? else { return Ok(None) };
        let number = self.next();
        let mut entries = Vec::new();
        file.load(|place, bytes| {
            let kept = serde_json::from_slice::<Kept>(bytes);
            let samples = kept.as_ref().map_or(0, |kept| kept.samples.len());
            entries.push(Entry { place: Some((number, place)), batch: None, samples, unsure: true });
            kept.is_ok() || entries.pop().is_none()
        })?;
        if file.newer() {
            tracing::warn!(file = %path.display(), "a newer version wrote some records of a history spool file; the other records are recorded");
        }
        if file.damaged() {
            tracing::error!(
                file = %path.display(), readable = entries.len(),
                "a history spool file is damaged; its readable heartbeats are recorded, then the file is renamed"
            );
        }
        Ok(Some((number, file, entries)))
    }

    fn next(&mut self) -> u64 {
        self.count += 1;
        self.count
    }

    /// The number of unrecorded samples.
    pub(super) fn waiting(&self) -> usize {
        self.entries.iter().map(|entry| entry.samples).sum()
    }

    /// How many of them are on disk.
    pub(super) fn on_disk(&self) -> usize {
        self.entries.iter().filter(|entry| entry.place.is_some()).map(|entry| entry.samples).sum()
    }

    /// Adds a batch; false: there is no room for it, neither on disk nor in memory.
    pub(super) fn append(&mut self, batch: Batch) -> bool {
        let (samples, unsure) = (batch.samples.len(), batch.unsure);
        let kept = Kept { samples: batch.samples, summaries: batch.summaries };
        let entry = match self.write(&kept) {
            Ok(place) => {
                self.trouble = false;
                Entry { place: Some(place), batch: None, samples, unsure }
            }
            Err(error) => {
                if let Some(error) = error {
                    self.complain(&error);
                }
                let in_memory = self.waiting() - self.on_disk();
                if in_memory + samples > MOST_IN_MEMORY {
                    return false;
                }
                let Kept { samples: all, summaries } = kept;
                Entry { place: None, batch: Some(Batch { samples: all, summaries, unsure }), samples, unsure }
            }
        };
        self.entries.push_back(entry);
        true
    }

    /// Writes a record; `Err(None)`: the files have reached their maximum size.
    fn write(&mut self, kept: &Kept) -> Result<(u64, Place), Option<StateError>> {
        let failed = |path: &Path, error: std::io::Error| Some(StateError::io(path, &error));
        file::put_back(self.files.iter_mut().map(|(_, file)| file), &self.folder)?;
        let bytes = serde_json::to_vec(kept).map_err(|error| failed(&self.folder, error.into()))?;
        let used: u64 = self.files.iter().map(|(_, file)| file.bytes()).sum();
        if used + bytes.len() as u64 > self.limit {
            return Err(None);
        }
        let number = match self.own {
            Some(number) if self.files.back().is_some_and(|(_, file)| file.bytes() < FILE_BYTES) => number,
            _ => self.begin(bytes.len() as u64)?,
        };
        let Some((_, file)) = self.files.back_mut() else { return Err(None) };
        let place = file.append(&bytes).map_err(|error| failed(file.path(), error))?;
        Ok((number, place))
    }

    /// Starts a file for a record; `Err(None)`: the files of other processes leave no room for it.
    fn begin(&mut self, record: u64) -> Result<u64, Option<StateError>> {
        private_file::guarded_folder(&self.folder)?;
        let used: u64 = self.left()?.iter().map(|(_, _, bytes)| bytes).sum();
        if used + record > self.limit {
            return Err(None);
        }
        let number = self.next();
        let path = self.folder.join(format!("{}-{number}.{ENDING}", self.name));
        let taken = || StateError::InUse { what: path.display().to_string(), holder: "another process".to_owned() };
        let file = SpoolFile::open(&path)?.ok_or_else(taken)?;
        self.files.push_back((number, file));
        self.own = Some(number);
        Ok(number)
    }

    /// The oldest samples, about `most` of them at most; `None`: there are none. Its entries stay in front until the next
    /// call.
    pub(super) fn front(&mut self, most: usize) -> Option<Portion> {
        if self.more && self.files.iter().all(|(number, _)| Some(*number) == self.own) {
            self.take_over();
        }
        let mut portion = Portion { batch: Batch::default(), entries: 0, lost: 0 };
        for entry in &self.entries {
            if portion.entries > 0 && portion.batch.samples.len() + entry.samples > most {
                break;
            }
            portion.entries += 1;
            let Some(Batch { samples, summaries, .. }) = self.content(entry) else {
                portion.lost += entry.samples;
                continue;
            };
            portion.batch.samples.extend(samples);
            for summary in summaries {
                let same = |known: &Summary| {
                    (&known.node_id, known.incarnation, known.from)
                        == (&summary.node_id, summary.incarnation, summary.from)
                };
                match portion.batch.summaries.iter_mut().find(|known| same(known)) {
                    Some(known) => *known = summary,
                    None => portion.batch.summaries.push(summary),
                }
            }
            portion.batch.unsure |= entry.unsure;
        }
        (portion.entries > 0).then_some(portion)
    }

    fn content(&self, entry: &Entry) -> Option<Batch> {
        let Some((number, place)) = entry.place else { return entry.batch.clone() };
        let (_, file) = self.files.iter().find(|(known, _)| *known == number)?;
        let kept: Kept = serde_json::from_slice(&file.read(place)?).ok()?;
        Some(Batch { samples: kept.samples, summaries: kept.summaries, unsure: entry.unsure })
    }

    /// Marks the first entries as possibly recorded.
    pub(super) fn doubt(&mut self, entries: usize) {
        self.entries.iter_mut().take(entries).for_each(|entry| entry.unsure = true);
    }

    /// Removes the first entries: they are recorded, or given up.
    pub(super) fn confirm(&mut self, entries: usize) {
        let mut last = None;
        for _ in 0..entries {
            let place = self.entries.pop_front().and_then(|entry| entry.place);
            if let (Some((before, at)), Some((number, _))) = (last, place)
                && before != number
            {
                self.reach(before, at);
            }
            last = place.or(last);
        }
        if let Some((number, at)) = last {
            self.reach(number, at);
        }
    }

    /// Marks a file as confirmed up to a position.
    fn reach(&mut self, number: u64, last: Place) {
        if !self.entries.iter().any(|entry| entry.place.is_some_and(|(known, _)| known == number)) {
            return self.release(number);
        }
        if let Some((_, file)) = self.files.iter().find(|(known, _)| *known == number)
            && let Err(error) = file.confirm(last)
        {
            tracing::debug!(%error, "cannot mark recorded heartbeats in the spool; they are looked up in the history before they are written again");
        }
    }

    /// Removes a file without entries.
    fn release(&mut self, number: u64) {
        let Some(at) = self.files.iter().position(|(known, _)| *known == number) else { return };
        let own = self.own == Some(number);
        let Some((_, file)) = self.files.get_mut(at) else { return };
        if own && file.clear().is_ok() {
            return;
        }
        let Some((_, file)) = self.files.remove(at) else { return };
        if own {
            self.own = None;
        }
        end(file);
    }

    /// Ends the spool; files without unrecorded samples are removed.
    pub(super) fn close(&mut self) {
        if let Some(own) = self.own.take()
            && !self.entries.iter().any(|entry| entry.place.is_some_and(|(known, _)| known == own))
        {
            self.release(own);
        }
    }

    /// Logs a failure once, until writing succeeds again.
    fn complain(&mut self, error: &StateError) {
        if !std::mem::replace(&mut self.trouble, true) {
            tracing::warn!(%error, "cannot save unrecorded heartbeats on disk; they are kept in memory");
        }
    }
}
