//! A process as user of the private server.
//!
//! 1. A process that waits for the start lock starts nothing after it has detached.
//! 2. A process detaches once and for good: by a release, by abandoning it, or by the drop.
//!
//! Not here: the server's process and its locks (`server.rs`).

use super::choice::{Remembered, remember, remembered};
use super::server::{Folder, POLL, START_TIMEOUT, StartLock};
use super::users::UserLocks;
use super::wire::Talk;
use super::{Error, Seek, wire};
use crate::clock;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long detaching waits for the start lock.
const DETACH_LOCK_TIMEOUT: Duration = Duration::from_secs(1);

/// Makes this process a user of the private server. The server is not stopped while a user lives; dropping the last one on this
/// host stops it, which blocks for a moment. [`EmbeddedServer::release`] does the same and reports errors.
#[derive(Debug)]
pub struct EmbeddedServer {
    folder: Folder,
    seek: Box<Seek>,
    pub(super) hold: Mutex<Hold>,
    /// A spare connection to the server, for the case that its socket is removed.
    spare: Box<Mutex<Spare>>,
}

/// What is needed when the server's folder is removed while the server runs.
#[derive(Debug, Default)]
struct Spare {
    talk: Option<Talk>,
    /// The server was chosen because no Redis was configured; a file in the state directory says so.
    chosen: bool,
}

/// Whether this process is a user of the server.
#[derive(Debug)]
pub(super) enum Hold {
    /// Not yet: another process held the start lock for too long.
    Wanted,
    /// Yes, with these locks.
    Held(UserLocks),
    /// No longer; it has detached for good.
    Left,
}

impl Folder {
    /// Makes the caller a user of the server, and starts the server if it does not run. The error beside the server is why it does not
    /// answer within `timeout`; the caller is a user in any case.
    pub(super) fn attach(
        self,
        seek: &Seek,
        lock: &StartLock,
        timeout: Duration,
    ) -> Result<(EmbeddedServer, Option<Error>), Error> {
        let users = self.lock_users(lock)?;
        self.keep_reaper(seek);
        let trouble = match self.start(seek, lock, timeout) {
            Ok(()) => None,
            Err(error) if error.is_temporary() => Some(error),
            Err(error) => return Err(error),
        };
        let server = EmbeddedServer {
            folder: self,
            seek: Box::new(seek.clone()),
            hold: Mutex::new(Hold::Held(users)),
            spare: Box::default(),
        };
        Ok((server, trouble))
    }

    /// A process that becomes a user with the first [`EmbeddedServer::ensure_running`] that gets the lock.
    pub(super) fn attach_later(self, seek: &Seek) -> EmbeddedServer {
        EmbeddedServer {
            folder: self,
            seek: Box::new(seek.clone()),
            hold: Mutex::new(Hold::Wanted),
            spare: Box::default(),
        }
    }
}

