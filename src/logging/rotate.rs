//! The log file and its rotation.
//!
//! 1. A file grows to at most `max_bytes` (a single longer line excepted), then becomes `.1`; `.1` becomes `.2`, and so on.
//! 2. Several processes may share one file: lines are appended as a whole, and only the process that holds the lock on the current
//!    file rotates it. The current file is renamed last, so that no new file is in the way.
//! 3. Links of other users are not followed, and files of other users are not written.
//! 4. A file that cannot be written is reported once and retried; nothing waits for it.
//!
//! Not tracing-appender: it rotates by time, not by size, and knows neither 2 nor 3.
//!
//! Not here: the thread (`queue.rs`), the format of a line (`line.rs`).

use crate::clock;
use crate::cluster::time::Moment;
use rustix::fs::OFlags;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::PathBuf;
use std::time::Duration;

/// The pause before a file that failed is opened again.
const REOPEN_DELAY: Duration = Duration::from_secs(5);

/// How long the writer's thread waits for the rotation lock when the file has grown to twice its maximum size.
const LOCK_TIMEOUT: Duration = Duration::from_millis(500);

/// A log file with a maximum size.
#[derive(Debug)]
pub(super) struct RotatedFile {
    path: PathBuf,
    max_bytes: u64,
    backups: u32,
    file: Option<File>,
    /// Whether the last write stopped in the middle of a line.
    torn: bool,
    /// Set while writing fails.
    failing: Option<Failing>,
    /// The pause before a file that failed is opened again.
    pause: Duration,
}

#[derive(Debug)]
struct Failing {
    tried_at: Moment,
    lost: u64,
}

impl RotatedFile {
    pub(super) fn new(path: PathBuf, max_bytes: u64, backups: u32) -> Self {
        Self { path, max_bytes, backups, file: None, torn: false, failing: None, pause: REOPEN_DELAY }
    }

    /// Appends a line, including its line feed. Returns a message for the operator when writing starts or stops to fail.
    pub(super) fn write(&mut self, line: &[u8]) -> Option<String> {
        if let Some(failing) = &mut self.failing
            && clock::now().since(failing.tried_at) < self.pause
        {
            failing.lost += 1;
            return None;
        }
        match self.try_write(line) {
            Ok(()) => {
                let failing = self.failing.take()?;
                Some(format!(
                    "writing to the log file {} again; {} lines are missing",
                    self.path.display(),
                    failing.lost
                ))
            }
            Err(error) => {
                self.file = None;
                let lost = self.failing.as_ref().map_or(0, |failing| failing.lost);
                let news = self.failing.is_none();
                self.failing = Some(Failing { tried_at: clock::now(), lost: lost + 1 });
                news.then(|| {
                    let path = self.path.display();
                    format!(
                        "cannot write to the log file {path}: {error}; continuing without it and retrying every 5 s"
                    )
                })
            }
        }
    }

    fn try_write(&mut self, line: &[u8]) -> io::Result<()> {
        let mut file = self.current()?;
        let torn = usize::from(self.torn);
        let full =
            |file: &File| Ok::<_, io::Error>(room_needed(file.metadata()?.len(), line.len() + torn) > self.max_bytes);
        if full(&file)? {
            file = match self.rotate(file)? {
                Rotated::Done(file) => file,
                // Another process is about to rotate; this line goes to the file as it is.
                Rotated::Busy(file) => file,
            };
        }
        let mut bytes = Vec::with_capacity(line.len() + 1);
        if self.torn {
            bytes.push(b'\n');
        }
        bytes.extend_from_slice(line);
        // One call per line: the system appends it as a whole, even if other processes write, too.
        let outcome = match file.write(&bytes) {
            Ok(count) if count == bytes.len() => {
                self.torn = false;
                Ok(())
            }
            Ok(count) => {
                self.torn |= count > 0;
                Err(io::Error::new(ErrorKind::StorageFull, "only a part of a line was written"))
            }
            Err(error) => Err(error),
        };
        self.file = Some(file);
        outcome
    }

    /// The file that currently has the name: another process may have rotated the open one.
    fn current(&mut self) -> io::Result<File> {
        if let Some(file) = self.file.take()
            && self.is_current(&file)?
        {
            return Ok(file);
        }
        self.open()
    }

