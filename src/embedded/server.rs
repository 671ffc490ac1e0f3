//! The private server's process: started once, shared by its users, stopped by the last one.
//!
//! 1. Starting, stopping and restarting hold `start.lock` exclusively.
//! 2. The locks belong to open files, so that the system releases them when a user dies in any way.
//! 3. A process gets a signal only if it is recognised as this folder's server; here, also only if its pid is the recorded one.
//! 4. A process that accepts connections on the socket is running, even if it does not answer: no second one is started.
//!
//! Not here: when it is used (`choice.rs`), recognising its process (`process.rs`), its users (`hold.rs`, `users.rs`), the owner of its
//! folders (`folders.rs`), its end after its users were killed (`reaper.rs`).

use super::folders::{guarded_folder, private_folder};
use super::process::Looks;
use super::{Error, Seek, damage, find_program, wire};
use crate::clock;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

/// No cluster or node name begins with `+`, so this never collides with other folders in the state directory.
const FOLDER: &str = "+redis";
const START: &str = "start.lock";
const MAX_SOCKET_BYTES: usize = 100;
const MAX_LOG_BYTES: u64 = 1 << 20;
/// How long the server may take to stop after SHUTDOWN, and again after SIGTERM.
const STOP_TIMEOUT: Duration = Duration::from_millis(1500);
/// The least time that a server gets to become a daemon.
const DAEMON_TIMEOUT: Duration = Duration::from_secs(2);
/// How long to wait for the start lock, and then for the server.
pub(super) const START_TIMEOUT: Duration = Duration::from_secs(15);
/// The pause between two checks of a lock or process.
pub(super) const POLL: Duration = Duration::from_millis(5);

/// The server's folder in a state directory; created if it does not exist.
#[derive(Debug, Clone)]
pub(super) struct Folder {
    /// The state directory as it was named: the socket's path depends on it.
    pub(super) state_dir: PathBuf,
    /// The server's folder in it, with links resolved.
    pub(super) path: PathBuf,
    pub(super) socket: PathBuf,
    /// The program that would be started, with links resolved.
    pub(super) program: Option<PathBuf>,
}

/// The lock that is held while the server is started or stopped.
#[derive(Debug)]
pub(super) struct StartLock {
    _file: File,
}

/// The socket of a state directory's private server: `<state>/+redis/redis.sock`, or, if that is longer than 100 bytes, a short path
/// in this user's folder in /tmp.
#[must_use]
pub fn socket_path(state_dir: &Path) -> PathBuf {
    let plain = state_dir.join(FOLDER).join("redis.sock");
    if plain.as_os_str().len() <= MAX_SOCKET_BYTES {
        return plain;
    }
    // FNV-1a, implemented here because every build of this program must compute the same name.
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    let hash = plain.as_os_str().as_encoded_bytes().iter().fold(0xcbf2_9ce4_8422_2325, step);
    let user = rustix::process::getuid().as_raw();
    PathBuf::from(format!("/tmp/clawster-{user}")).join(format!("redis-{hash:016x}.sock"))
}

impl Folder {
    pub(super) fn open(state_dir: &Path, seek: &Seek) -> Result<Self, Error> {
        let state_dir = std::path::absolute(state_dir).map_err(Error::file("cannot resolve", state_dir))?;
        let path = state_dir.join(FOLDER);
        private_folder(&path)?;
        // The server and its recognition use the real path, with links resolved.
        let path = path.canonicalize().map_err(Error::file("cannot resolve", &path))?;
        let socket = socket_path(&state_dir);
        if let Some(parent) = socket.parent().filter(|parent| !parent.starts_with(&state_dir)) {
            guarded_folder(parent)?;
        }
        let program = find_program(seek).ok().and_then(|program| program.canonicalize().ok());
        Ok(Self { state_dir, path, socket, program })
    }

    /// The folder of a server that runs; nothing is created. `path`: where the folder is, if it still is.
    pub(super) fn watched(state_dir: &Path, seek: &Seek, path: Option<PathBuf>) -> Self {
        let socket = socket_path(state_dir);
        let program = find_program(seek).ok().and_then(|program| program.canonicalize().ok());
        let path = path.unwrap_or_else(|| state_dir.join(FOLDER));
        Self { state_dir: state_dir.to_owned(), path, socket, program }
    }

    /// The same folder, with its server on another socket.
    pub(super) fn listening_at(&self, socket: PathBuf) -> Self {
        Self { socket, ..self.clone() }
    }

    /// Creates the folder again after it was removed.
    pub(super) fn create_again(&self) -> Result<(), Error> {
        private_folder(&self.path)
    }

