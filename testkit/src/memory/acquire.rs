//! Asking for a named lease, or for the place in its queue.
//!
//! 1. A repeated request or ticket gets its first grant again, before any other check.
//! 2. The first living waiter gets the lease; a waiter that cannot take it loses its place in the queue.

use super::data::{answered, covers, score};
use super::leases::{Lease, Waiter};
use super::state::Step;
use clawster::cluster::ids::Term;
use clawster::cluster::protocol::{
    Acquire, AcquireReply, Acquired, Claim, Identity, Instance, MOST_WAITERS, Refusal, Served,
};
use clawster::cluster::time::{ServerTime, millis};
use std::time::Duration;

/// For how long a grant is told again, in milliseconds: the TTL within these bounds.
const TOLD: (u64, u64) = (3_600_000, 86_400_000);

/// A grant as its request is told it again.
#[derive(Debug, Clone)]
pub(super) struct KnownRequest {
    pub(super) token: Term,
    expires_at: ServerTime,
    /// On the server's clock.
    until: ServerTime,
}

/// What came of it, and after how many milliseconds asking again may pay.
type Outcome = (Acquired, Option<i64>);

impl Step<'_> {
    pub(super) fn acquire(&mut self, acquire: &Acquire) -> AcquireReply {
        self.open(acquire.known, &acquire.fresh_epoch);
        self.guard_stall();
        let (outcome, again) = match self.told_again(acquire) {
            Some(granted) => {
                if let Acquired::Granted { token, .. } = granted {
                    self.adopt(acquire, token);
                }
                (granted, None)
            }
            None => match self.barred(acquire) {
                Some(why) => (self.refuse(acquire, why), None),
                None => self.take_or_wait(acquire),
            },
        };
        AcquireReply {
            now: self.now,
            epoch: self.data.epoch.clone(),
            token: self.data.numbers.token,
            outcome,
            again: again.map(|again| Duration::from_millis(u64::try_from(again).unwrap_or(0))),
            record: self.lease_record(&acquire.name),
            grace: self.told_grace(),
        }
    }

    /// The cluster's grace as an answer.
    pub(super) fn told_grace(&self) -> Option<Duration> {
        (self.data.grace > 0).then_some(Duration::from_millis(self.data.grace))
    }

    fn told_again(&self, acquire: &Acquire) -> Option<Acquired> {
        let name = &acquire.name;
        let request = (acquire.owner.node_id.clone(), name.clone(), acquire.request_id.clone());
        let told =
            self.data.requests.get(&request).filter(|told| !acquire.request_id.is_empty() && self.now < told.until);
        // What an earlier life was granted ended with it; its token is lower than the incarnation of a later one.
        let lives =
            |told: &&KnownRequest| acquire.owner.presence.is_some() || told.token.0 > acquire.owner.incarnation.0;
        if let Some(told) = told.filter(lives) {
            return Some(Acquired::Granted { token: told.token, expires_at: told.expires_at, again: true });
        }
        let granted = |token, expires: i64| {
            let expires_at = answered(expires.saturating_add(self.data.skew));
            Acquired::Granted { token, expires_at, again: true }
        };
        let owner = &acquire.owner;
        if name.is_leadership() {
            let instance = Instance { node_id: owner.node_id.clone(), incarnation: owner.incarnation };
            let record = self.data.leader.as_ref().filter(|record| record.holder.as_ref() == Some(&instance))?;
            return owner.presence.is_none().then(|| granted(record.term, record.expires));
        }
        let lease = self.lease(name)?;
        // Bound to another connection, it proves nothing of the caller's.
        let mine = lease.holder.as_ref() == Some(owner)
            && lease.ticket.as_ref() == Some(&acquire.ticket)
            && self.cluster_now() <= lease.expires;
        mine.then(|| granted(lease.token, lease.expires))
    }

    /// Why this caller cannot take any lease now.
    fn barred(&self, acquire: &Acquire) -> Option<Refusal> {
        let owner = &acquire.owner;
        if acquire.name.is_leadership() {
            return Some(Refusal::Leadership);
        }
        if self.is_withdrawn(&acquire.ticket) {
            return Some(Refusal::Held);
        }
        match &owner.presence {
            None => {
                let instance = Instance { node_id: owner.node_id.clone(), incarnation: owner.incarnation };
                let identity = self.identify(&instance, "");
                if identity != Identity::Ok {
                    return Some(Refusal::NoMember(identity));
                }
            }
            Some(nonce) if !self.server.present(nonce.as_str()) => return Some(Refusal::NoPresence),
            Some(_) => {}
        }
        self.is_draining(&owner.node_id).then_some(Refusal::Draining)
    }

    fn refuse(&mut self, acquire: &Acquire, why: Refusal) -> Acquired {
        let name = &acquire.name;
        if !name.is_leadership() {
            self.leave_queue(name, &Waiter::of(acquire));
            let kept = |lease: &Lease| lease.holder.is_none() && lease.offered_to.as_ref() == Some(&acquire.ticket);
            if self.lease(name).is_some_and(kept) {
                self.offer(name);
            }
        }
        Acquired::Refused(why)
    }

    fn take_or_wait(&mut self, acquire: &Acquire) -> Outcome {
        let name = &acquire.name;
        let seen = self.seen(acquire);
        if let (Some(_), Some(presence)) = (seen, &acquire.owner.presence) {
            self.is_known(presence);
        }
        let (missing, strangers) = self.missing(acquire, seen.unwrap_or_default());
        if self.lease(name).is_some_and(|lease| self.is_over(lease, acquire, missing)) {
            self.vacate_lease(name);
        }
        let held = self.lease(name).filter(|lease| lease.holder.is_some()).cloned();
        let waits_for_server = held.is_none() && acquire.owner.presence.is_some() && missing > 0;
        let mut first = self.first_waiter(name);
        let now = self.cluster_now();
        let lapsed = |lease: &Lease| {
            let anothers = lease.offered_to.as_ref().is_some_and(|ticket| *ticket != acquire.ticket);
            anothers && now >= lease.vacated.saturating_add(lease.grace)
        };
        if held.is_none() && self.lease(name).is_some_and(lapsed) {
            self.pass_on(name);
            first = self.first_waiter(name);
        }
        let me = Waiter::of(acquire);
        let mine = first.as_ref().is_none_or(|first| *first == me);
        if held.is_none() && !waits_for_server && mine {
            return (self.grant(acquire, missing == 0), None);
        }
        let again = match &held {
            Some(lease) if lease.by_presence().is_none() => self.ends_at(lease) + 1 - now,
            Some(lease) if lease.server.as_ref() != Some(&self.server.id) || missing > 0 => missing,
            // The first waiter watches the holder; should it die itself, the next one finds out that it is the first now.
            Some(lease) => (self.ends_at(lease) + 1 - now).min((10 * me.grace).max(1000)),
            None if waits_for_server => {
                self.keep_turn(acquire);
                missing
            }
            None => self.kept_for(acquire, first.map(|first| first.ticket)),
        };
        // Strangers may be known any moment.
        let again = if strangers { again.min((me.grace + 3) / 4) } else { again };
        (self.queue(acquire, me, waits_for_server), Some(again.max(1)))
    }

    /// For how long the caller has seen this server process and data set; `None` where it names others.
    fn seen(&self, acquire: &Acquire) -> Option<Duration> {
        let known = |served: &&Served| served.server == self.server.id && served.epoch == self.data.epoch;
        acquire.served.as_ref().filter(known).map(|served| served.span)
    }

    /// How many milliseconds are missing until the record, or that there is none, is known to be the newest, or nobody goes
    /// on who was granted anything later. And whether the wait is only long because of strangers.
    fn missing(&self, acquire: &Acquire, seen: Duration) -> (i64, bool) {
        let lease = self.lease(&acquire.name);
        if lease.is_some_and(|lease| lease.server.as_ref() == Some(&self.server.id)) && !self.data.doubt {
            return (0, false);
        }
        let ttl = acquire.ttl.max(lease.map_or(Duration::ZERO, |lease| lease.ttl));
        let known = score(millis(acquire.grace)).max(score(self.data.grace));
        let grace = known.max(lease.map_or(0, |lease| lease.grace));
        self.unsettled(ttl, grace, seen)
    }

    /// Whether the holder may be taken for gone.
    fn is_over(&self, lease: &Lease, acquire: &Acquire, missing: i64) -> bool {
        if lease.holder.is_none() {
            return false;
        }
        let unchanged = matches!(&acquire.claim, Some(Claim::Expired { token, nonce })
            if *token == lease.token && *nonce == lease.nonce && covers(acquire.seen_for, score(millis(lease.ttl))));
        let over = self.cluster_now() > self.ends_at(lease);
        match lease.by_presence() {
            None => over || unchanged,
            Some(_) if lease.server.as_ref() != Some(&self.server.id) => missing == 0,
            Some(_) if missing > 0 => false,
            Some(registered) => {
                let gone = matches!(&acquire.claim, Some(Claim::Presence { token, presence })
                    if *token == lease.token && presence == registered.as_str() && !self.server.present(presence)
                        && covers(acquire.seen_for, lease.grace));
                over || unchanged || gone
            }
        }
    }

    /// It is the server that lets the caller wait: what was kept for it is no offer that lapses.
    fn keep_turn(&mut self, acquire: &Acquire) {
        if let Some(lease) = self.data.leases.get_mut(&acquire.name)
            && lease.offered_to.as_ref() == Some(&acquire.ticket)
        {
            lease.offered_to = None;
            self.data.due.remove(&acquire.name);
        }
    }

    /// The lease is for another waiter, to which it is offered if it was not.
    fn kept_for(&mut self, acquire: &Acquire, first: Option<clawster::cluster::ids::Nonce>) -> i64 {
        let name = &acquire.name;
        if self.lease(name).is_none() {
            self.data.leases.insert(name.clone(), Lease::vacant());
        }
        if self.lease(name).is_some_and(|lease| lease.offered_to != first) {
            self.offer(name);
        }
        let now = self.cluster_now();
        self.lease(name).map_or(0, |lease| lease.vacated.saturating_add(lease.grace) - now)
    }

    fn queue(&mut self, acquire: &Acquire, me: Waiter, waits_for_server: bool) -> Acquired {
        let name = &acquire.name;
        if !acquire.wait {
            self.leave_queue(name, &me);
            return Acquired::Refused(if waits_for_server { Refusal::Unsettled } else { Refusal::Held });
        }
        let queue = self.data.queues.entry(name.clone()).or_default();
        if let Some(before) = queue.iter().position(|waiter| *waiter == me) {
            return Acquired::Queued { before: before as u64 };
        }
        if queue.len() >= MOST_WAITERS {
            return Acquired::Refused(Refusal::Overloaded);
        }
        queue.push(me);
        Acquired::Queued { before: queue.len() as u64 - 1 }
    }

    fn grant(&mut self, acquire: &Acquire, newest: bool) -> Acquired {
        let name = &acquire.name;
        let token = Term(self.next_token());
        self.leave_queue(name, &Waiter::of(acquire));
        let expires = self.cluster_now().saturating_add(score(millis(acquire.ttl)));
        let expires_at = answered(expires.saturating_add(self.data.skew));
        let lease = Lease {
            holder: Some(acquire.owner.clone()),
            token,
            expires,
            ttl: acquire.ttl,
            nonce: acquire.nonce.to_string(),
            server: newest.then(|| self.server.id.clone()),
            ticket: Some(acquire.ticket.clone()),
            grace: score(millis(acquire.grace)),
            stated: acquire.stated,
            ..Lease::vacant()
        };
        self.grant_lease(name, lease);
        if !acquire.request_id.is_empty() {
            let request = (acquire.owner.node_id.clone(), name.clone(), acquire.request_id.clone());
            let until = ServerTime(self.now.0.saturating_add(millis(acquire.ttl).clamp(TOLD.0, TOLD.1)));
            self.data.requests.insert(request, KnownRequest { token, expires_at, until });
        }
        if acquire.owner.presence.is_some()
            && let Some(next) = self.first_waiter(name)
        {
            self.call_waiter(&next);
        }
        Acquired::Granted { token, expires_at, again: false }
    }
}
