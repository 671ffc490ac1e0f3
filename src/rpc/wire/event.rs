//! Events as subscribers see them.
//!
//! 1. [`EVENTS`] is the only table of names; filters, schemas and the OpenRPC document are generated from it. An event that
//!    only a newer version knows is in none of them; subscribers to all events see it.
//! 2. A local event and a gap have `id` and `seq` null; a fact of the cluster has both.
//!
//! Not here: who gets which event (`crate::rpc::subscription`).

mod peers;

pub use peers::{NoteCame, PeerReachable, PeerUnreachable};

use super::sync::Received;
use crate::cluster::event::{
    ClusterFact, DegradedReason, Direction, ElectedReason, Event, LeftReason, LocalFact, LostReason,
};
use crate::cluster::ids::{ClusterName, EventSeq, MessageSeq, NodeId};
use crate::cluster::time::millis;
use crate::rpc::schema::schema_of_output;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// The fields that all events share.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Head {
    /// The position of the event as `<seq>-0`, to pass as `after`; null for a local event and a gap.
    pub id: Option<String>,
    /// The position of the event in the order that all nodes see; null for a local event and a gap.
    pub seq: Option<u64>,
    /// The name of the event.
    pub event: String,
    /// The name of the cluster.
    pub cluster: String,
    /// When the event happened, in milliseconds of the Redis server's clock.
    pub at_ms: u64,
    /// The node that the event is about. For a local event: this node, or null while it is not a member; for an event about a peer:
    /// that peer.
    pub node_id: Option<String>,
}

/// A node became a member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NodeJoined {
    /// The fields that all events share.
    #[serde(flatten)]
    pub head: Head,
    /// The display name of the node.
    pub name: String,
    /// The incarnation of the node; it rises with every start of the process.
    pub incarnation: u64,
    /// Whether the cluster knew the node id before.
    pub rejoined: bool,
}

/// A node stopped being a live member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NodeLeft {
    /// The fields that all events share.
    #[serde(flatten)]
    pub head: Head,
    /// The incarnation of the node; it rises with every start of the process.
    pub incarnation: u64,
    /// Why the node is no longer a live member.
    pub reason: LeftReason,
}

/// A leader was granted a term.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LeaderElected {
    /// The fields that all events share.
    #[serde(flatten)]
    pub head: Head,
    /// The node id of the new leader.
    pub leader_id: String,
    /// The term of the new leader.
    pub term: u64,
    /// The node id of the previous leader; null: there was none.
    pub previous_leader_id: Option<String>,
    /// Why there was an election.
    pub reason: ElectedReason,
}

/// Leadership became vacant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LeaderLost {
    /// The fields that all events share.
    #[serde(flatten)]
    pub head: Head,
    /// The node id of the former leader.
    pub leader_id: String,
    /// The term that ended.
    pub term: u64,
    /// Why leadership became vacant.
    pub reason: LostReason,
}

/// Tasks of this kind became available after there were none to claim. Only the first such task is announced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TaskAvailable {
    /// The fields that all events share; `node_id` is the node that submitted the task.
    #[serde(flatten)]
    pub head: Head,
    /// The id of the task.
    pub task_id: String,
    /// The kind of the task.
    pub kind: String,
}

/// All attempts of a task failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TaskDead {
    /// The fields that all events share; `node_id` is the last node that worked on the task.
    #[serde(flatten)]
    pub head: Head,
    /// The id of the task.
    pub task_id: String,
    /// The kind of the task.
    pub kind: String,
}

/// This node sent or received a batch of messages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SyncComplete {
    /// The fields that all events share.
    #[serde(flatten)]
    pub head: Head,
    /// Whether the messages were sent or received.
    pub direction: Direction,
    /// The number of messages.
    pub count: u64,
    /// The position of the first message, as `<seq>-0`.
    pub first_entry_id: String,
    /// The position of the last message, as `<seq>-0`.
    pub last_entry_id: String,
}

/// A message arrived; it is not acknowledged by this event.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct MessageCame {
    /// The fields that all events share.
    #[serde(flatten)]
    pub head: Head,
    /// The message.
    pub message: Received,
}

/// Redis stopped working for this node. Each outage is reported once, and `cluster.recovered` reports its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Degraded {
    /// The fields that all events share.
    #[serde(flatten)]
    pub head: Head,
    /// The kind of trouble.
    #[serde(default)]
    pub reason: DegradedReason,
    /// What is wrong and what to do, in one sentence.
    #[serde(default)]
    pub detail: String,
}

