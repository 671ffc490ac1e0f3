//! Three nodes on one Redis, the usual stage.
//!
//! 1. Each node has directories of its own, as if on a host of its own.
//!
//! Not here: what is done to them.

use crate::redis_server::RedisServer;
use crate::serve::{Launch, Serve};
use crate::wait::{eventually, secs};
use serde_json::Value;
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;

/// A directory for a test's nodes.
pub fn stage() -> TempDir {
    tempfile::Builder::new().prefix("clawster-").tempdir().expect("a directory for the test")
}

/// Three nodes named a, b and c; declared before the directory, so that they end before it goes.
#[derive(Debug)]
pub struct Trio {
    /// The processes.
    pub nodes: Vec<Serve>,
    /// How each was started.
    pub launches: Vec<Launch>,
    dir: TempDir,
}

impl Trio {
    /// Starts them at default configuration and waits until all agree.
    #[track_caller]
    pub fn start(redis: &RedisServer) -> Self {
        Self::with(|launch| launch.redis(redis))
    }

    /// Starts them with short times.
    #[track_caller]
    pub fn brisk(redis: &RedisServer) -> Self {
        Self::with(|launch| launch.redis(redis).brisk())
    }

    /// Starts them with a configuration of the test's own.
    #[track_caller]
    pub fn with(set: impl Fn(Launch) -> Launch) -> Self {
        let dir = stage();
        let launches: Vec<Launch> = ["a", "b", "c"].iter().map(|id| set(Launch::new(dir.path(), id))).collect();
        let nodes: Vec<Serve> = launches.iter().map(Launch::start).collect();
        let trio = Self { nodes, launches, dir };
        for node in &trio.nodes {
            node.subscribe(Value::Null, None);
        }
        trio.settled(secs(20.0));
        trio
    }

    /// The directory of the test.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Waits until all running nodes see each other online and name the same leader, which says so itself; returns its place.
    #[track_caller]
    pub fn settled(&self, within: Duration) -> usize {
        settled(&self.nodes.iter().collect::<Vec<_>>(), within)
    }

    /// All nodes but this one.
    pub fn others(&self, place: usize) -> Vec<&Serve> {
        self.nodes.iter().enumerate().filter(|(at, _)| *at != place).map(|(_, node)| node).collect()
    }
}

/// Waits until these nodes see each other online and name the same leader, which says so itself; returns its place.
#[track_caller]
pub fn settled(nodes: &[&Serve], within: Duration) -> usize {
    eventually("all nodes agree on members and leader", within, || {
        let states: Vec<Value> = nodes.iter().map(|node| node.state()).collect();
        agreed(&states, nodes.len()).ok_or_else(|| states.iter().map(|state| format!("\n{state}")).collect::<String>())
    })
}

fn agreed(states: &[Value], members: usize) -> Option<usize> {
    let leaders: Vec<usize> = (0..states.len()).filter(|&at| states[at]["role"] == "leader").collect();
    let same =
        states.iter().all(|state| state["leader_id"].is_string() && state["leader_id"] == states[0]["leader_id"]);
    let terms = states.iter().all(|state| state["term"] == states[0]["term"]);
    let complete = states.iter().all(|state| online(state).len() == members);
    (leaders.len() == 1 && same && terms && complete).then(|| leaders[0])
}

/// How many messages this process has sent since somebody subscribed to `cluster.sync_complete`: Redis has them, and the replicas that
/// must confirm them.
pub fn sent(node: &Serve) -> u64 {
    let done = |event: &Value| event["event"] == "cluster.sync_complete" && event["direction"] == "sent";
    let notes = node.notes();
    notes.iter().map(|note| note.event()).filter(|event| done(event)).filter_map(|event| event["count"].as_u64()).sum()
}

/// The ids that a state lists as online.
pub fn online(state: &Value) -> Vec<String> {
    let nodes = state["nodes"].as_array().cloned().unwrap_or_default();
    let live = nodes.iter().filter(|node| node["status"] == "online");
    live.filter_map(|node| node["node_id"].as_str().map(str::to_owned)).collect()
}

/// What a state says of one node.
pub fn member(state: &Value, id: &str) -> Option<Value> {
    state["nodes"].as_array()?.iter().find(|node| node["node_id"] == id).cloned()
}
