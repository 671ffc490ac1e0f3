//! Stops the private server after its last user was killed and could not stop it.
//!
//! ```text
//!  a user ──starts, if reaper.lock is free──▶ reaper (own session, no environment; its standard input is reaper.lock, locked)
//!                                               waits until nobody holds alive.lock ──▶ start.lock ──▶ users.lock ──▶ stops the server
//! ```
//!
//! 1. There is one reaper per folder. It outlives the user that started it; each user replaces one that was killed.
//! 2. It decides like a user that detaches: with the start lock, and only if nobody holds `users.lock`. Users of versions without
//!    `alive.lock` are respected so.
//! 3. It keeps no lock while it waits for another one.
//! 4. It also stops a server that was still starting, and the recorded process of a folder that was removed.
//!
//! Not here: the users' locks (`users.rs`), stopping the server (`server.rs`).

use super::process::{Looks, servers_in};
use super::server::{Folder, POLL, START_TIMEOUT, StartLock, open_lock, raw_pid};
use super::users::UserLocks;
use super::{Error, Seek, find_program};
use crate::clock::{self, Seldom};
use rustix::fs::{FlockOperation, flock};
use std::ffi::{OsStr, OsString};
use std::fs::TryLockError;
use std::io::{self, ErrorKind, Read, Seek as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::BorrowedFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// The hidden subcommand that runs the reaper.
const REAP_COMMAND: &str = "reap-private-redis";
const REAPER: &str = "reaper.lock";
/// The pause before the next look while users of older versions are left, or another process holds the start lock for long.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);
/// How long servers without a pid file may take to stop.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);
/// So often in a row none is seen: one that becomes a daemon changes its process, and may be missed once.
const QUIET_LOOKS: u32 = 10;

static NOT_STARTED: Seldom = Seldom::new(1);

impl Folder {
    /// Starts the reaper if none runs. A failure is logged, but seldom: the server is used all the same, and this is tried again.
    pub(super) fn keep_reaper(&self, seek: &Seek) {
        let Some(program) = &seek.reaper else { return };
        if let Err(error) = self.start_reaper(program, seek)
            && let Some(unsaid) = NOT_STARTED.due()
        {
            tracing::warn!(unsaid, %error, "cannot start the process that stops the private Redis after its nodes were killed");
        }
    }

    fn start_reaper(&self, program: &Path, seek: &Seek) -> Result<(), Error> {
        let path = self.path.join(REAPER);
        let file = open_lock(&path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(()),
            Err(TryLockError::Error(source)) => return Err(Error::File { what: "cannot lock", path, source }),
        }
        // The lock stays with the reaper, which inherits it.
        let server = find_program(seek).ok().map(PathBuf::into_os_string);
        reaper(program, &self.state_dir, server.as_deref(), true)
            .stdin(file)
            .spawn()
            .and_then(|mut detaching| detaching.wait())
            .and_then(|status| if status.success() { Ok(()) } else { Err(io::Error::other(status.to_string())) })
            .map_err(Error::file("cannot run", program))
    }

    /// Ends what `stop` does not know: servers that have not written their pid file, because their user was killed while they started, and
    /// the recorded one, whose pid file may have been removed with the folder.
    fn end_strays(&self, seek: &Seek, locks: &UserLocks) {
        let program = find_program(seek).unwrap_or_default();
        let begun = clock::now();
        let mut quiet = 0;
        while quiet < QUIET_LOOKS && clock::now().since(begun) < STOP_TIMEOUT {
            let mut found = servers_in(&self.path, &program);
            found.extend(self.recorded(locks));
            for pid in found.iter().filter_map(|pid| raw_pid(*pid)) {
                // It fails only if the process has just ended.
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
            }
            quiet = if found.is_empty() { quiet + 1 } else { 0 };
            std::thread::sleep(POLL);
        }
    }

    /// The recorded process, if it is the server of this folder or of the removed one.
    fn recorded(&self, locks: &UserLocks) -> Option<u32> {
        let mut text = String::new();
        let read = (&locks.alive).rewind().and_then(|()| (&locks.alive).read_to_string(&mut text));
        let pid = read.ok().and_then(|_| text.trim().parse::<u32>().ok())?;
        let mut removed = self.path.clone().into_os_string();
        removed.push(" (deleted)");
        let is_server =
            |folder: &Path| Looks { folder, socket: &self.socket, program: self.program.as_deref() }.matches(pid);
        (is_server(&self.path) || is_server(Path::new(&removed))).then_some(pid)
    }
}

/// The command that runs the reaper. It gets no environment, because that may hold secrets.
fn reaper(program: &Path, state_dir: &Path, server: Option<&OsStr>, detach: bool) -> Command {
    let mut command = Command::new(program);
    command.arg0("clawster").arg(REAP_COMMAND);
    command.args(detach.then_some("--detach")).arg("--").arg(state_dir).args(server);
    command.env_clear().current_dir("/").stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// The program file of this process, also after it was replaced: for [`Seek::reaper`], where this program has the hidden command.
#[must_use]
pub fn own_program() -> PathBuf {
    PathBuf::from("/proc/self/exe")
}

/// Starts the reaper in a session of its own, with this process's standard input, so that neither the end of a terminal nor of a
/// process group ends it, nor its parent's.
///
/// # Errors
/// Errors of the system calls.
pub fn detach_reaper(state_dir: &Path, server: Option<&OsStr>) -> io::Result<()> {
    rustix::process::setsid()?;
    reaper(&own_program(), state_dir, server, false).stdin(Stdio::inherit()).spawn().map(drop)
}

/// Waits until the private server has no user, and stops it. `lock` is `reaper.lock`, locked by whoever started this. Blocks.
///
/// # Errors
/// See [`Error`].
pub fn reap(state_dir: &Path, program: Option<OsString>, lock: BorrowedFd<'_>) -> Result<(), Error> {
    let local = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let seek = Seek { program, path: None, local, reaper: None };
    let folder = Folder::open(state_dir, &seek)?;
    let locks = folder.open_users()?;
    loop {
        wait_for_users(&folder, &locks)?;
        let start: Option<StartLock> = match folder.lock_start_within(START_TIMEOUT) {
            Ok(start) => Some(start),
            Err(Error::Busy { .. }) => continue,
            // The folder was removed.
            Err(_) => None,
        };
        if !folder.is_unused(&locks)? {
            drop(start);
            std::thread::sleep(RETRY_INTERVAL);
            continue;
        }
        let stopped = match &start {
            Some(start) if !folder.is_removed(&locks) => folder.stop(start),
            _ => Ok(()),
        };
        folder.end_strays(&seek, &locks);
        // Before the start lock: the next user starts a reaper only if this lock is free. It fails only if it is none.
        let _ = flock(lock, FlockOperation::Unlock);
        drop(start);
        return stopped;
    }
}

/// Waits until no user holds `alive.lock`.
fn wait_for_users(folder: &Folder, locks: &UserLocks) -> Result<(), Error> {
    let path = || PathBuf::from(&folder.path);
    loop {
        match locks.alive.lock().and_then(|()| locks.alive.unlock()) {
            Ok(()) => return Ok(()),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(source) => return Err(Error::File { what: "cannot lock a file in", path: path(), source }),
        }
    }
}
