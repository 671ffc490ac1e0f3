//! The private server against a real `redis-server`.

use super::*;
use crate::clock;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

/// A look-out that finds no Redis on TCP: port 1 of the loopback is never one.
fn seek() -> Seek {
    Seek { local: SocketAddr::from((Ipv4Addr::LOCALHOST, 1)), ..Seek::from_environment() }
}

fn attach(state: &Path) -> EmbeddedServer {
    EmbeddedServer::attach(state, &seek()).expect("install redis-server (apt-get install -y redis-server)")
}

fn kill(pid: u32) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(pid).expect("pid")).expect("pid");
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("kill");
}

fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = clock::now();
    while !holds() {
        assert!(clock::now().since(begun) < Duration::from_secs(10), "not within 10 s: {what}");
        std::thread::yield_now();
    }
}

#[test]
fn two_users_share_one_server_and_the_last_one_stops_it() {
    let state = tempfile::tempdir().expect("folder");
    let first = attach(state.path());
    let second = attach(state.path());
    let pid = first.pid().expect("runs");
    assert_eq!(second.pid(), Some(pid));
    assert!(!first.release().expect("leaves"), "stopped under its second user");
    assert_eq!(second.pid(), Some(pid));
    assert!(second.release().expect("stops"));
    assert!(!Path::new(&format!("/proc/{pid}/cwd")).exists());
    let again = attach(state.path());
    assert_ne!(again.pid().expect("runs"), pid);
}

#[test]
fn a_killed_server_is_started_again_and_keeps_its_data() {
    use std::io::{Read, Write};
    let state = tempfile::tempdir().expect("folder");
    let server = attach(state.path());
    let ask = |line: &str| {
        let mut stream = std::os::unix::net::UnixStream::connect(server.socket()).expect("connect");
        stream.write_all(format!("{line}\r\n").as_bytes()).expect("write");
        let mut answer = [0; 64];
        let count = stream.read(&mut answer).expect("read");
        String::from_utf8_lossy(&answer[..count]).into_owned()
    };
    assert_eq!(ask("SET kept yes"), "+OK\r\n");
    let pid = server.pid().expect("runs");
    kill(pid);
    eventually("the process is gone", || server.pid().is_none());
    server.ensure_running().expect("restarts");
    assert_ne!(server.pid(), Some(pid));
    eventually("the data is back", || ask("GET kept").contains("yes"));
    server.ensure_running().expect("does nothing");
}

#[test]
fn users_that_were_killed_hold_nothing_and_their_server_is_reused() {
    let state = tempfile::tempdir().expect("folder");
    let killed = attach(state.path());
    let pid = killed.pid();
    // What a kill leaves behind: the lock is freed by the system, nobody stops the server.
    killed.abandon();
    drop(killed);
    let found = attach(state.path());
    assert_eq!(found.pid(), pid);
    assert!(found.release().expect("stops"));
}

#[test]
fn stale_files_and_a_foreign_process_under_the_recorded_pid_do_no_harm() {
    let state = tempfile::tempdir().expect("folder");
    let folder = state.path().join("+redis");
    std::fs::create_dir_all(&folder).expect("folder");
    std::fs::write(folder.join("redis.pid"), std::process::id().to_string()).expect("pid file");
    drop(std::os::unix::net::UnixListener::bind(folder.join("redis.sock")).expect("stale socket"));
    let server = attach(state.path());
    assert_ne!(server.pid().expect("runs"), std::process::id());
}

#[test]
fn nodes_that_start_together_share_one_server() {
    let state = tempfile::tempdir().expect("folder");
    let servers: Vec<_> = std::thread::scope(|scope| {
        let starts: Vec<_> = (0..4).map(|_| scope.spawn(|| attach(state.path()))).collect();
        starts.into_iter().map(|start| start.join().expect("no panic")).collect()
    });
    let pids: std::collections::BTreeSet<_> = servers.iter().map(|server| server.pid().expect("runs")).collect();
    assert_eq!(pids.len(), 1);
}

#[test]
fn a_long_state_directory_gets_a_short_socket() {
    let state = tempfile::tempdir().expect("folder");
    let deep = state.path().join("d".repeat(120));
    let server = attach(&deep);
    assert!(server.socket().as_os_str().len() <= 100, "{}", server.socket().display());
    let socket = server.socket().to_owned();
    assert!(server.release().expect("stops"));
    assert!(!socket.exists());
}

