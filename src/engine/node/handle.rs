//! The interface of a running node: what the outer layers can ask of it.
//!
//! 1. Every method may be called concurrently, and a slow call does not delay others, except for receiving calls, which are
//!    served one at a time.
//! 2. Nothing here depends on JSON-RPC, and no type of Redis is visible here.
//!
//! `handle/leases.rs`, `handle/limits.rs`, `handle/tasks.rs`, `handle/history.rs` and `handle/observed.rs` have the parts that their names say.
//!
//! Not here: the work itself (`driver.rs`, `messages/`, `leases/`, `tasks/`).

mod history;
mod known;
mod leases;
mod limits;
mod observed;
mod schedules;
mod tasks;
mod transcripts;

pub use crate::cluster::node::{Drained, Elected, JoinRequest, Left};
pub use history::{HistoryAnswer, HistoryRequest, Past};
pub use known::KnownState;
pub use leases::{AcquireRequest, AcquiredLease, HeldLease, Leases, Once, OnceRequest};
pub use limits::{AcquiredSlot, HeldSlot, Limits, PermitsRequest, SlotRequest, TakenPermits};
pub use observed::{Health, Observed};
pub use schedules::{Listing, Planned, ScheduleDraft, Schedules};
pub use tasks::{ClaimRequest, Claimed, HeldTask, TaskDraft, TaskQuery, Tasks};
pub use transcripts::{AppendRequest, Appended, Excerpt, Transcripts};

use crate::cluster::gossip::Peer;
use crate::cluster::ids::{ClusterName, Incarnation, MessageSeq, NodeId, Term};
use crate::cluster::members::member::{Member, Status};
use crate::cluster::messages::message::{Gap, Received};
use crate::cluster::time::ServerTime;
use crate::engine::error::Error;
use crate::engine::events::{EventFeed, FeedOptions};
use crate::store::redis::Servers;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::sync::Arc;
use std::time::Duration;

/// The result of a join.
#[derive(Debug, Clone)]
pub struct Joined {
    /// The name of the cluster.
    pub cluster: ClusterName,
    /// The id of this node.
    pub node_id: NodeId,
    /// The incarnation of this node.
    pub incarnation: Incarnation,
    /// When this node joined.
    pub joined_at: ServerTime,
    /// The leader, as far as known.
    pub leader_id: Option<NodeId>,
    /// The highest term that this node knows.
    pub term: Term,
    /// All members.
    pub nodes: Vec<NodeView>,
}

/// The role of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// The leader.
    Leader,
    /// A member that does not lead.
    Follower,
    /// Not a member.
    Observer,
}

/// A member, as clients see it.
#[derive(Debug, Clone)]
pub struct NodeView {
    /// The member's data.
    pub member: Member,
    /// Its status at the time of the view.
    pub status: Status,
    /// Its role.
    pub role: Role,
}

/// The cluster as this node sees it.
#[derive(Debug, Clone)]
pub struct StateView {
    /// The name of the cluster.
    pub cluster: ClusterName,
    /// The id of this node; `None`: it is not a member.
    pub node_id: Option<NodeId>,
    /// The role of this node, checked at the time of the answer.
    pub role: Role,
    /// The holder of the leader's lease.
    pub leader_id: Option<NodeId>,
    /// The highest term that this node knows.
    pub term: Term,
    /// When the leader's lease expires.
    pub lease_expires_at: Option<ServerTime>,
    /// All members, by id.
    pub nodes: Vec<NodeView>,
    /// Whether Redis accepted this node's last heartbeat and has room for more data.
    pub redis_ok: bool,
    /// What is wrong with Redis, and what to do; `None`: nothing.
    pub redis_trouble: Option<String>,
    /// What is known of the servers of Redis; empty with one server.
    pub servers: Servers,
    /// The time of the view.
    pub as_of: ServerTime,
    /// The age of the view, by the node's own clock.
    pub age: Duration,
    /// The other nodes, by gossip; `None`: gossip does not run.
    pub peers: Option<Vec<Peer>>,
}

/// The parameters of an election.
#[derive(Debug, Clone, Default)]
pub struct ElectRequest {
    /// The member to become leader. Default: this node.
    pub candidate: Option<NodeId>,
    /// Whether to hand leadership over even if the leader is alive.
    pub force: bool,
}

/// A message to send, as a client passes it.
#[derive(Debug, Clone)]
pub struct Draft {
    /// The client's id for the message; generated if absent.
    pub id: Option<String>,
    /// The topic; free text.
    pub topic: Option<String>,
    /// The members to send to, not checked yet. Default: all others.
    pub to: Option<Vec<String>>,
    /// The content.
    pub payload: Box<RawValue>,
}

/// The parameters of a sync.
#[derive(Debug, Clone)]
pub struct SyncRequest {
    /// The messages to send, in order.
    pub messages: Vec<Draft>,
    /// The maximum number of messages to receive; `None`: the configured batch size; 0: none.
    pub limit: Option<usize>,
    /// How long to wait for the first message to receive.
    pub wait: Duration,
    /// Whether received messages count as acknowledged once [`Delivery::written`] is called.
    pub auto_ack: bool,
    /// First acknowledge everything up to this position.
    pub ack: Option<MessageSeq>,
}

