//! A process's hold on the private server.
//!
//! 1. A process that waits for the start lock starts nothing once it has left.
//! 2. Leaving is for good; it happens once, by a release, by giving up, or by the drop.
//!
//! Not here: the server's process and its locks (`server.rs`).

use super::choice::{Remembered, remember, remembered};
use super::server::{Folder, POLL, StartLock};
use super::wire::Talk;
use super::{Error, Seek, wire};
use crate::clock;
use std::fs::File;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long the start lock, and then the server, is waited for.
pub(super) const START_TIMEOUT: Duration = Duration::from_secs(15);
const LEAVE_LOCK_WAIT: Duration = Duration::from_secs(1);

/// A user's hold on the private server. While one lives the server is not stopped; dropping the last one on this host
/// stops it (which blocks for a moment; [`EmbeddedServer::release`] says whether it went well).
#[derive(Debug)]
pub struct EmbeddedServer {
    folder: Folder,
    seek: Seek,
    pub(super) hold: Mutex<Hold>,
    /// The way to the server when its socket is removed.
    spare: Box<Mutex<Spare>>,
}

/// What is kept for a folder that is removed under its server.
#[derive(Debug, Default)]
struct Spare {
    talk: Option<Talk>,
    /// The server was chosen because nothing was configured, which a file in the state directory remembers.
    chosen: bool,
}

/// Whether this process is a user of the server.
#[derive(Debug)]
pub(super) enum Hold {
    /// Not yet: somebody else held the start lock for long.
    Wanted,
    /// It holds this lock.
    Held(File),
    /// Not any more, and never again.
    Left,
}

impl Folder {
    /// Makes the caller a user of the server, and starts it when it does not run. The error beside the server is why it
    /// does not answer after `patience`; the caller is its user all the same.
    pub(super) fn attach(
        self,
        seek: &Seek,
        lock: &StartLock,
        patience: Duration,
    ) -> Result<(EmbeddedServer, Option<Error>), Error> {
        let users = self.lock_users(lock)?;
        let trouble = match self.start(seek, lock, patience) {
            Ok(()) => None,
            Err(error) if error.may_pass() => Some(error),
            Err(error) => return Err(error),
        };
        let server = EmbeddedServer {
            folder: self,
            seek: seek.clone(),
            hold: Mutex::new(Hold::Held(users)),
            spare: Box::default(),
        };
        Ok((server, trouble))
    }

    /// The guard of a process that becomes a user with the first [`EmbeddedServer::ensure_running`] that gets the lock.
    pub(super) fn attach_later(self, seek: &Seek) -> EmbeddedServer {
        EmbeddedServer { folder: self, seek: seek.clone(), hold: Mutex::new(Hold::Wanted), spare: Box::default() }
    }
}

impl EmbeddedServer {
    /// Uses the private server of this state directory, and starts it when it does not run. [`super::choose`] does this
    /// where nothing is configured; this is for `redis.mode: embedded`. Blocks until it answers (or reads its data).
    ///
    /// # Errors
    /// See [`Error`].
    pub fn attach(state_dir: &Path, seek: &Seek) -> Result<Self, Error> {
        let (server, trouble) = Self::attach_within(state_dir, seek, START_TIMEOUT)?;
        trouble.map_or(Ok(server), Err)
    }

    /// As [`EmbeddedServer::attach`], but waits about `patience` for the server, and no failure to answer by then is an
    /// error: it is told beside the guard, and [`EmbeddedServer::ensure_running`] tries again.
    ///
    /// # Errors
    /// What does not pass by itself: no program, a file that cannot be used.
    pub fn attach_within(state_dir: &Path, seek: &Seek, patience: Duration) -> Result<(Self, Option<Error>), Error> {
        let folder = Folder::open(state_dir, seek)?;
        match folder.lock_start_within(patience) {
            Ok(lock) => folder.attach(seek, &lock, patience),
            Err(busy @ Error::Busy { .. }) => Ok((folder.attach_later(seek), Some(busy))),
            Err(error) => Err(error),
        }
    }

    /// Where it listens.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.folder.socket
    }

    /// The server's process, when it lives.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.folder.live_pid()
    }

    /// Starts the server again when it died. Cheap while it answers; call it when a connection was lost. Blocks.
    ///
    /// # Errors
    /// [`Error::Silent`] when the process lives and does not answer: nothing is done to it.
    pub fn ensure_running(&self) -> Result<(), Error> {
        if matches!(&*self.lock_hold(), Hold::Held(users) if self.folder.is_removed(users)) {
            return self.move_over();
        }
        let answer = wire::ping_socket(&self.folder.socket);
        match *self.lock_hold() {
            Hold::Left => return Ok(()),
            Hold::Held(_) if answer.is_up() => {
                self.keep_spare();
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
        let started = self.folder.start(&self.seek, &lock, START_TIMEOUT);
        if matches!(*self.lock_hold(), Hold::Left) {
            // Who left meanwhile could not have the start lock, and relies on this.
            let users = self.folder.lock_users(&lock)?;
            return self.folder.stop_unused(&users, &lock).map(drop);
        }
        started
    }

    /// Sees to it that the spare connection is there.
    fn keep_spare(&self) {
        let mut spare = self.spare();
        if spare.talk.as_mut().is_none_or(|talk| talk.ask(&[b"PING"]).is_err()) {
            spare.talk = Talk::connect(&self.folder.socket).ok();
        }
        spare.chosen |= remembered(self.folder.state_dir()) == Some(Remembered::Embedded);
    }

    fn spare(&self) -> MutexGuard<'_, Spare> {
        self.spare.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Goes on in a folder that is made again, with all that the server holds.
    fn move_over(&self) -> Result<(), Error> {
        self.folder.make_again()?;
        let Some(lock) = self.lock_start_while_user()? else { return Ok(()) };
        let Spare { talk, chosen } = std::mem::take(&mut *self.spare());
        // Elsewhere, where the path is too long for a socket, it still listens.
        let talk = talk.or_else(|| Talk::connect(&self.folder.socket).ok());
        let users = self.folder.lock_users(&lock)?;
        self.folder.move_over(talk, &self.seek, &lock, START_TIMEOUT)?;
        if chosen {
            remember(self.folder.state_dir(), Remembered::Embedded)?;
        }
        let mut hold = self.lock_hold();
        if matches!(*hold, Hold::Held(_)) {
            *hold = Hold::Held(users);
        }
        Ok(())
    }

    /// The start lock; `None` once this process is no user any more.
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

    /// Gives up the hold at once, without waiting for anything; a server without users runs on until its next last user
    /// stops it.
    pub fn abandon(&self) {
        *self.lock_hold() = Hold::Left;
    }

    /// Leaves the server, and stops it when this was its last user. At most 4 s. Says whether it was stopped.
    ///
    /// # Errors
    /// See [`Error`]; the hold is given up in any case.
    pub fn release(&self) -> Result<bool, Error> {
        self.leave()
    }

    fn leave(&self) -> Result<bool, Error> {
        let Hold::Held(users) = std::mem::replace(&mut *self.lock_hold(), Hold::Left) else { return Ok(false) };
        // Without this lock a node that starts now could find a server that is about to stop. A lock that is not to be
        // had leaves the server running, which the next last user stops.
        let lock = self.folder.lock_start_within(LEAVE_LOCK_WAIT)?;
        self.folder.stop_unused(&users, &lock)
    }
}

impl Drop for EmbeddedServer {
    fn drop(&mut self) {
        if let Err(error) = self.leave() {
            tracing::warn!(%error, "the private Redis was not stopped");
        }
    }
}
