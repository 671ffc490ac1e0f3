//! A real Redis server of the test's own.
//!
//! 1. It listens on the loopback interface on a port outside the range from which outgoing connections take theirs, so
//!    that nothing else can sit on the port while the server is down for a restart.
//! 2. It is ready when it answers PONG and its process id is the one that was started.
//! 3. It is ended by its process id when dropped.
//!
//! Not here: what is stored in it.

use crate::resp::Resp;
use crate::turn::{self, Turn};
use crate::wait::eventually;
use rustix::process::{Pid, Signal, kill_process};
use std::fmt::Write as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tempfile::TempDir;

const MISSING: &str = "no redis-server found: install it (`apt-get install -y redis-server`, `brew install redis`), \
     or set CLAWSTER_REDIS_SERVER to the path of one; `scripts/setup` does this";

/// What the server shall be like.
#[derive(Debug, Clone, Default)]
pub struct RedisOptions {
    /// Keep the data across `kill9` (every write is synced before its reply).
    pub appendonly: bool,
    /// `requirepass`.
    pub password: Option<String>,
    /// An ACL user with a password that may do everything; the default user is switched off.
    pub user: Option<(String, String)>,
    /// The port of a primary on this host.
    pub replicaof: Option<u16>,
    /// Run while no other test runs, for measured times.
    pub alone: bool,
    /// It belongs to another server's turn and takes none.
    pub attached: bool,
    /// The program, where it is not the usual one.
    pub program: Option<PathBuf>,
    /// Run as a sentinel; `extra` says what it watches.
    pub sentinel: bool,
    /// More lines of redis.conf.
    pub extra: Vec<String>,
    /// Variables of its environment.
    pub env: Vec<(String, String)>,
}

/// A running (or stopped) server.
#[derive(Debug)]
pub struct RedisServer {
    options: RedisOptions,
    port: u16,
    dir: TempDir,
    child: Option<Child>,
    _turn: Option<Turn>,
}

impl RedisServer {
    /// Starts a plain server without persistence, beside other tests.
    #[track_caller]
    pub fn start() -> Self {
        Self::with(RedisOptions::default())
    }

    /// Starts a plain server while no other test runs.
    #[track_caller]
    pub fn alone() -> Self {
        Self::with(RedisOptions { alone: true, ..RedisOptions::default() })
    }

    /// Starts a server. A replica belongs to its primary's turn and takes none.
    #[track_caller]
    pub fn with(options: RedisOptions) -> Self {
        let turn = match &options {
            RedisOptions { replicaof: Some(_), .. } | RedisOptions { attached: true, .. } => None,
            RedisOptions { alone: true, .. } => Some(turn::alone()),
            RedisOptions { .. } => Some(turn::beside()),
        };
        let dir = tempfile::Builder::new().prefix("clawster-redis-").tempdir().expect("a directory for Redis");
        let mut server = Self { options, port: 0, dir, child: None, _turn: turn };
        for _ in 0..20 {
            server.port = free_port();
            if server.launch() {
                return server;
            }
        }
        panic!("redis-server did not start; its log:\n{}", server.log());
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its URL, without credentials.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// The end of its log.
    pub fn log(&self) -> String {
        let text = std::fs::read_to_string(self.dir.path().join("redis.log")).unwrap_or_default();
        let skip = text.lines().count().saturating_sub(30);
        text.lines().skip(skip).fold(String::new(), |all, line| all + line + "\n")
    }

    /// Sends a command, logged in, and returns the reply as text.
    #[track_caller]
    pub fn cli(&self, args: &[&str]) -> String {
        self.try_cli(args).unwrap_or_else(|error| panic!("redis {args:?}: {error}\n{}", self.log()))
    }

    /// The directory with its files.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Sends a command, logged in, and returns the reply as text, or why there is none.
    pub fn try_cli(&self, args: &[&str]) -> std::io::Result<String> {
        let mut connection = Resp::connect(self.port)?;
        if let Some((user, password)) = &self.options.user {
            connection.call(&["AUTH", user, password])?;
        } else if let Some(password) = &self.options.password {
            connection.call(&["AUTH", password])?;
        }
        connection.call(args)
    }

    /// One field of `INFO <section>`.
    #[track_caller]
    pub fn info(&self, section: &str, field: &str) -> Option<String> {
        let text = self.cli(&["INFO", section]);
        text.lines().find_map(|line| Some(line.trim().strip_prefix(field)?.strip_prefix(':')?.to_owned()))
    }

    /// How often a command was called since the last `CONFIG RESETSTAT`.
    #[track_caller]
    pub fn calls(&self, command: &str) -> u64 {
        let field = self.info("commandstats", &format!("cmdstat_{command}")).unwrap_or_default();
        let calls = field.strip_prefix("calls=").and_then(|rest| rest.split(',').next());
        calls.map_or(0, |number| number.parse().unwrap())
    }

    /// Kills the process at once.
    pub fn kill9(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().ok();
            child.wait().ok();
        }
    }

    /// Starts again on the same port with the same directory.
    #[track_caller]
    pub fn restart(&mut self) {
        self.kill9();
        let port = self.port;
        eventually("redis-server starts again on its port", Duration::from_secs(20), || {
            if self.launch() { Ok(()) } else { Err(format!("port {port}:\n{}", self.log())) }
        });
    }

    /// Starts again as another program, such as a newer version.
    #[track_caller]
    pub fn restart_as(&mut self, program: &Path) {
        self.options.program = Some(program.to_owned());
        self.restart();
    }

