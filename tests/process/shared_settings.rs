//! Settings that the safety of all rests on: nodes whose files differ, and `config push` under a living leader.
//!
//! 1. What a takeover waits for is the holder's promise, not the claimant's file.

use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;
use testkit::checker::{judge, one_leader};
use testkit::cluster::{settled, stage};
use testkit::proxy::{Mode, Proxy};
use testkit::sampler::sampled;
use testkit::stamps::one_after_the_other;
use testkit::turn::beside;
use testkit::wait::{eventually, hold, secs};
use testkit::wrapper::{Stamps, Wrapper};
use testkit::{Launch, RedisServer, Serve, clawster, stamp};

const PATIENCE: Duration = Duration::from_secs(30);

fn setting(launch: Launch, grace: f64, mode: &str) -> Launch {
    launch.env("CLAWSTER__LEADER__PRESENCE_GRACE", &grace.to_string()).env("CLAWSTER__LEADER__MODE", mode)
}

fn node(base: &Path, id: &str, port: u16, grace: f64, mode: &str) -> Launch {
    setting(Launch::new(base, id).port(port).timing(2.0, 12.0, 12.0), grace, mode)
}

/// A leader `a` behind a proxy, and a follower `b` of another configuration: the leader is cut off from Redis.
fn cut_off(candidate: impl Fn(Launch) -> Launch) -> Serve {
    let redis = RedisServer::start();
    let proxy = Proxy::start(redis.port());
    let dir = stage();
    let a = node(dir.path(), "a", proxy.port(), 4.0, "exclusive").start();
    a.until("a leads", PATIENCE, |state| state["role"] == "leader");
    let b = candidate(node(dir.path(), "b", redis.port(), 4.0, "exclusive")).start();
    b.until("b follows", PATIENCE, |state| state["leader_id"] == "a");
    let (_, samples) = sampled(&[&a, &b], || {
        proxy.set(Mode::Drop);
        b.until("b leads", PATIENCE, |state| state["role"] == "leader");
        hold(secs(1.0), "the time in which two would lead at once");
    });
    judge("one leader at a time", &one_leader(&samples));
    let led = samples.iter().filter(|sample| sample.leads && sample.node == "b").count();
    assert!(led > 0, "b was never seen to lead");
    drop(a);
    b
}

#[test]
fn a_candidate_with_a_shorter_grace_waits_for_the_leaders() {
    let _turn = beside();
    let b = cut_off(|launch| setting(launch, 0.5, "exclusive"));
    let said = b.stderr();
    let warnings: Vec<&str> = said.lines().filter(|line| line.contains("leader.presence_grace")).collect();
    assert_eq!(warnings.len(), 1, "one warning: {said}");
    for words in ["leader.presence_grace is 4 s (configured here: 0.5 s)", "clawster config push", "WARN"] {
        assert!(warnings[0].contains(words), "{words} is missing in {}", warnings[0]);
    }
}

#[test]
fn a_fenced_candidate_waits_for_an_exclusive_leader() {
    let _turn = beside();
    cut_off(|launch| setting(launch, 4.0, "fenced"));
}

#[test]
fn a_wrapper_with_a_shorter_grace_waits_for_the_holders() {
    let _turn = beside();
    let redis = RedisServer::start();
    let proxy = Proxy::start(redis.port());
    let stamps = Stamps::new();
    let lease = |launch: Launch, grace| setting(launch.timing(2.0, 20.0, 20.0), grace, "exclusive");
    let _a = Wrapper::stamping(&lease(stamps.launch(&redis, "a").port(proxy.port()), 6.0), &["--ttl", "20s"]);
    stamps.after("a's command runs", stamp() - secs(60.0), PATIENCE, |_| true);
    let b = Wrapper::stamping(&lease(stamps.launch(&redis, "b"), 0.5), &["--ttl", "20s"]);
    b.says("waiting", PATIENCE);
    let cut = stamp();
    proxy.set(Mode::Drop);
    stamps.after("b's command runs", cut, PATIENCE, |stamp| stamp.wrapper == "b");
    if let Err(wrong) = one_after_the_other(&stamps.read()) {
        panic!("two commands under one lease: {wrong}");
    }
}

/// What `config push` with these arguments says, as JSON.
fn push(launch: &Launch, rest: &[&str]) -> Value {
    let arguments: Vec<&str> = ["config", "push", "--json"].iter().chain(rest).copied().collect();
    clawster(launch, &arguments).expect(0).json()
}

