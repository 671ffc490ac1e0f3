//! A state directory that is put back from a backup: it does not know what was sent since.

use serde_json::{Value, json};
use std::path::Path;
use testkit::cluster::{settled, stage};
use testkit::wait::secs;
use testkit::{Launch, RedisOptions, RedisServer, Serve, eventually};

/// Copies a folder with everything in it that is a file or a folder.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let (kind, target) = (entry.file_type().unwrap(), to.join(entry.file_name()));
        if kind.is_dir() {
            copy(&entry.path(), &target);
        } else if kind.is_file() {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[track_caller]
fn give(node: &Serve, ids: &[&str]) -> Value {
    let messages: Vec<Value> = ids.iter().map(|id| json!({"id": id, "payload": id})).collect();
    node.ok("distributed.sync_messages", json!({"messages": messages, "limit": 0}))
}

#[track_caller]
fn receive_to(node: &Serve, last: &str) -> Vec<String> {
    let mut ids: Vec<String> = Vec::new();
    eventually(&format!("{last} arrives"), secs(20.0), || {
        let answer = node.ok("distributed.sync_messages", json!({"wait_ms": 1000}));
        let received = answer["received"].as_array().unwrap();
        ids.extend(received.iter().map(|message| message["id"].as_str().unwrap().to_owned()));
        if ids.iter().any(|id| id == last) { Ok(()) } else { Err(format!("{ids:?}")) }
    });
    ids
}

#[test]
fn new_messages_of_a_state_directory_that_was_put_back_all_arrive() {
    let mut redis = RedisServer::with(RedisOptions { appendonly: true, ..RedisOptions::default() });
    let dir = stage();
    let launch = Launch::new(dir.path(), "host").redis(&redis).brisk();
    let state = launch.home.join("state");
    let partner = Launch::new(dir.path(), "partner").redis(&redis).brisk().start();
    let host = launch.start();
    settled(&[&partner, &host], secs(20.0));
    give(&host, &["before"]);
    receive_to(&partner, "before");
    host.sigterm();
    host.exit_clean(secs(10.0));
    let backup = dir.path().join("backup");
    copy(&state, &backup);

    let host = launch.start();
    settled(&[&partner, &host], secs(20.0));
    for id in ["m1", "m2", "m3"] {
        give(&host, &[id]);
    }
    assert_eq!(receive_to(&partner, "m3"), ["m1", "m2", "m3"]);
    host.kill9();
    std::fs::remove_dir_all(&state).unwrap();
    copy(&backup, &state);

    let host = launch.start();
    settled(&[&partner, &host], secs(20.0));
    give(&host, &["n1", "n2"]);
    assert_eq!(receive_to(&partner, "n2"), ["n1", "n2"]);
    eventually("the log names the cause", secs(10.0), || {
        let text = host.stderr();
        if text.contains("restored from a backup") { Ok(()) } else { Err(text) }
    });
    give(&partner, &["end"]);
    assert_eq!(receive_to(&host, "end"), ["end"], "its own messages do not come back under the new producer");
    host.kill9();
    std::fs::remove_dir_all(&state).unwrap();
    copy(&backup, &state);

    // Messages that are accepted before Redis can be asked are new, too, also when the process ends before it is.
    redis.kill9();
    let host = launch.start();
    assert_eq!(give(&host, &["q1"])["queued"], 1);
    host.kill9();
    let host = launch.start();
    assert_eq!(give(&host, &["q2"])["queued"], 1);
    redis.restart();
    assert_eq!(receive_to(&partner, "q2"), ["q1", "q2"]);
    host.assert_clean();
}
