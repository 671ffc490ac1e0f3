//! Redis stops, is away at the start, or the network to it breaks: nobody leaves, nothing is lost, all goes on by itself.

use serde_json::{Value, json};
use std::time::Duration;
use testkit::checker::{judge, one_leader, rising_terms};
use testkit::cluster::{member, online, settled, stage};
use testkit::proxy::Mode;
use testkit::redis_server::free_port;
use testkit::sampler::sampled;
use testkit::turn::beside;
use testkit::wait::secs;
use testkit::{Launch, Proxy, RedisOptions, RedisServer, Trio, eventually, hold, stamp};

/// Stops Redis for a time that is longer than the TTL of 6 s, and the lease.
fn redis_stops_for(time: Duration) {
    let redis = RedisServer::start();
    let trio = Trio::with(|launch| launch.redis(&redis).timing(2.0, 6.0, 6.0));
    let leader = trio.settled(secs(20.0));
    let before = trio.nodes[leader].state()["term"].as_u64();
    let nodes: Vec<_> = trio.nodes.iter().collect();
    redis.pause();
    let at = stamp();
    let ((), samples) = sampled(&nodes, || hold(time, "Redis stays stopped for longer than the TTL"));
    let resumed = stamp();
    redis.resume();
    let late: Vec<_> = samples.iter().filter(|s| s.leads && s.sent > at + secs(1.0) && s.sent < resumed).collect();
    assert!(late.is_empty(), "leads more than presence_grace after Redis stopped: {late:?}");
    let ((), samples) = sampled(&nodes, || {
        trio.settled(secs(15.0));
        hold(secs(7.0), "one TTL more, in which a wrong verdict on the silence would come");
    });
    judge("one leader at a time", &one_leader(&samples));
    for node in &trio.nodes {
        let left: Vec<_> = node.events().into_iter().filter(|event| event["event"] == "cluster.node_left").collect();
        assert!(left.is_empty(), "{left:?}");
        judge("terms rise", &rising_terms(&node.events()));
        assert!(node.state()["term"].as_u64() >= before);
    }
    trio.nodes[0].ok("distributed.sync_messages", json!({"messages": [{"id": "after", "payload": 1}]}));
    let got = trio.nodes[1].ok("distributed.sync_messages", json!({"wait_ms": 5000}));
    assert_eq!(got["received"][0]["id"], "after", "{got}");
}

#[test]
fn nobody_leaves_while_redis_stops_for_two_ttls() {
    redis_stops_for(secs(12.0));
}

#[test]
#[ignore = "long: holds Redis stopped for a minute"]
fn nobody_leaves_while_redis_stops_for_a_minute() {
    redis_stops_for(secs(60.0));
}

#[test]
fn nobody_leaves_when_redis_restarts_with_its_data() {
    let mut redis = RedisServer::with(RedisOptions { appendonly: true, ..RedisOptions::default() });
    let trio = Trio::brisk(&redis);
    let nodes: Vec<_> = trio.nodes.iter().collect();
    let ((), samples) = sampled(&nodes, || {
        redis.kill9();
        hold(secs(3.0), "longer than the TTL of 2 s");
        redis.restart();
        trio.settled(secs(15.0));
        hold(secs(3.0), "one TTL and more, in which a wrong verdict would come");
    });
    judge("one leader at a time", &one_leader(&samples));
    for node in &trio.nodes {
        let left: Vec<_> = node.events().into_iter().filter(|event| event["event"] == "cluster.node_left").collect();
        assert!(left.is_empty(), "a restart made a live node leave: {left:?}");
    }
}

