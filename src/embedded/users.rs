//! The locks of the private server's users: who may stop it.
//!
//! 1. Every user holds `users.lock` and `alive.lock`, both shared.
//! 2. A user that detaches releases `users.lock` and tries to lock it exclusively: only the last user succeeds, and stops the server.
//! 3. `alive.lock` is released after that, so that the reaper never acts while a user still detaches.
//!
//! Not here: the start lock (`server.rs`), the reaper (`reaper.rs`).

use super::Error;
use super::process::FileId;
use super::server::{Folder, StartLock, open_lock};
use std::fs::{self, File, TryLockError};
use std::io::{Read, Seek};

pub(super) const USERS: &str = "users.lock";
const ALIVE: &str = "alive.lock";

/// The lock files of one user; the files may have been removed.
#[derive(Debug)]
pub(super) struct UserLocks {
    pub(super) users: File,
    /// Holds the id of the last process that was started as the server.
    pub(super) alive: File,
}

impl UserLocks {
    /// The id of the last process that was started as the server.
    pub(super) fn recorded(&self) -> Option<u32> {
        let mut text = String::new();
        (&self.alive).rewind().and_then(|()| (&self.alive).read_to_string(&mut text)).ok()?;
        text.trim().parse().ok()
    }
}

impl Folder {
    /// Opens the lock files without locking them.
    pub(super) fn open_users(&self) -> Result<UserLocks, Error> {
        Ok(UserLocks { users: open_lock(&self.path.join(USERS))?, alive: open_lock(&self.path.join(ALIVE))? })
    }

    /// Makes the caller a user, until the result is dropped.
    pub(super) fn lock_users(&self, _lock: &StartLock) -> Result<UserLocks, Error> {
        let locks = self.open_users()?;
        // The reaper locks `alive.lock` exclusively for a moment only. A stop locks `users.lock`, which the start lock prevents now.
        locks.alive.lock_shared().map_err(Error::file("cannot lock", &self.path.join(ALIVE)))?;
        locks.users.lock_shared().map_err(Error::file("cannot lock", &self.path.join(USERS)))?;
        Ok(locks)
    }

    /// Releases a user's `users.lock`, and stops the server if no other user holds it. Returns whether it was stopped.
    pub(super) fn stop_unused(&self, locks: &UserLocks, lock: &StartLock) -> Result<bool, Error> {
        if !self.is_unused(locks)? {
            return Ok(false);
        }
        self.stop(lock).map(|()| true)
    }

    /// Releases a user's `users.lock`, and takes it exclusively if no other user holds it. Returns whether it was taken.
    pub(super) fn is_unused(&self, locks: &UserLocks) -> Result<bool, Error> {
        let path = self.path.join(USERS);
        locks.users.unlock().map_err(Error::file("cannot unlock", &path))?;
        match locks.users.try_lock() {
            Ok(()) => Ok(true),
            Err(TryLockError::WouldBlock) => Ok(false),
            Err(TryLockError::Error(source)) => Err(Error::File { what: "cannot lock", path, source }),
        }
    }

    /// Whether the folder was removed: the lock file that a user holds is no longer there.
    pub(super) fn is_removed(&self, locks: &UserLocks) -> bool {
        match (FileId::of_file(&locks.users), FileId::of(&self.path.join(USERS))) {
            (Ok(ours), Ok(present)) => ours != present,
            (Ok(_), Err(error)) => error.kind() == std::io::ErrorKind::NotFound,
            _ => false,
        }
    }

    /// Records the server's process for the reaper, which needs it after the folder was removed.
    pub(super) fn record(&self, pid: u32) {
        // Without the record, only that case is not covered.
        let _ = fs::write(self.path.join(ALIVE), pid.to_string());
    }
}
