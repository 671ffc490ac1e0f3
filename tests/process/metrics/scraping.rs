//! The numbers of real nodes against what happened to them.

use super::{address, watched};
use serde_json::{Value, json};
use std::net::SocketAddr;
use testkit::cluster::{settled, stage};
use testkit::command::clawster;
use testkit::exposition::{Scrape, scrape};
use testkit::wait::secs;
use testkit::{Launch, RedisServer, Serve, Trio, eventually, hold, stamp};

/// Scrapes until a number is as it should be.
#[track_caller]
fn until(address: SocketAddr, what: &str, look: impl Fn(&Scrape) -> bool) -> Scrape {
    eventually(what, secs(20.0), || {
        let seen = scrape(address);
        if look(&seen) { Ok(seen) } else { Err(seen.text) }
    })
}

#[test]
fn three_nodes_tell_one_leader_their_members_and_their_heartbeats() {
    let redis = RedisServer::start();
    let trio = Trio::with(|launch| watched(launch.redis(&redis).brisk()));
    let leader = trio.settled(secs(20.0));
    let addresses: Vec<SocketAddr> = trio.nodes.iter().map(address).collect();
    let before: Vec<Scrape> = addresses.iter().map(|at| scrape(*at)).collect();
    let leaders: Vec<f64> = before.iter().map(|seen| seen.of("clawster_leader")).collect();
    assert_eq!(leaders.iter().sum::<f64>(), 1.0, "{leaders:?}");
    assert_eq!(leaders[leader], 1.0);
    for (seen, launch) in before.iter().zip(&trio.launches) {
        assert_eq!((seen.of("clawster_up"), seen.of("clawster_redis_up")), (1.0, 1.0));
        assert_eq!(seen.of(r#"clawster_nodes{status="online"}"#), 3.0, "{}", seen.text);
        assert_eq!(seen.of(r#"clawster_nodes{status="left"}"#), 0.0);
        let lease = seen.of("clawster_lease_seconds");
        assert!(lease > 0.0 && lease <= 3.0, "{lease}");
        let info = format!(r#"clawster_info{{cluster="openclaw",node_id="{}",version=""#, launch.label);
        assert!(seen.samples.keys().any(|series| series.starts_with(&info)), "{}", seen.text);
        assert!(seen.of("clawster_memory_bytes") > 1e6 && seen.of("clawster_cpu_seconds_total") > 0.0);
    }
    let began = stamp();
    hold(secs(2.0), "heartbeats come each half second");
    let after = scrape(addresses[0]);
    let passed = (stamp() - began).as_secs_f64();
    let ok = r#"clawster_heartbeats_total{outcome="ok"}"#;
    let beats = after.of(ok) - before[0].of(ok);
    assert!(beats >= 2.0 && beats <= 2.0 + 4.0 * passed, "{beats} heartbeats in {passed} s");
    for spread in ["clawster_heartbeat_round_trip_seconds", "clawster_heartbeat_delay_seconds"] {
        assert_eq!(after.of(&format!("{spread}_count")), after.of(ok));
    }
    let ticks = after.of(r#"clawster_redis_calls_total{call="tick",outcome="ok"}"#);
    assert!(ticks >= after.of(ok), "{ticks} ticks");
    trio.nodes[leader].kill9();
    let other = usize::from(leader == 0);
    let changes = before[other].of("clawster_leader_changes_total");
    until(addresses[other], "another leader is counted", |seen| {
        seen.of("clawster_leader_changes_total") > changes
            && seen.of(r#"clawster_events_total{event="node_left"}"#) >= 1.0
            && seen.of(r#"clawster_nodes{status="offline"}"#) == 1.0
    });
}

#[test]
fn messages_requests_tasks_and_leases_are_counted_as_they_happen() {
    let redis = RedisServer::start();
    let dir = stage();
    let (first, second) = (
        watched(Launch::new(dir.path(), "a").redis(&redis).brisk()),
        watched(Launch::new(dir.path(), "b").redis(&redis).brisk()),
    );
    let (a, b) = (first.start(), second.start());
    settled(&[&a, &b], secs(20.0));
    let (at, there) = (address(&a), address(&b));
    let messages: Vec<Value> = (0..25).map(|n| json!({"id": format!("m{n}"), "payload": n})).collect();
    a.ok("distributed.sync_messages", json!({"messages": messages, "limit": 0}));
    a.ok("distributed.sync_messages", json!({"messages": messages, "limit": 0}));
    b.ok("distributed.sync_messages", json!({"limit": 100, "wait_ms": 5000}));
    until(at, "what was sent is counted once", |seen| {
        seen.of("clawster_messages_sent_total") == 25.0 && seen.of("clawster_outbox_messages") == 0.0
    });
    until(there, "what was received is counted, and acknowledged", |seen| {
        seen.of("clawster_messages_received_total") == 25.0 && seen.of("clawster_message_lag") == 0.0
    });
    work(&a);
    let seen = until(there, "the census is the cluster's, whoever is asked", |seen| {
        seen.of(r#"clawster_tasks{state="done"}"#) == 1.0 && seen.of("clawster_leases") == 1.0
    });
    for (state, count) in [("waiting", 1.0), ("delayed", 1.0), ("running", 1.0), ("failed", 0.0), ("dead", 1.0)] {
        assert_eq!(seen.of(&format!(r#"clawster_tasks{{state="{state}"}}"#)), count, "{state}");
    }
    until(at, "each beat but the newest is recorded in Redis by the next", |seen| {
        let recorded = seen.of("clawster_history_recorded_total");
        recorded >= 1.0 && recorded < seen.of(r#"clawster_heartbeats_total{outcome="ok"}"#)
    });
    let seen = scrape(at);
    let requests = |method: &str, outcome: &str| {
        seen.of(&format!(r#"clawster_requests_total{{method="distributed.{method}",outcome="{outcome}"}}"#))
    };
    assert_eq!(requests("sync_messages", "ok"), 2.0);
    assert_eq!((requests("complete_task", "ok"), requests("complete_task", "stale_token")), (1.0, 1.0));
    assert_eq!(seen.of(r#"clawster_request_seconds_count{method="distributed.complete_task"}"#), 2.0);
    assert!(seen.of(r#"clawster_redis_calls_total{call="publish",outcome="ok"}"#) >= 1.0);
}

/// Leaves a task in each state but failed, and a lease.
fn work(node: &Serve) {
    node.ok("distributed.acquire_lease", json!({"name": "bot", "ttl_ms": 60_000}));
    let submit = |id: &str, more: Value| {
        let mut task = json!({"id": id, "kind": "mail", "payload": 1});
        task.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        node.ok("distributed.submit_task", task);
    };
    let claim = || node.ok("distributed.claim_tasks", json!({"kinds": ["mail"]}))["tasks"][0].clone();
    submit("done", json!({}));
    let task = claim();
    let done = json!({"task_id": "done", "token": task["token"], "result": 1});
    node.ok("distributed.complete_task", done.clone());
    let stale = json!({"task_id": "done", "token": 1});
    node.refused("distributed.complete_task", stale, -32007);
    submit("dead", json!({"max_attempts": 1}));
    let task = claim();
    node.ok("distributed.fail_task", json!({"task_id": "dead", "token": task["token"], "error": "it broke"}));
    submit("runs", json!({}));
    assert_eq!(claim()["task_id"], "runs");
    submit("waits", json!({}));
    submit("later", json!({"delay_ms": 600_000}));
}

#[test]
fn invented_names_make_no_labels() {
    let redis = RedisServer::start();
    let dir = stage();
    let node = watched(Launch::new(dir.path(), "a").redis(&redis).brisk()).start();
    node.until("it leads", secs(20.0), |state| state["role"] == "leader");
    let at = address(&node);
    let series = |seen: &Scrape| seen.samples.keys().filter(|name| name.contains("request")).count();
    node.refused("invented.first", Value::Null, -32601);
    let before = series(&scrape(at));
    let pending: Vec<_> =
        (0..1_000).map(|n| node.request(&format!("invented.{n}\"}}\n"), Value::Null).expect("it takes it")).collect();
    for answer in pending {
        assert!(answer.wait(secs(30.0)).expect("an answer").result.is_err());
    }
    let seen = scrape(at);
    assert_eq!(series(&seen), before, "{}", seen.text);
    assert_eq!(seen.of(r#"clawster_requests_total{method="unknown",outcome="method_not_found"}"#), 1_001.0);
    assert!(!seen.text.contains("invented"));
}

#[test]
fn the_same_numbers_come_with_the_state_when_they_are_asked_for() {
    let redis = RedisServer::start();
    let dir = stage();
    let launch = watched(Launch::new(dir.path(), "a").redis(&redis).brisk());
    let node = launch.start();
    node.until("it leads", secs(20.0), |state| state["role"] == "leader");
    assert!(node.state().get("metrics").is_none());
    let state = node.ok("distributed.get_cluster_state", json!({"metrics": true}));
    let metrics = state["metrics"].as_object().expect("the numbers").clone();
    let seen = scrape(address(&node));
    let names = |map: &serde_json::Map<String, Value>| map.keys().cloned().collect::<Vec<_>>();
    let scraped: Vec<String> = seen.samples.keys().cloned().collect();
    let missing: Vec<_> = names(&metrics).into_iter().filter(|name| !scraped.contains(name)).collect();
    assert!(missing.is_empty(), "{missing:?}");
    assert_eq!((&metrics["clawster_leader"], &metrics["clawster_up"]), (&json!(1), &json!(1)));
    assert_eq!(metrics[r#"clawster_tasks{state="waiting"}"#], 0);
    let shown = clawster(&launch, &["status", "--metrics"]).expect(0).stdout;
    for name in ["clawster_leader ", r#"clawster_nodes{status="online"}"#, "This node  a (leader, process "] {
        assert!(shown.contains(name), "{name}: {shown}");
    }
    let json = clawster(&launch, &["status", "--metrics", "--json"]).expect(0).json();
    assert_eq!(json["metrics"]["clawster_up"], 1);
    assert!(clawster(&launch, &["status", "--json"]).expect(0).json().get("metrics").is_none());
    node.close_stdin();
    node.exit_clean(secs(5.0));
    let gone = clawster(&launch, &["status", "--metrics"]).expect(2);
    assert!(gone.stderr.contains("clawster serve"), "{}", gone.stderr);
}

#[test]
fn the_census_is_asked_for_only_with_metrics_and_at_most_each_five_seconds() {
    let redis = RedisServer::start();
    let dir = stage();
    let node = watched(Launch::new(dir.path(), "a").redis(&redis).brisk()).start();
    node.until("it leads", secs(20.0), |state| state["role"] == "leader");
    let at = address(&node);
    let asked = |seen: &Scrape| seen.sum("clawster_redis_calls_total", r#"call="census""#);
    hold(secs(1.5), "three heartbeats, of which none may count tasks");
    let began = stamp();
    let first = scrape(at);
    for _ in 0..50 {
        scrape(at);
    }
    let last = asked(&scrape(at));
    let most = 2.0 + (stamp() - began).as_secs_f64() / 5.0;
    assert!(asked(&first) <= 1.0 && last >= 1.0 && last <= most, "{last} of at most {most}");
}
