//! Other users of the host: their directories, links and sockets are not trusted, and texts from elsewhere show what is in them.

use serde_json::json;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, lchown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use testkit::cluster::stage;
use testkit::redis_server::{RedisServer, free_port};
use testkit::wait::secs;
use testkit::{Launch, clawster, eventually};

const USER: u32 = 65_534;
const STRANGER: u32 = 65_533;

fn set(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("its mode");
}

/// Whether this process may become other users; where not, what needs it is not tried.
fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// A stage that other users can enter, with the program in it.
fn open_stage() -> (tempfile::TempDir, PathBuf) {
    let dir = stage();
    set(dir.path(), 0o755);
    let program = dir.path().join("clawster");
    std::fs::copy(testkit::program(), &program).expect("the program is copied");
    set(&program, 0o755);
    (dir, program)
}

fn start_as(uid: u32, program: &Path, launch: &Launch, args: &[&str]) -> Child {
    let mut command = Command::new(program);
    command.args(args).env_clear().envs(launch.environment()).current_dir("/").uid(uid).gid(uid);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().expect("clawster starts")
}

/// Exit code and standard error of a process that ends by itself.
fn end_of(mut child: Child) -> (Option<i32>, String) {
    drop(child.stdin.take());
    let ended = eventually("the process ends", secs(20.0), || child.try_wait().unwrap().ok_or("it runs"));
    let mut text = String::new();
    std::io::Read::read_to_string(&mut child.stderr.take().unwrap(), &mut text).unwrap();
    (ended.code(), text)
}

#[test]
fn an_own_state_directory_that_others_may_write_into_is_narrowed() {
    let dir = stage();
    let launch = Launch::new(dir.path(), "a").port(free_port());
    let state = launch.home.join("state");
    set(&state, 0o777);
    let node = launch.start();
    eventually("the directory is narrowed", secs(20.0), || match state.metadata().unwrap().mode() & 0o022 {
        0 => Ok(()),
        open => Err(open),
    });
    eventually("that is said", secs(20.0), || {
        let text = node.stderr();
        if text.contains("other users could write to the state directory") { Ok(()) } else { Err(text) }
    });
}

#[test]
fn a_state_directory_or_folder_of_another_user_is_refused() {
    if !is_root() {
        return;
    }
    let (dir, program) = open_stage();
    let launch = Launch::new(dir.path(), "a").port(free_port());
    let state = launch.home.join("state");
    chown(&state, Some(STRANGER), None).expect("its owner");
    set(&state, 0o777);
    let (code, text) = end_of(start_as(USER, &program, &launch, &["serve"]));
    assert!(code == Some(1) && text.contains("belongs to user 65533"), "{code:?}: {text}");
    // A place like /tmp: a folder that a stranger planted is not used, for nothing.
    chown(&state, Some(0), None).expect("its owner");
    set(&state, 0o1777);
    let planted = state.join("openclaw");
    std::fs::create_dir(&planted).expect("a folder");
    chown(&planted, Some(STRANGER), None).expect("its owner");
    set(&planted, 0o777);
    for args in [&["serve"][..], &["status"]] {
        let (code, text) = end_of(start_as(USER, &program, &launch, args));
        assert!(code == Some(1) && text.contains("belongs to user 65533"), "{args:?} {code:?}: {text}");
    }
}

#[test]
fn a_client_does_not_talk_to_a_process_of_another_user() {
    if !is_root() {
        return;
    }
    let redis = RedisServer::start();
    let (dir, program) = open_stage();
    let launch = Launch::new(dir.path(), "a").redis(&redis).brisk();
    let state = launch.home.join("state");
    chown(&state, Some(STRANGER), None).expect("its owner");
    let mut node = start_as(STRANGER, &program, &launch, &["serve"]);
    let socket = state.join("openclaw/a.sock");
    eventually("the stranger's node listens", secs(20.0), || socket.exists().then_some(()).ok_or("not yet"));
    // As if the stranger had got it there.
    for path in [&state, &state.join("openclaw")] {
        chown(path, Some(USER), None).expect("its owner");
    }
    set(&socket, 0o777);
    for args in [&["status", "--node", "a"][..], &["send", "--node", "a", "my secret"]] {
        let (code, text) = end_of(start_as(USER, &program, &launch, args));
        assert!(code == Some(1) && text.contains("another user's process"), "{args:?} {code:?}: {text}");
    }
    node.kill().expect("it ends");
    node.wait().expect("it has ended");
}

