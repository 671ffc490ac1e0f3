//! One acquisition, from its first call to its end.
//!
//! 1. A waiter asks again when it is notified, when Redis is back, when the store says so, and once per heartbeat interval
//!    as a fallback. Only the first in the queue checks more often, because nothing notifies it if the holder dies.
//! 2. It ends with a grant, with an answer that there is none, or with its client; then the store forgets its ticket.
//! 3. No call is dropped before its answer: a grant is either delivered or given back. A call without an answer is
//!    withdrawn unless the lease was granted, because Redis may still execute it.
//!
//! Not here: operations on a lease that is held (`mod.rs`).

use super::{Leases, Place};
use crate::clock;
use crate::cluster::lease::observation::HolderObservation;
use crate::cluster::protocol::{
    Acquire, AcquireReply, Acquired, Call, Claim, Fault, Instance, LeaseCall, MOST_WAITERS, Owner, Refusal, WatchLease,
    Withdraw,
};
use crate::cluster::time::{Moment, millis};
use crate::engine::cleanup::Cleanup;
use crate::engine::error::Error;
use crate::engine::node::handle::{AcquireRequest, AcquiredLease, Handout, HeldLease};
use crate::engine::refusals::{RETRY_AFTER, unavailable};
use crate::engine::store_calls::{RETRY_FOR, nonce};
use crate::store::Answer;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use tokio::sync::oneshot;

/// The pause before a call without an answer is repeated.
const CALL_RETRY_DELAY: Duration = Duration::from_millis(100);
/// The shortest interval between two checks of a holder.
const MIN_WATCH_INTERVAL: Duration = Duration::from_millis(25);

type Outcome = Result<AcquiredLease, Error>;

/// One acquisition; see the head of this file.
pub(super) struct Waiting {
    pub(super) leases: Arc<Leases>,
    pub(super) place: Place,
    pub(super) request: AcquireRequest,
    pub(super) request_id: String,
    /// Whether the request id was generated here, so that only this node knows it.
    pub(super) own: bool,
    pub(super) end: Moment,
}

/// What a waiter knows.
#[derive(Default)]
struct Known {
    observation: HolderObservation,
    /// Whether it is the first in the queue.
    first: bool,
    /// How long the store will have nothing new, if it said so.
    again: Option<Duration>,
    /// Since when there has been no answer.
    trouble: Option<Moment>,
    /// Whether a call was sent that got no answer: Redis may still execute it.
    unsure: AtomicBool,
    /// The incarnation that asked last.
    asked: Option<Instance>,
}

impl Known {
    /// The claim that may be made at `now`, and how long it has been valid. The store judges a holder without a presence.
    fn claim(&self, now: Moment) -> Option<(Claim, Duration)> {
        let claimable = self.observation.claimable().filter(|claimable| claimable.at <= now)?;
        self.observation.by_presence().then(|| (claimable.claim, now.since(claimable.since)))
    }

    /// How often a holder is checked: four times per grace, but at most every [`MIN_WATCH_INTERVAL`].
    fn watch_interval(&self) -> Duration {
        self.observation.record().map_or(MIN_WATCH_INTERVAL, |record| (record.grace / 4).max(MIN_WATCH_INTERVAL))
    }

    /// Whether only the first in the queue would notice that the holder has died.
    fn watches(&self) -> bool {
        self.first && self.observation.by_presence()
    }
}

/// Why a step failed.
enum Trouble {
    /// It will fail again.
    Lasting(Error),
    /// It may succeed soon.
    Passing(Error),
}

impl From<Fault> for Trouble {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Unavailable(why) | Fault::Unwritable(why) => Self::Passing(unavailable(&why)),
            Fault::Refused(why) => Self::Lasting(Error::Internal(why)),
        }
    }
}

impl Waiting {
    /// Asks and waits, then answers the client.
    pub(super) async fn run(self, mut client: oneshot::Sender<Outcome>) {
        let mut known = Known::default();
        let outcome = self.obtain(&mut known, &mut client).await;
        let granted = matches!(&outcome, Some(Ok(lease)) if lease.acquired);
        if let Some(outcome) = outcome {
            // If the client is gone, the answer is dropped, and its handout gives a grant back.
            let _ = client.send(outcome);
        }
        if granted {
            return;
        }
        match known.asked.take() {
            // The client was told that it has no lease, or is gone.
            Some(instance) if known.unsure.into_inner() => self.withdraw(instance),
            _ if !self.request.wait.is_zero() => self.forget(),
            _ => {}
        }
    }

    fn forget(&self) {
        let (name, ticket) = (self.request.name.clone(), self.place.ticket.clone());
        self.leases.clean_up_later(Cleanup::Wait { name, ticket });
    }

    /// Withdraws the calls without an answer, which could still grant the lease, or a place in its queue.
    fn withdraw(&self, instance: Instance) {
        let (name, ticket) = (self.request.name.clone(), self.place.ticket.clone());
        let call = Withdraw { name, owner: Owner::of(instance), ticket, request_id: self.request_id.clone() };
        let call = Call::Lease(Box::new(LeaseCall::Withdraw(call)));
        self.leases.clean_up_later(Cleanup::Call(Box::new(call), None));
    }

