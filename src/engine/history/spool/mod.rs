//! What waits to be recorded, in order: on disk, so that it outlives the process, and in memory where the disk refuses.
//!
//! 1. What is taken in is confirmed in the same order; nothing is confirmed twice.
//! 2. The files of this host together take [`MOST_BYTES`] at most, what waits in memory alone [`MOST_IN_MEMORY`] samples;
//!    what does not fit is refused, and its number told.
//! 3. Files that other processes left behind are taken over, [`MOST_OPEN`] at a time, and come first. Whether their samples
//!    were recorded is not known.
//! 4. Every call blocks on the disk and runs on a blocking thread.
//!
//! Not here: the files (`file.rs`), when something is recorded (`super::recorder`).

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

/// How many bytes the spool files take at most.
pub(super) const MOST_BYTES: u64 = 64 << 20;
/// How many files of other processes are open at once: each takes one of the few that a process may have open.
const MOST_OPEN: usize = 32;
/// Up to this size a process that runs only shortly goes on with a file that another one left behind.
const SHORT_BYTES: u64 = 1 << 20;
/// At this size the next file is begun, so that room becomes free file by file.
const FILE_BYTES: u64 = 8 << 20;
/// How many samples wait in memory when the disk refuses them.
pub(super) const MOST_IN_MEMORY: usize = 10_000;
/// How the files' names end.
const ENDING: &str = "spool";

/// A record on disk.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    samples: Vec<Sample>,
    summaries: Vec<Summary>,
}

#[derive(Debug)]
struct Entry {
    /// In which file, by its number, and where.
    place: Option<(u64, Place)>,
    /// Only what is not on disk.
    batch: Option<Batch>,
    samples: usize,
    unsure: bool,
}

/// See the module's text.
#[derive(Debug)]
pub(super) struct Spool {
    folder: PathBuf,
    name: String,
    limit: u64,
    /// How many files were begun or taken over.
    count: u64,
    files: VecDeque<(u64, SpoolFile)>,
    /// The file that is written to, the last one of `files`.
    own: Option<u64>,
    entries: VecDeque<Entry>,
    /// Whether there are more files to take over, when there is room for them.
    more: bool,
    /// Files that cannot be used.
    refused: BTreeSet<PathBuf>,
    trouble: bool,
}

/// The oldest of what waits.
#[derive(Debug)]
pub(super) struct Portion {
    /// To be recorded.
    pub(super) batch: Batch,
    /// How many entries it is made of, for [`Spool::confirm`].
    pub(super) entries: usize,
    /// How many samples could not be read back.
    pub(super) lost: usize,
}

/// A file that was taken over: its number, and what waits in it.
type Adopted = (u64, SpoolFile, Vec<Entry>);

/// Nothing waits in this file any more.
fn end(file: SpoolFile) {
    match file.end() {
        Ok(None) => {}
        Ok(Some(aside)) => {
            tracing::error!(aside = %aside.display(), "renamed a history spool file that is damaged or was written by a newer version")
        }
        Err(error) => tracing::warn!(%error, "cannot remove a history spool file that is no longer needed"),
    }
}

impl Spool {
    /// The spool of a process, which goes by `name`; it touches the disk when it is first used.
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

    /// Takes over what ended processes of this host left.
    pub(super) fn take_over(&mut self) {
        if let Err(error) = private_file::guarded_folder(&self.folder).and_then(|()| self.adopt_all()) {
            self.complain(&error);
        }
    }

    /// Writes on behind what an ended process left, where that is little, so that many short processes leave few files.
    pub(super) fn go_on(&mut self) {
        let Ok(mut paths) = self.left() else { return };
        // The newest one: it is the one that still has room.
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

    /// The spool files in the folder, the oldest first, with their lengths.
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
                // One that cannot be used must not keep the others waiting.
                Err(error) => {
                    tracing::warn!(%error, "cannot use a history spool file of an earlier process; its heartbeats are not recorded");
                    self.refused.insert(path);
                }
            }
        }
        if samples > 0 {
            tracing::info!(samples, "recording heartbeats that earlier processes on this host could not record");
        }
        // Before all that waits already, in their own order.
        for (number, file, entries) in taken.into_iter().rev() {
            self.files.push_front((number, file));
            entries.into_iter().rev().for_each(|entry| self.entries.push_front(entry));
        }
        Ok(())
    }

    /// Takes a file over; `None`: another process has it.
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

    /// How many samples wait.
    pub(super) fn waiting(&self) -> usize {
        self.entries.iter().map(|entry| entry.samples).sum()
    }

    /// How many of them are on disk.
    pub(super) fn on_disk(&self) -> usize {
        self.entries.iter().filter(|entry| entry.place.is_some()).map(|entry| entry.samples).sum()
    }

    /// Takes a batch in; false: there is no room for it, neither on disk nor in memory.
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

    /// `Err(None)`: the files are as long as they may be.
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

    /// Begins a file for a record; `Err(None)`: there is no room for it beside the files of other processes.
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

    /// The oldest of what waits, up to about `most` samples; `None`: nothing waits. What it names stays in front until the next call.
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

    /// Nobody knows whether the first entries are recorded.
    pub(super) fn doubt(&mut self, entries: usize) {
        self.entries.iter_mut().take(entries).for_each(|entry| entry.unsure = true);
    }

    /// The first entries are recorded, or given up.
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

    /// A file is confirmed up to a place.
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

    /// No entry lies in this file any more.
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

    /// Ends the spool: files in which nothing waits are removed.
    pub(super) fn close(&mut self) {
        if let Some(own) = self.own.take()
            && !self.entries.iter().any(|entry| entry.place.is_some_and(|(known, _)| known == own))
        {
            self.release(own);
        }
    }

    /// Tells the log once, until writing succeeds again.
    fn complain(&mut self, error: &StateError) {
        if !std::mem::replace(&mut self.trouble, true) {
            tracing::warn!(%error, "cannot save unrecorded heartbeats on disk; they are kept in memory");
        }
    }
}