#[test]
fn a_node_whose_redis_is_not_there_yet_stays_up_and_keeps_messages() {
    let dir = stage();
    let mut redis = RedisServer::with(RedisOptions { appendonly: true, ..RedisOptions::default() });
    let other = Launch::new(dir.path(), "other").redis(&redis).brisk();
    {
        // The other member has joined once: its cursor stands before what follows.
        let other = other.start();
        other.until("it leads", secs(10.0), |state| state["role"] == "leader");
    }
    redis.kill9();
    let launch = Launch::new(dir.path(), "early").redis(&redis).brisk();
    let early = launch.start();
    let error = early.refused("distributed.join_cluster", Value::Null, -32002);
    assert_eq!((&error.data["kind"], &error.data["retryable"]), (&json!("redis_unavailable"), &json!(true)));
    early.refused("distributed.get_cluster_state", json!({"fresh": true}), -32002);
    let state = early.state();
    assert_eq!((&state["role"], &state["redis"]["status"]), (&json!("observer"), &json!("unavailable")), "{state}");
    let sent = early
        .ok("distributed.sync_messages", json!({"messages": [{"id": "e1", "payload": 1}, {"id": "e2", "payload": 2}]}));
    assert_eq!((&sent["queued"], &sent["published"]), (&json!(2), &json!(0)), "{sent}");
    assert_eq!(sent["entry_ids"], json!([null, null]));
    // They survive the end of the process, and are sent once though they are given a second time.
    early.kill9();
    let early = launch.start();
    let again = early
        .ok("distributed.sync_messages", json!({"messages": [{"id": "e2", "payload": 2}, {"id": "e3", "payload": 3}]}));
    assert_eq!((&again["duplicates"], &again["queued"]), (&json!(1), &json!(1)), "{again}");
    redis.restart();
    let other = other.start();
    let mut got: Vec<String> = Vec::new();
    eventually("the messages arrive", secs(20.0), || {
        let answer = other.ok("distributed.sync_messages", json!({"wait_ms": 200}));
        let ids = answer["received"].as_array().unwrap().iter().map(|m| m["id"].as_str().unwrap().to_owned());
        got.extend(ids);
        if got.len() >= 3 { Ok(()) } else { Err(format!("{got:?} {answer}")) }
    });
    assert_eq!(got, ["e1", "e2", "e3"], "once each, in the order given");
    let more = other.ok("distributed.sync_messages", json!({"wait_ms": 1000}));
    assert_eq!(more["received"], json!([]), "{more}");
    early.until("it joined by itself", secs(10.0), |state| state["role"] != "observer" && online(state).len() == 2);
}

#[test]
fn a_node_that_died_while_redis_was_away_is_back_with_it_and_not_a_ttl_later() {
    let _turn = beside();
    let dir = stage();
    let mut redis = RedisServer::with(RedisOptions { appendonly: true, ..RedisOptions::default() });
    let launch = Launch::new(dir.path(), "a").redis(&redis).timing(10.0, 60.0, 60.0);
    let node = launch.start();
    node.until("it leads", secs(10.0), |state| state["role"] == "leader");
    redis.kill9();
    node.kill9();
    let node = launch.start();
    node.until("it runs alone", secs(10.0), |state| state["role"] == "observer");
    redis.restart();
    node.until("it is a member again", secs(30.0), |state| state["role"] != "observer");
}

#[test]
fn nothing_listens_at_all_and_the_node_stays_up() {
    let _turn = beside();
    let dir = stage();
    let node = Launch::new(dir.path(), "a").port(free_port()).start();
    node.refused("distributed.join_cluster", Value::Null, -32002);
    assert_eq!(node.state()["redis"]["status"], "unavailable");
    node.close_stdin();
    node.exit_clean(secs(5.0));
}

#[test]
fn a_black_hole_is_noticed_and_left() {
    let redis = RedisServer::start();
    let proxy = Proxy::start(redis.port());
    let dir = stage();
    let far = Launch::new(dir.path(), "far").port(proxy.port()).brisk().start();
    let near = Launch::new(dir.path(), "near").redis(&redis).brisk().start();
    settled(&[&far, &near], secs(20.0));
    let ((), samples) = sampled(&[&far, &near], || {
        proxy.set(Mode::BlackHole);
        near.until("the cut-off node is no longer online", secs(10.0), |state| {
            member(state, "far").is_none_or(|far| far["status"] == "offline")
        });
        near.until("the other one leads", secs(10.0), |state| state["role"] == "leader");
        far.until("it knows that Redis is away", secs(10.0), |state| state["redis"]["status"] == "unavailable");
        let queued = far.ok("distributed.sync_messages", json!({"messages": [{"id": "h1", "payload": 1}], "limit": 0}));
        assert_eq!(queued["queued"], 1, "{queued}");
        proxy.set(Mode::Pass);
        settled(&[&far, &near], secs(20.0));
    });
    judge("one leader at a time", &one_leader(&samples));
    let got = near.ok("distributed.sync_messages", json!({"wait_ms": 5000}));
    assert_eq!(got["received"][0]["id"], "h1", "{got}");
}

#[test]
fn lost_replies_and_half_closed_connections_are_survived() {
    let redis = RedisServer::start();
    let proxy = Proxy::start(redis.port());
    let trio = Trio::with(|launch| launch.port(proxy.port()).brisk());
    let nodes: Vec<_> = trio.nodes.iter().collect();
    let ((), samples) = sampled(&nodes, || {
        for fault in 0..3 {
            let opened = proxy.opened();
            match fault {
                0 => proxy.drop_replies(5),
                1 => proxy.set(Mode::HalfClose),
                _ => proxy.cut(),
            }
            eventually("the nodes connect again", secs(15.0), || {
                if proxy.opened() > opened { Ok(()) } else { Err(proxy.opened()) }
            });
            proxy.set(Mode::Pass);
            trio.settled(secs(20.0));
        }
    });
    judge("one leader at a time", &one_leader(&samples));
}