    /// Asks until there is an answer; `None`: the client is gone.
    async fn obtain(&self, known: &mut Known, client: &mut oneshot::Sender<Outcome>) -> Option<Outcome> {
        while !client.is_closed() {
            let why = match self.step(known).await {
                Ok(Some(lease)) => return Some(Ok(lease)),
                Ok(None) => {
                    known.trouble = None;
                    self.pause(known, client).await;
                    continue;
                }
                Err(Trouble::Lasting(why)) => return Some(Err(why)),
                Err(Trouble::Passing(why)) => why,
            };
            let now = clock::now();
            let since = *known.trouble.get_or_insert(now);
            if now + CALL_RETRY_DELAY >= self.end.max(since + RETRY_FOR) {
                return Some(Err(why));
            }
            tokio::select! {
                () = tokio::time::sleep(CALL_RETRY_DELAY) => {}
                () = client.closed() => {}
            }
        }
        None
    }

    /// Asks once; `None`: the waiter must wait.
    async fn step(&self, known: &mut Known) -> Result<Option<AcquiredLease>, Trouble> {
        let waits = clock::now() < self.end;
        let (AcquireReply { outcome, again, .. }, instance) = self.ask(known, waits).await?;
        known.again = again;
        known.first = matches!(outcome, Acquired::Queued { before: 0 });
        match outcome {
            Acquired::Granted { token, expires_at, .. } => {
                let name = self.request.name.clone();
                // Not the holder in the record: a repeated grant may be over, and another node may hold the lease.
                let holder = instance.node_id.clone();
                let held = HeldLease { name: name.clone(), token };
                let leases = Arc::clone(&self.leases);
                let handout =
                    self.own.then(|| Handout::new(move || leases.clean_up_later(Cleanup::Lease(held, instance))));
                Ok(Some(AcquiredLease { name, acquired: true, held: Some((holder, token, expires_at)), handout }))
            }
            Acquired::Queued { .. } if waits => Ok(None),
            Acquired::Refused(Refusal::Held | Refusal::Unsettled | Refusal::NoPresence) if waits => Ok(None),
            Acquired::Refused(Refusal::NoMember(identity)) => {
                Err(Trouble::Passing(self.leases.caller.introduce(identity).await))
            }
            Acquired::Refused(Refusal::Overloaded) => {
                let what = format!("lease {} has reached its limit of {MOST_WAITERS} waiters", self.request.name);
                Err(Trouble::Lasting(Error::Overloaded { what, retry_after: RETRY_AFTER }))
            }
            Acquired::Queued { .. } | Acquired::Refused(_) => Ok(Some(self.not_granted(known))),
        }
    }

    fn not_granted(&self, known: &Known) -> AcquiredLease {
        let held = known.observation.record().and_then(|record| {
            let holder = record.holder.as_ref()?;
            Some((holder.node_id.clone(), record.token, record.expires_at))
        });
        AcquiredLease { name: self.request.name.clone(), acquired: false, held, handout: None }
    }

    /// Makes one call; returns its answer, and the incarnation that it was made for.
    async fn ask(&self, known: &mut Known, wait: bool) -> Result<(AcquireReply, Instance), Trouble> {
        let leases = &self.leases;
        let instance = leases.caller.instance(clock::now() + RETRY_FOR).await.map_err(|why| match why {
            Error::RedisUnavailable { .. } => Trouble::Passing(why),
            lasting => Trouble::Lasting(lasting),
        })?;
        let now = clock::now();
        let (claim, seen_for) = known.claim(now).unzip();
        let acquire = Acquire {
            name: self.request.name.clone(),
            owner: Owner::of(instance.clone()),
            ticket: self.place.ticket.clone(),
            request_id: self.request_id.clone(),
            ttl: self.request.ttl,
            wait,
            grace: leases.grace(),
            claim,
            seen_for: seen_for.unwrap_or_default(),
            stated: millis(now.0),
            served: leases.served(),
            nonce: nonce().map_err(Trouble::Lasting)?,
            known: leases.caller.status.borrow().numbers,
            fresh_epoch: nonce().map_err(Trouble::Lasting)?,
        };
        known.asked = Some(instance.clone());
        let Answer { reply, server } = leases.caller.store.attempt(&acquire, 1, &known.unsure).await?;
        leases.was_served(&server, &reply.epoch);
        known.observation.observe(clock::now(), reply.now, reply.record.as_ref(), &server);
        Ok((reply, instance))
    }

    /// Waits until it makes sense to ask again.
    async fn pause(&self, known: &mut Known, client: &mut oneshot::Sender<Outcome>) {
        let slow = self.leases.caller.status.borrow().interval;
        let began = clock::now();
        let until = self.end.min(began + known.again.map_or(slow, |again| again.min(slow)).max(CALL_RETRY_DELAY / 10));
        loop {
            let now = clock::now();
            let watches = known.watches();
            let wake = if watches { until.min(now + known.watch_interval()) } else { until };
            tokio::select! {
                () = self.place.called.notified() => return,
                () = client.closed() => return,
                () = tokio::time::sleep(wake.since(now)) => {}
            }
            if clock::now() >= until {
                return;
            }
            if watches && self.look(known).await {
                return;
            }
        }
    }

    /// Checks the lease; true if there is a reason to ask again.
    async fn look(&self, known: &mut Known) -> bool {
        let call = WatchLease { name: self.request.name.clone() };
        let Ok(Answer { reply, server }) = self.leases.caller.store.ask(&call).await else { return false };
        known.observation.observe(clock::now(), reply.now, reply.record.as_ref(), &server);
        !known.watches() || known.claim(clock::now()).is_some()
    }
}
