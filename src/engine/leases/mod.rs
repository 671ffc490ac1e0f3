//! Leases and `run_once` for the clients of this node.
//!
//! 1. Every acquisition has a request id, the client's or a generated one, so that a call whose answer was lost is granted
//!    only once.
//! 2. A waiter has one place in the queue and one task here; both end when the wait ends or the client goes away.
//! 3. A grant that could not be delivered, and whose request id the client does not know, is given back.
//!
//! `once.rs` has `run_once`, `waiting.rs` one acquisition from its first call to its end.
//!
//! Not here: granting (`crate::store`), the rules of the leadership (`crate::cluster::node`).

pub mod holder;
mod once;
mod waiting;
mod wall;

use super::error::Error;
use super::refusals::RETRY_AFTER;
use crate::clock;
use crate::cluster::ids::Nonce;
use crate::cluster::protocol::{
    self, Check, ListLeases, ListedLease, Owner, Release, Renew, Renewed, Served, ServerId,
};
use crate::cluster::time::{Moment, ServerTime, millis};
use crate::engine::background::BackgroundTasks;
use crate::engine::cleanup::{Cleanup, CleanupQueue, PendingCounts};
use crate::engine::node::handle::{AcquireRequest, AcquiredLease, HeldLease};
use crate::engine::store_calls::{Caller, RETRY_FOR, gone, nonce};
use std::collections::HashMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, oneshot};
use tracing::Instrument;
use waiting::Waiting;
use wall::Wall;

/// The maximum number of acquisitions under way.
const MAX_PENDING_ACQUISITIONS: usize = 10_000;

/// See the head of this file.
pub(crate) struct Leases {
    caller: Caller,
    cleanup: CleanupQueue,
    /// The waiters by ticket; notifying one makes it ask again.
    waiters: Mutex<HashMap<Nonce, Arc<Notify>>>,
    background: BackgroundTasks,
    /// The server and data set of the latest answers, and since when they are the same.
    served: Mutex<Option<(ServerId, String, Moment)>>,
    /// The requests of [`Self::run_once`] with calls that are under way or being withdrawn.
    pending: PendingCounts,
    /// The number of calls of [`Self::run_once`].
    calls: AtomicU64,
    wall: Mutex<Wall>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The registration of a waiter under its ticket; it ends when this is dropped.
pub(super) struct Place {
    leases: Arc<Leases>,
    ticket: Nonce,
    called: Arc<Notify>,
}

impl Place {
    /// The ticket of the waiter.
    pub(super) fn ticket(&self) -> &Nonce {
        &self.ticket
    }

    /// Notified when the waiter must ask again.
    pub(super) fn called(&self) -> &Notify {
        &self.called
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        lock(&self.leases.waiters).remove(&self.ticket);
    }
}

impl Leases {
    pub(super) fn new(caller: Caller, cleanup: CleanupQueue, background: BackgroundTasks) -> Arc<Self> {
        let (waiters, served, pending) = (Mutex::default(), Mutex::default(), PendingCounts::default());
        Arc::new(Self {
            caller,
            cleanup,
            waiters,
            background,
            served,
            pending,
            calls: AtomicU64::new(1),
            wall: Mutex::default(),
        })
    }

    /// Waits for this node's membership, if that can succeed.
    pub(super) async fn member(&self) -> Result<protocol::Instance, Error> {
        self.caller.instance(clock::now() + RETRY_FOR).await
    }

    /// The presence grace of the cluster.
    fn grace(&self) -> Duration {
        self.caller.status.borrow().grace
    }

    /// Makes the waiter with this ticket ask again.
    pub(super) fn call(&self, ticket: &Nonce) {
        if let Some(called) = lock(&self.waiters).get(ticket) {
            called.notify_one();
        }
    }

    /// Takes the server's time from the answer to a heartbeat that was sent at `sent`.
    pub(super) fn saw_clock(&self, at: ServerTime, sent: Moment) {
        if let Some(by) = lock(&self.wall).observe(at, sent, clock::now()) {
            tracing::warn!(
                by_ms = millis(by),
                "the Redis server's clock jumped forward; run_once keys keep their full duration in real time, for at most two hours \
                 longer than that clock says, and delayed tasks become ready early"
            );
        }
    }

