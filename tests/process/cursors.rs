//! Where receiving goes on: a cursor has two witnesses, the node's disk and Redis.

use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::cluster::{settled, stage};
use testkit::wait::secs;
use testkit::{Launch, RedisOptions, RedisServer, Serve, eventually};

/// A sender and a receiver.
struct Pair {
    a: Serve,
    b: Serve,
    launch: Launch,
    redis: RedisServer,
    _dir: TempDir,
}

impl Pair {
    fn start() -> Self {
        let redis = RedisServer::with(RedisOptions { appendonly: true, ..RedisOptions::default() });
        let dir = stage();
        let launch = |id| Launch::new(dir.path(), id).redis(&redis).brisk();
        let (a, b) = (launch("a").start(), launch("b").start());
        settled(&[&a, &b], secs(20.0));
        Self { a, b, launch: launch("b"), redis, _dir: dir }
    }

    /// Starts `b` again and waits until it is a member.
    #[track_caller]
    fn start_b(&mut self) {
        self.b = self.launch.start();
        self.b.until("b is a member", secs(20.0), |state| state["role"] != "observer");
    }

    /// Sends messages of these ids from `a`, and waits until all are in the stream.
    #[track_caller]
    fn send(&self, ids: &[&str]) {
        let messages: Vec<Value> = ids.iter().map(|id| json!({"id": id, "payload": id})).collect();
        let ask = json!({"messages": messages, "limit": 0});
        eventually("the messages are in the stream", secs(20.0), || {
            let answer = self.a.ok("distributed.sync_messages", ask.clone());
            let known = answer["entry_ids"].as_array().is_some_and(|ids| ids.iter().all(|id| id.is_string()));
            if known { Ok(()) } else { Err(answer) }
        });
    }
}

/// The ids of what an answer brought.
fn received(answer: &Value) -> Vec<&str> {
    answer["received"].as_array().unwrap().iter().map(|message| message["id"].as_str().unwrap()).collect()
}

/// What `node` is given next, once something is.
#[track_caller]
fn next(node: &Serve, limit: u64) -> Value {
    eventually("something arrives", secs(20.0), || {
        let ask = json!({"limit": limit, "wait_ms": 1000, "auto_ack": false});
        let answer = node.ok("distributed.sync_messages", ask);
        if received(&answer).is_empty() { Err(answer) } else { Ok(answer) }
    })
}

#[test]
fn what_was_read_in_a_new_data_set_before_registering_there_is_gone_on_with() {
    let mut pair = Pair::start();
    pair.send(&["before"]);
    let first = next(&pair.b, 1);
    pair.b.ok("distributed.sync_messages", json!({"ack": first["cursor"], "limit": 0}));
    pair.b.stop();
    pair.redis.cli(&["FLUSHALL"]);
    pair.send(&["m1", "m2", "m3", "m4"]);
    // It may read there, but Redis takes no more of it.
    pair.redis.cli(&["CONFIG", "SET", "maxmemory", "100000"]);
    pair.b.cont();
    let read = next(&pair.b, 1);
    assert_eq!((received(&read), read["gap"].is_object()), (vec!["m1"], true), "{read}");
    pair.b.ok("distributed.sync_messages", json!({"ack": read["cursor"], "limit": 0}));
    pair.b.kill9();
    pair.redis.cli(&["CONFIG", "SET", "maxmemory", "0"]);
    pair.start_b();
    let rest = next(&pair.b, 100);
    assert!(received(&rest) == ["m2", "m3", "m4"] || rest["gap"].is_object(), "{rest}");
}

#[test]
fn an_acknowledgement_before_the_join_holds() {
    let mut pair = Pair::start();
    pair.send(&["pay"]);
    let delivered = next(&pair.b, 1);
    assert_eq!(received(&delivered), ["pay"]);
    // The client has done the work, and acknowledges at the next process, while Redis is away.
    pair.b.sigterm();
    pair.b.exit_clean(secs(10.0));
    pair.redis.pause();
    pair.b = pair.launch.start();
    pair.b.ok("distributed.sync_messages", json!({"ack": delivered["cursor"], "limit": 0}));
    pair.redis.resume();
    pair.b.until("b is a member", secs(20.0), |state| state["role"] != "observer");
    pair.send(&["after"]);
    assert_eq!(received(&next(&pair.b, 100)), ["after"]);
}

#[test]
fn an_acknowledgement_that_nobody_can_judge_yet_is_asked_for_again() {
    let mut pair = Pair::start();
    pair.send(&["m"]);
    let delivered = next(&pair.b, 1);
    pair.b.sigterm();
    pair.b.exit_clean(secs(10.0));
    pair.redis.pause();
    pair.b = pair.launch.start();
    let error = pair.b.refused("distributed.sync_messages", json!({"ack": "9007199254740000-0", "limit": 0}), -32002);
    assert_eq!(error.data["retryable"], true, "{error:?}");
    pair.redis.resume();
    pair.b.until("b is a member", secs(20.0), |state| state["role"] != "observer");
    pair.b.refused("distributed.sync_messages", json!({"ack": "9007199254740000-0", "limit": 0}), -32602);
    assert_eq!(next(&pair.b, 1)["cursor"], delivered["cursor"]);
}
