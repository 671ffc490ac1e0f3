//! Stops the private server after its last user was killed and could not stop it.
//!
//! ```text
//!  a user ──starts, if reaper.lock is free──▶ reaper (own session, no environment, in the server's folder;
//!                                             its standard streams are reaper.lock, locked, users.lock and alive.lock)
//!                                               waits until nobody holds alive.lock ──▶ a pause ──▶ users.lock ──▶ stops the server
//! ```
//!
//! 1. There is one reaper per folder. It outlives the user that started it; each user replaces one that was killed.
//! 2. It decides like a user that detaches: with the start lock, and only while it holds `users.lock` exclusively. Users of versions
//!    without `alive.lock` are respected so.
//! 3. It keeps no lock while it waits for another one.
//! 4. It identifies the folder by device and inode, not by name: it still stops the server of a folder that was removed or renamed, and
//!    leaves the server of a new folder with the same name alone. It creates no file and no folder, so that the folder can be removed at
//!    any time.
//! 5. It also stops a server that was still starting when its user was killed.
//!
//! Not here: the users' locks (`users.rs`), stopping the server (`server.rs`).

use super::process::{FileId, Looks, servers_in};
use super::server::{Folder, POLL, START_TIMEOUT, open_lock, raw_pid};
use super::users::UserLocks;
use super::{Error, Seek, find_program};
use crate::clock::{self, Seldom};
use rustix::fs::{FlockOperation, flock};
use rustix::process::{Signal, kill_process, setsid};
use std::ffi::{OsStr, OsString};
use std::fs::{File, TryLockError};
use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// The hidden subcommand that runs the reaper.
const REAP_COMMAND: &str = "reap-private-redis";
const REAPER: &str = "reaper.lock";
/// How long the server goes on without users: a node that a supervisor starts again finds it with its data loaded.
const GRACE: Duration = Duration::from_secs(2);
/// How long servers that `stop` does not know may take to stop.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);
/// The number of consecutive looks that must find no server: one that becomes a daemon changes its process, and a look may miss it.
const QUIET_LOOKS: u32 = 10;

/// The maximum number of reapers started in a minute, for one that always ends at once.
static STARTS: Seldom = Seldom::new(5);
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
        let lock = open_lock(&path)?;
        match lock.try_lock() {
            Ok(()) if STARTS.due().is_some() => {}
            Ok(()) | Err(TryLockError::WouldBlock) => return Ok(()),
            Err(TryLockError::Error(source)) => return Err(Error::File { what: "cannot lock", path, source }),
        }
        let server = find_program(seek).ok().map(PathBuf::into_os_string);
        let UserLocks { users, alive } = self.open_users()?;
        // The lock stays with the reaper, which inherits it.
        reaper(program, Some("--detach"), &self.state_dir, server.as_deref())
            .current_dir(&self.path)
            .stdin(lock)
            .stdout(users)
            .stderr(alive)
            .spawn()
            .and_then(|mut detaching| detaching.wait())
            .and_then(|status| if status.success() { Ok(()) } else { Err(io::Error::other(status.to_string())) })
            .map_err(Error::file("cannot run", program))
    }
}

/// The command that runs the reaper, without the environment, which may hold secrets.
fn reaper(program: &Path, option: Option<&str>, state_dir: &Path, server: Option<&OsStr>) -> Command {
    let mut command = Command::new(program);
    command.arg0("clawster").env_clear();
    command.arg(REAP_COMMAND).args(option).arg("--").arg(state_dir).args(server);
    command
}

/// The program file of this process, also after it was replaced: for [`Seek::reaper`], where this program has the hidden command.
#[must_use]
pub fn own_program() -> PathBuf {
    PathBuf::from("/proc/self/exe")
}

/// Starts the reaper in a new session, with this process's standard streams and working directory. It then survives the end of the
/// terminal, of the process group, and of its parent.
///
/// # Errors
/// Errors of the system calls.
pub fn detach_reaper(state_dir: &Path, server: Option<&OsStr>) -> io::Result<()> {
    setsid()?;
    reaper(&own_program(), None, state_dir, server).spawn().map(drop)
}

/// Waits until the private server has no user, and stops it. For a process that [`detach_reaper`] started. Blocks.
///
/// # Errors
/// See [`Error`].
pub fn reap(state_dir: &Path, program: Option<OsString>) -> Result<(), Error> {
    let seek = Seek { program, path: None, local: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), reaper: None };
    let taken = Reaper::take(state_dir, &seek).map_err(Error::file("cannot watch the private Redis of", state_dir))?;
    taken.map_or(Ok(()), |reaper| reaper.run())
}

struct Reaper {
    folder: Folder,
    id: FileId,
    locks: UserLocks,
    /// `reaper.lock`, locked.
    own: File,
}