    pub(super) fn lock_start_within(&self, limit: Duration) -> Result<StartLock, Error> {
        let path = self.path.join(START);
        let file = open_lock(&path)?;
        lock_within(limit, file, path)
    }

    /// The same, but fails where the lock file is missing, as in a folder that is being removed: a new file would keep it.
    pub(super) fn lock_present_start_within(&self, limit: Duration) -> Result<StartLock, Error> {
        let path = self.path.join(START);
        let file = File::options().read(true).write(true).open(&path).map_err(Error::file("cannot open", &path))?;
        lock_within(limit, file, path)
    }

    pub(super) fn start(&self, seek: &Seek, _lock: &StartLock, timeout: Duration) -> Result<(), Error> {
        let started = self.start_process(seek, timeout);
        if let Some(pid) = self.live_pid() {
            self.record(pid);
        }
        started
    }

    fn start_process(&self, seek: &Seek, timeout: Duration) -> Result<(), Error> {
        match wire::ping_socket(&self.socket) {
            wire::Answer::Nothing => {}
            answer if answer.is_up() => return Ok(()),
            _ => {
                let gone = || wire::ping_socket(&self.socket) == wire::Answer::Nothing && self.live_pid().is_none();
                let waited = self.wait_until_up(timeout, wire::Answer::is_up, || gone().then(String::new));
                // A frozen server may have been sent SIGTERM, and then ends as soon as it is resumed.
                if waited.is_ok() || !gone() {
                    return waited;
                }
            }
        }
        if let Some(pid) = self.live_pid() {
            // A node may have started it a moment ago and been killed before it answered.
            return self.wait_until_up(timeout, wire::Answer::is_up, || match self.live_pid() {
                Some(_) => None,
                None => Some(format!("process {pid} ended")),
            });
        }
        let program = find_program(seek)?;
        for stale in [&self.socket, &self.pid_file()] {
            match fs::remove_file(stale) {
                Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                    return Err(Error::File { what: "cannot remove", path: stale.clone(), source });
                }
                _ => {}
            }
        }
        // One that ended over its data loads them for a moment before it ends again: that is no start.
        let distrusted = damage::tail(&self.log_file(), 0).is_some_and(|tail| last_word_is_damage(&tail));
        let log = self.open_log()?;
        let begins = log.metadata().map_or(0, |data| data.len());
        let failed = |detail: String| Error::Failed { program: program.clone(), detail, log: self.log_file() };
        let copy = log.try_clone().map_err(Error::file("cannot share", &self.log_file()))?;
        // The server becomes a daemon in its own session: it outlives this process and its terminal, and leaves no zombie, because
        // it is not a child of this process.
        let child = Command::new(&program)
            .args(["--port", "0", "--unixsocketperm", "700", "--appendonly", "yes", "--save", "", "--daemonize", "yes"])
            .arg("--unixsocket")
            .arg(&self.socket)
            .arg("--dir")
            .arg(&self.path)
            .arg("--pidfile")
            .arg(self.pid_file())
            .arg("--logfile")
            .arg(self.log_file())
            .current_dir(&self.path)
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(copy)
            .process_group(0)
            .spawn()
            .map_err(|error| failed(error.to_string()))?;
        let status = end_of(child, timeout.max(DAEMON_TIMEOUT)).map_err(|error| failed(error.to_string()))?;
        if !status.success() {
            return Err(failed(self.last_log_line().unwrap_or_else(|| status.to_string())));
        }
        let begun = clock::now();
        let mut seen = false;
        let enough = |answer: wire::Answer| answer == wire::Answer::Pong || (answer.is_up() && !distrusted);
        let damaged = || damage::damage(&damage::tail(&self.log_file(), begins)?);
        self.wait_until_up(timeout, enough, || {
            let alive = self.live_pid().is_some();
            seen |= alive;
            // Until the pid file is written, the process is not known.
            let gone = !alive && (seen || clock::now().since(begun) > Duration::from_secs(3));
            let last = || self.last_log_line().unwrap_or_else(|| "it ended immediately".to_owned());
            damaged().or_else(|| gone.then(last))
        })
        .map_err(|error| match (error, damaged()) {
            (Error::Failed { .. } | Error::Silent { .. }, Some(detail)) => {
                Error::Damaged { folder: self.path.clone(), detail }
            }
            (Error::Failed { detail, .. }, None) => failed(detail),
            (other, _) => other,
        })
    }

    fn wait_until_up(
        &self,
        timeout: Duration,
        enough: impl Fn(wire::Answer) -> bool,
        mut ended: impl FnMut() -> Option<String>,
    ) -> Result<(), Error> {
        let begun = clock::now();
        while clock::now().since(begun) < timeout {
            if enough(wire::ping_socket(&self.socket)) {
                return Ok(());
            }
            if let Some(detail) = ended() {
                return Err(Error::Failed { program: self.path.clone(), detail, log: self.log_file() });
            }
            std::thread::sleep(POLL);
        }
        Err(self.silent(self.live_pid()))
    }

    pub(super) fn stop(&self, _lock: &StartLock) -> Result<(), Error> {
        let Some(pid) = self.live_pid() else { return Ok(()) };
        wire::shutdown(&self.socket);
        if self.wait_until_gone(pid) {
            return Ok(());
        }
        if let (Some(checked), Some(number)) = (self.live_pid(), raw_pid(pid))
            && checked == pid
        {
            // It fails only if the process has just ended.
            let _ = rustix::process::kill_process(number, rustix::process::Signal::TERM);
        }
        if self.wait_until_gone(pid) { Ok(()) } else { Err(self.silent(Some(pid))) }
    }

    fn wait_until_gone(&self, pid: u32) -> bool {
        let begun = clock::now();
        while self.live_pid() == Some(pid) {
            if clock::now().since(begun) > STOP_TIMEOUT {
                return false;
            }
            std::thread::sleep(POLL);
        }
        true
    }

    /// The process id of this folder's server, if it runs and is recognised.
    pub(super) fn live_pid(&self) -> Option<u32> {
        let pid: u32 = fs::read_to_string(self.pid_file()).ok()?.trim().parse().ok()?;
        let looks = Looks { folder: &self.path, socket: &self.socket, program: self.program.as_deref() };
        looks.matches(pid).then_some(pid)
    }

    pub(super) fn silent(&self, pid: Option<u32>) -> Error {
        let process = pid.map_or_else(|| "process id not known".to_owned(), |pid| format!("process {pid}"));
        Error::Silent { process, socket: self.socket.clone() }
    }

    fn pid_file(&self) -> PathBuf {
        self.path.join("redis.pid")
    }

    fn log_file(&self) -> PathBuf {
        self.path.join("redis.log")
    }

    fn open_log(&self) -> Result<File, Error> {
        let path = self.log_file();
        let long = path.metadata().is_ok_and(|data| data.len() > MAX_LOG_BYTES);
        let mut options = OpenOptions::new();
        options.create(true).mode(0o600);
        if long {
            options.write(true).truncate(true)
        } else {
            options.append(true)
        };
        options.open(&path).map_err(Error::file("cannot open", &path))
    }

    /// The last line of the server's log.
    fn last_log_line(&self) -> Option<String> {
        last_line(&damage::tail(&self.log_file(), 0)?).map(str::to_owned)
    }
}

