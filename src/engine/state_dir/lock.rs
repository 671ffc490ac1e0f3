//! A lock on a name that ends with the process that holds it.
//!
//! 1. Only the operating system's file lock counts; the process id in the file is for messages only and may be stale.
//! 2. The lock file is never deleted: two processes could otherwise hold two files of the same name. If somebody else
//!    deletes it, its holder takes the lock again before it continues.
//!
//! Not here: what is locked (`super::StateDir`).

use super::{StateError, private_file};
use std::fs::{File, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};

/// A lock that is held until this is dropped.
#[derive(Debug)]
pub(crate) struct NodeLock {
    held: Option<Held>,
}

#[derive(Debug)]
struct Held {
    file: File,
    path: PathBuf,
    what: String,
}

impl NodeLock {
    /// No lock: for a file whose lock is held elsewhere.
    pub(crate) fn none() -> Self {
        Self { held: None }
    }

    /// Takes the lock, or fails at once with its holder.
    pub(crate) fn take(path: &Path, what: &str) -> Result<Self, StateError> {
        let mut file = private_file::open(path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(StateError::InUse { what: what.to_owned(), holder: holder(path) });
            }
            Err(TryLockError::Error(error)) => return Err(StateError::io(path, &error)),
        }
        // Only for the message of another process, so a full disk is no reason to fail.
        if file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id())).is_err() {
            tracing::debug!(file = %path.display(), "cannot write the process id into the lock file");
        }
        Ok(Self { held: Some(Held { file, path: path.to_owned(), what: what.to_owned() }) })
    }

    /// Takes the lock again if its file was removed, so that others could take it.
    ///
    /// # Errors
    /// [`StateError::InUse`] when another process has taken it; else the error of the disk.
    pub(crate) fn retake(&mut self) -> Result<(), StateError> {
        if let Some(Held { file, path, what }) = &self.held
            && private_file::is_astray(file, path)
        {
            *self = Self::take(path, what)?;
        }
        Ok(())
    }
}

fn holder(path: &Path) -> String {
    let pid = std::fs::read_to_string(path).ok().and_then(|text| text.trim().parse::<u32>().ok());
    match pid {
        Some(pid) if pid == std::process::id() => format!("this process ({pid})"),
        // The holder may not have written its id yet; an id without a process is from an earlier holder.
        Some(pid) if Path::new(&format!("/proc/{pid}")).exists() || !Path::new("/proc/self").exists() => {
            format!("process {pid}")
        }
        _ => "another process".to_owned(),
    }
}
