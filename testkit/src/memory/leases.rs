//! Named leases: grants, the queue of waiters, expiry, cleanup.
//!
//! 1. A lease is free under the conditions that `shared/leases.lua` derives; they are checked at the moment of the grant.
//! 2. A vacant lease is reserved for the first living waiter, for its grace; after that for the next one.
//!
//! Not here: asking for a lease (`acquire.rs`), renewing and the other calls (`capability.rs`).

use super::data::{TTL, answered, score};
use super::state::Step;
use clawster::cluster::ids::{Incarnation, LeaseName, NodeId, Nonce, Term};
use clawster::cluster::members::member::StoredStatus;
use clawster::cluster::protocol::{Acquire, LeaseRecord, Owner, ServerId};
use clawster::cluster::time::{ServerTime, millis};
use clawster::store::Notice;
use std::time::Duration;

/// How many leases one sweep looks at.
const SWEPT: usize = 16;

/// How long a vacant record for which nobody waits is remembered, in milliseconds of the server's clock.
const MEMORY: u64 = 86_400_000;

/// A lease's record.
#[derive(Debug, Clone)]
pub(super) struct Lease {
    pub(super) holder: Option<Owner>,
    /// Whose a vacant one was last.
    pub(super) former: Option<Owner>,
    pub(super) token: Term,
    /// In cluster time.
    pub(super) expires: i64,
    pub(super) ttl: Duration,
    pub(super) nonce: String,
    /// The server process that granted or confirmed it; `None` when it was granted without knowing that it is the newest.
    pub(super) server: Option<ServerId>,
    /// The attempt that was granted.
    pub(super) ticket: Option<Nonce>,
    /// The holder's, then the offer's, in milliseconds.
    pub(super) grace: i64,
    /// When the holder stated its grace, by its own clock.
    pub(super) stated: u64,
    /// The ticket of the waiter that a vacancy is kept for.
    pub(super) offered_to: Option<Nonce>,
    /// In cluster time.
    pub(super) vacated: i64,
    /// When a vacant one for which nobody waits is forgotten, on the server's clock.
    pub(super) forgotten_at: Option<ServerTime>,
}

impl Lease {
    /// The record of a lease that was never granted.
    pub(super) fn vacant() -> Self {
        Self {
            holder: None,
            former: None,
            token: Term(0),
            expires: 0,
            ttl: Duration::ZERO,
            nonce: "vacant-0".to_owned(),
            server: None,
            ticket: None,
            grace: 0,
            stated: 0,
            offered_to: None,
            vacated: 0,
            forgotten_at: None,
        }
    }

    /// Whether the lease was granted to this caller, or, of a vacant one, was this caller's last. A process proves it by its
    /// connection or by the ticket of the attempt that was granted.
    pub(super) fn is_own(&self, owner: &Owner, ticket: Option<&Nonce>) -> bool {
        let bound = self.holder.as_ref().and_then(|holder| holder.presence.as_ref());
        let same = |holder: &Owner| holder.node_id == owner.node_id && holder.incarnation == owner.incarnation;
        let mine = self.holder.as_ref().or(self.former.as_ref()).is_some_and(same);
        let proved = || bound == owner.presence.as_ref() || (ticket.is_some() && self.ticket.as_ref() == ticket);
        mine && if owner.presence.is_none() { bound.is_none() } else { proved() }
    }

    pub(super) fn by_presence(&self) -> Option<&Nonce> {
        self.holder.as_ref().and_then(|owner| owner.presence.as_ref())
    }
}

/// Who waits for a lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Waiter {
    pub(super) ticket: Nonce,
    pub(super) owner: Owner,
    /// Milliseconds.
    pub(super) grace: i64,
}

impl Waiter {
    /// The place in the queue that a caller asks for.
    pub(super) fn of(acquire: &Acquire) -> Self {
        Self { ticket: acquire.ticket.clone(), owner: acquire.owner.clone(), grace: score(millis(acquire.grace)) }
    }
}

