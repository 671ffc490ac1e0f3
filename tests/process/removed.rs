//! A state directory that somebody removes under a running node, and a private Redis that never answers.

use crate::support::cluster::{settled, stage};
use crate::support::redis_server::RedisServer;
use crate::support::wait::secs;
use crate::support::{Launch, clawster, eventually, stamp};
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

fn queue(node: &crate::support::Serve, text: &str) {
    let answer = node.ok("distributed.sync_messages", json!({"messages": [text], "limit": 0}));
    assert_eq!(answer["queued"], 1, "{answer}");
}

#[test]
fn a_removed_state_directory_loses_no_queued_message_and_the_socket_comes_back() {
    let mut redis = RedisServer::start();
    let dir = stage();
    let [first, second] = ["a", "b"].map(|id| Launch::new(dir.path(), id).redis(&redis).brisk());
    let (a, b) = (first.start(), second.start());
    settled(&[&a, &b], secs(20.0));
    b.ok("distributed.sync_messages", json!({}));
    let state = first.home.join("state");
    redis.pause();
    a.until("Redis is away", secs(20.0), |state| state["redis"]["status"] == "unavailable");
    queue(&a, "before");
    std::fs::remove_dir_all(&state).expect("a cleaner removes it");
    // At once: the next message notices it.
    queue(&a, "after");
    assert!(state.join("openclaw/a.redb").is_file(), "the store is back");
    // The socket comes back by itself, and so does the lock that keeps others from the id.
    eventually("the command line finds the node again", secs(20.0), || {
        let outcome = clawster(&first, &["status", "--json"]);
        let view: Value = serde_json::from_str(&outcome.stdout).unwrap_or_default();
        if view["node_id"] == "a" && state.join("openclaw/a.lock").is_file() { Ok(()) } else { Err(outcome) }
    });
    let text = a.stderr();
    assert!(text.contains("WARN") && text.contains("somebody removed the store of this node"), "{text}");
    assert!(text.contains("somebody removed the socket of this node"), "{text}");
    a.kill9();
    redis.resume();
    let _again = first.start();
    let mut got = Vec::new();
    eventually("both messages arrive", secs(20.0), || {
        let answer = b.ok("distributed.sync_messages", json!({"wait_ms": 500}));
        assert_eq!(answer["gap"], Value::Null, "{answer}");
        got.extend(answer["received"].as_array().unwrap().iter().map(|message| message["payload"].clone()));
        if got.len() >= 2 { Ok(()) } else { Err(got.clone()) }
    });
    assert_eq!(got, [json!("before"), json!("after")]);
}

#[test]
fn a_removed_state_directory_that_cannot_be_made_again_refuses_messages() {
    let redis = RedisServer::start();
    let dir = stage();
    let launch = Launch::new(dir.path(), "a").redis(&redis).brisk();
    let node = launch.start();
    node.until("it is a member", secs(20.0), |state| state["role"] != "observer");
    let state = launch.home.join("state");
    std::fs::remove_dir_all(&state).expect("it is removed");
    std::fs::write(&state, "in the way").expect("a file");
    let refused = node.call("distributed.sync_messages", json!({"messages": ["x"], "limit": 0}));
    assert!(refused.is_err(), "{refused:?}");
    eventually("that is said", secs(20.0), || {
        let text = node.stderr();
        if text.contains("it cannot be put back") { Ok(()) } else { Err(text) }
    });
    std::fs::remove_file(&state).expect("it is out of the way");
    let sent = node.ok("distributed.sync_messages", json!({"messages": ["x"], "limit": 0}));
    assert_eq!(sent["published"].as_u64().unwrap() + sent["queued"].as_u64().unwrap(), 1, "{sent}");
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
