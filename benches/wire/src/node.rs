//! A node of clawster, and what is said to it.
//!
//! Not here: pairs of nodes (`pair.rs`).

use crate::pipes::Pipes;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;
use testkit::{Launch, RedisServer, eventually};

/// A running node.
pub struct Node {
    pub pipes: Pipes,
}

impl Node {
    /// Starts a node of a cluster.
    pub fn start(program: &Path, dir: &Path, cluster: &str, id: &str, redis: &RedisServer) -> Self {
        let launch = Launch::new(dir, id).redis(redis).env("CLAWSTER__CLUSTER__NAME", cluster);
        let mut command = Command::new(program);
        command.arg("serve").env_clear().envs(launch.environment()).current_dir(&launch.home).stderr(Stdio::null());
        Self { pipes: Pipes::start(&mut command) }
    }

    /// Waits until it sees this many members, and a leader.
    pub fn settle(&mut self, members: usize) {
        eventually("the node sees its cluster", Duration::from_secs(30), || {
            let state = self.pipes.ask(r#"{"jsonrpc":"2.0","id":1,"method":"distributed.get_cluster_state"}"#);
            let online = state.matches(r#""status":"online""#).count();
            if online == members && !state.contains(r#""leader_id":null"#) { Ok(()) } else { Err(state) }
        });
    }
}

/// Several nodes of one cluster.
pub fn cluster(program: &Path, dir: &Path, name: &str, ids: &[&str], redis: &RedisServer) -> Vec<Node> {
    let start = |id: &&str| Node::start(program, dir, name, &format!("{name}-{id}"), redis);
    let mut nodes: Vec<Node> = ids.iter().map(start).collect();
    nodes.iter_mut().for_each(|node| node.settle(ids.len()));
    nodes
}