impl Step<'_> {
    pub(super) fn lease(&self, name: &LeaseName) -> Option<&Lease> {
        let remembered = |lease: &&Lease| lease.forgotten_at.is_none_or(|at| self.now < at);
        self.data.leases.get(name).filter(remembered)
    }

    /// The record as an answer.
    pub(super) fn lease_record(&self, name: &LeaseName) -> Option<LeaseRecord> {
        if name.is_leadership() {
            return self.leadership();
        }
        let lease = self.lease(name)?;
        let present = lease.by_presence().is_some_and(|nonce| self.server.present(nonce.as_str()));
        Some(LeaseRecord {
            holder: lease.holder.clone(),
            token: lease.token,
            expires_at: answered(lease.expires.saturating_add(self.data.skew)),
            ttl: lease.ttl,
            nonce: lease.nonce.clone(),
            grace: Duration::from_millis(u64::try_from(lease.grace).unwrap_or(0)),
            present,
            same_server: lease.server.as_ref() == Some(&self.server.id),
            offered_to: lease.offered_to.as_ref().filter(|_| lease.holder.is_none()).map(ToString::to_string),
            waiters: self.data.queues.get(name).map_or(0, Vec::len) as u64,
        })
    }

    /// The leadership as a lease.
    fn leadership(&self) -> Option<LeaseRecord> {
        let record = self.data.leader.as_ref()?;
        let presence = record.presence.as_ref().and_then(|nonce| Nonce::new(nonce.clone()).ok());
        let owner = |instance: &clawster::cluster::protocol::Instance| Owner {
            node_id: instance.node_id.clone(),
            incarnation: instance.incarnation,
            presence: presence.clone(),
        };
        Some(LeaseRecord {
            holder: record.holder.as_ref().map(owner),
            token: record.term,
            expires_at: answered(record.expires.saturating_add(self.data.skew)),
            ttl: record.promise.lease,
            grace: record.promise.grace,
            nonce: record.nonce.clone(),
            present: record.presence.as_ref().is_some_and(|nonce| self.server.present(nonce)),
            same_server: record.server == self.server.id,
            offered_to: None,
            waiters: 0,
        })
    }

    /// Half a member TTL, which a jump of the server's clock may be long without being noticed; as by default before the
    /// first member.
    pub(super) fn half_ttl(&self) -> i64 {
        if self.data.ttl > 0 { score(self.data.ttl) / 2 } else { TTL / 2 }
    }

    /// When the server's own word ends a lease: half a member TTL late where a presence holds it.
    pub(super) fn ends_at(&self, lease: &Lease) -> i64 {
        let late = if lease.by_presence().is_some() { self.half_ttl() } else { 0 };
        lease.expires.saturating_add(late)
    }

    /// How many milliseconds are missing until this server process and data set have been served for so long that nobody
    /// goes on who was granted a lease by an earlier one. And whether the wait is only long because of strangers.
    pub(super) fn unsettled(&self, ttl: Duration, grace: i64, seen: Duration) -> (i64, bool) {
        let served = (self.cluster_now() - self.data.settled_at - self.half_ttl()).max(score(millis(seen)));
        let missing = |wait: i64| (wait + (wait + 19) / 20 - served).max(0);
        let lease = score(self.data.lease);
        let longest = if self.data.longest > 0 { self.data.longest } else { lease };
        let longest = longest.max(score(millis(ttl))).max(grace);
        let strange = longest.max(if lease > 0 { lease } else { TTL });
        if missing(strange) == 0 {
            (0, false)
        } else if self.server.promoted {
            (missing(longest), false)
        } else if self.data.strangers.is_empty() {
            (missing(grace), false)
        } else {
            (missing(strange), true)
        }
    }

    /// This presence is known: it is no holder that others do not know of.
    pub(super) fn is_known(&mut self, presence: &Nonce) {
        self.data.strangers.remove(presence.as_str());
    }

    pub(super) fn is_draining(&self, id: &NodeId) -> bool {
        self.data.members.get(id).is_some_and(|row| row.status == StoredStatus::Draining)
    }

    fn can_take(&self, waiter: &Waiter) -> bool {
        let owner = &waiter.owner;
        let row = self.data.members.get(&owner.node_id);
        match &owner.presence {
            Some(nonce) => self.server.present(nonce.as_str()) && !self.is_draining(&owner.node_id),
            None => row.is_some_and(|row| row.status == StoredStatus::Online && row.incarnation == owner.incarnation),
        }
    }

    /// The first waiter that could take the lease; those before it are forgotten.
    pub(super) fn first_waiter(&mut self, name: &LeaseName) -> Option<Waiter> {
        while let Some(first) = self.data.queues.get(name).and_then(|queue| queue.first()).cloned() {
            if self.can_take(&first) {
                return Some(first);
            }
            self.leave_queue(name, &first);
        }
        None
    }

    /// Takes one place out of the queue. Another place of the same ticket, by an earlier connection, goes when it is its turn.
    pub(super) fn leave_queue(&mut self, name: &LeaseName, place: &Waiter) {
        if let Some(queue) = self.data.queues.get_mut(name) {
            queue.retain(|waiter| waiter != place);
            if queue.is_empty() {
                self.data.queues.remove(name);
            }
        }
    }

    /// Takes every place of a ticket out of the queue; whether there was one.
    pub(super) fn forget_waiter(&mut self, name: &LeaseName, ticket: &Nonce) -> bool {
        let Some(queue) = self.data.queues.get_mut(name) else { return false };
        let before = queue.len();
        queue.retain(|waiter| waiter.ticket != *ticket);
        let waited = queue.len() < before;
        if queue.is_empty() {
            self.data.queues.remove(name);
        }
        waited
    }

    pub(super) fn call_waiter(&mut self, waiter: &Waiter) {
        let registered = self.data.presence.get(&waiter.owner.node_id).map(|(nonce, _)| nonce.clone());
        let nonce = waiter.owner.presence.as_ref().map(ToString::to_string).or(registered);
        if let Some(nonce) = nonce {
            self.server.notice_one(&nonce, Notice::Lease(waiter.ticket.clone()));
        }
    }

    /// Keeps a vacant lease for its first living waiter, and calls it. Without one, the record is forgotten after a day.
    pub(super) fn offer(&mut self, name: &LeaseName) {
        let waiter = self.first_waiter(name);
        let (now, forgotten_at) = (self.cluster_now(), ServerTime(self.now.0.saturating_add(MEMORY)));
        let Some(lease) = self.data.leases.get_mut(name) else { return };
        lease.offered_to = waiter.as_ref().map(|waiter| waiter.ticket.clone());
        if let Some(waiter) = waiter {
            lease.vacated = now;
            lease.grace = waiter.grace;
            lease.forgotten_at = None;
            self.data.due.set(name, now.saturating_add(waiter.grace));
            self.call_waiter(&waiter);
        } else {
            lease.forgotten_at = Some(forgotten_at);
            self.data.due.remove(name);
        }
    }

    pub(super) fn grant_lease(&mut self, name: &LeaseName, lease: Lease) {
        let due = self.ends_at(&lease).saturating_add(1);
        if lease.by_presence().is_some() {
            self.data.longest = self.data.longest.max(score(millis(lease.ttl)));
        }
        self.data.leases.insert(name.clone(), lease);
        self.data.due.set(name, due);
    }

    pub(super) fn vacate_lease(&mut self, name: &LeaseName) {
        let now = self.cluster_now();
        let Some(lease) = self.data.leases.get_mut(name) else { return };
        lease.former = lease.holder.take();
        lease.vacated = now;
        lease.nonce = format!("vacant-{}", lease.token);
        self.offer(name);
    }

    /// Forgets the waiter whose offer has lapsed, and goes on with the next.
    pub(super) fn pass_on(&mut self, name: &LeaseName) {
        if let Some(ticket) = self.lease(name).and_then(|lease| lease.offered_to.clone()) {
            self.forget_waiter(name, &ticket);
        }
        self.offer(name);
    }

    /// Does what is due with at most 16 leases; the cluster time at which the next is due.
    pub(super) fn sweep_leases(&mut self) -> Option<i64> {
        let now = self.cluster_now();
        for name in self.data.due.below(now.saturating_add(1), SWEPT) {
            let Some(lease) = self.lease(&name).cloned() else {
                self.data.due.remove(&name);
                continue;
            };
            if lease.holder.is_none() {
                match lease.offered_to {
                    Some(_) => self.pass_on(&name),
                    None => self.data.due.remove(&name),
                }
                continue;
            }
            let mut wait = (self.ends_at(&lease) - now + 1).max(0);
            let here = lease.server.as_ref() == Some(&self.server.id);
            if wait == 0 && lease.by_presence().is_some() && (!here || self.data.doubt) {
                (wait, _) = self.unsettled(lease.ttl, lease.grace.max(score(self.data.grace)), Duration::ZERO);
            }
            if wait > 0 {
                self.data.due.set(&name, now.saturating_add(wait));
            } else {
                self.vacate_lease(&name);
            }
        }
        self.data.due.first().map(|(_, at)| at)
    }

    /// The leases that are bound to a member's life end with it.
    pub(super) fn end_leases(&mut self, id: &NodeId, incarnation: Incarnation) {
        let instance = Owner { node_id: id.clone(), incarnation, presence: None };
        let held =
            |(name, lease): (&LeaseName, &Lease)| (lease.holder.as_ref() == Some(&instance)).then(|| name.clone());
        let names: Vec<LeaseName> = self.data.leases.iter().filter_map(held).collect();
        for name in names {
            self.vacate_lease(&name);
        }
    }
}
