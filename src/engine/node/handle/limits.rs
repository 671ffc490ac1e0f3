//! Limits across the cluster, as the outer layers use them.
//!
//! Not here: the work itself (`crate::engine::limits`).

use super::Handout;
use crate::cluster::ids::{LimitName, TaskToken};
use crate::cluster::time::ServerTime;
use crate::engine::error::Error;
use std::time::Duration;

/// The parameters of a call for permits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PermitsRequest {
    /// The name of the limit.
    pub name: LimitName,
    /// How many permits.
    pub permits: u64,
    /// How many permits come back in `per`.
    pub rate: u64,
    /// See `rate`.
    pub per: Duration,
    /// How many permits the bucket holds.
    pub burst: u64,
    /// How long to wait at most.
    pub wait: Duration,
    /// The client's id for the request.
    pub request_id: Option<String>,
}

/// The result of a call for permits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TakenPermits {
    /// Since when the caller has the permits; `None`: it was refused.
    pub granted_at: Option<ServerTime>,
    /// How many permits are left.
    pub remaining: u64,
    /// After a refusal: when there are enough, if nobody else takes any.
    pub retry_after: Option<Duration>,
}

/// The parameters of a call for a slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlotRequest {
    /// The name of the semaphore.
    pub name: LimitName,
    /// How many may hold a slot at once.
    pub slots: u64,
    /// How long the slot lasts without a renewal.
    pub ttl: Duration,
    /// How long to wait in the queue; zero: do not wait.
    pub wait: Duration,
    /// The client's id for the request.
    pub request_id: Option<String>,
}

/// The result of a call for a slot.
#[derive(Debug)]
pub struct AcquiredSlot {
    /// The token, and when the slot expires; `None`: the caller has none.
    pub held: Option<(TaskToken, ServerTime)>,
    /// How many hold a slot.
    pub in_use: u64,
    /// Ends the slot when dropped, unless the answer was written; `None`: nothing to end.
    pub handout: Option<Handout>,
}

/// A slot and the token under which the caller holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldSlot {
    /// The name of the semaphore.
    pub name: LimitName,
    /// The token that the slot was granted with.
    pub token: TaskToken,
}

/// The part of a node that keeps limits.
pub trait Limits: Send + Sync + 'static {
    /// Takes permits, or waits for them.
    fn take_permits(&self, request: PermitsRequest) -> impl Future<Output = Result<TakenPermits, Error>> + Send;
    /// Acquires a slot, or waits for one.
    fn acquire_slot(&self, request: SlotRequest) -> impl Future<Output = Result<AcquiredSlot, Error>> + Send;
    /// Extends a slot, by the same duration as before if `ttl` is absent; returns when it expires now.
    fn renew_slot(
        &self,
        held: HeldSlot,
        ttl: Option<Duration>,
    ) -> impl Future<Output = Result<ServerTime, Error>> + Send;
    /// Ends a slot; returns how many are still in use.
    fn release_slot(&self, held: HeldSlot) -> impl Future<Output = Result<u64, Error>> + Send;
}
