//! The private Redis of a host ends with its last node, however that one ends.

use rustix::process::{Pid, Signal};
use serde_json::json;
use std::path::Path;
use testkit::cluster::{online, stage};
use testkit::wait::secs;
use testkit::{Launch, Serve, Wrapper, eventually};

fn private(base: &Path, id: &str) -> Launch {
    let server = testkit::redis_server::binary().display().to_string();
    let launch = Launch::new(base, id).brisk().env("CLAWSTER__REDIS__MODE", "embedded");
    launch.env("CLAWSTER_REDIS_SERVER", &server)
}

/// The ids of the processes whose command line has all of these texts.
fn processes(texts: &[&str]) -> Vec<i32> {
    let all = std::fs::read_dir("/proc").unwrap().flatten();
    let ids = all.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let line = |id: &i32| std::fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
    ids.filter(|id| {
        let line = String::from_utf8_lossy(&line(id)).into_owned();
        texts.iter().all(|text| line.contains(text))
    })
    .collect()
}

fn servers(launch: &Launch) -> Vec<i32> {
    processes(&["unixsocket", &launch.home.join("state/+redis").display().to_string()])
}

fn reapers(launch: &Launch) -> Vec<i32> {
    // Without the option `--detach` of the process that starts it.
    processes(&["reap-private-redis\0--\0", &launch.home.join("state").display().to_string()])
}

fn started(launch: &Launch) -> Serve {
    let node = launch.start();
    node.until("it leads", secs(30.0), |state| state["role"] == "leader");
    assert_eq!((servers(launch).len(), reapers(launch).len()), (1, 1), "{}", node.stderr());
    node
}

fn nothing_is_left(launch: &Launch) {
    eventually("the private Redis and its reaper are gone", secs(15.0), || {
        let left = (servers(launch), reapers(launch));
        if left.0.is_empty() && left.1.is_empty() { Ok(()) } else { Err(format!("servers, reapers: {left:?}")) }
    });
}

#[test]
fn it_ends_with_a_last_node_that_is_killed_and_keeps_its_data() {
    let dir = stage();
    let launch = private(dir.path(), "a");
    let (a, server) = (started(&launch), servers(&launch));
    let b = launch.clone().env("OPENCLAW_NODE_ID", "b").start();
    b.until("both are there", secs(30.0), |state| online(state).len() == 2);
    b.ok("distributed.submit_task", json!({"id": "kept", "kind": "k", "payload": 1}));
    a.kill9();
    b.until("it leads alone", secs(30.0), |state| state["role"] == "leader" && online(state).len() == 1);
    assert_eq!((servers(&launch), reapers(&launch).len()), (server, 1), "it goes on under its other node");
    // Whatever one write to the log of Redis takes.
    b.until("it is written", secs(10.0), |_| log_of_writes(&launch).contains("kept"));
    b.kill9();
    nothing_is_left(&launch);
    let again = started(&launch);
    let kept = again.ok("distributed.get_task", json!({"task_id": "kept"}));
    assert_eq!(kept["state"], "waiting", "{kept}");
    again.close_stdin();
    again.exit(secs(20.0));
    nothing_is_left(&launch);
}

fn log_of_writes(launch: &Launch) -> String {
    let folder = launch.home.join("state/+redis");
    let parts = std::fs::read_dir(folder.join("appendonlydir")).into_iter().flatten().flatten().map(|part| part.path());
    let bytes = parts.chain([folder.join("appendonly.aof")]).filter_map(|path| std::fs::read(path).ok());
    bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).collect()
}

#[test]
fn a_killed_reaper_is_replaced_and_a_killed_process_group_leaves_nothing() {
    let dir = stage();
    let launch = private(dir.path(), "a");
    let node = started(&launch);
    let first = reapers(&launch);
    rustix::process::kill_process(Pid::from_raw(first[0]).unwrap(), Signal::KILL).unwrap();
    eventually("another one watches", secs(15.0), || match reapers(&launch) {
        now if now.len() == 1 && now != first => Ok(()),
        now => Err(format!("{first:?}, then {now:?}")),
    });
    // A supervisor may end the whole group, and children one by one; neither is the reaper's.
    eventually("the process that has started it is gone", secs(5.0), || match processes_of_parent(node.pid()) {
        children if children.is_empty() => Ok(()),
        children => Err(format!("{children:?}")),
    });
    node.kill9();
    nothing_is_left(&launch);
}

fn processes_of_parent(parent: i32) -> Vec<i32> {
    processes(&[]).into_iter().filter(|id| parent_of(*id) == Some(parent)).collect()
}

