//! Events: facts of the cluster, and the local ones of this node.
//!
//! 1. A cluster event has a `seq`; every node sees the same events in the same order, without holes.
//! 2. A local event has none.
//!
//! Not here: how events reach a client (`crate::rpc`).

use super::ids::{EventSeq, Incarnation, MessageSeq, NodeId, Term};
use super::task::{TaskId, TaskKind};
use super::time::ServerTime;
use crate::cluster::messages::message::Received;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Why a node is no longer a live member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LeftReason {
    /// It said goodbye.
    Left,
    /// Its deadline passed.
    HeartbeatTimeout,
    /// Its presence was gone for the grace time.
    ProcessDied,
    /// Another process took its id over.
    Replaced,
    /// A reason that only a newer version knows.
    #[serde(other)]
    Other,
}

/// Why a leader was elected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ElectedReason {
    /// There was no leader, and no record of one.
    Vacant,
    /// The old leader's lease ran out.
    Expired,
    /// The old leader's process died.
    ProcessDied,
    /// Leadership was handed over by request.
    Handover,
    /// The old leader left.
    Resigned,
    /// A reason that only a newer version knows.
    #[serde(other)]
    Other,
}

/// Why leadership became vacant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LostReason {
    /// The leader makes room for another by request.
    Handover,
    /// The leader left.
    Resigned,
    /// Another process took the leader's node id over.
    Replaced,
    /// A reason that only a newer version knows.
    #[serde(other)]
    Other,
}

/// What happened, in the cluster's one order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum ClusterFact {
    /// A node became a member.
    NodeJoined {
        /// Its name for people.
        name: String,
        /// Its life.
        incarnation: Incarnation,
        /// Whether the cluster knew the id before.
        rejoined: bool,
    },
    /// A node is no live member any more.
    NodeLeft {
        /// Its life.
        incarnation: Incarnation,
        /// Why.
        reason: LeftReason,
    },
    /// A leader was granted a term.
    LeaderElected {
        /// Who leads.
        leader_id: NodeId,
        /// Under which term.
        term: Term,
        /// Who led before.
        previous_leader_id: Option<NodeId>,
        /// Why.
        reason: ElectedReason,
    },
    /// Leadership became vacant.
    LeaderLost {
        /// Who led.
        leader_id: NodeId,
        /// Under which term.
        term: Term,
        /// Why.
        reason: LostReason,
    },
    /// Tasks of a kind can be claimed, of which workers found none before; it tells of the first one only. The node is its
    /// submitter.
    TaskAvailable {
        /// The first one.
        task_id: TaskId,
        /// Of which kind.
        kind: TaskKind,
    },
    /// All attempts of a task failed. The node is the last one that worked on it.
    TaskDead {
        /// Which.
        task_id: TaskId,
        /// Of which kind.
        kind: TaskKind,
    },
    /// What only a newer version knows: subscribers get it as it is, nothing here acts on it, and the history leaves it out.
    #[serde(skip)]
    Other {
        /// The event's name without `cluster.`, as [`is_event_word`] allows it.
        name: String,
        /// The other fields of the entry, as texts.
        fields: BTreeMap<String, String>,
    },
}

/// Whether a text may name an event, or a field of one: lower-case letters, digits and `_`, a letter first, at most 64.
#[must_use]
pub fn is_event_word(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    text.len() <= 64 && text.starts_with(|c: char| c.is_ascii_lowercase()) && text.bytes().all(plain)
}

/// A fact with its place in the order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterEvent {
    /// Its place.
    pub seq: EventSeq,
    /// When, on the Redis server's clock.
    pub at: ServerTime,
    /// The node that it is about.
    pub node_id: NodeId,
    /// What happened.
    pub fact: ClusterFact,
}

/// Which way messages went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From this node into the stream.
    Sent,
    /// From the stream to this node.
    Received,
}

/// What only this node's clients hear.
#[derive(Debug, Clone, PartialEq)]
pub enum LocalFact {
    /// A batch of messages went through.
    SyncComplete {
        /// Which way.
        direction: Direction,
        /// How many messages.
        count: u64,
        /// The first one's position.
        first: MessageSeq,
        /// The last one's position.
        last: MessageSeq,
    },
    /// A message came in.
    Message(Received),
    /// Redis does not answer any more.
    Degraded {
        /// In one word: `unreachable`, `refuses_writes` or `full`.
        reason: &'static str,
        /// What is wrong and what to do, in one sentence.
        detail: String,
    },
    /// Redis answers again.
    Recovered,
    /// Events between the two were trimmed or lost before this subscriber saw them (both ends included).
    Gap {
        /// The first event missed.
        from: EventSeq,
        /// The last event missed.
        to: EventSeq,
    },
}

/// What a subscriber gets.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A fact of the cluster.
    Cluster(ClusterEvent),
    /// A fact of this node.
    Local {
        /// When, on the Redis server's clock as far as this node knows it.
        at: ServerTime,
        /// What happened.
        fact: LocalFact,
    },
}
