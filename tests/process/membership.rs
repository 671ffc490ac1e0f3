//! Who is a member, under which id, and who holds an id.

use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::cluster::{member, online, settled, stage};
use testkit::serve::Pending;
use testkit::wait::{always, secs};
use testkit::{Launch, RedisServer, Serve, Trio, clawster, eventually};

#[test]
fn a_member_shows_what_it_told_when_it_joined() {
    let redis = RedisServer::start();
    let dir = stage();
    let node = Launch::new(dir.path(), "a").redis(&redis).brisk().env("CLAWSTER__NODE__AUTO_JOIN", "false").start();
    let state = node.state();
    assert_eq!((&state["role"], &state["nodes"]), (&json!("observer"), &json!([])), "{state}");
    node.refused("distributed.sync_messages", json!({}), -32001);
    node.refused("distributed.leave_cluster", Value::Null, -32001);
    node.refused("distributed.elect_leader", Value::Null, -32001);
    let told =
        json!({"name": "Kitchen", "endpoint": "http://k:1", "capabilities": ["gpu", "tts"], "labels": {"zone": "eu"}});
    let joined = node.ok("distributed.join_cluster", told.clone());
    assert_eq!((&joined["cluster"], &joined["node_id"]), (&json!("openclaw"), &json!("a")), "{joined}");
    let row = member(&node.state(), "a").expect("it lists itself");
    for (key, value) in told.as_object().unwrap() {
        assert_eq!(row[key], *value, "{row}");
    }
    assert_eq!((&row["status"], &row["version"]), (&json!("online"), &json!(env!("CARGO_PKG_VERSION"))), "{row}");
    // Again with other words: the same life, new words.
    let again = node.ok("distributed.join_cluster", json!({"node_id": "a", "name": "Cellar"}));
    assert_eq!((&again["incarnation"], &again["joined_at_ms"]), (&joined["incarnation"], &joined["joined_at_ms"]));
    assert_eq!(member(&node.state(), "a").unwrap()["name"], "Cellar");
    // By position.
    let by_place = node.ok("distributed.join_cluster", json!(["a", "Attic"]));
    assert_eq!(by_place["incarnation"], joined["incarnation"]);
    assert_eq!(member(&node.state(), "a").unwrap()["name"], "Attic");
}

#[test]
fn a_member_that_leaves_is_no_member_and_can_come_back() {
    let redis = RedisServer::start();
    let trio = Trio::brisk(&redis);
    let leader = trio.settled(secs(10.0));
    let node = &trio.nodes[leader];
    let left = node.ok("distributed.leave_cluster", Value::Null);
    assert_eq!((&left["node_id"], &left["resigned"]), (&json!(node.label), &json!(true)), "{left}");
    node.refused("distributed.sync_messages", json!({}), -32001);
    node.refused("distributed.leave_cluster", Value::Null, -32001);
    assert_eq!(node.state()["role"], "observer");
    for other in trio.others(leader) {
        other.event("it left", secs(5.0), |event| {
            event["event"] == "cluster.node_left"
                && event["node_id"] == node.label.as_str()
                && event["reason"] == "left"
        });
    }
    settled(&trio.others(leader), secs(10.0));
    node.ok("distributed.join_cluster", Value::Null);
    trio.settled(secs(10.0));
}

#[test]
fn the_next_call_goes_by_what_the_answer_before_it_told() {
    let redis = RedisServer::start();
    let dir = stage();
    let node = Launch::new(dir.path(), "a").redis(&redis).brisk().start();
    node.until("it is a member", secs(10.0), |state| state["node_id"] == "a");
    for _ in 0..300 {
        node.ok("distributed.leave_cluster", Value::Null);
        node.refused("distributed.sync_messages", json!({}), -32001);
        node.ok("distributed.join_cluster", Value::Null);
        node.ok("distributed.sync_messages", json!({}));
    }
}

