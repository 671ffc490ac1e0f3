//! A `clawster run` process, and a command for it that leaves stamps in a file for as long as it runs.
//!
//! 1. A wrapper is killed when dropped; its guardian ends the command then.
//! 2. The command is the running test program itself, started with one ignored test that does nothing when it was not asked to.
//!
//! Not here: what the stamps must look like (`stamps.rs`).

use crate::stamps::Stamped;
use crate::wait::{eventually, stamp};
use crate::{Launch, RedisServer, Stamp};
use rustix::process::{Pid, Signal, kill_process};
use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;

/// The variable that names the file for the stamps.
pub const FILE: &str = "STAMP_FILE";
/// The variable with the name of the wrapper.
pub const LABEL: &str = "STAMP_LABEL";

/// The command of the wrappers: appends its token, its process id and the time to a file, until it is killed. Returns at once where the
/// environment does not ask for that.
pub fn leave_stamps(every: Duration) {
    let (Ok(path), Ok(label)) = (std::env::var(FILE), std::env::var(LABEL)) else { return };
    let token = std::env::var("CLAWSTER_LEASE_TOKEN").expect("the token is in the environment");
    let mut file = std::fs::File::options().append(true).create(true).open(path).expect("the file opens");
    let pid = std::process::id();
    loop {
        let line = format!("{} {token} {pid} {label}\n", stamp().as_nanos());
        file.write_all(line.as_bytes()).expect("a line is written");
        std::thread::sleep(every);
    }
}

/// A folder with the stamps of all wrappers of one test.
#[derive(Debug)]
pub struct Stamps {
    dir: TempDir,
}

impl Default for Stamps {
    fn default() -> Self {
        Self::new()
    }
}

impl Stamps {
    /// An empty one.
    pub fn new() -> Self {
        Self { dir: tempfile::tempdir().expect("a folder") }
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        self.dir.path()
    }

    fn file(&self) -> PathBuf {
        self.dir.path().join("stamps")
    }

    /// A wrapper's settings, with the variables that its command needs.
    pub fn launch(&self, redis: &RedisServer, label: &str) -> Launch {
        let launch = Launch::new(self.folder(), label).redis(redis).env(LABEL, label);
        launch.env(FILE, &self.file().display().to_string())
    }

    /// All stamps so far.
    pub fn read(&self) -> Vec<Stamped> {
        Stamped::all(&std::fs::read_to_string(self.file()).unwrap_or_default())
    }

    /// Waits for a stamp after this moment by a command whose wrapper fits; returns it.
    #[track_caller]
    pub fn after(&self, what: &str, at: Stamp, within: Duration, fits: impl Fn(&Stamped) -> bool) -> Stamped {
        eventually(what, within, || {
            let all = self.read();
            let last = all.last().cloned();
            all.into_iter().find(|s| s.at > at && fits(s)).ok_or_else(|| format!("{last:?} at {:?}", stamp()))
        })
    }
}

/// The command that leaves stamps: the ignored test of this name in the running program, which calls [`leave_stamps`].
pub fn stamping() -> Vec<String> {
    let program = std::env::current_exe().expect("this program").display().to_string();
    let rest = ["--exact", "harness::stamps_when_asked", "--ignored", "--nocapture", "-q"];
    std::iter::once(program).chain(rest.map(str::to_owned)).collect()
}

/// A running `clawster run`.
#[derive(Debug)]
pub struct Wrapper {
    /// The name in messages of failing tests.
    pub label: String,
    child: Child,
    stdout: Arc<Mutex<Vec<u8>>>,
    stderr: Arc<Mutex<Vec<u8>>>,
}

