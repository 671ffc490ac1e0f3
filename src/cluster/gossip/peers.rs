//! The other nodes as this one sees them by gossip.
//!
//! 1. What is shown of a node is its own word as of a time, and whether it answers now. Neither says anything about membership.
//! 2. A node that does not answer stays in the view for a day, one that said it leaves for ten minutes.
//!
//! Not here: who answers (`members.rs`), the words (`record.rs`).

use super::members::REMEMBERED;
use super::record::{Records, Says};
use crate::cluster::ids::NodeId;
use crate::cluster::time::{Moment, ServerTime};
use std::collections::BTreeMap;
use std::time::Duration;

/// How long a node that left is shown.
const LEFT_SHOWN: Duration = Duration::from_mins(10);

/// Why a node does not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Silence {
    /// It said that it leaves.
    Left,
    /// Nobody knows.
    Silent,
}

/// Another node, by gossip.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// The node.
    pub node_id: NodeId,
    /// Whether it answers this node, directly or through others.
    pub reachable: bool,
    /// What it said last.
    pub says: Says,
    /// When that was true, on the Redis server's clock as far as that node knows it.
    pub as_of: ServerTime,
}

/// Whether each node answers, and if not, since when and why.
#[derive(Debug, Default)]
pub(super) struct Peers(BTreeMap<NodeId, Option<(Moment, Silence)>>);

impl Peers {
    /// A node answers; false: it did before.
    pub(super) fn up(&mut self, node_id: &NodeId) -> bool {
        self.0.insert(node_id.clone(), None) != Some(None)
    }

    /// A node does not answer; false: it did not before.
    pub(super) fn down(&mut self, now: Moment, node_id: &NodeId, silence: Silence) -> bool {
        matches!(self.0.insert(node_id.clone(), Some((now, silence))), Some(None))
    }

    /// Removes the nodes that are not shown any more, and returns them.
    pub(super) fn forgotten(&mut self, now: Moment) -> Vec<NodeId> {
        let over = |gone: &mut Option<(Moment, Silence)>| {
            gone.is_some_and(|(since, silence)| {
                now.since(since) > if silence == Silence::Left { LEFT_SHOWN } else { REMEMBERED }
            })
        };
        self.0.extract_if(.., |_, gone| over(gone)).map(|(id, _)| id).collect()
    }

    pub(super) fn view(&self, records: &Records) -> Vec<Peer> {
        let seen = |id: &NodeId| self.0.get(id).map(Option::is_none);
        let peers = records.iter().filter_map(|record| {
            let reachable = seen(&record.node_id)?;
            let (node_id, says) = (record.node_id.clone(), record.says.clone());
            Some(Peer { node_id, reachable, says, as_of: record.as_of })
        });
        peers.collect()
    }
}
