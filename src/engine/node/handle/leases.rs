//! Leases, what runs once, and draining, as the outer layers ask for them.
//!
//! Not here: the work itself (`crate::engine::leases`).

use super::Handout;
use crate::cluster::ids::{LeaseName, NodeId, Term};
use crate::cluster::time::ServerTime;
use crate::engine::error::Error;
use std::time::Duration;

/// What an acquisition asks for.
#[derive(Debug, Clone)]
pub struct AcquireRequest {
    /// Which lease.
    pub name: LeaseName,
    /// For how long.
    pub ttl: Duration,
    /// How long to wait in the queue; zero: not at all.
    pub wait: Duration,
    /// The client's name for the request.
    pub request_id: Option<String>,
}

/// What an acquisition leads to.
#[derive(Debug)]
pub struct AcquiredLease {
    /// Which lease.
    pub name: LeaseName,
    /// Whether it is the caller's.
    pub acquired: bool,
    /// Whoever holds it: the node, its token, and until when; `None`: nobody.
    pub held: Option<(NodeId, Term, ServerTime)>,
    /// To be told when the answer has been written; `None` when nothing hangs on it.
    pub handout: Option<Handout>,
}

/// A lease and the token that shall hold it.
#[derive(Debug, Clone)]
pub struct HeldLease {
    /// Which lease.
    pub name: LeaseName,
    /// The token that it was granted with.
    pub token: Term,
}

/// What `run_once` asks for.
#[derive(Debug, Clone)]
pub struct OnceRequest {
    /// The keys, each for itself.
    pub keys: Vec<String>,
    /// How long they stay granted.
    pub ttl: Duration,
    /// The client's name for the request.
    pub request_id: Option<String>,
}

/// Who was first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Once {
    /// The key.
    pub key: String,
    /// Whether the caller is the one.
    pub granted: bool,
    /// The node that is.
    pub by: NodeId,
    /// Since when.
    pub at: ServerTime,
}

/// What draining leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drained {
    /// This node.
    pub node_id: NodeId,
    /// Whether it drains now.
    pub draining: bool,
    /// Tasks that run here.
    pub running_tasks: u64,
    /// Leases that are held under this node's id.
    pub leases: u64,
}

/// The part of a node that grants leases.
pub trait Leases: Send + Sync + 'static {
    /// Takes a lease, or waits for it.
    fn acquire(&self, request: AcquireRequest) -> impl Future<Output = Result<AcquiredLease, Error>> + Send;
    /// Holds a lease for longer; as long as before without `ttl`. Until when it is held then.
    fn renew(&self, held: HeldLease, ttl: Option<Duration>) -> impl Future<Output = Result<ServerTime, Error>> + Send;
    /// Gives a lease back.
    fn release(&self, held: HeldLease) -> impl Future<Output = Result<(), Error>> + Send;
    /// Whether the token still holds the lease.
    fn check(&self, held: HeldLease) -> impl Future<Output = Result<bool, Error>> + Send;
    /// Grants each key to its first caller; the answers are in the order of the keys.
    fn run_once(&self, request: OnceRequest) -> impl Future<Output = Result<Vec<Once>, Error>> + Send;
    /// Takes no new work, or takes part again.
    fn drain(&self, enabled: bool) -> impl Future<Output = Result<Drained, Error>> + Send;
}
