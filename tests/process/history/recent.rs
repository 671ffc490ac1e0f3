//! Without MongoDB, Redis keeps recent heartbeats, brought by the ticks themselves.

use super::*;
use testkit::cluster::stage;
use testkit::{RedisServer, clawster};

#[test]
fn two_nodes_see_each_others_heartbeats_and_the_newest_of_their_own() {
    let redis = RedisServer::start();
    let dir = stage();
    let nodes: Vec<Serve> =
        ["a", "b"].iter().map(|id| Launch::new(dir.path(), id).redis(&redis).timing(0.2, 2.0, 3.0).start()).collect();
    for node in &nodes {
        eventually("both are in the history", secs(20.0), || {
            let answer = node.ok("distributed.get_history", Value::Null);
            let full = nodes_of(&answer).len() == 2 && answer["entries"].as_array().unwrap().len() > 10;
            if full { Ok(()) } else { Err(answer.to_string()) }
        });
    }
    let beat = nodes[0].ok("cluster.heartbeat", Value::Null);
    let answer = nodes[0].ok("distributed.get_history", json!({"node_id": "a", "since_ms": 60_000, "report": true}));
    assert_eq!(answer["source"], "redis");
    let entries = answer["entries"].as_array().unwrap();
    assert!(entries.iter().any(|entry| entry["at_ms"] == beat["at_ms"]), "{beat} is missing in {answer}");
    let numbers: Vec<u64> = entries.iter().map(|entry| entry["number"].as_u64().unwrap()).collect();
    assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "in order and without a hole: {numbers:?}");
    let last = entries.last().unwrap();
    assert!(last["memory_bytes"].as_u64() > Some(1 << 20), "{last}");
    assert_eq!((&last["interval_ms"], &last["attempts"]), (&json!(200), &json!(1)));
    let reported = answer["report"]["nodes"].as_array().unwrap();
    assert!(reported.len() == 1 && reported[0]["node_id"] == "a", "{reported:?}");
}

#[test]
fn a_renamed_node_keeps_what_it_did_under_its_old_name() {
    let redis = RedisServer::start();
    let dir = stage();
    let node = Launch::new(dir.path(), "old").redis(&redis).timing(0.2, 2.0, 3.0).start();
    node.until("it is a member", secs(20.0), |state| state["node_id"] == "old");
    let before = node.ok("cluster.heartbeat", Value::Null);
    node.ok("distributed.join_cluster", json!({"node_id": "new"}));
    let after = node.ok("cluster.heartbeat", Value::Null);
    eventually("each is under its name", secs(10.0), || {
        let answer = node.ok("distributed.get_history", Value::Null);
        let entries = answer["entries"].as_array().unwrap();
        let named = |id: &str, at: &Value| {
            entries.iter().filter(|entry| entry["at_ms"] == *at).any(|entry| entry["node_id"] == id)
        };
        let right = named("old", &before["at_ms"]) && named("new", &after["at_ms"]);
        if right { Ok(()) } else { Err(answer.to_string()) }
    });
    let first = node.ok("distributed.get_history", json!({"node_id": "new"}))["entries"][0].clone();
    assert_eq!(first["number"], 1, "another life begins: {first}");
}

#[test]
fn no_history_is_said_so_and_single_heartbeats_are_kept() {
    let redis = RedisServer::start();
    let dir = stage();
    let off = Launch::new(dir.path(), "off").redis(&redis).brisk().env("CLAWSTER__HISTORY__RECENT_HOURS", "0");
    let node = off.start();
    node.until("it is a member", secs(20.0), |state| state["node_id"] == "off");
    let error = node.refused("distributed.get_history", Value::Null, -32008);
    assert!(error.message.contains("history.recent_hours"), "{error:?}");
    assert_eq!(redis.cli(&["EXISTS", "clawster:{openclaw}:history:off"]), "0");
    drop(node);

    let cron = Launch::new(dir.path(), "cron").redis(&redis).timing(1.0, 60.0, 60.0);
    for _ in 0..2 {
        clawster(&cron, &["heartbeat", "--json"]).expect(0);
    }
    let watcher = Launch::new(dir.path(), "watcher").redis(&redis).brisk().start();
    let answer = watcher.ok("distributed.get_history", json!({"node_id": "cron"}));
    let numbers: Vec<&Value> = answer["entries"].as_array().unwrap().iter().map(|entry| &entry["number"]).collect();
    assert_eq!(numbers, [&json!(1), &json!(2)], "{answer}");
}

#[test]
fn the_last_heartbeats_of_a_node_that_ends_are_kept() {
    let redis = RedisServer::start();
    let dir = stage();
    let node = Launch::new(dir.path(), "a").redis(&redis).timing(5.0, 20.0, 20.0).start();
    node.until("it is a member", secs(20.0), |state| state["node_id"] == "a");
    let beat = node.ok("cluster.heartbeat", Value::Null);
    node.sigterm();
    node.exit_clean(secs(6.0));
    let watcher = Launch::new(dir.path(), "b").redis(&redis).brisk().start();
    let answer = watcher.ok("distributed.get_history", json!({"node_id": "a"}));
    let entries = answer["entries"].as_array().unwrap();
    assert!(entries.iter().any(|entry| entry["at_ms"] == beat["at_ms"]), "{beat} is missing in {answer}");
}