/// The result of a sync.
#[derive(Debug, Default)]
pub struct Synced {
    /// The number of given messages that are in the stream now.
    pub published: usize,
    /// The number of duplicates, which were not sent again.
    pub duplicates: usize,
    /// The number of given messages that wait in the outbox.
    pub queued: usize,
    /// For each given message its position in the stream, if known.
    pub entries: Vec<Option<MessageSeq>>,
    /// The received messages.
    pub received: Vec<Received>,
    /// The position that acknowledges everything received.
    pub cursor: MessageSeq,
    /// Whether more messages wait.
    pub more: bool,
    /// The messages that were lost before they could be read.
    pub gap: Option<Gap>,
    /// The receipt to give once the answer is written; `None`: there is nothing to acknowledge.
    pub delivery: Option<Delivery>,
}

/// A receipt for an answer. Dropping it leaves the messages unacknowledged.
#[derive(Debug)]
pub struct Delivery {
    done: tokio::sync::oneshot::Sender<()>,
}

impl Delivery {
    /// A receipt and its receiver, which fails when the receipt is dropped.
    #[must_use]
    pub fn new() -> (Self, tokio::sync::oneshot::Receiver<()>) {
        let (done, heard) = tokio::sync::oneshot::channel();
        (Self { done }, heard)
    }

    /// Call it when the answer has been written to the client.
    pub fn written(self) {
        // The receiver is gone only when the node is stopping; then nothing is acknowledged, which is safe.
        let _ = self.done.send(());
    }
}

/// A grant that is taken back unless its answer is written.
pub struct Handout {
    take_back: Option<Box<dyn FnOnce() + Send>>,
}

impl std::fmt::Debug for Handout {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Handout").finish_non_exhaustive()
    }
}

impl Handout {
    /// A grant, and the function that takes it back, which must not block.
    #[must_use]
    pub fn new(take_back: impl FnOnce() + Send + 'static) -> Self {
        Self { take_back: Some(Box::new(take_back)) }
    }

    /// Call it when the answer has been written to the client.
    pub fn written(mut self) {
        self.take_back = None;
    }
}

impl Drop for Handout {
    fn drop(&mut self) {
        if let Some(take_back) = self.take_back.take() {
            take_back();
        }
    }
}

/// A note to send by gossip.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotifyRequest {
    /// The members to send to, not checked yet. Default: all that can be reached.
    pub to: Option<Vec<String>>,
    /// What it is about, 1 to [`crate::cluster::gossip::MAX_TOPIC_BYTES`] bytes.
    pub topic: String,
    /// JSON text of at most [`crate::cluster::gossip::MAX_PAYLOAD_BYTES`] bytes.
    pub payload: String,
}

/// The result of a heartbeat on request.
#[derive(Debug, Clone)]
pub struct Beat {
    /// The id of this node.
    pub node_id: NodeId,
    /// The incarnation of this node.
    pub incarnation: Incarnation,
    /// The role of this node.
    pub role: Role,
    /// The highest term that this node knows.
    pub term: Term,
    /// The leader.
    pub leader_id: Option<NodeId>,
    /// When Redis accepted the heartbeat.
    pub at: ServerTime,
    /// The duration of the round trip to Redis.
    pub round_trip: Duration,
    /// The number of attempts that the heartbeat took.
    pub attempts: u32,
}

/// The methods of a running node, as the outer layers call them. Tests can implement it.
pub trait Node: Leases + Observed + Past + Transcripts {
    /// The feed of events for a subscriber.
    type Feed: EventFeed;
    /// The part that manages tasks.
    type Work: Tasks;

    /// The part that manages tasks.
    fn work(&self) -> &Self::Work;

    /// The part that keeps limits.
    type Limits: Limits;

    /// The part that keeps limits.
    fn limits(&self) -> &Self::Limits;

    /// The part that keeps schedules.
    type Schedules: Schedules;

    /// The part that keeps schedules.
    fn schedules(&self) -> &Self::Schedules;

    /// Joins the cluster, updates the metadata of a member, or renames it.
    fn join(&self, request: JoinRequest) -> impl Future<Output = Result<Joined, Error>> + Send;
    /// Leaves the cluster.
    fn leave(&self) -> impl Future<Output = Result<Left, Error>> + Send;
    /// Whether gossip is on: then a view has the peers, which change without it.
    fn gossips(&self) -> bool {
        false
    }
    /// The local view, which is the same object until it is out of date.
    fn known_state(&self) -> impl Future<Output = Result<Arc<KnownState>, Error>> + Send;
    /// The local view, or with `fresh` the state that Redis has now.
    fn state(&self, fresh: bool) -> impl Future<Output = Result<StateView, Error>> + Send;
    /// Returns the leader, or changes it.
    fn elect(&self, request: ElectRequest) -> impl Future<Output = Result<Elected, Error>> + Send;
    /// Sends and receives messages.
    fn sync(&self, request: SyncRequest) -> impl Future<Output = Result<Synced, Error>> + Send;
    /// Sends a heartbeat now, with the configured retries.
    fn beat(&self) -> impl Future<Output = Result<Beat, Error>> + Send;
    /// Sends a note by gossip; returns the nodes that it was sent to.
    fn notify(&self, request: NotifyRequest) -> impl Future<Output = Result<Vec<NodeId>, Error>> + Send;
    /// Subscribes to events.
    fn feed(&self, options: FeedOptions) -> impl Future<Output = Result<Self::Feed, Error>> + Send;
}
