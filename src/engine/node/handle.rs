//! The door to a running node: what the outer layers may ask of it.
//!
//! 1. Every method is safe to call concurrently, and a slow one holds up no other, but for receiving calls, which are
//!    served one at a time.
//! 2. Nothing here knows JSON-RPC; nothing here shows a Redis type.
//!
//! `handle/leases.rs`, `handle/tasks.rs`, `handle/history.rs` and `handle/observed.rs` are the parts that their names say.
//!
//! Not here: the work itself (`driver.rs`, `sync.rs`, `leases/`, `tasks/`).

mod history;
mod leases;
mod observed;
mod tasks;

pub use history::{HistoryAnswer, HistoryRequest, Past};
pub use leases::{AcquireRequest, AcquiredLease, Drained, HeldLease, Leases, Once, OnceRequest};
pub use observed::{Health, Observed};
pub use tasks::{ClaimRequest, Claimed, HeldTask, TaskDraft, TaskQuery, Tasks};

use crate::cluster::ids::{ClusterName, Incarnation, MessageSeq, NodeId, Term};
use crate::cluster::members::member::{Member, Status};
use crate::cluster::messages::message::{Gap, Received};
use crate::cluster::time::ServerTime;
use crate::engine::error::Error;
use crate::engine::events::{EventFeed, FeedOptions};
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::time::Duration;

/// What a join asks for; `None` keeps what is configured (or what the last join set).
#[derive(Debug, Clone, Default)]
pub struct JoinRequest {
    /// The id to join under; another one than the member's is a rename.
    pub node_id: Option<NodeId>,
    /// A name for people.
    pub name: Option<String>,
    /// Where the gateway can be reached.
    pub endpoint: Option<String>,
    /// What the node can do.
    pub capabilities: Option<Vec<String>>,
    /// Free labels.
    pub labels: Option<BTreeMap<String, String>>,
    /// Take the id from a live process.
    pub force: bool,
}

/// What a join leads to.
#[derive(Debug, Clone)]
pub struct Joined {
    /// The cluster.
    pub cluster: ClusterName,
    /// This node.
    pub node_id: NodeId,
    /// Its life.
    pub incarnation: Incarnation,
    /// When it joined.
    pub joined_at: ServerTime,
    /// Who leads, as far as known.
    pub leader_id: Option<NodeId>,
    /// The highest term known.
    pub term: Term,
    /// All members.
    pub nodes: Vec<NodeView>,
}

/// What leaving leads to.
#[derive(Debug, Clone)]
pub struct Left {
    /// This node.
    pub node_id: NodeId,
    /// When it left.
    pub left_at: ServerTime,
    /// Whether it gave up a leadership by that.
    pub resigned: bool,
}

/// A node's part in the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Leads.
    Leader,
    /// A member that does not lead.
    Follower,
    /// No member.
    Observer,
}

/// A member as a client sees it.
#[derive(Debug, Clone)]
pub struct NodeView {
    /// The row.
    pub member: Member,
    /// Its status as of the view's time.
    pub status: Status,
    /// Its part.
    pub role: Role,
}

/// The cluster as this node sees it.
#[derive(Debug, Clone)]
pub struct StateView {
    /// The cluster.
    pub cluster: ClusterName,
    /// This node, when it is a member.
    pub node_id: Option<NodeId>,
    /// This node's part, checked at this instant.
    pub role: Role,
    /// Who holds the leader's lease.
    pub leader_id: Option<NodeId>,
    /// The highest term known.
    pub term: Term,
    /// When that lease ends.
    pub lease_expires_at: Option<ServerTime>,
    /// All members, by id.
    pub nodes: Vec<NodeView>,
    /// Whether Redis took the node's last beat and has room for more.
    pub redis_ok: bool,
    /// What is wrong with it, and what to do.
    pub redis_trouble: Option<String>,
    /// When the view was true.
    pub as_of: ServerTime,
    /// How long ago that was, on the node's clock.
    pub age: Duration,
}

/// What an election asks for.
#[derive(Debug, Clone, Default)]
pub struct ElectRequest {
    /// Who shall lead; this node when absent.
    pub candidate: Option<NodeId>,
    /// Hand over even from a live leader.
    pub force: bool,
}

/// What an election leads to.
#[derive(Debug, Clone)]
pub struct Elected {
    /// Who leads.
    pub leader_id: NodeId,
    /// Under which term.
    pub term: Term,
    /// Whether this call brought the term about.
    pub changed: bool,
    /// When the lease ends.
    pub lease_expires_at: ServerTime,
}

