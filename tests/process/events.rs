//! Every node tells its host the same story, without holes, also to a host that was away.

use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use testkit::checker::{judge, rising_terms, same_events};
use testkit::cluster::{settled, stage};
use testkit::proxy::Mode;
use testkit::wait::secs;
use testkit::{Launch, Proxy, RedisServer, Serve, Trio, eventually, stamp};

/// Waits until these nodes have seen the same last event, which is at or behind `seq`.
#[track_caller]
fn caught_up(nodes: &[&Serve]) {
    eventually("all nodes saw the same last event", secs(10.0), || {
        let last: Vec<Option<u64>> = nodes.iter().map(|node| node.events().last()?["seq"].as_u64()).collect();
        if last[0].is_some() && last.iter().all(|seq| *seq == last[0]) { Ok(()) } else { Err(format!("{last:?}")) }
    });
}

fn last_id(events: &[Value]) -> String {
    events.last().expect("an event")["id"].as_str().expect("an event's id").to_owned()
}

#[test]
fn all_nodes_tell_the_same_events_through_churn() {
    let redis = RedisServer::start();
    let mut trio = Trio::brisk(&redis);
    let mut first_life: Vec<Value> = Vec::new();
    // The host of c goes away and comes back: it resumes behind what it saw.
    caught_up(&trio.nodes.iter().collect::<Vec<_>>());
    first_life.extend(trio.nodes[2].events());
    let seen = last_id(&trio.nodes[2].events());
    trio.nodes[2].kill9();
    trio.nodes[0].event("c died", secs(10.0), |event| {
        event["event"] == "cluster.node_left" && event["node_id"] == "c" && event["reason"] == "process_died"
    });
    trio.nodes[0].ok("distributed.elect_leader", json!({"candidate": "b", "force": true}));
    trio.nodes[0].ok("distributed.elect_leader", json!({"candidate": "a", "force": true}));
    trio.nodes[2] = trio.launches[2].start();
    trio.nodes[2].ok("cluster.subscribe", json!({"after": seen}));
    trio.nodes[1].ok("distributed.leave_cluster", Value::Null);
    trio.nodes[1].ok("distributed.join_cluster", Value::Null);
    trio.settled(secs(20.0));
    let nodes: Vec<_> = trio.nodes.iter().collect();
    caught_up(&nodes);
    let mut seen: BTreeMap<String, Vec<Value>> = nodes.iter().map(|node| (node.label.clone(), node.events())).collect();
    seen.get_mut("c").unwrap().splice(0..0, first_life);
    judge("the same events", &same_events(&seen));
    for events in seen.values() {
        judge("terms rise", &rising_terms(events));
        let told = |name: &str, id: &str| events.iter().any(|event| event["event"] == name && event["node_id"] == id);
        assert!(told("cluster.node_left", "b") && told("cluster.node_left", "c"), "{events:?}");
        assert!(told("cluster.node_joined", "b") && told("cluster.node_joined", "c"), "{events:?}");
    }
    let rejoined = seen["a"].iter().rfind(|event| event["event"] == "cluster.node_joined" && event["node_id"] == "c");
    assert_eq!(rejoined.unwrap()["rejoined"], true);
}

#[test]
fn a_subscriber_that_was_away_misses_none_and_gets_none_twice() {
    let redis = RedisServer::start();
    let trio = Trio::brisk(&redis);
    let node = &trio.nodes[0];
    // Round the table from whoever leads, so that each election changes the leader.
    let leader = trio.settled(secs(20.0));
    eventually("a hears of the first election", secs(10.0), || {
        let heard = node.events();
        if heard.iter().any(|e| e["event"] == "cluster.leader_elected") { Ok(()) } else { Err(heard.len()) }
    });
    // One look for both: an event that came between two looks would count as new and as seen.
    let heard = node.events();
    let (before, seen) = (heard.len(), last_id(&heard));
    let old = trio.nodes[1].subscribe(json!(["cluster.*"]), None);
    assert_eq!(trio.nodes[1].ok("cluster.unsubscribe", json!([old])), true);
    for step in 1..=3 {
        let candidate = &trio.nodes[(leader + step) % 3].label;
        node.ok("distributed.elect_leader", json!({"candidate": candidate, "force": true}));
    }
    eventually("a hears of three elections", secs(10.0), || {
        let elections = node.events()[before..].iter().filter(|e| e["event"] == "cluster.leader_elected").count();
        if elections == 3 { Ok(()) } else { Err(elections) }
    });
    // Another subscription on the same node, behind what was seen before: it is told just the rest. What that is must be
    // known before, because its events stand among the node's as well.
    let due = node.events()[before..].to_vec();
    let late = node.subscribe(json!(["cluster.*"]), Some(&seen));
    let of = |wanted: &Value| -> Vec<Value> {
        let notes = node.notes();
        let mine = notes.iter().filter(|note| note.params["subscription"] == *wanted);
        mine.map(|note| note.event().clone()).filter(|event| event["seq"].is_number()).collect()
    };
    eventually("the late subscription has caught up", secs(10.0), || {
        if of(&late).len() >= due.len() { Ok(()) } else { Err(format!("{} of {}", of(&late).len(), due.len())) }
    });
    assert_eq!(of(&late)[..due.len()], due[..]);
}

