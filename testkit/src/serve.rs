//! A `clawster serve` process, or another one that talks JSON-RPC, over real pipes.
//!
//! 1. It sees nothing of the environment but what the test gives it.
//! 2. It dies with the test: its input closes, and it is killed when dropped.
//! 3. When the test fails, what it wrote to standard error is shown.
//!
//! Not here: reading the pipe (`wire.rs`), commands that end by themselves (`command.rs`).

use crate::redis_server::RedisServer;
use crate::wait::{Stamp, eventually, stamp};
use crate::wire::{Answer, Lost, Mailbox, Note, RpcError, result_of};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How long a call may take before the test fails.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// How to start a node: kept to start it again under the same id.
#[derive(Debug, Clone)]
pub struct Launch {
    /// The name in messages of failing tests.
    pub label: String,
    /// The directory that holds the node's `state` and `config`.
    pub home: PathBuf,
    /// The program: the built one, unless another is put here.
    pub program: PathBuf,
    env: BTreeMap<String, String>,
}

impl Launch {
    /// A node with this id, and directories of its own below `base`.
    pub fn new(base: &Path, id: &str) -> Self {
        let home = base.join(id);
        for part in ["state", "config", "home"] {
            std::fs::create_dir_all(home.join(part)).expect("the node's directories are made");
        }
        let env = crate::command::clean_environment(&home);
        Self { label: id.to_owned(), home, env, program: crate::program() }.env("OPENCLAW_NODE_ID", id)
    }

    /// Runs another program instead of the one that was built.
    #[must_use]
    pub fn program(mut self, path: &std::ffi::OsStr) -> Self {
        self.program = path.into();
        self
    }

    /// Points it at a Redis server.
    #[must_use]
    pub fn redis(self, server: &RedisServer) -> Self {
        self.port(server.port())
    }

    /// Points it at a port on the loopback interface.
    #[must_use]
    pub fn port(self, port: u16) -> Self {
        self.env("REDIS_HOST", "127.0.0.1").env("REDIS_PORT", &port.to_string())
    }

    /// Sets a variable; an empty value takes it away.
    #[must_use]
    pub fn env(mut self, key: &str, value: &str) -> Self {
        if value.is_empty() {
            self.env.remove(key);
        } else {
            self.env.insert(key.to_owned(), value.to_owned());
        }
        self
    }

    /// Short times: a beat each half second, offline after 2 s of silence, a lease of 3 s; the grace is the default 1 s.
    #[must_use]
    pub fn brisk(self) -> Self {
        self.timing(0.5, 2.0, 3.0)
    }

    /// The cluster's times in seconds: heartbeat interval, heartbeat TTL and leader lease.
    #[must_use]
    pub fn timing(self, interval: f64, ttl: f64, lease: f64) -> Self {
        self.env("CLAWSTER__NODE__HEARTBEAT_INTERVAL", &interval.to_string())
            .env("CLAWSTER__NODE__HEARTBEAT_TTL", &ttl.to_string())
            .env("CLAWSTER__LEADER__LEASE_TTL", &lease.to_string())
    }

    /// Writes `config.json`.
    #[track_caller]
    pub fn config(&self, text: &str) {
        std::fs::write(self.home.join("config/config.json"), text).expect("config.json is written");
    }

    /// Writes `secrets.json`.
    #[track_caller]
    pub fn secrets(&self, text: &str) {
        std::fs::write(self.home.join("config/secrets.json"), text).expect("secrets.json is written");
    }

    /// The variables the process gets, and no others.
    pub fn environment(&self) -> &BTreeMap<String, String> {
        &self.env
    }

    /// Starts the node.
    #[track_caller]
    pub fn start(&self) -> Serve {
        self.run(&["serve"])
    }

