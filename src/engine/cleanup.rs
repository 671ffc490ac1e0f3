//! Undoing in Redis what was granted to a caller that is gone.
//!
//! 1. The caller that notices this does not wait: the cleanup is queued here, and one task works through the queue in order,
//!    retrying each entry until Redis has confirmed it. What does not fit into the queue expires by itself.
//! 2. A call that was given up without an answer is withdrawn, because Redis may still execute it.
//!
//! Not here: noticing that a caller is gone (`leases/`, `tasks/`).

use super::error::Error;
use super::refusals::unavailable;
use crate::cluster::ids::{LeaseName, Nonce};
use crate::cluster::protocol::{Call, Fault, Forget, Instance, Owner, Release, SettleTasks, Settlement, Verdict};
use crate::cluster::task::Jitter;
use crate::engine::node::handle::{HeldLease, HeldTask};
use crate::engine::store_calls::{Caller, nonce};
use crate::store::Store;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc;

/// The maximum number of queued cleanups.
const NOTED: usize = 4_096;

/// What to clean up.
#[derive(Debug)]
pub(super) enum Cleanup {
    /// A place in the queue of a lease.
    Wait { name: LeaseName, ticket: Nonce },
    /// A lease, with the incarnation that it was granted to.
    Lease(HeldLease, Instance),
    /// Tasks that were claimed.
    Tasks(Vec<HeldTask>),
    /// A call that was given up but that Redis may still execute: the call that withdraws it, and a marker
    /// that lives until the withdrawal is confirmed.
    Call(Box<Call>, Option<Pending>),
}

/// The number of calls that Redis may still execute, by request.
pub(super) type PendingCounts = Arc<Mutex<HashMap<String, usize>>>;

/// One such call; it counts until this is dropped.
#[derive(Debug)]
pub(super) struct Pending {
    counts: PendingCounts,
    request: String,
}

impl Pending {
    /// Counts a call, and returns whether there were others of that request.
    pub(super) fn begin(counts: &PendingCounts, request: &str) -> (Self, bool) {
        let mut all = counts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = all.entry(request.to_owned()).or_default();
        *count += 1;
        (Self { counts: Arc::clone(counts), request: request.to_owned() }, *count > 1)
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        let mut all = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = all.get_mut(&self.request) {
            *count -= 1;
            if *count == 0 {
                all.remove(&self.request);
            }
        }
    }
}

/// The queue of cleanups.
#[derive(Debug, Clone)]
pub(super) struct CleanupQueue {
    notes: mpsc::Sender<Cleanup>,
}

impl CleanupQueue {
    /// An empty queue, and its reader for [`run`].
    pub(super) fn new() -> (Self, mpsc::Receiver<Cleanup>) {
        let (notes, reader) = mpsc::channel(NOTED);
        (Self { notes }, reader)
    }

    /// Queues a cleanup.
    pub(super) fn later(&self, what: Cleanup) {
        if let Err(refused) = self.notes.try_send(what) {
            tracing::warn!(error = %refused, "the cleanup queue is full; the lease, key or task will expire by itself");
        }
    }
}

/// Works through the queue until the node is gone.
pub(super) async fn run(mut notes: mpsc::Receiver<Cleanup>, caller: Caller) {
    while let Some(what) = notes.recv().await {
        while let Err(why) = take_back(&caller, &what).await {
            if !matches!(why, Error::RedisUnavailable { .. }) {
                tracing::debug!(error = %why, ?what, "nothing to clean up: the lease, key or task ended with this node's membership");
                break;
            }
            tokio::time::sleep(CLEANUP_RETRY_DELAY).await;
        }
        if let Cleanup::Call(_, pending) = what {
            drop(pending);
        }
    }
    // The queue has no sender any more: the node is being stopped, and this task with it.
    std::future::pending::<()>().await;
}

/// The pause before a cleanup is retried.
const CLEANUP_RETRY_DELAY: Duration = Duration::from_millis(250);

async fn take_back(caller: &Caller, what: &Cleanup) -> Result<(), Error> {
    match what {
        // This needs no membership: what it withdraws may have outlived the membership.
        Cleanup::Call(call, _) => match caller.store.call((**call).clone()).await {
            Ok(_) => Ok(()),
            Err(Fault::Unavailable(why) | Fault::Unwritable(why)) => Err(unavailable(&why)),
            Err(Fault::Refused(why)) => Err(Error::Internal(why)),
        },
        Cleanup::Wait { name, ticket } => {
            let call = |_| Forget { name: name.clone(), ticket: ticket.clone() };
            caller.repeat(call, |_| Ok(())).await
        }
        Cleanup::Lease(HeldLease { name, token }, instance) => {
            let owner = Owner::of(instance.clone());
            let call = |_| Release { name: name.clone(), token: *token, owner: owner.clone(), ticket: None };
            caller.repeat(call, |_| Ok(())).await
        }
        Cleanup::Tasks(tasks) => {
            let jitter = Jitter::from_text(nonce()?.as_str());
            let settlement = |held: &HeldTask| Settlement {
                id: held.id.clone(),
                token: held.token,
                verdict: Verdict::Fail {
                    error: "its worker disconnected before it received the task".to_owned(),
                    retry: true,
                    jitter,
                },
            };
            let settlements: Vec<Settlement> = tasks.iter().map(settlement).collect();
            let call = |instance| SettleTasks { instance, settlements: settlements.clone() };
            caller.repeat(call, |_| Ok(())).await
        }
    }
}
