//! Leases, `run_once` and draining, as the outer layers use them.
//!
//! Not here: the work itself (`crate::engine::leases`).

use super::{Drained, Handout};
use crate::cluster::ids::{LeaseName, NodeId, Term};
use crate::cluster::protocol::ListedLease;
use crate::cluster::time::ServerTime;
use crate::engine::error::Error;
use std::time::Duration;

/// The parameters of an acquisition.
#[derive(Debug, Clone)]
pub struct AcquireRequest {
    /// The name of the lease.
    pub name: LeaseName,
    /// How long the lease lasts without a renewal.
    pub ttl: Duration,
    /// How long to wait in the queue; zero: do not wait.
    pub wait: Duration,
    /// The client's id for the request.
    pub request_id: Option<String>,
}

/// The result of an acquisition.
#[derive(Debug)]
pub struct AcquiredLease {
    /// The name of the lease.
    pub name: LeaseName,
    /// Whether the caller holds the lease.
    pub acquired: bool,
    /// The current holder, its token, and when the lease expires; `None`: the lease is free.
    pub held: Option<(NodeId, Term, ServerTime)>,
    /// Ends the grant when dropped, unless the answer was written; `None`: there is no grant.
    pub handout: Option<Handout>,
}

/// A lease and the token under which the caller holds it.
#[derive(Debug, Clone)]
pub struct HeldLease {
    /// The name of the lease.
    pub name: LeaseName,
    /// The token that the lease was granted with.
    pub token: Term,
}

/// The parameters of `run_once`.
#[derive(Debug, Clone)]
pub struct OnceRequest {
    /// The keys; each is granted on its own.
    pub keys: Vec<String>,
    /// How long the keys stay taken.
    pub ttl: Duration,
    /// The client's id for the request.
    pub request_id: Option<String>,
}

/// The answer for one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Once {
    /// The key.
    pub key: String,
    /// Whether the key was granted to the caller.
    pub granted: bool,
    /// The node that the key was granted to.
    pub by: NodeId,
    /// When the key was granted.
    pub at: ServerTime,
}

/// The part of a node that manages leases.
pub trait Leases: Send + Sync + 'static {
    /// Acquires a lease, or waits for it.
    fn acquire(&self, request: AcquireRequest) -> impl Future<Output = Result<AcquiredLease, Error>> + Send;
    /// Renews a lease, with the same duration as before if `ttl` is absent; returns when it expires now.
    fn renew(&self, held: HeldLease, ttl: Option<Duration>) -> impl Future<Output = Result<ServerTime, Error>> + Send;
    /// Releases a lease.
    fn release(&self, held: HeldLease) -> impl Future<Output = Result<(), Error>> + Send;
    /// Whether the token still holds the lease.
    fn check(&self, held: HeldLease) -> impl Future<Output = Result<bool, Error>> + Send;
    /// The leases that are held or reserved for a waiter, those that end first in front; at most `limit`.
    fn leases(&self, limit: u32) -> impl Future<Output = Result<Vec<ListedLease>, Error>> + Send;
    /// Grants each key to its first caller; the answers are in the order of the keys.
    fn run_once(&self, request: OnceRequest) -> impl Future<Output = Result<Vec<Once>, Error>> + Send;
    /// Starts or stops draining.
    fn drain(&self, enabled: bool) -> impl Future<Output = Result<Drained, Error>> + Send;
}