fn last_line(text: &str) -> Option<&str> {
    text.lines().map(str::trim).rfind(|line| !line.is_empty())
}

/// Whether the server ended over its data: that is the last line of its log.
fn last_word_is_damage(tail: &str) -> bool {
    last_line(tail).is_some_and(|line| damage::damage(line).is_some())
}

/// Waits until a process has become a daemon; one that does not do so in time is killed, because it may not be a Redis server.
fn end_of(mut child: Child, timeout: Duration) -> std::io::Result<ExitStatus> {
    let begun = clock::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if clock::now().since(begun) >= timeout {
            child.kill()?;
            child.wait()?;
            return Err(std::io::Error::other("it did not start in time; check that it is a redis-server"));
        }
        std::thread::sleep(POLL);
    }
}

/// Waits for the start lock, which is `file` at `path`.
fn lock_within(limit: Duration, file: File, path: PathBuf) -> Result<StartLock, Error> {
    let begun = clock::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(StartLock { _file: file }),
            Err(TryLockError::Error(source)) => return Err(Error::File { what: "cannot lock", path, source }),
            Err(TryLockError::WouldBlock) => {}
        }
        let waited = clock::now().since(begun);
        if waited > limit {
            return Err(Error::Busy { path, waited });
        }
        std::thread::sleep(POLL);
    }
}

pub(super) fn open_lock(path: &Path) -> Result<File, Error> {
    let mut options = OpenOptions::new();
    options.create(true).read(true).write(true).truncate(false).mode(0o600);
    options.open(path).map_err(Error::file("cannot open", path))
}

pub(super) fn raw_pid(pid: u32) -> Option<rustix::process::Pid> {
    i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw)
}