fn parent_of(id: i32) -> Option<i32> {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

/// Redis may write into the folder meanwhile.
fn remove(launch: &Launch) {
    let state = launch.home.join("state");
    eventually("the state directory is removed", secs(10.0), || {
        let _ = std::fs::remove_dir_all(&state);
        if state.exists() { Err("it exists") } else { Ok(()) }
    });
}

#[test]
fn it_ends_with_a_killed_node_whose_state_directory_is_removed_at_once() {
    let dir = stage();
    for _ in 0..3 {
        let launch = private(dir.path(), "a");
        let node = started(&launch);
        // Both orders: first the kill, and first the removal.
        node.kill9();
        remove(&launch);
        nothing_is_left(&launch);
        let node = started(&launch);
        node.signal(Signal::STOP);
        remove(&launch);
        node.kill9();
        nothing_is_left(&launch);
    }
}

#[test]
fn it_ends_in_a_folder_that_is_being_removed_without_a_new_file_there() {
    let dir = stage();
    let launch = private(dir.path(), "a");
    let node = started(&launch);
    // What a removal has got to: the files of the folder, and not yet the folder.
    node.signal(Signal::STOP);
    let lock = launch.home.join("state/+redis/start.lock");
    std::fs::remove_file(&lock).expect("removed");
    node.kill9();
    nothing_is_left(&launch);
    assert!(!lock.exists(), "a new file keeps the folder");
}

#[test]
fn a_new_folder_of_the_same_name_has_a_server_that_nobody_ends() {
    let dir = stage();
    let launch = private(dir.path(), "a");
    let node = started(&launch);
    remove(&launch);
    eventually("the data are in the new folder", secs(20.0), || {
        let text = node.stderr();
        if text.contains("moving its data to a new server") { Ok(()) } else { Err(text) }
    });
    node.until("it goes on", secs(20.0), |_| servers(&launch).len() == 1 && reapers(&launch).len() == 1);
    its_server_stays(&launch);
    // Also where a node has begun after everything before it was killed and removed, while the reaper of before is still there.
    node.kill9();
    remove(&launch);
    let node = launch.start();
    node.until("it leads", secs(30.0), |state| state["role"] == "leader");
    its_server_stays(&launch);
    node.kill9();
    nothing_is_left(&launch);
}

/// The server whose process id is in the folder now.
fn its_server_stays(launch: &Launch) {
    let file = launch.home.join("state/+redis/redis.pid");
    let read = || std::fs::read_to_string(&file).ok()?.trim().parse::<i32>().ok();
    let server = read().expect("a server runs");
    testkit::wait::always("the server runs on", secs(5.0), || {
        if read() == Some(server) && servers(launch).contains(&server) { Ok(()) } else { Err(format!("not {server}")) }
    });
}

#[test]
fn it_ends_with_a_killed_node_whose_state_directory_was_renamed() {
    let dir = stage();
    let launch = private(dir.path(), "a");
    let node = started(&launch);
    let server = servers(&launch);
    node.signal(Signal::STOP);
    std::fs::rename(launch.home.join("state"), launch.home.join("elsewhere")).expect("renamed");
    node.kill9();
    eventually("it is gone", secs(15.0), || match processes(&["redis", "state/+redis", "unixsocket"]) {
        found if found.iter().any(|pid| server.contains(pid)) => Err("it runs"),
        _ => Ok(()),
    });
    nothing_is_left(&launch);
}

#[test]
fn a_node_that_is_started_again_at_once_finds_its_server() {
    let dir = stage();
    let launch = private(dir.path(), "a");
    let node = started(&launch);
    let server = servers(&launch);
    node.kill9();
    let node = started(&launch);
    assert_eq!(servers(&launch), server);
    node.kill9();
    nothing_is_left(&launch);
}

#[test]
fn it_ends_with_a_node_that_is_killed_at_any_moment_of_its_start() {
    let dir = stage();
    // A program that others start is not the one that was started.
    let real = testkit::redis_server::binary().display().to_string();
    let wrapper = dir.path().join("wrapped-server");
    std::fs::write(&wrapper, format!("#!/bin/sh\nexec {real} \"$@\"\n")).expect("a script");
    std::fs::set_permissions(&wrapper, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("its mode");
    let launch = private(dir.path(), "a").env("CLAWSTER_REDIS_SERVER", &wrapper.display().to_string());
    for round in 0..10 {
        let node = launch.start();
        // Without a wait, and then later and later: until the server has written its pid file and beyond.
        testkit::hold(std::time::Duration::from_millis(round * 7), "another moment of the start");
        node.kill9();
        nothing_is_left(&launch);
    }
}

#[test]
fn commands_that_use_it_directly_leave_nothing() {
    let dir = stage();
    let launch = private(dir.path(), "a");
    testkit::clawster(&launch, &["run", "--lease", "bot", "--", "true"]).expect(0);
    nothing_is_left(&launch);
    let holder = Wrapper::start(&launch, &[], &["sleep", "100"]);
    eventually("it runs", secs(20.0), || {
        let there = (servers(&launch).len(), reapers(&launch).len());
        if there == (1, 1) { Ok(()) } else { Err(format!("{there:?}")) }
    });
    holder.signal(Signal::KILL);
    nothing_is_left(&launch);
}