    /// Deletes the data and starts again: what is left is an empty server on the same port.
    #[track_caller]
    pub fn restart_empty(&mut self) {
        self.kill9();
        let _ = std::fs::remove_dir_all(self.dir.path().join("appendonlydir"));
        for name in ["appendonly.aof", "dump.rdb"] {
            let _ = std::fs::remove_file(self.dir.path().join(name));
        }
        self.restart();
    }

    /// Keeps a copy of the append-only files as they are now, in place of an earlier one.
    #[track_caller]
    pub fn keep_copy(&self) {
        let copy = self.dir.path().join("copy");
        let _ = std::fs::remove_dir_all(&copy);
        std::fs::create_dir(&copy).expect("a folder for the copy");
        for (name, path) in self.appended() {
            std::fs::copy(&path, copy.join(name)).expect("an append-only file is copied");
        }
    }

    /// Starts again on the kept copy: what was written since is lost, as with a replica that lagged.
    #[track_caller]
    pub fn restart_on_copy(&mut self) {
        self.kill9();
        for (_, path) in self.appended() {
            std::fs::remove_file(path).expect("an append-only file is removed");
        }
        let folder = self.dir.path().join("appendonlydir");
        let home = if folder.is_dir() { folder } else { self.dir.path().to_owned() };
        for file in std::fs::read_dir(self.dir.path().join("copy")).expect("a copy was kept") {
            let file = file.unwrap();
            std::fs::copy(file.path(), home.join(file.file_name())).expect("an append-only file is put back");
        }
        self.restart();
    }

    /// The append-only files: several in a folder since Redis 7, one before.
    fn appended(&self) -> Vec<(std::ffi::OsString, PathBuf)> {
        let folder = self.dir.path().join("appendonlydir");
        let single = self.dir.path().join("appendonly.aof");
        let files = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|file| file.path());
        let files = files.chain(Some(single).filter(|file| file.is_file()));
        files.filter_map(|path| Some((path.file_name()?.to_owned(), path))).collect()
    }

    /// SIGSTOP: connections stay, nothing answers.
    pub fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// SIGCONT.
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        let child = self.child.as_ref().expect("redis-server runs");
        kill_process(Pid::from_child(child), signal).expect("redis-server takes the signal");
    }

    /// Whether its process was started and not killed.
    pub fn runs(&self) -> bool {
        self.child.is_some()
    }

    fn launch(&mut self) -> bool {
        let conf = self.dir.path().join("redis.conf");
        std::fs::write(&conf, self.conf()).expect("redis.conf is written");
        let mut command = Command::new(self.options.program.clone().unwrap_or_else(binary));
        command.envs(self.options.env.iter().cloned());
        command
            .arg(&conf)
            .args(self.options.sentinel.then_some("--sentinel"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{MISSING} ({error})"));
        let end = crate::stamp() + Duration::from_secs(10);
        let ready = loop {
            if child.try_wait().is_ok_and(|status| status.is_some()) || crate::stamp() > end {
                break false;
            }
            // While it loads its file it answers LOADING, which holds no process id of ours either.
            let ponged = self.try_cli(&["PING"]).is_ok_and(|pong| pong == "PONG");
            if ponged && self.info("server", "process_id") == Some(child.id().to_string()) {
                break true;
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        if ready {
            self.child = Some(child);
        } else {
            child.kill().ok();
            child.wait().ok();
        }
        ready
    }

    fn conf(&self) -> String {
        let dir = self.dir.path().display();
        let mut conf = format!(
            "port {}\nbind 127.0.0.1\ndir \"{dir}\"\nlogfile \"{dir}/redis.log\"\nsave \"\"\ndaemonize no\n",
            self.port
        );
        if self.options.appendonly {
            conf.push_str("appendonly yes\nappendfsync always\n");
        }
        if let Some(password) = &self.options.password {
            writeln!(conf, "requirepass \"{password}\"").unwrap();
        }
        if let Some((user, password)) = &self.options.user {
            writeln!(conf, "user default off\nuser {user} on >{password} ~* &* +@all").unwrap();
        }
        if let Some(primary) = self.options.replicaof {
            writeln!(conf, "replicaof 127.0.0.1 {primary}\nrepl-diskless-sync-delay 0").unwrap();
        }
        for line in &self.options.extra {
            writeln!(conf, "{line}").unwrap();
        }
        conf
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- redis-server on port {}, the end of its log:\n{}", self.port, self.log());
        }
        self.kill9();
    }
}

/// The server to run: the one named by CLAWSTER_REDIS_SERVER, else the first one found in the PATH.
#[track_caller]
pub fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("CLAWSTER_REDIS_SERVER").filter(|path| !path.is_empty()) {
        assert!(Path::new(&path).is_file(), "CLAWSTER_REDIS_SERVER={path:?} is no file; {MISSING}");
        return path.into();
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = ["redis-server", "valkey-server"]
        .into_iter()
        .flat_map(|name| std::env::split_paths(&path).map(move |dir| dir.join(name)))
        .find(|file| file.is_file());
    found.unwrap_or_else(|| panic!("{MISSING}"))
}

/// A port that nothing listens on, below the ranges that systems hand out to outgoing connections.
pub fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let seed = std::process::id().wrapping_mul(7919).wrapping_add(crate::stamp().subsec_micros());
    loop {
        let step = NEXT.fetch_add(1, Ordering::Relaxed).wrapping_mul(101);
        let port = u16::try_from(12_000 + seed.wrapping_add(step) % 20_000).unwrap();
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
