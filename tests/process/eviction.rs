//! A Redis that may drop data to make room for others.

use serde_json::json;
use testkit::wait::secs;
use testkit::{Launch, RedisServer, clawster, eventually};

/// A server whose memory is limited, and what it does at the limit.
fn limited(policy: &str, limit: &str) -> RedisServer {
    let redis = RedisServer::start();
    set(&redis, policy, limit);
    redis
}

fn set(redis: &RedisServer, policy: &str, limit: &str) {
    assert_eq!(redis.cli(&["CONFIG", "SET", "maxmemory-policy", policy]), "OK");
    assert_eq!(redis.cli(&["CONFIG", "SET", "maxmemory", limit]), "OK");
}

#[test]
fn what_writes_refuses_a_redis_that_evicts() {
    let dir = tempfile::tempdir().expect("a folder");
    let redis = limited("allkeys-lru", "64mb");
    let launch = Launch::new(dir.path(), "a").redis(&redis);
    for policy in ["allkeys-lru", "volatile-ttl"] {
        set(&redis, policy, "64mb");
        for command in [
            &["serve"][..],
            &["heartbeat"],
            &["run", "--lease", "x", "--no-wait", "--", "true"],
            &["once", "--key", "k", "--ttl", "1m", "--", "true"],
        ] {
            let said = clawster(&launch, command).expect(1);
            assert!(said.stderr.contains(policy), "{command:?}: {}", said.stderr);
            assert!(said.stderr.contains("CONFIG SET maxmemory-policy noeviction"), "{command:?}: {}", said.stderr);
        }
    }
    assert_eq!(redis.cli(&["DBSIZE"]), "0", "nothing was written");
    // Nothing is evicted where memory has no limit; the doctor warns.
    set(&redis, "allkeys-lru", "0");
    clawster(&launch, &["heartbeat"]).expect(0);
    clawster(&launch, &["once", "--key", "k", "--ttl", "1m", "--", "true"]).expect(0);
    let doctor = clawster(&launch, &["doctor"]).expect(0);
    assert!(doctor.stdout.contains("harmless only while maxmemory is 0"), "{}", doctor.stdout);
}

#[test]
fn a_redis_that_evicts_and_answers_late_admits_nobody_until_it_does_not() {
    let dir = tempfile::tempdir().expect("a folder");
    let redis = limited("allkeys-lru", "64mb");
    redis.pause();
    let node = Launch::new(dir.path(), "a").redis(&redis).brisk().start();
    eventually("the node is there", secs(20.0), || match node.state()["role"].as_str() {
        Some("observer") => Ok(()),
        other => Err(format!("{other:?}")),
    });
    redis.resume();
    let state = node.until("it says why it does not join", secs(20.0), |state| {
        state["redis"]["trouble"].as_str().is_some_and(|why| why.contains("maxmemory-policy noeviction"))
    });
    assert_eq!((&state["role"], &state["redis"]["status"]), (&json!("observer"), &json!("unavailable")), "{state}");
    let refused = node.refused("distributed.join_cluster", json!({}), -32002);
    assert!(refused.message.contains("allkeys-lru"), "{refused:?}");
    set(&redis, "noeviction", "64mb");
    node.until("it joins", secs(20.0), |state| state["role"] == "leader" && state["redis"]["status"] == "ok");
}

#[test]
fn a_running_node_warns_of_a_policy_that_changes() {
    let dir = tempfile::tempdir().expect("a folder");
    let redis = limited("noeviction", "64mb");
    let launch = Launch::new(dir.path(), "a").redis(&redis).brisk();
    let node = launch.start();
    node.until("it leads", secs(20.0), |state| state["role"] == "leader");
    assert!(node.state()["redis"].get("trouble").is_none());
    set(&redis, "volatile-lru", "64mb");
    let state = node.until("it warns", secs(20.0), |state| state["redis"].get("trouble").is_some());
    assert_eq!((&state["role"], &state["redis"]["status"]), (&json!("leader"), &json!("ok")), "it goes on: {state}");
    let status = clawster(&launch, &["status"]).expect(0);
    assert!(status.stdout.contains("Warning") && status.stdout.contains("volatile-lru"), "{}", status.stdout);
    clawster(&launch, &["doctor"]).expect(1);
    let warnings = || node.stderr().matches("may drop the cluster's data").count();
    assert_eq!(warnings(), 1, "{}", node.stderr());
    set(&redis, "noeviction", "64mb");
    node.until("all is well", secs(20.0), |state| state["redis"].get("trouble").is_none());
    assert_eq!(warnings(), 1, "{}", node.stderr());
}
