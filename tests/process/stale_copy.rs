//! Redis comes back with an older copy of the data: what a node knows of itself wins over it.

use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::cluster::{sent, settled, stage};
use testkit::wait::secs;
use testkit::{Launch, RedisOptions, RedisServer, Serve};

/// Two members on a Redis that keeps what it is told.
struct Pair {
    a: Serve,
    b: Serve,
    launch: Launch,
    redis: RedisServer,
    _dir: TempDir,
}

impl Pair {
    fn start() -> Self {
        Self::start_with(|launch| launch.brisk())
    }

    fn start_with(settings: impl Fn(Launch) -> Launch) -> Self {
        let redis = RedisServer::with(RedisOptions { appendonly: true, ..RedisOptions::default() });
        let dir = stage();
        let launch = |id| settings(Launch::new(dir.path(), id).redis(&redis));
        let (a, b) = (launch("a").start(), launch("b").start());
        settled(&[&a, &b], secs(20.0));
        Self { a, b, launch: launch("a"), redis, _dir: dir }
    }

    /// The row of `a`, as Redis has it once `fits` likes it.
    #[track_caller]
    fn a_becomes(&self, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
        testkit::eventually(what, secs(20.0), || {
            let state = self.b.call("distributed.get_cluster_state", json!({"fresh": true}));
            let state = state.map_err(|error| format!("{error:?}"))?;
            let nodes = state["nodes"].as_array().cloned().unwrap_or_default();
            nodes.iter().find(|node| node["node_id"] == "a" && fits(node)).cloned().ok_or_else(|| state.to_string())
        })
    }
}

#[test]
fn a_node_that_was_restarted_comes_back_from_a_copy_that_knows_its_earlier_life() {
    let mut pair = Pair::start();
    pair.redis.keep_copy();
    let earlier = pair.a_becomes("a is a member", |a| a["status"] == "online")["incarnation"].clone();
    pair.a.kill9();
    pair.a = pair.launch.start();
    pair.a.until("a is a member again", secs(20.0), |state| state["role"] != "observer");
    let own = pair.a_becomes("a lives again", |a| a["status"] == "online" && a["incarnation"] != earlier);
    pair.redis.restart_on_copy();
    pair.a_becomes("the later life is a member", |a| a["status"] == "online" && a["incarnation"] == own["incarnation"]);
    let lease = pair.a.ok("distributed.acquire_lease", json!({"name": "x", "ttl_ms": 1000}));
    assert_eq!(lease["acquired"], true, "{lease}");
    assert!(!pair.a.stderr().contains("took it over"), "{}", pair.a.stderr());
}

#[test]
fn draining_that_was_ended_stays_ended() {
    let mut pair = Pair::start();
    pair.a.ok("distributed.drain", json!({"enabled": true}));
    pair.redis.keep_copy();
    pair.a.ok("distributed.drain", json!({"enabled": false}));
    pair.a_becomes("a takes part again", |a| a["status"] == "online");
    let before = pair.redis.info("server", "run_id");
    pair.redis.restart_on_copy();
    assert_ne!(pair.redis.info("server", "run_id"), before);
    pair.a_becomes("a takes part on the copy, too", |a| a["status"] == "online");
    let lease = pair.a.ok("distributed.acquire_lease", json!({"name": "x", "ttl_ms": 1000}));
    assert_eq!(lease["acquired"], true, "{lease}");
}

#[test]
fn draining_that_began_goes_on() {
    let mut pair = Pair::start();
    pair.redis.keep_copy();
    pair.a.ok("distributed.drain", json!({"enabled": true}));
    pair.redis.restart_on_copy();
    pair.a_becomes("a still drains", |a| a["status"] == "draining");
}

#[test]
fn what_a_node_said_of_itself_is_said_again() {
    let mut pair = Pair::start();
    pair.redis.keep_copy();
    pair.a.ok("distributed.join_cluster", json!({"node_id": "a", "capabilities": ["gpu"], "endpoint": "http://new"}));
    pair.redis.restart_on_copy();
    let row = pair.a_becomes("the capabilities are there again", |a| a["capabilities"] == json!(["gpu"]));
    assert_eq!(row["endpoint"], "http://new", "{row}");
    let task = json!({"id": "t", "kind": "k", "payload": 1, "requires": {"capabilities": ["gpu"]}});
    pair.b.ok("distributed.submit_task", task);
    let claimed = pair.a.ok("distributed.claim_tasks", json!({"kinds": ["k"], "wait_ms": 10000}));
    assert_eq!(claimed["tasks"][0]["task_id"], "t", "{claimed}");
}