#[test]
fn the_choice_is_remembered_both_ways() {
    let state = tempfile::tempdir().expect("folder");
    let mut seek = seek();
    let choice = choose(state.path(), &seek, server::START_TIMEOUT).expect("private");
    assert!(matches!(choice, Choice::Embedded { remembered: false, .. }));
    assert!(choice.to_string().contains("private"));
    drop(choice);
    // A Redis on TCP that appears later is not taken.
    let other = tempfile::tempdir().expect("folder");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("bind");
    seek.local = listener.local_addr().expect("address");
    let answering = std::thread::spawn(move || {
        use std::io::{Read, Write};
        for stream in listener.incoming().take(2) {
            let mut stream = stream.expect("accept");
            let _ = stream.read(&mut [0; 16]);
            stream.write_all(b"+PONG\r\n").expect("answer");
        }
    });
    assert!(matches!(
        choose(state.path(), &seek, server::START_TIMEOUT).expect("kept"),
        Choice::Embedded { remembered: true, .. }
    ));
    assert!(matches!(
        choose(other.path(), &seek, server::START_TIMEOUT).expect("local"),
        Choice::Local6379 { remembered: false, .. }
    ));
    answering.join().expect("no panic");
    // Gone again, it stays the choice.
    let kept = choose(other.path(), &seek, server::START_TIMEOUT).expect("kept");
    assert!(matches!(kept, Choice::Local6379 { remembered: true, note: Some(_), .. }));
    assert_eq!(remembered(other.path()), Some(Remembered::Local));
}

#[test]
fn a_host_without_a_program_is_told_and_nothing_is_remembered() {
    let state = tempfile::tempdir().expect("folder");
    let seek = Seek { program: None, path: None, ..seek() };
    assert!(matches!(choose(state.path(), &seek, server::START_TIMEOUT), Err(Error::NoProgram { .. })));
    assert_eq!(remembered(state.path()), None);
}

#[test]
fn a_server_that_cannot_start_leaves_its_last_words() {
    let state = tempfile::tempdir().expect("folder");
    let seek = Seek { program: Some("/bin/false".into()), ..seek() };
    let error = EmbeddedServer::attach(state.path(), &seek).expect_err("fails");
    assert!(matches!(error, Error::Failed { .. }), "{error}");
}

#[test]
fn a_socket_that_accepts_and_says_nothing_is_left_alone() {
    let state = tempfile::tempdir().expect("folder");
    let server = attach(state.path());
    let pid = server.pid().expect("runs");
    let number = rustix::process::Pid::from_raw(i32::try_from(pid).expect("pid")).expect("pid");
    rustix::process::kill_process(number, rustix::process::Signal::STOP).expect("stop");
    // Also without a pid file that could tell: what accepts, runs.
    let pid_file = state.path().join("+redis").join("redis.pid");
    let recorded = std::fs::read(&pid_file).expect("pid file");
    std::fs::remove_file(&pid_file).expect("remove");
    assert!(matches!(server.ensure_running(), Err(Error::Silent { .. })));
    let again = std::thread::scope(|scope| {
        let again = scope.spawn(|| attach(state.path()));
        std::fs::write(&pid_file, recorded).expect("pid file");
        rustix::process::kill_process(number, rustix::process::Signal::CONT).expect("continue");
        again.join().expect("no panic")
    });
    assert_eq!(again.pid(), Some(pid));
}

#[test]
fn who_waits_for_the_lock_is_no_user_yet_and_who_left_starts_nothing() {
    let state = tempfile::tempdir().expect("folder");
    let folder = server::Folder::open(state.path(), &seek()).expect("folder");
    let lock = folder.lock_start_within(server::START_TIMEOUT).expect("lock");
    let (waiting, trouble) =
        EmbeddedServer::attach_within(state.path(), &seek(), Duration::from_millis(20)).expect("goes on");
    assert!(matches!(trouble, Some(Error::Busy { .. })));
    let (left, _) = EmbeddedServer::attach_within(state.path(), &seek(), Duration::from_millis(20)).expect("goes on");
    std::thread::scope(|scope| {
        let looking = scope.spawn(|| left.ensure_running());
        assert!(!left.release().expect("leaves"));
        looking.join().expect("no panic").expect("does nothing");
    });
    assert_eq!(waiting.pid(), None);
    drop(lock);
    waiting.ensure_running().expect("starts");
    assert!(waiting.pid().is_some());
    assert!(waiting.release().expect("stops"));
}