impl Wrapper {
    /// Starts a wrapper around the command that leaves stamps.
    #[track_caller]
    pub fn stamping(launch: &Launch, options: &[&str]) -> Self {
        let command = stamping();
        Self::start(launch, options, &command.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// Starts a wrapper around any command.
    #[track_caller]
    pub fn start(launch: &Launch, options: &[&str], command: &[&str]) -> Self {
        let mut wrapper = Command::new(&launch.program);
        wrapper.args(["run", "--lease", "bot"]).args(options).arg("--").args(command);
        wrapper.env_clear().envs(launch.environment()).current_dir(&launch.home).process_group(0);
        let mut child = wrapper
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("clawster run starts");
        let (stdout, stderr) = (Arc::default(), Arc::default());
        keep(child.stdout.take().unwrap(), Arc::clone(&stdout));
        keep(child.stderr.take().unwrap(), Arc::clone(&stderr));
        Self { label: launch.label.clone(), child, stdout, stderr }
    }

    /// Writes to the standard input of wrapper and command, and closes it.
    pub fn input(&mut self, text: &str) {
        self.child.stdin.take().expect("open").write_all(text.as_bytes()).expect("written");
    }

    /// What came out so far.
    pub fn stdout(&self) -> String {
        String::from_utf8_lossy(&self.stdout.lock().unwrap()).into_owned()
    }

    /// What it said so far.
    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.stderr.lock().unwrap()).into_owned()
    }

    /// Its process id.
    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).unwrap()
    }

    /// Its guardian's process id, while there is one.
    pub fn guardian(&self) -> Option<i32> {
        children(self.pid()).into_iter().next()
    }

    /// Sends a signal to it; returns the time just before.
    pub fn signal(&self, signal: Signal) -> Stamp {
        send(self.pid(), signal)
    }

    /// SIGKILL, and waits for its end; returns the time just before.
    pub fn kill9(&mut self) -> Stamp {
        let at = stamp();
        self.child.kill().ok();
        self.child.wait().ok();
        at
    }

    /// Waits for its end.
    #[track_caller]
    pub fn exit(&mut self, within: Duration) -> ExitStatus {
        let (label, stderr) = (self.label.clone(), Arc::clone(&self.stderr));
        let said = || String::from_utf8_lossy(&stderr.lock().unwrap()).into_owned();
        eventually(&format!("{label} ends"), within, || self.child.try_wait().unwrap().ok_or_else(said))
    }

    /// Waits until it has said this.
    #[track_caller]
    pub fn says(&self, text: &str, within: Duration) {
        let said = || if self.stderr().contains(text) { Ok(()) } else { Err(self.stderr()) };
        eventually(&format!("{} says {text:?}", self.label), within, said);
    }
}

impl Drop for Wrapper {
    fn drop(&mut self) {
        self.kill9();
        if std::thread::panicking() {
            eprintln!("--- {}, its standard error:\n{}", self.label, self.stderr());
        }
    }
}

fn keep(mut pipe: impl Read + Send + 'static, into: Arc<Mutex<Vec<u8>>>) {
    std::thread::spawn(move || {
        let mut chunk = [0; 4096];
        while let Ok(size @ 1..) = pipe.read(&mut chunk) {
            into.lock().unwrap().extend_from_slice(&chunk[..size]);
        }
    });
}

/// Sends a signal to a process; returns the time just before.
pub fn send(pid: i32, signal: Signal) -> Stamp {
    let at = stamp();
    // One that is gone takes none.
    let _ = kill_process(Pid::from_raw(pid).expect("a process id"), signal);
    at
}

/// The children of a process.
pub fn children(pid: i32) -> Vec<i32> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    text.split_whitespace().filter_map(|word| word.parse().ok()).collect()
}

/// Whether a process runs; one that has ended and was not reaped yet does not.
pub fn runs(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

/// Waits until none of these processes runs any more; returns when that was seen.
#[track_caller]
pub fn gone(pids: &[i32], within: Duration) -> Stamp {
    eventually(&format!("{pids:?} are gone"), within, || {
        let left: Vec<_> = pids.iter().filter(|pid| runs(**pid)).collect();
        if left.is_empty() { Ok(stamp()) } else { Err(format!("{left:?}")) }
    })
}

/// How long a command may take to come up on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(30);
