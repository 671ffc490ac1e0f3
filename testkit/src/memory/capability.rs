//! What the holder of a lease may do with it, giving up a place, and draining.
//!
//! 1. A token that is not the lease's changes nothing, and neither does a caller that was not granted it.

use super::data::score;
use super::leases::Lease;
use super::state::Step;
use clawster::cluster::event::LostReason;
use clawster::cluster::ids::{LeaseName, Nonce, Term};
use clawster::cluster::members::member::StoredStatus;
use clawster::cluster::protocol::{
    Check, Drain, DrainReply, Forget, Identity, Instance, LeaseCall, LeaseReply, Numbers, Owner, Release, Renew,
    Renewal, Renewed, WatchLease, Watched, Withdraw,
};
use clawster::cluster::time::millis;
use clawster::store::Notice;

impl Step<'_> {
    pub(super) fn lease_call(&mut self, call: &LeaseCall) -> LeaseReply {
        match call {
            LeaseCall::Acquire(acquire) => LeaseReply::Acquired(Box::new(self.acquire(acquire))),
            LeaseCall::Renew(renewal) => {
                let outcome = self.renew_lease(renewal);
                LeaseReply::Renewed(Renewal { outcome, now: self.now, grace: self.told_grace() })
            }
            LeaseCall::Release(Release { name, token, owner, ticket }) => {
                LeaseReply::Released { released: self.release(name, *token, owner, ticket.as_ref()) }
            }
            LeaseCall::Check(Check { name, token }) => LeaseReply::Checked { valid: self.check(name, *token) },
            LeaseCall::Forget(Forget { name, ticket }) => LeaseReply::Forgotten { waited: self.give_up(name, ticket) },
            LeaseCall::Withdraw(Withdraw { name, owner, ticket, request_id }) => {
                LeaseReply::Withdrawn { granted: self.withdraw_acquisition(name, owner, ticket, request_id) }
            }
            LeaseCall::Watch(WatchLease { name }) => LeaseReply::Watched(Watched {
                now: self.now,
                epoch: self.data.epoch.clone(),
                record: self.lease_record(name),
            }),
        }
    }

    fn renew_lease(&mut self, renewal: &Renew) -> Renewed {
        let (name, token) = (&renewal.name, renewal.token);
        let holds = renewal.holds && renewal.owner.presence.is_some();
        if holds {
            self.open(Numbers { token: token.0, event: 0, message: 0 }, &renewal.nonce);
        }
        self.guard_stall();
        if name.is_leadership() {
            // Its holder renews it with each heartbeat.
            let instance = Instance { node_id: renewal.owner.node_id.clone(), incarnation: renewal.owner.incarnation };
            let leads = renewal.owner.presence.is_none()
                && self.data.leader.as_ref().is_some_and(|leader| leader.holder.as_ref() == Some(&instance));
            let record = self.lease_record(name).filter(|record| leads && record.token == token);
            return record.map_or(Renewed::Stale, |record| Renewed::Until(record.expires_at));
        }
        let found = self.lease(name).cloned();
        let lost = found.is_none() && holds && renewal.ttl.is_some() && token.0 < self.data.numbers.token;
        let own = |lease: &Lease| lease.is_own(&renewal.owner, renewal.ticket.as_ref());
        let held = found.filter(|lease| lease.holder.is_some() && lease.token == token && own(lease));
        let mut lease = match held {
            Some(lease) => lease,
            None if lost => {
                Lease { holder: Some(renewal.owner.clone()), token, ticket: renewal.ticket.clone(), ..Lease::vacant() }
            }
            None => return Renewed::Stale,
        };
        let now = self.cluster_now();
        if lease.by_presence().is_some() {
            let elsewhere = !lost && lease.server.as_ref() != Some(&self.server.id);
            let over = !lost && now > lease.expires;
            if !holds && (elsewhere || over) {
                return Renewed::Stale;
            }
            let presence = renewal.owner.presence.clone();
            let Some(presence) = presence.filter(|nonce| self.server.present(nonce.as_str())) else {
                return Renewed::NoPresence;
            };
            lease.server = Some(self.server.id.clone());
            if let Some(holder) = &mut lease.holder {
                holder.presence = Some(presence);
            }
            if renewal.stated >= lease.stated {
                (lease.grace, lease.stated) = (score(millis(renewal.grace)), renewal.stated);
            }
        } else if now > lease.expires {
            return Renewed::Stale;
        }
        lease.ttl = renewal.ttl.unwrap_or(lease.ttl);
        lease.expires = now.saturating_add(score(millis(lease.ttl)));
        lease.nonce = renewal.nonce.to_string();
        let until = super::data::answered(lease.expires.saturating_add(self.data.skew));
        if let Some(presence) = lease.by_presence().cloned() {
            self.is_known(&presence);
        }
        self.grant_lease(name, lease);
        Renewed::Until(until)
    }

    fn release(&mut self, name: &LeaseName, token: Term, owner: &Owner, ticket: Option<&Nonce>) -> bool {
        self.guard_stall();
        let own = |lease: &&Lease| lease.token == token && lease.is_own(owner, ticket);
        let Some(lease) = self.lease(name).filter(own) else { return false };
        if lease.holder.is_some() {
            self.vacate_lease(name);
        }
        true
    }

    fn check(&self, name: &LeaseName, token: Term) -> bool {
        let silence = score(self.now.0).saturating_sub(self.data.last_tick.unwrap_or(score(self.now.0)));
        let ttl = score(self.data.ttl);
        let stalled = silence < 0 || (ttl > 0 && silence.saturating_mul(2) > ttl);
        let now = if stalled { self.cluster_now() - silence } else { self.cluster_now() };
        if name.is_leadership() {
            let record = self.data.leader.as_ref();
            return record.is_some_and(|r| r.holder.is_some() && r.term == token && now <= r.expires);
        }
        self.lease(name).is_some_and(|lease| lease.holder.is_some() && lease.token == token && now <= lease.expires)
    }

    pub(super) fn give_up(&mut self, name: &LeaseName, ticket: &Nonce) -> bool {
        self.guard_stall();
        let first = self.data.queues.get(name).and_then(|queue| queue.first()).is_some_and(|w| w.ticket == *ticket);
        let waited = self.forget_waiter(name, ticket);
        let kept = |lease: &Lease| lease.holder.is_none() && lease.offered_to.as_ref() == Some(ticket);
        if waited && self.lease(name).is_some_and(kept) {
            self.offer(name);
        } else if first
            && self.lease(name).is_some_and(|lease| lease.by_presence().is_some())
            && let Some(next) = self.first_waiter(name)
        {
            self.call_waiter(&next);
        }
        waited
    }

    pub(super) fn drain(&mut self, drain: &Drain) -> DrainReply {
        self.guard_stall();
        let id = &drain.instance.node_id;
        let identity = self.identify(&drain.instance, "");
        let mut reply = DrainReply { identity, now: self.now, resigned: false, running_tasks: 0, leases: 0 };
        let Some(mut row) = self.row(id).filter(|_| identity == Identity::Ok) else { return reply };
        if drain.enabled != self.is_draining(id) || row.revision < drain.revision {
            row.revision = drain.revision;
            row.status = if drain.enabled { StoredStatus::Draining } else { StoredStatus::Online };
            self.write_row(id, row);
        }
        reply.resigned = drain.enabled && self.vacate_if_held(&drain.instance, LostReason::Handover);
        let now = self.cluster_now();
        let mine = |lease: &&Lease| {
            lease.holder.as_ref().is_some_and(|owner| owner.node_id == *id) && now <= self.ends_at(lease)
        };
        let held: Vec<Lease> = self.data.leases.values().filter(mine).cloned().collect();
        reply.running_tasks = self.data.tasks.held.get(&drain.instance.node_id).map_or(0, |held| held.len() as u64);
        reply.leases = held.len() as u64;
        for presence in held.iter().filter(|_| drain.enabled).filter_map(Lease::by_presence) {
            self.server.notice_one(presence.as_str(), Notice::Drain);
        }
        reply
    }
}
