//! Events: facts of the cluster, and local events of this node.
//!
//! 1. A cluster event has a `seq`; every node sees the same events in the same order, without holes.
//! 2. A local event has no `seq`.
//!
//! Not here: delivering events to clients (`crate::rpc`).

use super::gossip::Note;
use super::ids::{EventSeq, Incarnation, MessageSeq, NodeId, Term};
use super::task::{TaskId, TaskKind};
use super::time::ServerTime;
use crate::cluster::messages::message::Received;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// Why a node is no longer a live member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LeftReason {
    /// It left.
    Left,
    /// Its heartbeat deadline passed.
    HeartbeatTimeout,
    /// Its process died.
    ProcessDied,
    /// Another process took over its node id.
    Replaced,
    /// A reason that only a newer version knows.
    #[serde(other)]
    Other,
}

/// Why a leader was elected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ElectedReason {
    /// There was no leader.
    Vacant,
    /// The lease of the old leader expired.
    Expired,
    /// The old leader's process died.
    ProcessDied,
    /// Leadership was handed over on request.
    Handover,
    /// The old leader left.
    Resigned,
    /// A reason that only a newer version knows.
    #[serde(other)]
    Other,
}

/// Why leadership became vacant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LostReason {
    /// The leader makes room for another leader on request.
    Handover,
    /// The leader left.
    Resigned,
    /// Another process took over the node id of the leader.
    Replaced,
    /// A reason that only a newer version knows.
    #[serde(other)]
    Other,
}

/// What is wrong with Redis.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DegradedReason {
    /// Redis does not answer.
    #[default]
    Unreachable,
    /// Redis answers, but refuses the heartbeats of this node.
    RefusesWrites,
    /// Redis accepts heartbeats, but nothing that needs more memory.
    Full,
}

impl DegradedReason {
    /// The word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::RefusesWrites => "refuses_writes",
            Self::Full => "full",
        }
    }
}

/// Why a node does not answer by gossip.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SilenceReason {
    /// It said that it leaves.
    Left,
    /// It stopped answering without a word.
    Silent,
}

/// A fact of the cluster, in the order that all nodes share.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum ClusterFact {
    /// A node became a member.
    NodeJoined {
        /// The display name.
        name: String,
        /// The incarnation.
        incarnation: Incarnation,
        /// Whether the cluster knew the id before.
        rejoined: bool,
    },
    /// A node stopped being a live member.
    NodeLeft {
        /// The incarnation.
        incarnation: Incarnation,
        /// Why it is no longer a live member.
        reason: LeftReason,
    },
    /// A leader was granted a term.
    LeaderElected {
        /// The new leader.
        leader_id: NodeId,
        /// The term of the new leader.
        term: Term,
        /// The previous leader; `None`: there was none.
        previous_leader_id: Option<NodeId>,
        /// Why there was an election.
        reason: ElectedReason,
    },
    /// Leadership became vacant.
    LeaderLost {
        /// The former leader.
        leader_id: NodeId,
        /// The term that ended.
        term: Term,
        /// Why leadership became vacant.
        reason: LostReason,
    },
    /// Tasks of this kind became available after there were none to claim; only the first such task is announced. The node
    /// is the submitter of the task.
    TaskAvailable {
        /// The id of that task.
        task_id: TaskId,
        /// The kind of the task.
        kind: TaskKind,
    },
    /// All attempts of a task failed. The node is the last one that worked on it.
    TaskDead {
        /// The id of the task.
        task_id: TaskId,
        /// The kind of the task.
        kind: TaskKind,
    },
    /// An event that only a newer version knows: subscribers get it unchanged, nothing here reacts to it, and the history
    /// omits it.
    #[serde(skip)]
    Other {
        /// The event's name without `cluster.`, as [`is_event_word`] allows it.
        name: String,
        /// The other fields of the entry, as texts.
        fields: BTreeMap<String, String>,
    },
}

impl ClusterFact {
    /// The words of all facts that this version knows.
    pub const WORDS: [&str; 6] =
        ["node_joined", "node_left", "leader_elected", "leader_lost", "task_available", "task_dead"];