#[test]
fn pushed_settings_reach_all_nodes_and_leave_one_leader_while_connections_drop() {
    let _turn = beside();
    let redis = RedisServer::start();
    let dir = stage();
    let proxies: Vec<Proxy> = (0..3).map(|_| Proxy::start(redis.port())).collect();
    let set = |launch: Launch, grace| setting(launch.timing(0.5, 3.0, 3.0), grace, "exclusive");
    let started = ["a", "b", "c"].iter().zip(&proxies);
    let nodes: Vec<Serve> =
        started.map(|(id, proxy)| set(Launch::new(dir.path(), id).port(proxy.port()), 0.5).start()).collect();
    let all: Vec<&Serve> = nodes.iter().collect();
    settled(&all, PATIENCE);
    let push_with = |grace: f64| push(&set(Launch::new(dir.path(), "host").redis(&redis), grace), &[]);
    let ((), samples) = sampled(&all, || {
        for round in 0..6 {
            let grace = if round % 2 == 0 { 1.0 } else { 0.3 };
            proxies[round % 3].cut();
            let told = push_with(grace);
            assert_eq!(told["changed"], true, "{told}");
            proxies[(round + 1) % 3].cut();
            // Whoever leads is cut off for longer than the longer grace, so that another one takes over.
            let leader = settled(&all, PATIENCE);
            proxies[leader].set(Mode::Drop);
            let others: Vec<&Serve> = (0..3).filter(|at| *at != leader).map(|at| all[at]).collect();
            eventually("another one leads", PATIENCE, || {
                let led = others.iter().any(|node| node.state()["role"] == "leader");
                if led { Ok(()) } else { Err("nobody") }
            });
            proxies[leader].set(Mode::Pass);
        }
    });
    judge("one leader at a time", &one_leader(&samples));
    settled(&all, PATIENCE);
    let last = push_with(0.3);
    assert_eq!((&last["changed"], &last["leader"]["confirmed"]), (&json!(false), &json!(true)), "{last}");
    for node in &nodes {
        let words = "the cluster's settings changed: leader.presence_grace 1 s -> 0.3 s";
        eventually("each node tells the change", PATIENCE, || {
            let said = node.stderr();
            if said.contains(words) { Ok(()) } else { Err(said) }
        });
    }
}

#[test]
fn config_push_shows_what_it_would_change_and_joins_nothing() {
    let _turn = beside();
    let redis = RedisServer::start();
    let dir = stage();
    let launch = node(dir.path(), "a", redis.port(), 4.0, "exclusive");
    let empty = push(&launch, &["--dry-run"]);
    assert_eq!((&empty["changed"], &empty["changes"]), (&json!(false), &json!(true)), "{empty}");
    let a = launch.start();
    a.until("a leads", PATIENCE, |state| state["role"] == "leader");
    let host = node(dir.path(), "host", redis.port(), 2.0, "fenced");
    let grace = |told: &Value| {
        let rows = told["settings"].as_array().expect("rows").clone();
        rows.into_iter().find(|row| row["key"] == "leader.presence_grace").expect("the grace")
    };
    let dry = push(&host, &["--dry-run"]);
    assert_eq!(grace(&dry), json!({"key": "leader.presence_grace", "before": "4 s", "after": "2 s"}));
    assert_eq!(dry["changed"], false, "{dry}");
    let text = clawster(&host, &["config", "push", "--dry-run"]).expect(0).stdout;
    assert!(text.contains("Nothing was changed"), "{text}");
    let done = push(&host, &[]);
    assert_eq!(done["leader"], json!({"node_id": "a", "confirmed": true}), "{done}");
    assert_eq!(grace(&push(&launch, &["--dry-run"]))["before"], "2 s");
    let nodes = a.state()["nodes"].as_array().map(Vec::len);
    assert_eq!(nodes, Some(1), "nothing joined");
    launch.config(r#"{"leader": {"lease_ttl": 3}}"#);
    let wrong = clawster(&launch.env("CLAWSTER__LEADER__LEASE_TTL", ""), &["config", "push"]);
    assert_eq!(wrong.code, Some(1), "{}", wrong.stderr);
    assert!(wrong.stderr.contains("leader.lease_ttl"), "{}", wrong.stderr);
    drop(redis);
    let away = clawster(&host, &["config", "push"]);
    assert_eq!(away.code, Some(3), "{}", away.stderr);
}

#[test]
fn the_first_node_back_after_a_loss_does_not_set_the_settings() {
    let _turn = beside();
    let redis = RedisServer::start();
    let dir = stage();
    let launch = node(dir.path(), "a", redis.port(), 4.0, "exclusive");
    let a = launch.start();
    a.until("a leads", PATIENCE, |state| state["role"] == "leader");
    // A fresh host with other settings is back in the data set before the leader.
    let fresh = setting(Launch::new(dir.path(), "c").redis(&redis).timing(0.5, 3.0, 3.0), 0.3, "fenced");
    a.stop();
    redis.cli(&["FLUSHALL"]);
    let c = fresh.start();
    c.until("c is a member", PATIENCE, |state| state["nodes"].as_array().is_some_and(|nodes| !nodes.is_empty()));
    a.cont();
    eventually("the leader's settings are the cluster's", PATIENCE, || {
        let told = push(&launch, &["--dry-run"]);
        if told["changes"] == false { Ok(()) } else { Err(told) }
    });
    hold(secs(0.5), "an answer that was under way");
    drop(c);
}