    fn is_current(&self, file: &File) -> io::Result<bool> {
        let ours = file.metadata()?;
        match self.path.metadata() {
            Ok(named) => Ok((named.dev(), named.ino()) == (ours.dev(), ours.ino())),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn open(&self) -> io::Result<File> {
        if let Some(dir) = self.path.parent() {
            DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        }
        // Without NONBLOCK, opening a pipe would wait for its reader.
        let mut flags = OFlags::NONBLOCK;
        if self.others_could_link()? {
            flags |= OFlags::NOFOLLOW;
        }
        let flags = i32::try_from(flags.bits()).unwrap_or(0);
        let file = OpenOptions::new().create(true).append(true).mode(0o600).custom_flags(flags).open(&self.path)?;
        let found = file.metadata()?;
        if !found.is_file() {
            return Err(io::Error::other("it is not a regular file"));
        }
        if !is_trusted(found.uid()) && !rustix::process::geteuid().is_root() {
            return Err(io::Error::other("it belongs to another user"));
        }
        Ok(file)
    }

    /// Whether another user could replace the file by a link. A link that another user made is an error.
    fn others_could_link(&self) -> io::Result<bool> {
        let Some(folder) = self.path.parent() else { return Ok(false) };
        for link in [folder, &self.path] {
            let made = link.symlink_metadata().ok().filter(|found| found.is_symlink());
            if made.is_some_and(|found| !is_trusted(found.uid())) {
                return Err(io::Error::other(format!("{} is a link that another user made", link.display())));
            }
        }
        let found = folder.metadata()?;
        Ok(!is_trusted(found.uid()) || found.mode() & 0o022 != 0)
    }

    fn rotate(&self, file: File) -> io::Result<Rotated> {
        if file.try_lock().is_err() {
            // Another process is about to rotate. Until then the file may grow to twice its size, but no further: that process may be
            // stopped while it holds the lock.
            let limit = self.max_bytes.saturating_mul(2);
            if file.metadata()?.len() < limit {
                return Ok(Rotated::Busy(file));
            }
            if !lock_soon(&file) {
                return Err(io::Error::other("another process holds its lock"));
            }
        }
        if !self.is_current(&file)? {
            return self.open().map(Rotated::Done);
        }
        if self.backups == 0 {
            file.set_len(0)?;
            file.unlock()?;
            return Ok(Rotated::Done(file));
        }
        for n in (1..self.backups).rev() {
            match std::fs::rename(self.backup(n), self.backup(n + 1)) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        std::fs::rename(&self.path, self.backup(1))?;
        // Closing the old file here releases the lock.
        self.open().map(Rotated::Done)
    }

    fn backup(&self, n: u32) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".{n}"));
        name.into()
    }
}

/// Whether an owner is this user or root.
fn is_trusted(owner: u32) -> bool {
    owner == 0 || owner == rustix::process::geteuid().as_raw()
}

