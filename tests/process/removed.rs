//! A state directory that somebody removes under a running node, and a private Redis that never answers.

use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use testkit::cluster::{settled, stage};
use testkit::redis_server::RedisServer;
use testkit::wait::secs;
use testkit::{Launch, Serve, clawster, eventually, stamp};

/// Removes the state directory at once, however quickly the node makes another one.
fn removed(launch: &Launch) {
    let aside = launch.home.join("removed");
    std::fs::rename(launch.home.join("state"), &aside).expect("it is moved");
    std::fs::remove_dir_all(aside).expect("a cleaner removes it");
}

#[test]
fn a_removed_state_directory_is_written_again_with_all_that_waits() {
    let mut redis = RedisServer::start();
    let dir = stage();
    let launch = Launch::new(dir.path(), "a").redis(&redis).brisk();
    let node = launch.start();
    let other = Launch::new(dir.path(), "b").redis(&redis).brisk().start();
    settled(&[&node, &other], secs(20.0));
    let send = |node: &Serve, id: &str| {
        node.ok("distributed.sync_messages", json!({"messages": [{"id": id, "payload": 1}], "limit": 0}))
    };
    redis.kill9();
    node.until("Redis is away", secs(20.0), |state| state["redis"]["status"] != "ok");
    assert_eq!(send(&node, "before")["queued"], 1);
    removed(&launch);
    assert_eq!(send(&node, "behind")["queued"], 1);
    eventually("the command line finds the node again", secs(20.0), || {
        let outcome = clawster(&launch, &["status", "--json"]);
        let view: Value = serde_json::from_str(&outcome.stdout).unwrap_or_default();
        if view["node_id"] == "a" { Ok(()) } else { Err(outcome.stdout) }
    });
    let text = node.stderr();
    assert!(
        text.contains("the store of this node was removed") && text.contains("the socket of this node was removed"),
        "{text}"
    );
    node.kill9();
    redis.restart();
    let node = launch.start();
    settled(&[&node, &other], secs(20.0));
    assert_eq!(send(&node, "before")["duplicates"], 1, "its ids are remembered");
    let read = || other.ok("distributed.sync_messages", json!({"limit": 10}))["received"].clone();
    let mut got = Vec::new();
    eventually("what waited is there", secs(20.0), || {
        got.extend(read().as_array().into_iter().flatten().map(|message| message["id"].clone()));
        if got == ["before", "behind"] { Ok(()) } else { Err(format!("{got:?}")) }
    });
}

fn program(dir: &Path, name: &str, text: &str) -> String {
    let path = dir.join(name);
    std::fs::write(&path, text).expect("a program");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("its mode");
    path.display().to_string()
}

#[test]
fn the_end_of_input_ends_a_node_in_time_while_a_silent_private_redis_starts() {
    let dir = stage();
    let real = std::env::var("CLAWSTER_REDIS_SERVER").unwrap_or_else(|_| "redis-server".to_owned());
    // One never becomes a daemon, one does and stands still.
    let hangs = program(dir.path(), "redis-hangs", "#!/bin/sh\nexec sleep 600\n");
    let stands =
        format!("#!/bin/sh\n{real} \"$@\" || exit\nuntil [ -s redis.pid ]; do :; done\nkill -STOP $(cat redis.pid)\n");
    let stands = program(dir.path(), "redis-stands", &stands);
    for (id, server) in [("a", &hangs), ("b", &stands)] {
        let launch =
            Launch::new(dir.path(), id).env("CLAWSTER__REDIS__MODE", "embedded").env("CLAWSTER_REDIS_SERVER", server);
        let node = launch.start();
        let closed = stamp();
        node.close_stdin();
        node.exit(secs(20.0));
        let took = stamp() - closed;
        let pid = std::fs::read_to_string(launch.home.join("state/+redis/redis.pid")).unwrap_or_default();
        if let Some(pid) = pid.trim().parse().ok().and_then(rustix::process::Pid::from_raw) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
        assert!(took < secs(5.0), "{id}: {took:?}\n{}", node.stderr());
    }
}

#[test]
fn a_private_redis_whose_folder_is_removed_keeps_its_data() {
    let dir = stage();
    let launch = Launch::new(dir.path(), "a").brisk().env("CLAWSTER__REDIS__MODE", "embedded");
    let launch = launch.env("CLAWSTER_REDIS_SERVER", &testkit::redis_server::binary().display().to_string());
    let node = launch.start();
    let before = node.until("it leads", secs(30.0), |state| state["role"] == "leader");
    node.ok("distributed.submit_task", json!({"id": "kept", "kind": "k", "payload": 1}));
    removed(&launch);
    eventually("the data are carried over", secs(30.0), || {
        let text = node.stderr();
        if text.contains("moving its data to a new server") { Ok(()) } else { Err(text) }
    });
    let after =
        node.until("it leads again", secs(30.0), |state| state["role"] == "leader" && state["redis"]["status"] == "ok");
    assert!(after["term"].as_u64() >= before["term"].as_u64(), "{before} {after}");
    let kept = eventually("the task is there", secs(20.0), || {
        node.call("distributed.get_task", json!({"task_id": "kept"})).map_err(|error| format!("{error:?}"))
    });
    assert_eq!(kept["state"], "waiting", "{kept}");
    // Others find it in the same place.
    let other = launch.clone().env("OPENCLAW_NODE_ID", "b").start();
    other.until("both are there", secs(30.0), |state| testkit::cluster::online(state).len() == 2);
    for node in [other, node] {
        node.close_stdin();
        node.exit(secs(20.0));
    }
}