#[test]
fn a_log_link_that_another_user_planted_is_not_followed() {
    if !is_root() {
        return;
    }
    let dir = stage();
    let launch = Launch::new(dir.path(), "a").port(free_port());
    let (victim, logs) = (dir.path().join("victim"), launch.home.join("state/logs"));
    std::fs::write(&victim, "mine").expect("a file");
    std::fs::create_dir(&logs).expect("a folder");
    let link = logs.join("heartbeat.log");
    std::os::unix::fs::symlink(&victim, &link).expect("a link");
    lchown(&link, Some(STRANGER), None).expect("its owner");
    let node = launch.start();
    eventually("that is said", secs(20.0), || {
        let text = node.stderr();
        if text.contains("is a link that another user made") { Ok(()) } else { Err(text) }
    });
    assert_eq!(std::fs::read_to_string(&victim).expect("it is there"), "mine");
}

/// Characters that drive a terminal, turn text around or hide in it.
const NASTY: &str = "a\u{1b}[2J\u{7f}\u{9b}31m\u{202e}b\u{2066}\u{200b}\u{2028}c";

fn is_clean(text: &str) -> bool {
    !text.chars().any(|c| {
        c != '\n'
            && (c.is_control()
                || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'))
    })
}

#[test]
fn texts_from_elsewhere_reach_a_terminal_escaped() {
    let redis = RedisServer::start();
    let dir = stage();
    let [first, second] = ["a", "b"].map(|id| Launch::new(dir.path(), id).redis(&redis).brisk());
    // Control characters are refused in a name; these are not.
    let first = first.env("CLAWSTER__NODE__NAME", "gate\u{202e}way\u{200b}");
    let (a, b) = (first.start(), second.start());
    testkit::cluster::settled(&[&a, &b], secs(20.0));
    a.ok("distributed.submit_task", json!({"id": "t", "kind": "k", "payload": NASTY}));
    a.ok("distributed.sync_messages", json!({"messages": [{"id": "m", "topic": "t", "payload": NASTY}], "limit": 0}));
    for args in [
        &["status", "--json"][..],
        &["nodes", "--json"],
        &["status"],
        &["nodes"],
        &["tasks", "get", "t", "--json"],
        &["tasks", "get", "t"],
        &["events", "--json"],
        &["recv", "--json"],
    ] {
        let outcome = clawster(&second, args);
        let text = outcome.stdout + &outcome.stderr;
        assert!(is_clean(&text), "{args:?}: {text:?}");
    }
    let state = clawster(&second, &["nodes", "--json"]).expect(0).stdout;
    assert!(state.contains("\\u202e") && state.contains("\\u200b"), "{state}");
    // Words of the command line come back in errors.
    for args in [
        &["status", "--node", NASTY][..],
        &["run", "--lease", NASTY, "--", "true"],
        &["once", "--key", "k", "--ttl", "1m", "--", NASTY],
    ] {
        let outcome = clawster(&second, args);
        assert!(outcome.code != Some(0) && is_clean(&outcome.stderr), "{args:?}: {:?}", outcome.stderr);
    }
}

#[test]
fn a_limit_of_file_sizes_is_an_error_and_no_sudden_death() {
    let dir = stage();
    let launch = Launch::new(dir.path(), "a").port(free_port());
    let script = format!("ulimit -f 16; exec '{}' serve", testkit::program().display());
    let mut command = Command::new("sh");
    command.args(["-c", &script]).env_clear().envs(launch.environment()).current_dir(&launch.home);
    let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("sh runs");
    let (code, text) = end_of(child);
    assert!(code == Some(1) && text.contains("File too large"), "{code:?}: {text}");
}