/// Tries to get the lock within [`LOCK_TIMEOUT`].
fn lock_soon(file: &File) -> bool {
    let start = clock::now();
    while file.try_lock().is_err() {
        if clock::now().since(start) > LOCK_TIMEOUT {
            return false;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    true
}

enum Rotated {
    Done(File),
    Busy(File),
}

/// The size after a write; an empty file takes any line.
fn room_needed(size: u64, line: usize) -> u64 {
    if size == 0 { 0 } else { size.saturating_add(line as u64) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn line(n: usize) -> Vec<u8> {
        format!("{n:09}\n").into_bytes()
    }

    fn sizes(path: &Path) -> Vec<Option<u64>> {
        let names =
            std::iter::once(path.to_path_buf()).chain((1..7).map(|n| PathBuf::from(format!("{}.{n}", path.display()))));
        names.map(|name| name.metadata().ok().map(|metadata| metadata.len())).collect()
    }

    #[test]
    fn files_have_exactly_their_size_and_only_so_many_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("logs/heartbeat.log");
        let mut file = RotatedFile::new(path.clone(), 100, 5);
        for n in 0..10 {
            assert_eq!(file.write(&line(n)), None);
        }
        assert_eq!(sizes(&path), [Some(100), None, None, None, None, None, None]);
        for n in 10..85 {
            assert_eq!(file.write(&line(n)), None);
        }
        assert_eq!(sizes(&path), [Some(50), Some(100), Some(100), Some(100), Some(100), Some(100), None]);
        assert!(std::fs::read_to_string(dir.path().join("logs/heartbeat.log.5")).unwrap().starts_with("000000030\n"));
    }

    #[test]
    fn a_restart_goes_on_where_the_last_run_stopped() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.log");
        for n in 0..25 {
            RotatedFile::new(path.clone(), 100, 5).write(&line(n));
        }
        assert_eq!(sizes(&path)[..4], [Some(50), Some(100), Some(100), None]);
    }

    #[test]
    fn without_backups_the_file_starts_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.log");
        let mut file = RotatedFile::new(path.clone(), 100, 0);
        (0..25).for_each(|n| drop(file.write(&line(n))));
        assert_eq!(sizes(&path)[..2], [Some(50), None]);
    }

    #[test]
    fn writers_that_share_a_file_lose_and_tear_nothing() {
        const EACH: usize = 2000;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.log");
        std::thread::scope(|scope| {
            for writer in 0..4 {
                let mut file = RotatedFile::new(path.clone(), 1000, 100);
                // The files that rotation would remove hold none of these lines: 80 kB are fewer than 100 files.
                scope.spawn(move || (0..EACH).for_each(|n| assert_eq!(file.write(&line(writer * EACH + n)), None)));
            }
        });
        let mut seen = Vec::new();
        for entry in std::fs::read_dir(dir.path()).unwrap() {
            let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
            seen.extend(text.lines().map(|line| {
                assert_eq!(line.len(), 9, "a torn line: {line:?}");
                line.parse::<usize>().unwrap()
            }));
        }
        seen.sort_unstable();
        assert_eq!(seen, (0..4 * EACH).collect::<Vec<_>>());
    }

    #[test]
    fn a_file_that_was_moved_or_deleted_is_made_anew() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.log");
        let mut file = RotatedFile::new(path.clone(), 1000, 5);
        file.write(&line(1));
        std::fs::rename(&path, dir.path().join("moved")).unwrap();
        file.write(&line(2));
        assert_eq!(std::fs::read(&path).unwrap(), line(2));
        std::fs::remove_file(&path).unwrap();
        file.write(&line(3));
        assert_eq!(std::fs::read(&path).unwrap(), line(3));
    }

    #[test]
    fn writing_goes_on_when_the_place_can_be_written_again() {
        let dir = tempfile::tempdir().unwrap();
        let parent = dir.path().join("logs");
        std::fs::write(&parent, "").unwrap();
        let mut file = RotatedFile::new(parent.join("a.log"), 1000, 5);
        file.pause = Duration::ZERO;
        assert!(file.write(&line(1)).unwrap().contains("cannot write to the log file"));
        assert_eq!(file.write(&line(2)), None);
        std::fs::remove_file(&parent).unwrap();
        let message = file.write(&line(3)).unwrap();
        assert!(message.contains("again; 2 lines are missing"), "{message}");
        // As after a full disk that took half a line: the next one starts on a line of its own.
        file.torn = true;
        assert_eq!(file.write(&line(4)), None);
        assert_eq!(std::fs::read(parent.join("a.log")).unwrap(), b"000000003\n\n000000004\n");
    }

    #[test]
    fn a_file_that_cannot_be_rotated_stops_growing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.log");
        let mut file = RotatedFile::new(path.clone(), 100, 5);
        (0..10).for_each(|n| drop(file.write(&line(n))));
        let holder = File::open(&path).unwrap();
        holder.lock().unwrap();
        let message: Vec<String> = (10..30).filter_map(|n| file.write(&line(n))).collect();
        assert!(message.len() == 1 && message[0].contains("another process holds its lock"), "{message:?}");
        assert_eq!(sizes(&path)[..2], [Some(200), None]);
    }

    #[test]
    fn a_place_that_cannot_be_written_is_reported_once() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("plain"), "").unwrap();
        std::fs::create_dir(dir.path().join("folder")).unwrap();
        // A pipe without reader, a folder, a file as parent, and a device that is always full.
        let pipe = dir.path().join("pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        for path in [pipe, dir.path().join("folder"), dir.path().join("plain/a.log"), PathBuf::from("/dev/full")] {
            let mut file = RotatedFile::new(path.clone(), 1000, 5);
            let message = file.write(&line(1)).unwrap();
            assert!(message.contains(&path.display().to_string()), "{message}");
            assert_eq!(file.write(&line(2)), None);
        }
    }
}