/// Redis accepted a heartbeat of this node again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Recovered {
    /// The fields that all events share.
    #[serde(flatten)]
    pub head: Head,
}

/// The primary of Redis is another server, and this node reached it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RedisFailover {
    /// The fields that all events share.
    #[serde(flatten)]
    pub head: Head,
    /// The address of the former primary, as host:port.
    pub from: String,
    /// The address of the new primary.
    pub to: String,
    /// The run id of the new primary's process.
    pub run_id: String,
    /// How long this node had no primary, in milliseconds.
    #[serde(default)]
    pub without_ms: u64,
}

/// Events were trimmed or lost before this subscriber saw them. Both ends are included.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GapSeen {
    /// The fields that all events share.
    #[serde(flatten)]
    pub head: Head,
    /// The position of the first missed event.
    pub from_seq: u64,
    /// The position of the last missed event.
    pub to_seq: u64,
}

/// An event that only a newer version knows, under its own name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OtherEvent {
    /// The fields that all events share.
    #[serde(flatten)]
    pub head: Head,
    /// The other fields of the event, as texts.
    #[serde(flatten)]
    pub fields: BTreeMap<String, String>,
}

/// Any event.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
#[allow(missing_docs)]
pub enum AnyEvent {
    NodeJoined(NodeJoined),
    NodeLeft(NodeLeft),
    LeaderElected(LeaderElected),
    LeaderLost(LeaderLost),
    TaskAvailable(TaskAvailable),
    TaskDead(TaskDead),
    Other(OtherEvent),
    SyncComplete(SyncComplete),
    Message(MessageCame),
    Degraded(Degraded),
    Recovered(Recovered),
    RedisFailover(RedisFailover),
    PeerReachable(PeerReachable),
    PeerUnreachable(PeerUnreachable),
    Note(NoteCame),
    Gap(GapSeen),
}

/// The name of the event that carries a message; only subscribers that name it see it.
pub const MESSAGE: &str = "cluster.message";
/// The name of the event that reports lost events; every subscriber sees it.
pub const GAP: &str = "cluster.gap";
/// The name of the event about a batch of messages, which a busy node emits by the thousand.
pub const SYNC_COMPLETE: &str = "cluster.sync_complete";

/// How much an event matters to a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// It is part of normal work.
    Info,
    /// It is rare, and needs no action.
    Notice,
    /// Something was lost, or may be.
    Warning,
}

use Severity::{Info, Notice, Warning};

/// One row of the table of events.
#[derive(Debug, Clone, Copy)]
pub struct EventSpec {
    /// The name of the event, which is also the method of its notification.
    pub name: &'static str,
    /// One line for the documentation.
    pub summary: &'static str,
    /// How much it matters, unless its reason makes it a loss.
    pub severity: Severity,
    schema_of_type: fn() -> Value,
}

impl EventSpec {
    /// The schema of the notification's `result`, with the name as the only value of `event`.
    #[must_use]
    pub fn schema(&self) -> Value {
        let mut schema = (self.schema_of_type)();
        if let Some(event) = schema.pointer_mut("/properties/event").and_then(Value::as_object_mut) {
            event.insert("const".to_owned(), self.name.into());
        }
        schema
    }
}

const fn row<T: JsonSchema>(name: &'static str, severity: Severity, summary: &'static str) -> EventSpec {
    EventSpec { name, summary, severity, schema_of_type: schema_of_output::<T> }
}

/// All events, in the order of the documentation.
pub const EVENTS: [EventSpec; 15] = [
    row::<NodeJoined>("cluster.node_joined", Info, "A node became a member"),
    row::<NodeLeft>("cluster.node_left", Info, "A node is no live member any more"),
    row::<LeaderElected>("cluster.leader_elected", Info, "A leader was granted a term"),
    row::<LeaderLost>("cluster.leader_lost", Notice, "Leadership became vacant"),
    row::<TaskAvailable>("cluster.task_available", Info, "Tasks of a kind can be claimed, of which there were none"),
    row::<TaskDead>("cluster.task_dead", Warning, "All attempts of a task failed"),
    row::<SyncComplete>(SYNC_COMPLETE, Info, "A batch of messages went through this node"),
    row::<MessageCame>(MESSAGE, Info, "A message came in; sent only to those who name this event"),
    row::<Degraded>("cluster.degraded", Warning, "Redis does not answer, or takes no writes, any more"),
    row::<Recovered>("cluster.recovered", Notice, "Redis accepts heartbeats again"),
    row::<RedisFailover>("cluster.redis_failover", Notice, "The primary of Redis is another server"),
    row::<PeerReachable>("cluster.peer_reachable", Info, "Another node answers by gossip, for the first time or again"),
    row::<PeerUnreachable>("cluster.peer_unreachable", Warning, "Another node does not answer by gossip any more"),
    row::<NoteCame>("cluster.note", Notice, "A note of another node came by gossip"),
    row::<GapSeen>(GAP, Warning, "Events were trimmed or lost before this subscriber saw them"),
];

