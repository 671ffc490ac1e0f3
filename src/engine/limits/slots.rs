//! One acquisition of a slot, from its first call to its end.
//!
//! 1. A waiter asks again when it is called, when the store says so, and once per heartbeat interval as a fallback.
//! 2. Whatever ends it without a delivered grant, also the end of its client, gives its ticket up: the place in the queue, and
//!    a grant whose answer was lost.

use super::{Limits, overloaded, too_many_names};
use crate::clock;
use crate::cluster::ids::{LimitName, Nonce};
use crate::cluster::protocol::{
    AcquireSlot, Call, ForgetSlot, Instance, LimitCall, MOST_SLOT_WAITERS, ReleaseSlot, RenewSlot, Slot, SlotReply,
};
use crate::cluster::time::{Moment, ServerTime};
use crate::engine::cleanup::{Cleanup, CleanupQueue};
use crate::engine::error::Error;
use crate::engine::node::handle::{AcquiredSlot, Handout, HeldSlot, SlotRequest};
use crate::engine::store_calls::{known, nonce};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// The pause before a call without an answer is repeated, and the shortest one between two calls.
const PAUSE: Duration = Duration::from_millis(100);

/// A request under way; when it is dropped, it is given up, unless it was settled.
struct Asking<'a> {
    cleanup: &'a CleanupQueue,
    name: LimitName,
    ticket: Nonce,
    request_id: String,
    /// The incarnation that asked last.
    by: Mutex<Option<Instance>>,
}

impl Asking<'_> {
    fn note(&self, instance: &Instance) {
        *self.by.lock().unwrap_or_else(PoisonError::into_inner) = Some(instance.clone());
    }

    /// Nothing is left to give up; returns the call that would.
    fn settle(&self) -> Option<Cleanup> {
        let instance = self.by.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        let (name, ticket, request_id) = (self.name.clone(), self.ticket.clone(), self.request_id.clone());
        let forget = LimitCall::Forget(ForgetSlot { instance, name, ticket, request_id });
        Some(Cleanup::Call(Box::new(Call::Limit(Box::new(forget))), None))
    }
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        if let Some(forget) = self.settle() {
            self.cleanup.later(forget);
        }
    }
}

impl Limits {
    /// Acquires a slot, or waits for one.
    pub(crate) async fn acquire(&self, request: SlotRequest) -> Result<AcquiredSlot, Error> {
        let _waiting = self.enter()?;
        let place = self.leases.place(nonce()?);
        let own = request.request_id.is_none();
        let ticket = place.ticket().clone();
        let request_id = request.request_id.clone().unwrap_or_else(|| ticket.to_string());
        let asking =
            Asking { cleanup: &self.cleanup, name: request.name.clone(), ticket, request_id, by: Mutex::default() };
        let end = clock::now() + request.wait;
        let unsure = AtomicBool::new(false);
        loop {
            let wait = clock::now() < end;
            let (outcome, in_use) = match self.ask(&request, &asking, wait, &unsure).await {
                Ok(reply) => (reply.outcome, reply.in_use),
                Err(Error::RedisUnavailable { .. }) if clock::now() + PAUSE < end => {
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
                Err(why) => return Err(why),
            };
            match outcome {
                Slot::Granted { token, expires_at } => {
                    let cleanup = self.cleanup.clone();
                    let forget = asking.settle().filter(|_| own);
                    let handout = forget.map(|forget| Handout::new(move || cleanup.later(forget)));
                    return Ok(AcquiredSlot { held: Some((token, expires_at)), in_use, handout });
                }
                Slot::Full { again } if wait => self.pause(place.called(), again, end).await,
                Slot::Overloaded if in_use > 0 => {
                    let what = format!("{} has reached its limit of {MOST_SLOT_WAITERS} waiters", request.name);
                    return Err(overloaded(what));
                }
                Slot::Overloaded => return Err(too_many_names("semaphore", &request.name)),
                Slot::Full { .. } | Slot::Barred => {
                    if !unsure.load(Ordering::Relaxed) {
                        // Its last call gave the place up.
                        drop(asking.settle());
                    }
                    return Ok(AcquiredSlot { held: None, in_use, handout: None });
                }
            }
        }
    }

    async fn ask(
        &self,
        request: &SlotRequest,
        asking: &Asking<'_>,
        wait: bool,
        unsure: &AtomicBool,
    ) -> Result<SlotReply, Error> {
        let grace = self.caller.status.borrow().grace;
        let call = |instance: Instance| {
            asking.note(&instance);
            AcquireSlot {
                instance,
                name: request.name.clone(),
                ticket: asking.ticket.clone(),
                request_id: asking.request_id.clone(),
                slots: request.slots,
                ttl: request.ttl,
                wait,
                grace,
            }
        };
        self.caller.repeat_noting(call, |reply| known(reply.identity, reply), unsure).await
    }

    async fn pause(&self, called: &tokio::sync::Notify, again: Duration, end: Moment) {
        let slow = self.caller.status.borrow().interval;
        let now = clock::now();
        let until = end.min(now + again.min(slow).max(PAUSE / 10));
        tokio::select! {
            () = called.notified() => {}
            () = tokio::time::sleep(until.since(now)) => {}
        }
    }

    /// Extends a slot.
    pub(crate) async fn renew(&self, held: HeldSlot, ttl: Option<Duration>) -> Result<ServerTime, Error> {
        let call = |instance| RenewSlot { instance, name: held.name.clone(), token: held.token, ttl };
        let until = self.caller.repeat(call, Ok).await?;
        until.ok_or_else(|| stale(&held))
    }

    /// Ends a slot.
    pub(crate) async fn release(&self, held: HeldSlot) -> Result<u64, Error> {
        let call = |instance| ReleaseSlot { instance, name: held.name.clone(), token: held.token };
        let in_use = self.caller.repeat(call, Ok).await?;
        in_use.ok_or_else(|| stale(&held))
    }
}

fn stale(held: &HeldSlot) -> Error {
    Error::StaleToken { what: "slot", name: held.name.to_string(), token: held.token.0 }
}