impl Reaper {
    /// Takes what the starting process handed over; `None` if the folder was replaced meanwhile.
    fn take(state_dir: &Path, seek: &Seek) -> io::Result<Option<Self>> {
        let stream = |stream: rustix::fd::BorrowedFd<'_>| stream.as_fd().try_clone_to_owned().map(File::from);
        let own = stream(rustix::stdio::stdin())?;
        let locks = UserLocks { users: stream(rustix::stdio::stdout())?, alive: stream(rustix::stdio::stderr())? };
        // Nothing is to be written into the lock files.
        let nowhere = File::options().write(true).open("/dev/null")?;
        rustix::stdio::dup2_stdout(&nowhere)?;
        rustix::stdio::dup2_stderr(&nowhere)?;
        // Otherwise tools show the name of the link that was started.
        let _ = std::fs::write("/proc/self/comm", "clawster");
        let id = FileId::of(Path::new("."))?;
        let folder = Folder::watched(state_dir, seek, std::env::current_dir().ok());
        let here = File::open(super::users::USERS).and_then(|file| FileId::of_file(&file));
        let same = match here {
            Ok(found) => found == FileId::of_file(&locks.users)?,
            // Only the working directory of a process that is in a removed folder has no name.
            Err(_) => std::env::current_dir().is_err(),
        };
        Ok(same.then_some(Self { folder, id, locks, own }))
    }

    fn run(self) -> Result<(), Error> {
        loop {
            self.wait_for_users()?;
            // Where the last user has stopped it, nothing is to wait for.
            if !self.servers().is_empty() {
                std::thread::sleep(GRACE);
            }
            // A removed or renamed folder has no new users: they lock the files of another one.
            let start = match self.is_here().then(|| self.folder.lock_present_start_within(START_TIMEOUT)) {
                Some(Err(Error::Busy { .. })) => continue,
                Some(start) => start.ok().filter(|_| self.is_here()),
                None => None,
            };
            if !self.folder.is_unused(&self.locks)? {
                continue;
            }
            let stopped = start.as_ref().map_or(Ok(()), |start| self.folder.stop(start));
            if stopped.is_ok() {
                self.end_strays(start.is_some());
            }
            // Before the start lock: the next user starts a reaper only if this lock is free. It fails only if it is none.
            let _ = flock(&self.own, FlockOperation::Unlock);
            drop(start);
            return stopped;
        }
    }

    /// Whether the folder still has its name.
    fn is_here(&self) -> bool {
        FileId::of(&self.folder.path).is_ok_and(|found| found == self.id)
    }

    /// Waits until no user holds `alive.lock`.
    fn wait_for_users(&self) -> Result<(), Error> {
        loop {
            match self.locks.alive.lock().and_then(|()| self.locks.alive.unlock()) {
                Ok(()) => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(source) => {
                    let path = self.folder.path.clone();
                    return Err(Error::File { what: "cannot lock a file in", path, source });
                }
            }
        }
    }

    /// Ends servers that have no pid file: those whose user was killed while they were starting, and the recorded one of a removed folder.
    fn end_strays(&self, here: bool) {
        // On SIGTERM a server removes its pid file and socket by name, and these names may belong to another server by now. SIGKILL costs
        // at most the writes that a slow disk has delayed, and only in a folder that was renamed or has lost its lock file: a removed one
        // has no data to lose.
        let signal = if here { Signal::TERM } else { Signal::KILL };
        let begun = clock::now();
        let mut quiet = 0;
        while quiet < QUIET_LOOKS && clock::now().since(begun) < STOP_TIMEOUT {
            let found = self.servers();
            for pid in found.iter().filter_map(|pid| raw_pid(*pid)) {
                // It fails only if the process has just ended.
                let _ = kill_process(pid, signal);
            }
            quiet = if found.is_empty() { quiet + 1 } else { 0 };
            std::thread::sleep(POLL);
        }
    }

    /// All processes of the server.
    fn servers(&self) -> Vec<u32> {
        let mut found = servers_in(self.id, &self.folder.socket);
        found.extend(self.recorded());
        found.extend(self.is_here().then(|| self.folder.live_pid()).flatten());
        found
    }

    /// The recorded process, if it is the server of this folder.
    fn recorded(&self) -> Option<u32> {
        let pid = self.locks.recorded()?;
        let cwd = format!("/proc/{pid}/cwd");
        let ours = FileId::of(Path::new(&cwd)).is_ok_and(|found| found == self.id);
        // As the system names it, also if it was removed or renamed.
        let named = std::fs::read_link(&cwd).ok()?;
        let looks = Looks { folder: &named, socket: &self.folder.socket, program: self.folder.program.as_deref() };
        (ours && looks.matches(pid)).then_some(pid)
    }
}