/// A message as a client gives it.
#[derive(Debug, Clone)]
pub struct Draft {
    /// The client's id for it; generated when absent.
    pub id: Option<String>,
    /// Free text to sort by.
    pub topic: Option<String>,
    /// The members that it is for, not checked yet.
    pub to: Option<Vec<String>>,
    /// The content.
    pub payload: Box<RawValue>,
}

/// What a sync asks for.
#[derive(Debug, Clone)]
pub struct SyncRequest {
    /// Messages to send, in order.
    pub messages: Vec<Draft>,
    /// How many to receive at most; `None`: the configured batch size; 0: none.
    pub limit: Option<usize>,
    /// How long to wait for the first message to receive.
    pub wait: Duration,
    /// Whether what is received counts as acknowledged once [`Delivery::written`] is called.
    pub auto_ack: bool,
    /// Acknowledge everything up to here first.
    pub ack: Option<MessageSeq>,
}

/// What a sync leads to.
#[derive(Debug)]
pub struct Synced {
    /// Messages that are in the stream now.
    pub published: usize,
    /// Messages that were sent before.
    pub duplicates: usize,
    /// Messages that wait in the outbox.
    pub queued: usize,
    /// For each message given: its place in the stream, where it is known.
    pub entries: Vec<Option<MessageSeq>>,
    /// What came in.
    pub received: Vec<Received>,
    /// The position to acknowledge for all of it.
    pub cursor: MessageSeq,
    /// Whether more waits.
    pub more: bool,
    /// What was lost before it could be read.
    pub gap: Option<Gap>,
    /// To be told when the answer has been written; `None` when nothing hangs on it.
    pub delivery: Option<Delivery>,
}

/// A receipt that waits for its answer to be written. Dropping it leaves the messages unacknowledged.
#[derive(Debug)]
pub struct Delivery {
    done: tokio::sync::oneshot::Sender<()>,
}

impl Delivery {
    /// A receipt and what hears of it; the receiver fails when the receipt is dropped.
    #[must_use]
    pub fn new() -> (Self, tokio::sync::oneshot::Receiver<()>) {
        let (done, heard) = tokio::sync::oneshot::channel();
        (Self { done }, heard)
    }

    /// The answer has been written to the client.
    pub fn written(self) {
        // The receiving side is gone only when the node is stopping; then nothing is acknowledged, which is safe.
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
    /// A grant, and what takes it back; that must not wait for anything.
    #[must_use]
    pub fn new(take_back: impl FnOnce() + Send + 'static) -> Self {
        Self { take_back: Some(Box::new(take_back)) }
    }

    /// The answer has been written to the client.
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

/// What a heartbeat on request leads to.
#[derive(Debug, Clone)]
pub struct Beat {
    /// This node.
    pub node_id: NodeId,
    /// Its life.
    pub incarnation: Incarnation,
    /// Its part.
    pub role: Role,
    /// The highest term known.
    pub term: Term,
    /// Who leads.
    pub leader_id: Option<NodeId>,
    /// When the beat was taken.
    pub at: ServerTime,
    /// How long the round trip took.
    pub round_trip: Duration,
    /// How many attempts it took.
    pub attempts: u32,
}

/// The methods of a running node, as the outer layers call them. The node implements it; tests may stand in for it.
pub trait Node: Leases + Tasks + Observed + Past {
    /// How events reach a subscriber.
    type Feed: EventFeed;

    /// Joins the cluster, updates the metadata of a member, or renames it.
    fn join(&self, request: JoinRequest) -> impl Future<Output = Result<Joined, Error>> + Send;
    /// Leaves the cluster.
    fn leave(&self) -> impl Future<Output = Result<Left, Error>> + Send;
    /// The local view, or with `fresh` what Redis says now.
    fn state(&self, fresh: bool) -> impl Future<Output = Result<StateView, Error>> + Send;
    /// Names the leader, or changes it.
    fn elect(&self, request: ElectRequest) -> impl Future<Output = Result<Elected, Error>> + Send;
    /// Sends and receives messages.
    fn sync(&self, request: SyncRequest) -> impl Future<Output = Result<Synced, Error>> + Send;
    /// Beats now, with the configured retries.
    fn beat(&self) -> impl Future<Output = Result<Beat, Error>> + Send;
    /// Follows the events.
    fn feed(&self, options: FeedOptions) -> impl Future<Output = Result<Self::Feed, Error>> + Send;
}
