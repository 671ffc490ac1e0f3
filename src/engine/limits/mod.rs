//! Limits across the cluster, for this node's clients: permits of a rate, and slots.
//!
//! 1. A client waits here, not in Redis: nothing polls except a waiter for a slot, when the store names a time.
//! 2. A slot that could not be delivered, and a place in the queue of a client that is gone, are given back.
//!
//! `permits.rs` has the rates, `slots.rs` the slots.
//!
//! Not here: who gets what (`crate::store`).

mod permits;
mod slots;

use super::error::Error;
use super::refusals::RETRY_AFTER;
use crate::cluster::ids::LimitName;
use crate::cluster::protocol::MOST_LIMITS;
use crate::cluster::time::ServerTime;
use crate::engine::cleanup::CleanupQueue;
use crate::engine::leases::Leases;
use crate::engine::node::handle::{self, AcquiredSlot, HeldSlot, PermitsRequest, SlotRequest, TakenPermits};
use crate::engine::store_calls::Caller;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, SemaphorePermit};

/// The maximum number of calls that wait, of both sorts.
const MAX_WAITING: usize = 10_000;

/// See the head of this file.
pub struct Limits {
    caller: Caller,
    cleanup: CleanupQueue,
    /// It knows the waiters that Redis calls.
    leases: Arc<Leases>,
    waiting: Semaphore,
}

impl Limits {
    pub(super) fn new(caller: Caller, cleanup: CleanupQueue, leases: Arc<Leases>) -> Self {
        Self { caller, cleanup, leases, waiting: Semaphore::new(MAX_WAITING) }
    }

    /// Counts a call that may wait.
    fn enter(&self) -> Result<SemaphorePermit<'_>, Error> {
        self.waiting.try_acquire().map_err(|_| {
            overloaded(format!("this node has reached its limit of {MAX_WAITING} waiting calls for permits and slots"))
        })
    }
}

fn overloaded(what: String) -> Error {
    Error::Overloaded { what, retry_after: RETRY_AFTER }
}

fn too_many_names(sort: &str, name: &LimitName) -> Error {
    overloaded(format!(
        "{sort} {name} is new, and {MOST_LIMITS} names are in use; use fewer names, or try again once some are idle"
    ))
}

impl handle::Limits for Limits {
    async fn take_permits(&self, request: PermitsRequest) -> Result<TakenPermits, Error> {
        self.take(request).await
    }

    async fn acquire_slot(&self, request: SlotRequest) -> Result<AcquiredSlot, Error> {
        self.acquire(request).await
    }

    async fn renew_slot(&self, held: HeldSlot, ttl: Option<Duration>) -> Result<ServerTime, Error> {
        self.renew(held, ttl).await
    }

    async fn release_slot(&self, held: HeldSlot) -> Result<u64, Error> {
        self.release(held).await
    }
}
