//! Redis comes back with an older copy of the data: what a node knows of itself wins over it.

use crate::support::cluster::{settled, stage};
use crate::support::wait::secs;
use crate::support::{Launch, RedisOptions, RedisServer, Serve};
use serde_json::{Value, json};
use tempfile::TempDir;

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
        let redis = RedisServer::with(RedisOptions { appendonly: true, ..RedisOptions::default() });
        let dir = stage();
        let launch = |id| Launch::new(dir.path(), id).redis(&redis).brisk();
        let (a, b) = (launch("a").start(), launch("b").start());
        settled(&[&a, &b], secs(20.0));
        Self { a, b, launch: launch("a"), redis, _dir: dir }
    }

    /// The row of `a`, as Redis has it once `fits` likes it.
    #[track_caller]
    fn a_becomes(&self, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
        crate::support::eventually(what, secs(20.0), || {
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