#[test]
fn a_follower_that_is_killed_is_told_within_the_grace_and_a_bit() {
    let redis = RedisServer::alone();
    let trio = Trio::start(&redis);
    let leader = trio.settled(secs(20.0));
    let place = (leader + 1) % 3;
    let at = trio.nodes[place].kill9();
    let note = trio.nodes[leader].event("a follower died", secs(20.0), |event| event["event"] == "cluster.node_left");
    assert_eq!(
        (&note.event()["node_id"], &note.event()["reason"]),
        (&json!(trio.nodes[place].label), &json!("process_died"))
    );
    assert!(note.at - at <= secs(2.0), "told after {:?}", note.at - at);
    let row = member(&trio.nodes[leader].state(), &trio.nodes[place].label);
    assert!(row.is_none_or(|row| row["status"] == "offline"));
}

#[test]
fn a_killed_node_comes_back_under_its_id_and_goes_on_where_it_stopped() {
    let redis = RedisServer::start();
    let dir = stage();
    let (a, b) =
        (Launch::new(dir.path(), "a").redis(&redis).brisk(), Launch::new(dir.path(), "b").redis(&redis).brisk());
    let (a, second) = (a.start(), b.start());
    settled(&[&a, &second], secs(20.0));
    let before = member(&a.state(), "b").unwrap()["incarnation"].as_u64();
    a.ok("distributed.sync_messages", json!({"messages": [{"id": "m1", "payload": 1}, {"id": "m2", "payload": 2}]}));
    let got = second.ok("distributed.sync_messages", json!({"wait_ms": 5000, "limit": 1}));
    assert_eq!(got["received"][0]["id"], "m1", "{got}");
    second.ok("distributed.sync_messages", json!({"limit": 0}));
    second.kill9();
    a.ok("distributed.sync_messages", json!({"messages": [{"id": "m3", "payload": 3}]}));
    let second = b.start();
    let got = second.ok("distributed.sync_messages", json!({"wait_ms": 5000}));
    let ids: Vec<&str> = got["received"].as_array().unwrap().iter().map(|m| m["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["m2", "m3"], "{got}");
    assert!(member(&a.state(), "b").unwrap()["incarnation"].as_u64() > before);
}

#[test]
fn a_second_process_with_the_same_id_is_refused_and_the_first_goes_on() {
    let redis = RedisServer::start();
    let (here, there) = (stage(), stage());
    let first = Launch::new(here.path(), "twin").redis(&redis).brisk().env("CLAWSTER__NODE__NAME", "First").start();
    first.subscribe(Value::Null, None);
    first.until("it leads", secs(20.0), |state| state["role"] == "leader");
    let incarnation = member(&first.state(), "twin").unwrap()["incarnation"].clone();
    // On another host, and on this one with the same directory.
    for second in [Launch::new(there.path(), "twin"), Launch::new(here.path(), "twin")] {
        let second = second.redis(&redis).brisk().start();
        let error = second.refused("distributed.join_cluster", Value::Null, -32003);
        assert_eq!(error.data["kind"], "node_id_in_use");
        assert!(error.message.contains("twin"), "it does not say whose id is held: {error:?}");
        second.refused("distributed.sync_messages", json!({}), -32003);
        assert_eq!(second.state()["role"], "observer");
        second.close_stdin();
        second.exit_clean(secs(5.0));
    }
    always("the first is untouched", secs(1.0), || {
        let state = first.state();
        let same =
            state["role"] == "leader" && member(&state, "twin").is_some_and(|row| row["incarnation"] == incarnation);
        if same { Ok(()) } else { Err(state) }
    });
    let left = first.events().into_iter().find(|event| event["event"] == "cluster.node_left");
    assert!(left.is_none(), "{left:?}");
}

#[test]
fn force_takes_an_id_and_the_old_holder_does_not_fight_back() {
    let redis = RedisServer::start();
    let (here, there) = (stage(), stage());
    let watcher = Launch::new(here.path(), "watcher").redis(&redis).brisk().start();
    watcher.subscribe(Value::Null, None);
    let old = Launch::new(here.path(), "twin").redis(&redis).brisk().start();
    settled(&[&watcher, &old], secs(20.0));
    let new = Launch::new(there.path(), "twin").redis(&redis).brisk().env("CLAWSTER__NODE__AUTO_JOIN", "false").start();
    new.refused("distributed.join_cluster", Value::Null, -32003);
    let joined = new.ok("distributed.join_cluster", json!({"force": true}));
    watcher.event("the old one was replaced", secs(5.0), |event| {
        event["event"] == "cluster.node_left" && event["node_id"] == "twin" && event["reason"] == "replaced"
    });
    old.until("it is no member any more", secs(5.0), |state| state["role"] == "observer");
    old.refused("distributed.sync_messages", json!({}), -32003);
    always("the new one keeps the id", secs(2.0), || {
        let row = member(&watcher.state(), "twin");
        if row.as_ref().is_some_and(|row| row["incarnation"] == joined["incarnation"]) {
            Ok(())
        } else {
            Err(format!("{row:?}"))
        }
    });
    settled(&[&watcher, &new], secs(10.0));
}

#[test]
fn a_rename_takes_leadership_off_and_messages_along() {
    let redis = RedisServer::start();
    let trio = Trio::brisk(&redis);
    trio.nodes[1].ok("distributed.elect_leader", json!({"force": true}));
    let before = trio.nodes[1].state()["term"].as_u64();
    trio.nodes[0].ok(
        "distributed.sync_messages",
        json!({"messages": [{"id": "to-old", "to": ["b"], "payload": 1}], "limit": 0}),
    );
    trio.nodes[1].ok("distributed.sync_messages", json!({"messages": [{"id": "mine", "payload": 1}], "limit": 0}));
    let joined = trio.nodes[1].ok("distributed.join_cluster", json!({"node_id": "bee"}));
    assert_eq!(joined["node_id"], "bee");
    trio.nodes[0].event("b left", secs(5.0), |event| event["event"] == "cluster.node_left" && event["node_id"] == "b");
    trio.nodes[0]
        .event("bee joined", secs(5.0), |event| event["event"] == "cluster.node_joined" && event["node_id"] == "bee");
    trio.settled(secs(10.0));
    assert!(trio.nodes[0].state()["term"].as_u64() > before, "leadership was handed over");
    let live = online(&trio.nodes[0].state());
    assert!(live.contains(&"bee".to_owned()) && !live.contains(&"b".to_owned()), "{live:?}");
    let got = trio.nodes[1].ok("distributed.sync_messages", json!({"wait_ms": 3000}));
    let ids: Vec<&str> = got["received"].as_array().unwrap().iter().map(|m| m["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["to-old"], "what was for the old id follows, its own does not come back: {got}");
}

#[test]
fn a_node_without_an_id_makes_one_and_keeps_it() {
    let redis = RedisServer::start();
    let dir = stage();
    let launch = Launch::new(dir.path(), "nameless").redis(&redis).brisk().env("OPENCLAW_NODE_ID", "");
    let id = |node: &testkit::Serve| {
        node.until("it joined", secs(10.0), |state| state["node_id"].is_string())["node_id"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let first = launch.start();
    let first_id = id(&first);
    assert!(first_id.starts_with("node-"), "{first_id}");
    // Another process with the same directory gets an id of its own.
    let beside = launch.start();
    let beside_id = id(&beside);
    assert!(beside_id.starts_with("node-") && beside_id != first_id, "{first_id} {beside_id}");
    settled(&[&first, &beside], secs(10.0));
    for node in [first, beside] {
        node.close_stdin();
        node.exit_clean(secs(5.0));
    }
    assert_eq!(id(&launch.start()), first_id);
}

#[test]
fn two_clusters_on_one_redis_never_see_each_other() {
    let redis = RedisServer::start();
    let dir = stage();
    let in_cluster = |id: &str, name: &str| {
        Launch::new(dir.path(), id).redis(&redis).brisk().env("CLAWSTER__CLUSTER__NAME", name).start()
    };
    let (red, blue) = (in_cluster("r", "red"), in_cluster("b", "blue"));
    for node in [&red, &blue] {
        node.until("it leads its own cluster", secs(20.0), |state| state["role"] == "leader");
    }
    red.ok("distributed.sync_messages", json!({"messages": [{"id": "m", "payload": 1}]}));
    let got = blue.ok("distributed.sync_messages", json!({"wait_ms": 500}));
    assert_eq!((&got["received"], &got["gap"]), (&json!([]), &Value::Null), "{got}");
    assert_eq!(online(&red.state()), ["r"]);
    assert_eq!(online(&blue.state()), ["b"]);
    let foreign: Vec<String> = redis
        .cli(&["KEYS", "*"])
        .lines()
        .map(str::to_owned)
        .filter(|key| !key.starts_with("clawster:{red}:") && !key.starts_with("clawster:{blue}:"))
        .collect();
    assert_eq!(foreign, Vec::<String>::new());
}

#[test]
fn the_first_member_sets_the_times_and_later_ones_adopt_them() {
    let redis = RedisServer::start();
    let dir = stage();
    let first = Launch::new(dir.path(), "first").redis(&redis).timing(0.5, 2.0, 3.0).start();
    first.until("it leads", secs(20.0), |state| state["role"] == "leader");
    let later = Launch::new(dir.path(), "later").redis(&redis).timing(1.0, 5.0, 6.0).start();
    settled(&[&first, &later], secs(10.0));
    testkit::eventually("the later one warns about the difference", secs(5.0), || {
        let said = later.stderr();
        if said.contains("heartbeat") { Ok(()) } else { Err(said) }
    });
}

/// An id that a one-shot heartbeat holds for a while, and a node that waits for its end with an unforced join.
fn waiting_for_an_id() -> (Serve, Pending, RedisServer, TempDir) {
    let redis = RedisServer::start();
    let dir = stage();
    let launch = Launch::new(dir.path(), "x").redis(&redis).timing(5.0, 30.0, 30.0);
    clawster(&launch, &["heartbeat"]).expect(0);
    let elsewhere = Launch::new(&dir.path().join("elsewhere"), "x").redis(&redis).timing(5.0, 30.0, 30.0);
    let node = elsewhere.env("CLAWSTER__NODE__AUTO_JOIN", "false").start();
    let calls = redis.calls("evalsha");
    let waiting = node.request("distributed.join_cluster", json!({})).unwrap();
    eventually("the join was made several times", secs(10.0), || {
        let made = redis.calls("evalsha");
        if made > calls + 5 { Ok(()) } else { Err(made) }
    });
    (node, waiting, redis, dir)
}

#[test]
fn a_forced_join_overtakes_one_that_waits() {
    let (node, waiting, _redis, _dir) = waiting_for_an_id();
    let forced = node.ask("distributed.join_cluster", json!({"force": true}), secs(10.0)).expect("it waits for nobody");
    assert_eq!(forced.result.unwrap()["node_id"], "x");
    let error = waiting.wait(secs(10.0)).unwrap().result.unwrap_err();
    assert_eq!(error.code, -32003, "{error:?}");
    assert!(error.message.contains("a forced join was made first"), "{error:?}");
}

#[test]
fn a_leave_ends_a_join_that_waits() {
    let (node, waiting, _redis, _dir) = waiting_for_an_id();
    node.refused("distributed.leave_cluster", Value::Null, -32001);
    let error = waiting.wait(secs(10.0)).unwrap().result.unwrap_err();
    assert!(error.code == -32003 && error.message.contains("asked to leave"), "{error:?}");
    assert_eq!(node.state()["role"], "observer");
}
