//! Redis forgets everything, or an old copy takes over: the cluster puts itself together again.

use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;
use testkit::checker::{judge, one_leader, rising_terms, same_events};
use testkit::cluster::{online, settled};
use testkit::sampler::sampled;
use testkit::wait::secs;
use testkit::{Launch, Proxy, RedisOptions, RedisServer, Serve, Trio, eventually, hold, stamp};

/// Makes Redis forget under three nodes while a fourth starts, and checks what must hold.
fn forgets(alone: RedisServer, forget: impl FnOnce(&mut RedisServer)) {
    let mut redis = alone;
    let trio = Trio::start(&redis);
    let leader = trio.settled(secs(20.0));
    let before = trio.nodes[leader].state()["term"].as_u64().unwrap();
    let messages: Vec<Value> = (0..10).map(|n| json!({"id": format!("lost-{n}"), "payload": n})).collect();
    let sent = trio.nodes[0].ok("distributed.sync_messages", json!({"messages": messages, "limit": 0}));
    assert_eq!(sent["published"], 10, "{sent}");

    let fourth = Launch::new(trio.dir(), "d").redis(&redis);
    let nodes: Vec<&Serve> = trio.nodes.iter().collect();
    let (fourth, samples) = sampled(&nodes, || {
        forget(&mut redis);
        let at = stamp();
        let fourth = fourth.start();
        fourth.subscribe(Value::Null, None);
        let took = registered(&nodes, at);
        assert!(took <= secs(2.0), "registered again after {took:?}");
        let mut all = nodes.clone();
        all.push(&fourth);
        settled(&all, secs(10.0));
        hold(secs(2.0), "a while in which a second leader would show");
        fourth
    });
    judge("one leader at a time", &one_leader(&samples));
    let after = trio.nodes[0].state()["term"].as_u64().unwrap();
    assert!(after >= before, "the term fell from {before} to {after}");
    for node in &trio.nodes {
        judge("terms rise", &rising_terms(&node.events()));
    }
    let seen: BTreeMap<String, Vec<Value>> = trio
        .nodes
        .iter()
        .map(|node| (node.label.clone(), node.notes().iter().map(|note| note.event().clone()).collect()))
        .collect();
    judge("the same events", &same_events(&seen));

    trio.nodes[0].ok("distributed.sync_messages", json!({"messages": [{"id": "new", "payload": 1}], "limit": 0}));
    for node in &trio.nodes[1..] {
        lost_or_told(node);
    }
    let got = fourth.ok("distributed.sync_messages", json!({"wait_ms": 5000}));
    assert!(got["received"].as_array().unwrap().iter().any(|m| m["id"] == "new"), "{got}");
    fourth.assert_clean();
}

/// How long it took until Redis itself lists all three nodes (and perhaps the fourth) as online.
fn registered(nodes: &[&Serve], at: Duration) -> Duration {
    eventually("Redis lists all nodes again", secs(10.0), || {
        let state = nodes[0].call("distributed.get_cluster_state", json!({"fresh": true}));
        match state {
            Ok(state) if ["a", "b", "c", "d"].iter().all(|id| online(&state).iter().any(|live| live == id)) => {
                Ok(stamp().saturating_sub(at))
            }
            other => Err(format!("{other:?}")),
        }
    })
}

/// All ten messages arrive, or a gap is told; then the new one arrives; an acknowledged gap is not told again.
#[track_caller]
fn lost_or_told(node: &Serve) {
    let (mut ids, mut gap): (Vec<String>, bool) = (Vec::new(), false);
    eventually("the message after the loss arrives", secs(10.0), || {
        let answer = node.ok("distributed.sync_messages", json!({"wait_ms": 200}));
        gap |= !answer["gap"].is_null();
        ids.extend(answer["received"].as_array().unwrap().iter().map(|m| m["id"].as_str().unwrap().to_owned()));
        if ids.iter().any(|id| id == "new") { Ok(()) } else { Err(answer) }
    });
    let arrived = ids.iter().filter(|id| id.starts_with("lost-")).count();
    assert!(gap || arrived == 10, "{}: {arrived} of 10 arrived and no gap was told: {ids:?}", node.label);
    let answer = node.ok("distributed.sync_messages", json!({}));
    assert!(answer["gap"].is_null() && answer["received"] == json!([]), "{answer}");
}

#[test]
fn flushall_under_three_nodes_and_a_fresh_fourth() {
    forgets(RedisServer::alone(), |redis| {
        assert_eq!(redis.cli(&["FLUSHALL"]), "OK");
    });
}

#[test]
fn an_empty_restart_under_three_nodes_and_a_fresh_fourth() {
    forgets(RedisServer::alone(), RedisServer::restart_empty);
}

#[test]
fn terms_rise_across_a_flushall_that_nobody_outlives() {
    let redis = RedisServer::start();
    let mut trio = Trio::brisk(&redis);
    let leader = trio.settled(secs(20.0));
    let before = trio.nodes[leader].state()["term"].as_u64().unwrap();
    for node in &trio.nodes {
        node.kill9();
    }
    redis.cli(&["FLUSHALL"]);
    // The highest number known lives on in the state directory.
    trio.nodes[leader] = trio.launches[leader].start();
    let state = trio.nodes[leader].until("it leads", secs(15.0), |state| state["role"] == "leader");
    assert!(state["term"].as_u64().unwrap() > before, "{before} and then {state}");
}

#[test]
fn a_demoted_primary_is_left_for_the_new_one() {
    let old = RedisServer::start();
    let new = RedisServer::with(RedisOptions { replicaof: Some(old.port()), ..RedisOptions::default() });
    let proxy = Proxy::start(old.port());
    let trio = Trio::with(|launch| launch.port(proxy.port()).brisk());
    let leader = trio.settled(secs(20.0));
    let before = trio.nodes[leader].state()["term"].as_u64().unwrap();
    eventually("the replica is in step", secs(15.0), || {
        match new.info("replication", "master_link_status").as_deref() {
            Some("up") => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
    let nodes: Vec<&Serve> = trio.nodes.iter().collect();
    let ((), samples) = sampled(&nodes, || {
        // Open connections stay on the old primary, which answers PING and keeps its subscribers.
        assert_eq!(new.cli(&["REPLICAOF", "NO", "ONE"]), "OK");
        proxy.target(new.port());
        assert_eq!(old.cli(&["REPLICAOF", "127.0.0.1", &new.port().to_string()]), "OK");
        eventually("the new primary is written to by all nodes", secs(20.0), || {
            match trio
                .nodes
                .iter()
                .map(|node| node.call("distributed.get_cluster_state", json!({"fresh": true})))
                .find(Result::is_err)
            {
                None => Ok(()),
                Some(error) => Err(format!("{error:?}")),
            }
        });
        trio.settled(secs(30.0));
        hold(secs(3.0), "one lease, in which a second leader would show");
    });
    judge("one leader at a time", &one_leader(&samples));
    assert!(trio.nodes[0].state()["term"].as_u64().unwrap() >= before);
    trio.nodes[0].ok("distributed.sync_messages", json!({"messages": [{"id": "m", "payload": 1}], "limit": 0}));
    let got = trio.nodes[1].ok("distributed.sync_messages", json!({"wait_ms": 5000}));
    assert_eq!(got["received"][0]["id"], "m", "{got}");
}