    /// Starts a command that talks over its pipes.
    #[track_caller]
    pub fn run(&self, args: &[&str]) -> Serve {
        let mut command = Command::new(&self.program);
        command.args(args).env_clear().envs(&self.env).current_dir(&self.home);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let started = stamp();
        let mut child = command.spawn().expect("clawster starts");
        let (out, err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let (mailbox, stderr) = (Mailbox::default(), Arc::new(Mutex::new(Vec::new())));
        mailbox.fill_from(out);
        keep(err, Arc::clone(&stderr));
        let stdin = Arc::new(Mutex::new(child.stdin.take()));
        let pid = Pid::from_child(&child);
        let child = Mutex::new(child);
        Serve { label: self.label.clone(), started, pid, child, stdin, mailbox, stderr, next_id: AtomicU64::new(1) }
    }
}

/// Keeps what a pipe says, at most 4 MiB of it.
fn keep(mut pipe: impl Read + Send + 'static, into: Arc<Mutex<Vec<u8>>>) {
    std::thread::spawn(move || {
        let mut chunk = [0; 4096];
        while let Ok(size @ 1..) = pipe.read(&mut chunk) {
            let mut kept = into.lock().unwrap();
            if kept.len() < 4 << 20 {
                kept.extend_from_slice(&chunk[..size]);
            }
        }
    });
}

/// A running node process.
#[derive(Debug)]
pub struct Serve {
    /// The name in messages of failing tests.
    pub label: String,
    /// When it was started.
    pub started: Stamp,
    pid: Pid,
    child: Mutex<Child>,
    stdin: Arc<Mutex<Option<ChildStdin>>>,
    mailbox: Mailbox,
    stderr: Arc<Mutex<Vec<u8>>>,
    next_id: AtomicU64,
}

/// A request that was sent and whose answer is still to come.
#[derive(Debug)]
pub struct Pending {
    id: String,
    sent: Stamp,
    mailbox: Mailbox,
}

impl Pending {
    /// Waits for the answer.
    pub fn wait(&self, within: Duration) -> Result<Answer, Lost> {
        let found = self.mailbox.wait(within, |inbox| inbox.answers.remove(&self.id));
        let (answered, line) = found.ok_or(Lost)?;
        Ok(Answer { sent: self.sent, answered, result: result_of(line) })
    }
}

impl Serve {
    /// Sends a request and does not wait.
    pub fn request(&self, method: &str, params: Value) -> Result<Pending, Lost> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let mut line = json!({"jsonrpc": "2.0", "id": id, "method": method});
        if !params.is_null() {
            line["params"] = params;
        }
        let sent = stamp();
        self.send_raw(format!("{line}\n").as_bytes()).map_err(|_| Lost)?;
        Ok(Pending { id: id.to_string(), sent, mailbox: self.mailbox.clone() })
    }

    /// Sends a request and waits for its answer with the times that frame it.
    pub fn ask(&self, method: &str, params: Value, within: Duration) -> Result<Answer, Lost> {
        self.request(method, params)?.wait(within)
    }

    /// Sends a request whose answer must come.
    #[track_caller]
    pub fn call(&self, method: &str, params: Value) -> Result<Value, RpcError> {
        match self.ask(method, params, PATIENCE) {
            Ok(answer) => answer.result,
            Err(Lost) => panic!("{}: no answer to {method}", self.label),
        }
    }

    /// Sends a request that must succeed.
    #[track_caller]
    pub fn ok(&self, method: &str, params: Value) -> Value {
        self.call(method, params).unwrap_or_else(|error| panic!("{}: {method}: {error:?}", self.label))
    }

    /// Sends a request that must fail with this code and kind; returns the error.
    #[track_caller]
    pub fn refused(&self, method: &str, params: Value, code: i64) -> RpcError {
        match self.call(method, params) {
            Err(error) if error.code == code => error,
            other => panic!("{}: {method} should fail with {code}, but: {other:?}", self.label),
        }
    }

    /// Writes bytes to its standard input, as they are.
    pub fn send_raw(&self, bytes: &[u8]) -> std::io::Result<()> {
        let mut stdin = self.stdin.lock().unwrap();
        let pipe = stdin.as_mut().ok_or(std::io::ErrorKind::BrokenPipe)?;
        pipe.write_all(bytes)?;
        pipe.flush()
    }

    /// Closes its standard input.
    pub fn close_stdin(&self) {
        self.stdin.lock().unwrap().take();
    }

    /// What came in so far.
    pub fn mailbox(&self) -> &Mailbox {
        &self.mailbox
    }

    /// The local view of the cluster.
    #[track_caller]
    pub fn state(&self) -> Value {
        self.ok("distributed.get_cluster_state", Value::Null)
    }

    /// Waits until the view is as `look` wants it: `Err` says what is missing.
    #[track_caller]
    pub fn until(&self, what: &str, within: Duration, look: impl Fn(&Value) -> bool) -> Value {
        let what = format!("{}: {what}", self.label);
        eventually(&what, within, || Some(self.state()).filter(|state| look(state)).ok_or_else(|| self.state()))
    }

    /// Subscribes; `events` null for the default.
    #[track_caller]
    pub fn subscribe(&self, events: Value, after: Option<&str>) -> Value {
        let mut params = serde_json::Map::new();
        if !events.is_null() {
            params.insert("events".to_owned(), events);
        }
        if let Some(after) = after {
            params.insert("after".to_owned(), after.into());
        }
        self.ok("cluster.subscribe", params.into())
    }