/// The name of an event, as in [`EVENTS`].
#[must_use]
pub fn name(event: &Event) -> String {
    let word = match event {
        Event::Cluster(event) => event.fact.word(),
        Event::Local { fact, .. } => fact.word(),
    };
    format!("cluster.{word}")
}

impl AnyEvent {
    /// Converts an event; `this` is the node that local events are about.
    #[must_use]
    pub fn new(event: Event, cluster: &ClusterName, this: Option<&NodeId>) -> Self {
        let name = name(&event);
        let cluster = cluster.as_str().to_owned();
        match event {
            Event::Cluster(event) => {
                let head = Head {
                    id: Some(event.seq.entry_id()),
                    seq: Some(event.seq.0),
                    event: name,
                    cluster,
                    at_ms: event.at.0,
                    node_id: Some(event.node_id.into()),
                };
                Self::of_cluster(head, event.fact)
            }
            Event::Local { at, fact } => {
                let about = fact.peer().or(this);
                let node_id = about.map(|id| id.as_str().to_owned());
                let head = Head { id: None, seq: None, event: name, cluster, at_ms: at.0, node_id };
                Self::of_node(head, fact)
            }
        }
    }

    fn of_cluster(head: Head, fact: ClusterFact) -> Self {
        match fact {
            ClusterFact::NodeJoined { name, incarnation, rejoined } => {
                Self::NodeJoined(NodeJoined { head, name, incarnation: incarnation.0, rejoined })
            }
            ClusterFact::NodeLeft { incarnation, reason } => {
                Self::NodeLeft(NodeLeft { head, incarnation: incarnation.0, reason })
            }
            ClusterFact::LeaderElected { leader_id, term, previous_leader_id, reason } => {
                let previous_leader_id = previous_leader_id.map(String::from);
                let leader_id = leader_id.into();
                Self::LeaderElected(LeaderElected { head, leader_id, term: term.0, previous_leader_id, reason })
            }
            ClusterFact::LeaderLost { leader_id, term, reason } => {
                Self::LeaderLost(LeaderLost { head, leader_id: leader_id.into(), term: term.0, reason })
            }
            ClusterFact::TaskAvailable { task_id, kind } => {
                Self::TaskAvailable(TaskAvailable { head, task_id: task_id.into(), kind: kind.into() })
            }
            ClusterFact::TaskDead { task_id, kind } => {
                Self::TaskDead(TaskDead { head, task_id: task_id.into(), kind: kind.into() })
            }
            ClusterFact::Other { fields, .. } => Self::Other(OtherEvent { head, fields }),
        }
    }

    fn of_node(head: Head, fact: LocalFact) -> Self {
        match fact {
            LocalFact::SyncComplete { direction, count, first, last } => {
                let (first_entry_id, last_entry_id) = (MessageSeq::entry_id(first), MessageSeq::entry_id(last));
                Self::SyncComplete(SyncComplete { head, direction, count, first_entry_id, last_entry_id })
            }
            LocalFact::Message(received) => Self::Message(MessageCame { head, message: received.into() }),
            LocalFact::Degraded { reason, detail } => Self::Degraded(Degraded { head, reason, detail }),
            LocalFact::Recovered => Self::Recovered(Recovered { head }),
            LocalFact::RedisFailover { from, to, run_id, without } => {
                Self::RedisFailover(RedisFailover { head, from, to, run_id, without_ms: millis(without) })
            }
            LocalFact::PeerReachable { .. } => Self::PeerReachable(PeerReachable { head }),
            LocalFact::PeerUnreachable { reason, .. } => Self::PeerUnreachable(PeerUnreachable { head, reason }),
            LocalFact::Note(note) => Self::Note(NoteCame::new(head, note)),
            LocalFact::Gap { from: EventSeq(from_seq), to: EventSeq(to_seq) } => {
                Self::Gap(GapSeen { head, from_seq, to_seq })
            }
        }
    }
}
