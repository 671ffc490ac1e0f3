//! Health in every state of a node: before it joins, as a member, without Redis, after it left, frozen, killed.

use super::{address, becomes, watched};
use serde_json::{Value, json};
use testkit::cluster::stage;
use testkit::command::clawster;
use testkit::exposition::{page, scrape};
use testkit::wait::secs;
use testkit::{Launch, RedisServer, Serve, eventually, stamp};

/// Waits until `status --check` ends with this code; returns its line.
#[track_caller]
fn checks(launch: &Launch, code: i32) -> String {
    eventually(&format!("status --check ends with {code}"), secs(20.0), || {
        let outcome = clawster(launch, &["status", "--check"]);
        let json = clawster(launch, &["status", "--check", "--json"]);
        let both = (outcome.code, json.code) == (Some(code), Some(code));
        both.then(|| outcome.stdout.clone()).ok_or(format!("{outcome:?}"))
    })
}

/// What a check says must be one line.
#[track_caller]
fn says(text: &str, word: &str) {
    assert!(text.lines().count() == 1 && text.contains(word), "{text:?} does not say {word:?}");
}

fn leads(node: &Serve) {
    node.until("it leads", secs(20.0), |state| state["role"] == "leader");
}

#[test]
fn a_node_is_ready_from_its_join_to_its_leave_and_healthy_all_the_time() {
    let redis = RedisServer::start();
    let dir = stage();
    let launch = watched(Launch::new(dir.path(), "a").redis(&redis).brisk()).env("CLAWSTER__NODE__AUTO_JOIN", "false");
    says(&checks(&launch, 1), "no clawster node");
    let node = launch.start();
    let at = address(&node);
    assert_eq!(page(at, "/healthz"), (200, "ok\n".to_owned()));
    says(&becomes(at, "/readyz", 503), "this node is not a member of the cluster");
    says(&checks(&launch, 1), "is not a member");
    assert_eq!(scrape(at).of("clawster_up"), 0.0);
    node.ok("distributed.join_cluster", Value::Null);
    assert_eq!(becomes(at, "/readyz", 200), "ready\n");
    says(&checks(&launch, 0), "healthy: node a, leader a, Redis ok");
    let json = clawster(&launch, &["status", "--check", "--json"]).expect(0).json();
    assert_eq!((&json["healthy"], &json["why"], &json["node_id"]), (&json!(true), &Value::Null, &json!("a")), "{json}");
    node.ok("distributed.leave_cluster", Value::Null);
    says(&becomes(at, "/readyz", 503), "this node is not a member");
    assert_eq!(page(at, "/healthz").0, 200);
    says(&checks(&launch, 1), "is not a member");
    node.close_stdin();
    node.exit_clean(secs(5.0));
    says(&checks(&launch, 1), "no clawster node");
}

#[test]
fn while_redis_hangs_scrapes_and_probes_are_answered_at_once() {
    let redis = RedisServer::alone();
    let dir = stage();
    let launch = watched(Launch::new(dir.path(), "a").redis(&redis).brisk());
    let node = launch.start();
    leads(&node);
    let at = address(&node);
    node.ok("distributed.submit_task", json!({"id": "t", "kind": "mail", "payload": 1}));
    assert_eq!(becomes(at, "/readyz", 200), "ready\n");
    eventually("the census has the task", secs(10.0), || {
        let seen = scrape(at);
        if seen.of(r#"clawster_tasks{state="waiting"}"#) == 1.0 { Ok(()) } else { Err(seen.text) }
    });
    redis.pause();
    let end = stamp() + secs(8.0);
    let mut longest = secs(0.0);
    while stamp() < end {
        let began = stamp();
        let seen = scrape(at);
        assert_eq!(page(at, "/healthz").0, 200, "the process is well");
        page(at, "/readyz");
        longest = longest.max(stamp() - began);
        assert_eq!(seen.of(r#"clawster_tasks{state="waiting"}"#), 1.0, "the last census is told");
    }
    assert!(longest < secs(1.0), "three pages took {longest:?}");
    says(&becomes(at, "/readyz", 503), "Redis does not answer");
    says(&checks(&launch, 3), "Redis does not answer");
    let seen = scrape(at);
    assert_eq!((seen.of("clawster_redis_up"), seen.of("clawster_leader")), (0.0, 0.0));
    assert!(seen.of(r#"clawster_heartbeats_total{outcome="failed"}"#) >= 1.0, "{}", seen.text);
    assert!(seen.sum("clawster_redis_calls_total", r#"outcome="unavailable""#) >= 1.0);
    let queued = json!({"messages": [{"id": "m", "payload": "x"}], "limit": 0});
    node.ok("distributed.sync_messages", queued);
    let seen = scrape(at);
    assert!(seen.of("clawster_outbox_messages") == 1.0 && seen.of("clawster_outbox_bytes") > 0.0, "{}", seen.text);
    redis.resume();
    assert_eq!(becomes(at, "/readyz", 200), "ready\n");
    says(&checks(&launch, 0), "healthy");
}

#[test]
fn a_host_whose_node_was_killed_or_frozen_is_unhealthy() {
    let redis = RedisServer::start();
    let dir = stage();
    let launch = Launch::new(dir.path(), "a").redis(&redis).brisk();
    let node = launch.start();
    leads(&node);
    says(&checks(&launch, 0), "healthy");
    node.stop();
    let frozen = clawster(&launch, &["status", "--check"]).expect(1);
    says(&frozen.stdout, "does not answer");
    assert!(frozen.took < secs(9.0), "{:?}", frozen.took);
    node.cont();
    says(&checks(&launch, 0), "healthy");
    node.kill9();
    // At once, while the cluster may still take it for alive.
    says(&clawster(&launch, &["status", "--check"]).expect(1).stdout, "no clawster node");
}

#[test]
fn a_host_of_one_shot_heartbeats_is_healthy_while_they_come() {
    let redis = RedisServer::start();
    let dir = stage();
    let launch = Launch::new(dir.path(), "cron").redis(&redis).timing(1.0, 4.0, 4.0);
    says(&checks(&launch, 1), "no clawster node");
    eventually("heartbeats lead", secs(20.0), || {
        let beat = clawster(&launch, &["heartbeat", "--json"]);
        if beat.stdout.contains(r#""role":"leader""#) { Ok(()) } else { Err(beat.stdout) }
    });
    says(&clawster(&launch, &["status", "--check"]).expect(0).stdout, "healthy: node cron");
    let stopped = checks(&launch, 1);
    assert!(stopped.contains("no leader") || stopped.contains("have stopped"), "{stopped}");
    redis.pause();
    says(&checks(&launch, 3), "Redis");
    redis.resume();
}
