//! Events as subscribers see them.
//!
//! 1. [`EVENTS`] is the one table of names; filters, schemas and the OpenRPC document are made from it. What only a newer
//!    version knows stands in none of them, and is seen by those who ask for everything.
//! 2. A local event and a gap have `id` and `seq` null; a fact of the cluster has both.
//!
//! Not here: who gets which event (`crate::rpc::subscription`).

pub use super::reasons::{DegradedWhy, ElectedWhy, LeftWhy, LostWhy};
use super::sync::Received;
use crate::cluster::event::{ClusterFact, Direction, Event, LocalFact};
use crate::cluster::ids::{ClusterName, EventSeq, MessageSeq, NodeId};
use crate::rpc::schema::schema_of_output;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// What all events have in common.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Head {
    /// The event's place as `<seq>-0`, to pass as `after`; null for a local event.
    pub id: Option<String>,
    /// The event's place in the order that all nodes see; null for a local event.
    pub seq: Option<u64>,
    /// The event's name.
    pub event: String,
    /// The cluster's name.
    pub cluster: String,
    /// When, in milliseconds of the Redis server's clock.
    pub at_ms: u64,
    /// The node that it is about; for a local event this node, null while it is no member.
    pub node_id: Option<String>,
}

/// A node became a member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NodeJoined {
    /// What all events have in common.
    #[serde(flatten)]
    pub head: Head,
    /// Its name for people.
    pub name: String,
    /// The number of its life.
    pub incarnation: u64,
    /// Whether the cluster knew the id before.
    pub rejoined: bool,
}

/// A node is no live member any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NodeLeft {
    /// What all events have in common.
    #[serde(flatten)]
    pub head: Head,
    /// The number of its life.
    pub incarnation: u64,
    /// Why.
    pub reason: LeftWhy,
}

/// A leader was granted a term.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LeaderElected {
    /// What all events have in common.
    #[serde(flatten)]
    pub head: Head,
    /// Who leads.
    pub leader_id: String,
    /// Under which term.
    pub term: u64,
    /// Who led before.
    pub previous_leader_id: Option<String>,
    /// Why.
    pub reason: ElectedWhy,
}

/// Leadership became vacant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LeaderLost {
    /// What all events have in common.
    #[serde(flatten)]
    pub head: Head,
    /// Who led.
    pub leader_id: String,
    /// Under which term.
    pub term: u64,
    /// Why.
    pub reason: LostWhy,
}

/// Tasks of a kind can be claimed, of which workers found none before; it tells of the first one only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TaskAvailable {
    /// What all events have in common; the node is the task's submitter.
    #[serde(flatten)]
    pub head: Head,
    /// The task.
    pub task_id: String,
    /// Its kind.
    pub kind: String,
}

/// All attempts of a task failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TaskDead {
    /// What all events have in common; the node is the last one that worked on the task.
    #[serde(flatten)]
    pub head: Head,
    /// The task.
    pub task_id: String,
    /// Its kind.
    pub kind: String,
}

/// Which way messages went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// From this node into the stream.
    Sent,
    /// From the stream to this node.
    Received,
}

/// A batch of messages went through this node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SyncComplete {
    /// What all events have in common.
    #[serde(flatten)]
    pub head: Head,
    /// Which way.
    pub direction: Way,
    /// How many messages.
    pub count: u64,
    /// The first one's place, as `<seq>-0`.
    pub first_entry_id: String,
    /// The last one's place, as `<seq>-0`.
    pub last_entry_id: String,
}

/// A message came in; it stays unacknowledged.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct MessageCame {
    /// What all events have in common.
    #[serde(flatten)]
    pub head: Head,
    /// The message.
    pub message: Received,
}

/// Redis is not well any more. One outage is one such event, and one `cluster.recovered` at its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Degraded {
    /// What all events have in common.
    #[serde(flatten)]
    pub head: Head,
    /// Why, in one word.
    #[serde(default)]
    pub reason: DegradedWhy,
    /// What is wrong and what to do, in one sentence.
    #[serde(default)]
    pub detail: String,
}

/// Redis took a heartbeat of this node again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Recovered {
    /// What all events have in common.
    #[serde(flatten)]
    pub head: Head,
}

/// Events were trimmed or lost before this subscriber saw them, both ends included.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GapSeen {
    /// What all events have in common.
    #[serde(flatten)]
    pub head: Head,
    /// The first event missed.
    pub from_seq: u64,
    /// The last event missed.
    pub to_seq: u64,
}

/// An event that only a newer version knows, under its own name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OtherEvent {
    /// What all events have in common.
    #[serde(flatten)]
    pub head: Head,
    /// Its other fields, as texts.
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
    Gap(GapSeen),
}