    /// All notifications so far.
    pub fn notes(&self) -> Vec<Note> {
        self.mailbox.look(|inbox| inbox.notes.clone())
    }

    /// The cluster's events so far, without local ones.
    pub fn events(&self) -> Vec<Value> {
        let notes = self.notes();
        notes.iter().map(Note::event).filter(|event| event["seq"].is_number()).cloned().collect()
    }

    /// Waits for an event.
    #[track_caller]
    pub fn event(&self, what: &str, within: Duration, pick: impl Fn(&Value) -> bool) -> Note {
        let found = self.mailbox.wait(within, |inbox| inbox.notes.iter().find(|note| pick(note.event())).cloned());
        found.unwrap_or_else(|| {
            let seen: Vec<String> = self.notes().iter().map(|note| note.event().to_string()).collect();
            panic!("{}: no event within {within:?}: {what}; seen:\n{}", self.label, seen.join("\n"))
        })
    }

    /// What it wrote to standard error so far.
    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.stderr.lock().unwrap()).into_owned()
    }

    /// Its process id.
    pub fn pid(&self) -> i32 {
        self.pid.as_raw_nonzero().get()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid, signal).expect("the node takes the signal");
    }

    /// SIGKILL, and waits for its end; returns the time just before.
    pub fn kill9(&self) -> Stamp {
        let at = stamp();
        let mut child = self.child.lock().unwrap();
        child.kill().ok();
        child.wait().ok();
        at
    }

    /// SIGSTOP, and waits until no thread of it runs any more, so that what is asked from now on waits for [`Self::cont`].
    pub fn stop(&self) {
        self.signal(Signal::STOP);
        eventually("every thread stands still", Duration::from_secs(5), || {
            let threads = std::fs::read_dir(format!("/proc/{}/task", self.pid())).expect("the process lives");
            let states: Vec<String> = threads
                .filter_map(|thread| std::fs::read_to_string(thread.ok()?.path().join("stat")).ok())
                .filter_map(|stat| Some(stat.rsplit_once(") ")?.1.chars().take(1).collect()))
                .collect();
            if states.iter().all(|state| state == "T") { Ok(()) } else { Err(states.join(" ")) }
        });
    }

    /// SIGCONT.
    pub fn cont(&self) {
        self.signal(Signal::CONT);
    }

    /// SIGTERM; returns the time just before.
    pub fn sigterm(&self) -> Stamp {
        let at = stamp();
        self.signal(Signal::TERM);
        at
    }

    /// SIGINT.
    pub fn sigint(&self) {
        self.signal(Signal::INT);
    }

    /// Whether it still runs.
    pub fn runs(&self) -> bool {
        self.child.lock().unwrap().try_wait().is_ok_and(|status| status.is_none())
    }

    /// Waits for its end.
    #[track_caller]
    pub fn exit(&self, within: Duration) -> ExitStatus {
        eventually(&format!("{} exits", self.label), within, || {
            let status = self.child.lock().unwrap().try_wait().expect("the node can be waited for");
            status.ok_or_else(|| format!("it runs; standard error:\n{}", self.stderr()))
        })
    }

    /// Waits for its end, which must be code 0.
    #[track_caller]
    pub fn exit_clean(&self, within: Duration) {
        let status = self.exit(within);
        assert!(status.success(), "{}: {status}\n{}", self.label, self.stderr());
    }

    /// A field of its memory in KiB: `VmRSS` now, `VmHWM` the highest so far. Linux only.
    #[track_caller]
    pub fn memory_kb(&self, field: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("the node runs");
        let line =
            status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':')).expect("the field is there");
        line.trim().trim_end_matches(" kB").trim().parse().unwrap()
    }

    /// Fails when anything but JSON-RPC came out of it, or a panic was reported.
    #[track_caller]
    pub fn assert_clean(&self) {
        self.mailbox.look(|inbox| assert!(inbox.noise.is_empty(), "{}: not JSON-RPC: {:?}", self.label, inbox.noise));
        assert!(!self.stderr().contains("panicked at"), "{}: {}", self.label, self.stderr());
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        self.close_stdin_now();
        self.kill9();
        if std::thread::panicking() {
            let text = self.stderr();
            let skip = text.lines().count().saturating_sub(60);
            let tail: Vec<&str> = text.lines().skip(skip).collect();
            eprintln!("--- {}, the end of its standard error:\n{}", self.label, tail.join("\n"));
        }
    }
}

impl Serve {
    /// Closes the input unless another thread is writing to it at this moment.
    fn close_stdin_now(&self) {
        if let Ok(mut stdin) = self.stdin.try_lock() {
            stdin.take();
        }
    }
}