impl EmbeddedServer {
    /// Attaches to the private server of this state directory, and starts it if it does not run. For `redis.mode: embedded`;
    /// [`super::choose`] does this if no Redis is configured. Blocks until the server answers or loads its data.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn attach(state_dir: &Path, seek: &Seek) -> Result<Self, Error> {
        let (server, trouble) = Self::attach_within(state_dir, seek, START_TIMEOUT)?;
        trouble.map_or(Ok(server), Err)
    }

    /// Like [`EmbeddedServer::attach`], but waits only about `timeout` for the server. A server that does not answer by then is no
    /// error: the reason is returned beside it, and [`EmbeddedServer::ensure_running`] tries again.
    ///
    /// # Errors
    /// Permanent errors only: no server program, or an unusable file.
    pub fn attach_within(state_dir: &Path, seek: &Seek, timeout: Duration) -> Result<(Self, Option<Error>), Error> {
        let folder = Folder::open(state_dir, seek)?;
        match folder.lock_start_within(timeout) {
            Ok(lock) => folder.attach(seek, &lock, timeout),
            Err(busy @ Error::Busy { .. }) => Ok((folder.attach_later(seek), Some(busy))),
            Err(error) => Err(error),
        }
    }

    /// The server's socket.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.folder.socket
    }

    /// The server's process id; `None` if it does not run.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.folder.live_pid()
    }

    /// Restarts the server if it has died. Cheap while it answers; call it after a lost connection. Blocks.
    ///
    /// # Errors
    /// [`Error::Silent`] when the process lives but does not answer; the process is left alone.
    pub fn ensure_running(&self) -> Result<(), Error> {
        if matches!(&*self.lock_hold(), Hold::Held(users) if self.folder.is_removed(users)) {
            return self.move_over();
        }
        let answer = wire::ping_socket(&self.folder.socket);
        match *self.lock_hold() {
            Hold::Left => return Ok(()),
            Hold::Held(_) if answer.is_up() => {
                self.keep_spare();
                self.folder.keep_reaper(&self.seek);
                return Ok(());
            }
            Hold::Held(_) => {
                let pid = self.folder.live_pid();
                if pid.is_some() || answer != wire::Answer::Nothing {
                    return Err(self.folder.silent(pid));
                }
            }
            Hold::Wanted => {}
        }
        let Some(lock) = self.lock_start_while_user()? else { return Ok(()) };
        {
            let mut hold = self.lock_hold();
            match *hold {
                Hold::Left => return Ok(()),
                Hold::Held(_) => {}
                Hold::Wanted => *hold = Hold::Held(self.folder.lock_users(&lock)?),
            }
        }
        self.folder.keep_reaper(&self.seek);
        let started = self.folder.start(&self.seek, &lock, START_TIMEOUT);
        if matches!(*self.lock_hold(), Hold::Left) {
            // A process that detached meanwhile could not get the start lock, and relies on this.
            let users = self.folder.lock_users(&lock)?;
            return self.folder.stop_unused(&users, &lock).map(drop);
        }
        started
    }

    /// Opens the spare connection if it is missing or broken.
    fn keep_spare(&self) {
        let mut spare = self.spare();
        if spare.talk.as_mut().is_none_or(|talk| talk.ask(&[b"PING"]).is_err()) {
            spare.talk = Talk::connect(&self.folder.socket).ok();
        }
        spare.chosen |= remembered(&self.folder.state_dir) == Some(Remembered::Embedded);
    }

    fn spare(&self) -> MutexGuard<'_, Spare> {
        self.spare.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Creates the folder again and moves the server's data into a new server there.
    fn move_over(&self) -> Result<(), Error> {
        self.folder.create_again()?;
        let Some(lock) = self.lock_start_while_user()? else { return Ok(()) };
        let Spare { talk, chosen } = std::mem::take(&mut *self.spare());
        // A socket outside the folder, for a long path, still exists.
        let talk = talk.or_else(|| Talk::connect(&self.folder.socket).ok());
        let users = self.folder.lock_users(&lock)?;
        self.folder.keep_reaper(&self.seek);
        self.folder.move_over(talk, &self.seek, &lock, START_TIMEOUT)?;
        if chosen {
            remember(&self.folder.state_dir, Remembered::Embedded)?;
        }
        let mut hold = self.lock_hold();
        if matches!(*hold, Hold::Held(_)) {
            *hold = Hold::Held(users);
        }
        Ok(())
    }

    /// Waits for the start lock; `None` once this process has detached.
    fn lock_start_while_user(&self) -> Result<Option<StartLock>, Error> {
        let begun = clock::now();
        loop {
            if matches!(*self.lock_hold(), Hold::Left) {
                return Ok(None);
            }
            match self.folder.lock_start_within(POLL * 10) {
                Err(Error::Busy { .. }) if clock::now().since(begun) < START_TIMEOUT => {}
                locked => return locked.map(Some),
            }
        }
    }

    fn lock_hold(&self) -> MutexGuard<'_, Hold> {
        self.hold.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Detaches at once, without waiting for anything. The reaper stops a server without users.
    pub fn abandon(&self) {
        *self.lock_hold() = Hold::Left;
    }

    /// Detaches from the server, and stops it if this was the last user. Takes at most 4 s. Returns whether it was stopped.
    ///
    /// # Errors
    /// See [`Error`]; this process is detached in any case.
    pub fn release(&self) -> Result<bool, Error> {
        self.leave()
    }

    fn leave(&self) -> Result<bool, Error> {
        let Hold::Held(users) = std::mem::replace(&mut *self.lock_hold(), Hold::Left) else { return Ok(false) };
        // Without this lock, a node that starts now could attach to a server that is about to stop. If the lock is not free in time,
        // the reaper stops the server later.
        let lock = self.folder.lock_start_within(DETACH_LOCK_TIMEOUT)?;
        self.folder.stop_unused(&users, &lock)
    }
}

impl Drop for EmbeddedServer {
    fn drop(&mut self) {
        if let Err(error) = self.leave() {
            tracing::warn!(%error, "cannot stop the private Redis");
        }
    }
}