/// The name of the event that carries a message; it is seen only by those who name it.
pub const MESSAGE: &str = "cluster.message";
/// The name of the event that reports lost ones; every subscriber sees it.
pub const GAP: &str = "cluster.gap";

/// One row of the table of events.
#[derive(Debug, Clone, Copy)]
pub struct EventSpec {
    /// Its name, which is the method of its notification too.
    pub name: &'static str,
    /// What it says.
    pub summary: &'static str,
    /// The schema of its `result`.
    pub schema: fn() -> serde_json::Value,
}

const fn row<T: JsonSchema>(name: &'static str, summary: &'static str) -> EventSpec {
    EventSpec { name, summary, schema: schema_of_output::<T> }
}

/// All events.
pub const EVENTS: [EventSpec; 11] = [
    row::<NodeJoined>("cluster.node_joined", "A node became a member"),
    row::<NodeLeft>("cluster.node_left", "A node is no live member any more"),
    row::<LeaderElected>("cluster.leader_elected", "A leader was granted a term"),
    row::<LeaderLost>("cluster.leader_lost", "Leadership became vacant"),
    row::<TaskAvailable>("cluster.task_available", "Tasks of a kind can be claimed, of which there were none"),
    row::<TaskDead>("cluster.task_dead", "All attempts of a task failed"),
    row::<SyncComplete>("cluster.sync_complete", "A batch of messages went through this node"),
    row::<MessageCame>(MESSAGE, "A message came in; sent only to those who name this event"),
    row::<Degraded>("cluster.degraded", "Redis does not answer, or takes no writes, any more"),
    row::<Recovered>("cluster.recovered", "Redis takes heartbeats again"),
    row::<GapSeen>(GAP, "Events were trimmed or lost before this subscriber saw them"),
];

/// The name of an event.
#[must_use]
pub fn name(event: &Event) -> Cow<'static, str> {
    let name = match event {
        Event::Cluster(event) => match &event.fact {
            ClusterFact::NodeJoined { .. } => "cluster.node_joined",
            ClusterFact::NodeLeft { .. } => "cluster.node_left",
            ClusterFact::LeaderElected { .. } => "cluster.leader_elected",
            ClusterFact::LeaderLost { .. } => "cluster.leader_lost",
            ClusterFact::TaskAvailable { .. } => "cluster.task_available",
            ClusterFact::TaskDead { .. } => "cluster.task_dead",
            ClusterFact::Other { name, .. } => return format!("cluster.{name}").into(),
        },
        Event::Local { fact, .. } => match fact {
            LocalFact::SyncComplete { .. } => "cluster.sync_complete",
            LocalFact::Message(_) => MESSAGE,
            LocalFact::Degraded { .. } => "cluster.degraded",
            LocalFact::Recovered => "cluster.recovered",
            LocalFact::Gap { .. } => GAP,
        },
    };
    name.into()
}

impl AnyEvent {
    /// Converts an event; `this` is the node that local events are about.
    #[must_use]
    pub fn new(event: Event, cluster: &ClusterName, this: Option<&NodeId>) -> Self {
        let name = name(&event).into_owned();
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
                let node_id = this.map(|id| id.as_str().to_owned());
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
                Self::NodeLeft(NodeLeft { head, incarnation: incarnation.0, reason: reason.into() })
            }
            ClusterFact::LeaderElected { leader_id, term, previous_leader_id, reason } => {
                let previous_leader_id = previous_leader_id.map(String::from);
                let (leader_id, reason) = (leader_id.into(), reason.into());
                Self::LeaderElected(LeaderElected { head, leader_id, term: term.0, previous_leader_id, reason })
            }
            ClusterFact::LeaderLost { leader_id, term, reason } => {
                Self::LeaderLost(LeaderLost { head, leader_id: leader_id.into(), term: term.0, reason: reason.into() })
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
                let direction = match direction {
                    Direction::Sent => Way::Sent,
                    Direction::Received => Way::Received,
                };
                let (first_entry_id, last_entry_id) = (MessageSeq::entry_id(first), MessageSeq::entry_id(last));
                Self::SyncComplete(SyncComplete { head, direction, count, first_entry_id, last_entry_id })
            }
            LocalFact::Message(received) => Self::Message(MessageCame { head, message: received.into() }),
            LocalFact::Degraded { reason, detail } => {
                let reason = DegradedWhy::of(reason);
                Self::Degraded(Degraded { head, reason, detail })
            }
            LocalFact::Recovered => Self::Recovered(Recovered { head }),
            LocalFact::Gap { from: EventSeq(from_seq), to: EventSeq(to_seq) } => {
                Self::Gap(GapSeen { head, from_seq, to_seq })
            }
        }
    }
}
