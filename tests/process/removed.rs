//! A state directory that somebody removes under a running node, and a private Redis that never answers.

use crate::support::cluster::stage;
use crate::support::redis_server::RedisServer;
use crate::support::wait::secs;
use crate::support::{Launch, clawster, eventually, stamp};
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

#[test]
fn a_removed_state_directory_refuses_messages_and_the_socket_comes_back() {
    let redis = RedisServer::start();
    let dir = stage();
    let launch = Launch::new(dir.path(), "a").redis(&redis).brisk();
    let node = launch.start();
    node.until("it is a member", secs(20.0), |state| state["role"] != "observer");
    std::fs::remove_dir_all(launch.home.join("state")).expect("a cleaner removes it");
    let refused = node.call("distributed.sync_messages", json!({"messages": ["x"], "limit": 0})).unwrap_err();
    assert_eq!(refused.code, -32006, "{refused:?}");
    assert!(refused.message.contains("was removed") && refused.message.contains("restart"), "{refused:?}");
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