    /// The word for it: the event's name without `cluster.`.
    #[must_use]
    pub fn word(&self) -> &str {
        match self {
            Self::NodeJoined { .. } => "node_joined",
            Self::NodeLeft { .. } => "node_left",
            Self::LeaderElected { .. } => "leader_elected",
            Self::LeaderLost { .. } => "leader_lost",
            Self::TaskAvailable { .. } => "task_available",
            Self::TaskDead { .. } => "task_dead",
            Self::Other { name, .. } => name,
        }
    }
}

/// Whether a text can be the name of an event or of its fields: lower-case letters, digits and `_`, starting with a letter,
/// at most 64 characters.
#[must_use]
pub fn is_event_word(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    text.len() <= 64 && text.starts_with(|c: char| c.is_ascii_lowercase()) && text.bytes().all(plain)
}

/// A fact with its position in the order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterEvent {
    /// The position.
    pub seq: EventSeq,
    /// When it happened, on the Redis server's clock.
    pub at: ServerTime,
    /// The node that it is about.
    pub node_id: NodeId,
    /// The fact.
    pub fact: ClusterFact,
}

/// The direction of messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// From this node into the stream.
    Sent,
    /// From the stream to this node.
    Received,
}

/// A fact that only this node's clients see.
#[derive(Debug, Clone, PartialEq)]
pub enum LocalFact {
    /// This node sent or received a batch of messages.
    SyncComplete {
        /// Whether the messages were sent or received.
        direction: Direction,
        /// The number of messages.
        count: u64,
        /// The position of the first message.
        first: MessageSeq,
        /// The position of the last message.
        last: MessageSeq,
    },
    /// A message arrived.
    Message(Received),
    /// Redis stopped working for this node.
    Degraded {
        /// The kind of trouble.
        reason: DegradedReason,
        /// What is wrong and what to do, in one sentence.
        detail: String,
    },
    /// Redis works for this node again.
    Recovered,
    /// The primary of Redis is another server, which this node reached.
    RedisFailover {
        /// The address of the former primary.
        from: String,
        /// The address of the new one.
        to: String,
        /// The server process of the new one.
        run_id: String,
        /// How long this node had no primary.
        without: Duration,
    },
    /// Another node answers by gossip, for the first time or again.
    PeerReachable {
        /// The other node.
        peer: NodeId,
    },
    /// Another node does not answer by gossip. It says nothing about its membership.
    PeerUnreachable {
        /// The other node.
        peer: NodeId,
        /// What is known about why.
        reason: SilenceReason,
    },
    /// A note arrived by gossip.
    Note(Note),
    /// Events were trimmed or lost before this subscriber saw them. Both ends are included.
    Gap {
        /// The first missed event.
        from: EventSeq,
        /// The last missed event.
        to: EventSeq,
    },
}

impl LocalFact {
    /// The words of all local facts.
    pub const WORDS: [&str; 9] = [
        "sync_complete",
        "message",
        "degraded",
        "recovered",
        "redis_failover",
        "peer_reachable",
        "peer_unreachable",
        "note",
        "gap",
    ];

    /// The other node that it is about, if it is about one.
    #[must_use]
    pub fn peer(&self) -> Option<&NodeId> {
        match self {
            Self::PeerReachable { peer } | Self::PeerUnreachable { peer, .. } => Some(peer),
            _ => None,
        }
    }

    /// The word for it: the event's name without `cluster.`.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::SyncComplete { .. } => "sync_complete",
            Self::Message(_) => "message",
            Self::Degraded { .. } => "degraded",
            Self::Recovered => "recovered",
            Self::RedisFailover { .. } => "redis_failover",
            Self::PeerReachable { .. } => "peer_reachable",
            Self::PeerUnreachable { .. } => "peer_unreachable",
            Self::Note(_) => "note",
            Self::Gap { .. } => "gap",
        }
    }
}

/// An event for a subscriber.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A fact of the cluster.
    Cluster(ClusterEvent),
    /// A fact of this node.
    Local {
        /// When it happened, on the Redis server's clock as far as this node knows it.
        at: ServerTime,
        /// The fact.
        fact: LocalFact,
    },
}