#[test]
fn messages_to_the_old_id_follow_a_rename_that_was_forgotten() {
    let mut pair = Pair::start();
    pair.redis.keep_copy();
    pair.a.ok("distributed.join_cluster", json!({"node_id": "renamed"}));
    pair.redis.restart_on_copy();
    // The copy has the old id as a member; its process says that it is another one now.
    pair.a_becomes("the old id has left", |a| a["status"] == "left");
    let message = json!({"id": "m", "to": ["a"], "payload": 1});
    pair.b.ok("distributed.sync_messages", json!({"messages": [message], "limit": 0}));
    testkit::eventually("the message to the old id arrives", secs(10.0), || {
        let got = pair.a.ok("distributed.sync_messages", json!({"wait_ms": 1000}));
        got["received"].as_array().unwrap().iter().any(|m| m["id"] == "m").then_some(()).ok_or(got)
    });
}

/// On the copy cluster time is an earlier one, so the dead process's deadline is further off: that is no sign of life.
#[test]
fn a_join_that_waits_for_a_killed_process_goes_on_when_redis_comes_back_on_a_copy() {
    let slow = |launch: Launch| launch.timing(1.0, 9.0, 9.0).env("CLAWSTER__LEADER__PRESENCE_GRACE", "3");
    let mut pair = Pair::start_with(slow);
    pair.redis.keep_copy();
    pair.a.kill9();
    pair.a = pair.launch.start();
    let asked = pair.redis.calls("evalsha");
    testkit::eventually("the join has been asked for more than once", secs(10.0), || {
        let calls = pair.redis.calls("evalsha");
        if calls > asked + 15 { Ok(()) } else { Err(calls) }
    });
    pair.redis.restart_on_copy();
    pair.a.until("a is a member again", secs(30.0), |state| state["role"] != "observer");
}

/// The copy lacks the newest messages. A node that was away still gets all that the copy holds, and is told of the rest.
#[test]
fn what_the_copy_holds_for_a_node_that_was_away_arrives() {
    let mut pair = Pair::start();
    pair.b.subscribe(json!(["cluster.sync_complete"]), None);
    pair.a.kill9();
    let send = |b: &Serve, range: std::ops::Range<u64>| {
        let messages: Vec<Value> = range.clone().map(|at| json!({"id": format!("m{at}"), "payload": at})).collect();
        b.ok("distributed.sync_messages", json!({"messages": messages, "limit": 0}));
        testkit::eventually("Redis has them", secs(10.0), || match sent(b) {
            sent if sent == range.end => Ok(()),
            sent => Err(sent),
        });
    };
    send(&pair.b, 0..20);
    pair.redis.keep_copy();
    send(&pair.b, 20..25);
    pair.redis.restart_on_copy();
    pair.a = pair.launch.start();
    let (mut got, mut gap) = (Vec::new(), Value::Null);
    testkit::eventually("the messages of the copy and the gap behind them", secs(20.0), || {
        let answer = pair.a.call("distributed.sync_messages", json!({"wait_ms": 500}));
        let answer = answer.map_err(|error| format!("{error:?}"))?;
        got.extend(answer["received"].as_array().unwrap().iter().map(|m| m["id"].as_str().unwrap().to_owned()));
        if !answer["gap"].is_null() {
            gap = answer["gap"].clone();
        }
        if gap.is_null() { Err(answer.to_string()) } else { Ok(()) }
    });
    assert_eq!(got, (0..20).map(|at| format!("m{at}")).collect::<Vec<_>>(), "{gap}");
    send(&pair.b, 25..26);
    let next = pair.a.ok("distributed.sync_messages", json!({"wait_ms": 10000}));
    assert_eq!((&next["received"][0]["id"], &next["gap"]), (&json!("m25"), &Value::Null), "{next}");
}