#[test]
fn a_folder_that_is_removed_under_the_server_costs_no_data() {
    let state = tempfile::tempdir().expect("folder");
    let (first, second) = (attach(state.path()), attach(state.path()));
    choice::remember(state.path(), Remembered::Embedded).expect("remembers");
    first.ensure_running().expect("runs");
    let old = first.pid().expect("runs");
    let mut talk = wire::Talk::connect(first.socket()).expect("connects");
    let words = |text: &'static str| text.split(' ').map(str::as_bytes).collect::<Vec<_>>();
    for text in ["SET text kept", "XADD stream 7-3 a b", "ZADD scores 2 b", "SET brief x PX 100000"] {
        talk.ask(&words(text)).expect("writes");
    }
    drop(talk);
    for name in ["+redis", "+redis-choice"] {
        let path = state.path().join(name);
        if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) }.expect("a cleaner");
    }
    for server in [&first, &second] {
        server.ensure_running().expect("moves");
        server.ensure_running().expect("does nothing");
    }
    assert!(first.pid().is_some_and(|pid| pid != old) && first.pid() == second.pid());
    eventually("the old server is gone", || !Path::new(&format!("/proc/{old}/cwd")).exists());
    let mut talk = wire::Talk::connect(first.socket()).expect("connects");
    let mut answer = |text| format!("{:?}", talk.ask(&words(text)).expect("answers"));
    assert_eq!(answer("DBSIZE"), "Number(4)");
    assert_eq!(talk.ask(&words("GET text")).expect("answers"), wire::Reply::Text(b"kept".to_vec()));
    let mut answer = |text| format!("{:?}", talk.ask(&words(text)).expect("answers"));
    assert!(answer("XADD stream 7-2 a b").contains("equal or smaller"), "the stream is the same");
    assert!(answer("PTTL brief").starts_with("Number(9"), "its time is the same");
    assert!(answer("SET new x").contains("OK"), "it takes writes");
    assert_eq!(remembered(state.path()), Some(Remembered::Embedded));
    let pid = first.pid();
    assert!(!first.release().expect("leaves"), "the other one uses it");
    assert_eq!(second.pid(), pid);
    assert!(second.release().expect("stops"));
}

#[test]
fn damaged_data_are_said_with_their_repair_and_used_again_after_it() {
    use std::io::Write;
    let state = tempfile::tempdir().expect("folder");
    let server = attach(state.path());
    for number in 0..200 {
        let mut stream = std::os::unix::net::UnixStream::connect(server.socket()).expect("connect");
        stream.write_all(format!("SET key{number} {}\r\n", "x".repeat(50)).as_bytes()).expect("write");
        std::io::Read::read(&mut stream, &mut [0; 64]).expect("an answer");
    }
    kill(server.pid().expect("runs"));
    eventually("the process is gone", || server.pid().is_none());
    let folder = state.path().join("+redis");
    let parts = std::fs::read_dir(folder.join("appendonlydir")).map_or_else(|_| vec![], |all| all.flatten().collect());
    let written = parts.iter().map(std::fs::DirEntry::path).find(|path| path.to_string_lossy().ends_with(".incr.aof"));
    let file = written.unwrap_or_else(|| folder.join("appendonly.aof"));
    let mut bytes = std::fs::read(&file).expect("the data");
    bytes[2000..2100].fill(b'!');
    std::fs::write(&file, bytes).expect("writes");
    // The first start may be seen while the server still loads.
    eventually("it is said", || server.ensure_running().is_err());
    for _ in 0..3 {
        let told = server.ensure_running().expect_err("the data are damaged").to_string();
        assert!(told.contains("cannot read its data in") && told.contains("redis-check-aof --fix "), "{told}");
    }
    std::fs::remove_file(&file).expect("removes");
    std::fs::write(&file, "").expect("an empty file");
    eventually("it starts again", || server.ensure_running().is_ok());
}
