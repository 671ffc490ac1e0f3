//! The Redis servers of a run: a primary that keeps its data, perhaps a replica, and what is done to them.
//!
//! 1. There is one primary that takes writes at any time: the old one is made a replica before the new one is promoted.
//! 2. A server writes its file before it answers, so that only a fault that says so loses data.
//!
//! Not here: when (`inject/redis.rs`).

use crate::clock::Clock;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;
use testkit::proxy::Mode;
use testkit::{Proxy, RedisOptions, RedisServer, stamp};

/// The servers.
#[derive(Debug)]
pub struct Backing {
    servers: Vec<Mutex<RedisServer>>,
    ports: Vec<u16>,
    pids: Vec<AtomicUsize>,
    clocks: Vec<Clock>,
    primary: AtomicUsize,
    /// What replicates from the primary goes through here.
    link: Option<Proxy>,
}

impl Backing {
    /// Starts them.
    pub fn start(dir: &Path, replica: bool) -> Self {
        let count = if replica { 2 } else { 1 };
        let clocks: Vec<Clock> = (0..count).map(|at| Clock::new(dir.join(format!("redis-clock-{at}")))).collect();
        let options = |clock: &Clock| RedisOptions {
            extra: vec![
                "appendonly yes".to_owned(),
                // Written before each answer, left to the kernel to sync: kill -9 of the process loses nothing.
                "appendfsync no".to_owned(),
                "repl-diskless-sync-delay 0".to_owned(),
                "repl-timeout 5".to_owned(),
                "enable-debug-command yes".to_owned(),
            ]
            .into_iter()
            .filter(|line| modern() || !line.starts_with("enable-debug"))
            .collect(),
            env: clock.env(),
            ..RedisOptions::default()
        };
        let servers: Vec<RedisServer> = clocks.iter().map(|clock| RedisServer::with(options(clock))).collect();
        let ports: Vec<u16> = servers.iter().map(RedisServer::port).collect();
        let pids = servers.iter().map(|server| AtomicUsize::new(pid_of(server))).collect();
        let link = replica.then(|| Proxy::start(ports[0]));
        let servers = servers.into_iter().map(Mutex::new).collect();
        let backing = Self { servers, ports, pids, clocks, primary: AtomicUsize::new(0), link };
        if let Some(link) = &backing.link {
            backing.at(1).cli(&["REPLICAOF", "127.0.0.1", &link.port().to_string()]);
        }
        backing
    }

    fn at(&self, place: usize) -> MutexGuard<'_, RedisServer> {
        self.servers[place].lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// The server that takes writes.
    pub fn primary(&self) -> MutexGuard<'_, RedisServer> {
        self.at(self.primary.load(Ordering::SeqCst))
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.ports[self.primary.load(Ordering::SeqCst)]
    }

    /// Its clock.
    pub fn clock(&self) -> &Clock {
        &self.clocks[self.primary.load(Ordering::SeqCst)]
    }

    /// The process ids of all servers.
    pub fn pids(&self) -> Vec<i32> {
        self.pids.iter().map(|pid| i32::try_from(pid.load(Ordering::SeqCst)).unwrap()).collect()
    }

    /// Kills the primary, lets time pass, does something to its files, and starts it again.
    pub fn restart(&self, down: Duration, meanwhile: impl FnOnce(&Path)) {
        let mut server = self.primary();
        server.kill9();
        let dir = server.dir().to_owned();
        meanwhile(&dir);
        std::thread::sleep(down);
        server.restart();
        self.pids[self.primary.load(Ordering::SeqCst)].store(pid_of(&server), Ordering::SeqCst);
    }

    /// Copies the append-only files of the primary as they are now.
    pub fn copy_files(&self, into: &Path) {
        let dir = self.primary().dir().to_owned();
        std::fs::remove_dir_all(into).ok();
        for (from, name) in files(&dir) {
            let to = into.join(name);
            std::fs::create_dir_all(to.parent().unwrap()).expect("a folder for the copy");
            std::fs::copy(from, to).expect("the file is copied");
        }
    }

    /// Makes the replica the primary. `lag`: how long it was cut off before. Returns the port of the former primary, or why not.
    pub fn promote(&self, lag: Duration) -> Result<(), String> {
        let link = self.link.as_ref().ok_or("there is no replica")?;
        let old = self.primary.load(Ordering::SeqCst);
        let new = 1 - old;
        let end = stamp() + Duration::from_secs(10);
        while self.at(new).info("replication", "master_link_status").as_deref() != Some("up") {
            if stamp() > end {
                return Err("the replica is not in step".to_owned());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        if !lag.is_zero() {
            link.set(Mode::BlackHole);
            std::thread::sleep(lag);
        }
        // The old one takes no writes from here on, and goes on answering those who read and ping.
        self.at(old).cli(&["REPLICAOF", "127.0.0.1", &link.port().to_string()]);
        self.at(new).cli(&["REPLICAOF", "NO", "ONE"]);
        link.target(self.ports[new]);
        link.cut();
        link.set(Mode::Pass);
        self.primary.store(new, Ordering::SeqCst);
        Ok(())
    }
}

fn pid_of(server: &RedisServer) -> usize {
    server.info("server", "process_id").and_then(|pid| pid.parse().ok()).expect("a server has a process id")
}

/// Whether the server knows the settings of Redis 7.
fn modern() -> bool {
    let output = std::process::Command::new(testkit::redis_server::binary()).arg("--version").output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    let version =
        text.split("v=").nth(1).and_then(|rest| rest.split('.').next()).and_then(|major| major.parse::<u32>().ok());
    version.is_some_and(|major| major >= 7)
}

/// The files that hold a server's data: their paths, and their names below its directory.
fn files(dir: &Path) -> Vec<(PathBuf, PathBuf)> {
    let mut found = Vec::new();
    for folder in [dir.to_owned(), dir.join("appendonlydir")] {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            let name = path.strip_prefix(dir).unwrap().to_owned();
            let data = folder != dir || name == Path::new("appendonly.aof") || name == Path::new("dump.rdb");
            if path.is_file() && data {
                found.push((path, name));
            }
        }
    }
    found
}

/// Puts a copy back in the place of what is there.
pub fn put_back(copy: &Path, dir: &Path) {
    remove_files(dir);
    for (from, name) in files(copy) {
        let to = dir.join(name);
        std::fs::create_dir_all(to.parent().unwrap()).expect("the folder of the files");
        std::fs::copy(from, to).expect("the copy is put back");
    }
}

/// Removes the data.
pub fn remove_files(dir: &Path) {
    for (path, _) in files(dir) {
        std::fs::remove_file(path).expect("the file goes");
    }
}