#[test]
fn a_subscriber_that_goes_on_while_its_node_starts_is_told_no_gap() {
    let redis = RedisServer::start();
    let proxy = Proxy::start(redis.port());
    let dir = stage();
    let teller = Launch::new(dir.path(), "a").redis(&redis).brisk().start();
    teller.until("a leads", secs(20.0), |state| state["role"] == "leader");
    // A slow way to Redis, so that there is time between the stream as a subscriber finds it and the node's own reading.
    let launch = Launch::new(dir.path(), "b").port(proxy.port()).brisk();
    proxy.set(Mode::Delay(Duration::from_millis(15)));
    teller.subscribe(Value::Null, None);
    let begun = AtomicUsize::new(0);
    let tell = |count: usize| {
        // The first task of a kind is an event.
        teller.ok("distributed.submit_task", json!({"kind": format!("k{count}"), "payload": 1}));
    };
    tell(begun.fetch_add(1, Ordering::SeqCst));
    teller.event("the first task", secs(10.0), |event| event["event"] == "cluster.task_available");
    let mut seen = last_id(&teller.events());
    for _ in 0..6 {
        let node = launch.start();
        let subscribed = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let within = stamp() + secs(40.0);
                while !subscribed.load(Ordering::SeqCst) && stamp() < within {
                    tell(begun.fetch_add(1, Ordering::SeqCst));
                }
            });
            let within = stamp() + secs(20.0);
            while node.call("cluster.subscribe", json!({"after": seen})).is_err() && stamp() < within {}
            eventually("it has caught up", secs(20.0), || {
                let told = node.notes().iter().filter(|note| note.event()["seq"].is_number()).count();
                if told >= 20 { Ok(()) } else { Err(told) }
            });
            subscribed.store(true, Ordering::SeqCst);
        });
        let told: Vec<Value> = node.notes().iter().map(|note| note.event().clone()).collect();
        let gap = told.iter().find(|event| event["event"] == "cluster.gap");
        assert!(gap.is_none(), "nothing was lost, but: {gap:?}");
        seen = last_id(&node.events());
        node.kill9();
    }
}

#[test]
fn a_subscription_gets_what_it_named_and_nothing_else() {
    let redis = RedisServer::start();
    let trio = Trio::brisk(&redis);
    let (a, b) = (&trio.nodes[0], &trio.nodes[1]);
    let only = b.subscribe(json!(["cluster.message"]), None);
    a.ok("distributed.sync_messages", json!({"messages": [{"id": "m1", "topic": "t", "payload": {"n": 1}}]}));
    let note = b.event("the message", secs(5.0), |event| event["id"] == "m1" || event["event"] == "cluster.message");
    assert_eq!((note.method.as_str(), &note.params["subscription"]), ("cluster.message", &only));
    let sent = a.event("sync_complete", secs(5.0), |event| event["event"] == "cluster.sync_complete");
    let event = sent.event();
    assert_eq!((&event["direction"], &event["count"], &event["seq"]), (&json!("sent"), &json!(1), &Value::Null));
    a.ok("distributed.elect_leader", json!({"force": true}));
    a.event("an election", secs(10.0), |event| event["event"] == "cluster.leader_elected" && event["leader_id"] == "a");
    let stray =
        b.notes().into_iter().find(|note| note.params["subscription"] == only && note.method != "cluster.message");
    assert!(stray.is_none(), "{stray:?}");
    b.refused("cluster.subscribe", json!({"events": ["cluster.no_such"]}), -32602);
    b.refused("cluster.subscribe", json!({"after": "no event id"}), -32602);
    let gone = b.call("cluster.unsubscribe", json!(["no such subscription"]));
    assert!(gone == Ok(json!(false)) || gone.is_err_and(|error| error.code == -32009));
}

#[test]
fn the_host_is_told_when_redis_goes_and_comes() {
    let redis = RedisServer::start();
    let trio = Trio::brisk(&redis);
    redis.pause();
    for node in &trio.nodes {
        let note = node.event("degraded", secs(10.0), |event| event["event"] == "cluster.degraded");
        assert!(note.event()["seq"].is_null() && note.event()["id"].is_null(), "{:?}", note.params);
    }
    redis.resume();
    for node in &trio.nodes {
        node.event("recovered", secs(10.0), |event| event["event"] == "cluster.recovered");
    }
    settled(&trio.nodes.iter().collect::<Vec<_>>(), secs(20.0));
}