    /// Makes every waiter ask again, because notifications may have been missed.
    pub(super) fn call_all(&self) {
        lock(&self.waiters).values().for_each(|called| called.notify_one());
    }

    /// Registers a waiter, also one for a slot.
    pub(super) fn place(self: &Arc<Self>, ticket: Nonce) -> Place {
        let called = Arc::new(Notify::new());
        lock(&self.waiters).insert(ticket.clone(), Arc::clone(&called));
        Place { leases: Arc::clone(self), ticket, called }
    }

    /// Acquires a lease, or waits for it.
    pub(super) async fn acquire(self: &Arc<Self>, request: AcquireRequest) -> Result<AcquiredLease, Error> {
        let own = request.request_id.is_none();
        let place = self.place(nonce()?);
        let request_id = request.request_id.clone().unwrap_or_else(|| place.ticket.to_string());
        let (client, answer) = oneshot::channel();
        let end = clock::now() + request.wait;
        if lock(&self.waiters).len() > MAX_PENDING_ACQUISITIONS {
            let what = format!(
                "this node has reached its limit of {MAX_PENDING_ACQUISITIONS} pending calls to acquire a lease"
            );
            return Err(Error::Overloaded { what, retry_after: RETRY_AFTER });
        }
        let waiting = Waiting { leases: Arc::clone(self), place, request, request_id, own, end };
        // In a task of its own: a grant of the store is handled even if the client goes away.
        self.background.spawn(waiting.run(client).in_current_span())?;
        answer.await.map_err(|_| gone())?
    }

    /// What the caller knows about the server that answers.
    fn served(&self) -> Option<Served> {
        let served = lock(&self.served);
        let (server, epoch, since) = served.as_ref()?;
        Some(Served { server: server.clone(), epoch: epoch.clone(), span: clock::now().since(*since) })
    }

    fn was_served(&self, by: &ServerId, epoch: &str) {
        let mut served = lock(&self.served);
        if served.as_ref().is_none_or(|(server, known, _)| server != by || known != epoch) {
            *served = Some((by.clone(), epoch.to_owned(), clock::now()));
        }
    }

    /// Renews a lease.
    pub(super) async fn renew(&self, held: HeldLease, ttl: Option<Duration>) -> Result<ServerTime, Error> {
        let (nonce, grace, stated) = (nonce()?, self.grace(), millis(clock::now().0));
        let call = |instance| Renew {
            name: held.name.clone(),
            token: held.token,
            ttl,
            nonce: nonce.clone(),
            owner: Owner::of(instance),
            ticket: None,
            holds: false,
            grace,
            stated,
        };
        match self.caller.repeat(call, |reply| Ok(reply.outcome)).await? {
            Renewed::Until(at) => Ok(at),
            // A lease that a presence holds does not belong to this node's incarnation.
            Renewed::Stale | Renewed::NoPresence => Err(stale(&held)),
        }
    }

    /// Releases a lease.
    pub(super) async fn release(&self, held: HeldLease) -> Result<(), Error> {
        let call =
            |instance| Release { name: held.name.clone(), token: held.token, owner: Owner::of(instance), ticket: None };
        let released = self.caller.repeat(call, Ok).await?;
        if released { Ok(()) } else { Err(stale(&held)) }
    }

    /// Whether a token still holds its lease.
    pub(super) async fn check(&self, held: HeldLease) -> Result<bool, Error> {
        let HeldLease { name, token } = held;
        self.caller.repeat(|_| Check { name: name.clone(), token }, Ok).await
    }

    /// Reads the leases that are held or reserved, those that end first in front.
    pub(super) async fn list(&self, limit: u32) -> Result<Vec<ListedLease>, Error> {
        self.caller.repeat(|_| ListLeases { limit }, Ok).await
    }

    fn clean_up_later(&self, what: Cleanup) {
        self.cleanup.later(what);
    }
}

/// The error for a stale token.
pub(super) fn stale(held: &HeldLease) -> Error {
    Error::StaleToken { what: "lease", name: held.name.to_string(), token: held.token.0 }
}
