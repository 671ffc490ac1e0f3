//! Leases bound to a member's life, and what runs once: what a node does for its clients, around the store's calls.
//!
//! 1. A call whose answer was lost is made again with its ticket and request id.
//! 2. A client that waits asks again when it is called, when the store says so, and after a pause.
//!
//! Not here: leases of a process's own (`wrapper.rs`), what must hold (`lease_checks.rs`).

use crate::clock::{MS, SECOND, Time, micros};
use crate::network::News;
use crate::side::{AGAIN, Side};
use crate::world::{Due, World};
use clawster::cluster::ids::{LeaseName, Nonce, Term};
use clawster::cluster::node::Standing;
use clawster::cluster::protocol::{
    Acquire, AcquireReply, Acquired, Call, Check, Fault, Forget, Instance, LeaseCall, LeaseReply, Once, Owner, Refusal,
    Release, Renew, Renewal, Renewed, Reply, Served, ServerId,
};
use clawster::cluster::time::{Moment, millis};
use std::collections::BTreeMap;
use std::time::Duration;

/// Where one acquisition stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Asking,
    Held(Term),
    Releasing(Term),
    GivingUp,
}

/// One client's lease.
#[derive(Debug, Clone)]
pub(crate) struct Claimant {
    name: LeaseName,
    ticket: Nonce,
    ttl: Duration,
    waits_until: Time,
    phase: Phase,
    calling: bool,
}

/// The leases of a process's clients.
#[derive(Debug, Default)]
pub(crate) struct Leases {
    claimants: BTreeMap<u64, Claimant>,
    served: Option<(ServerId, String, Moment)>,
    once: BTreeMap<u64, Once>,
}

impl World {
    fn life_of(&self, pid: usize) -> Option<Instance> {
        match self.processes[pid].node.standing() {
            Standing::Member(instance) => Some(instance.clone()),
            _ => None,
        }
    }

    fn fresh(&mut self, what: &str) -> Nonce {
        self.sides += 1;
        Nonce::new(format!("{what}{}", self.sides)).expect("a nonce")
    }

    /// A client wants a lease.
    pub(crate) fn want_lease(&mut self, pid: usize, name: LeaseName, ttl: Duration, wait: Time) {
        let ticket = self.fresh("t");
        self.sides += 1;
        let (id, waits_until) = (self.sides, self.now + wait);
        let claimant = Claimant { name, ticket, ttl, waits_until, phase: Phase::Asking, calling: false };
        self.processes[pid].leases.claimants.insert(id, claimant);
        self.lease_on(pid, id);
    }

    /// The waiter with this ticket is called.
    pub(crate) fn lease_called(&mut self, pid: usize, ticket: &Nonce) {
        let mut all = self.processes[pid].leases.claimants.iter();
        if let Some(id) = all.find(|(_, claimant)| claimant.ticket == *ticket).map(|(id, _)| *id) {
            self.coverage.see("notice: a waiter is called");
            self.lease_on(pid, id);
        }
    }

    /// The next step of a client with its lease.
    pub(crate) fn lease_on(&mut self, pid: usize, id: u64) {
        let Some(claimant) = self.processes[pid].leases.claimants.get(&id).cloned() else { return };
        if claimant.calling {
            return;
        }
        let Some(instance) = self.life_of(pid) else {
            self.processes[pid].leases.claimants.remove(&id);
            return;
        };
        let owner = Owner { node_id: instance.node_id, incarnation: instance.incarnation, presence: None };
        let name = claimant.name.clone();
        let late = self.now > claimant.waits_until;
        let now = self.hosts[self.processes[pid].host].clock.read(self.now);
        let call = match claimant.phase {
            Phase::Asking if late => {
                self.set_phase(pid, id, Phase::GivingUp);
                LeaseCall::Forget(Forget { name, ticket: claimant.ticket })
            }
            Phase::GivingUp => LeaseCall::Forget(Forget { name, ticket: claimant.ticket }),
            Phase::Asking => {
                let served = self.processes[pid].leases.served.clone();
                LeaseCall::Acquire(Acquire {
                    name,
                    owner,
                    request_id: format!("r{id}"),
                    ticket: claimant.ticket,
                    ttl: claimant.ttl,
                    wait: claimant.waits_until > self.now,
                    grace: self.processes[pid].node.shared().settings.presence_grace,
                    claim: None,
                    seen_for: Duration::ZERO,
                    stated: millis(now.0),
                    served: served.map(|(server, epoch, since)| Served { server, epoch, span: now.since(since) }),
                    nonce: self.fresh("a"),
                    known: self.processes[pid].node.known(),
                    fresh_epoch: self.fresh("e"),
                })
            }
            // Once the faults are over nobody renews for ever: whoever waits must have its turn.
            Phase::Held(token) => match if self.healed.is_some() { 9 } else { self.rng.below(10) } {
                0..=5 => LeaseCall::Renew(Renew {
                    name,
                    token,
                    ttl: None,
                    nonce: self.fresh("n"),
                    owner,
                    ticket: Some(claimant.ticket),
                    holds: false,
                    grace: self.processes[pid].node.shared().settings.presence_grace,
                    stated: millis(now.0),
                }),
                6 | 7 => LeaseCall::Check(Check { name, token }),
                _ => {
                    self.set_phase(pid, id, Phase::Releasing(token));
                    LeaseCall::Release(Release { name, token, owner, ticket: Some(claimant.ticket) })
                }
            },
            Phase::Releasing(token) => {
                LeaseCall::Release(Release { name, token, owner, ticket: Some(claimant.ticket) })
            }
        };
        self.processes[pid].leases.claimants.get_mut(&id).expect("it is there").calling = true;
        self.side_call(pid, Side::Lease(id), Call::Lease(Box::new(call)));
    }

    fn set_phase(&mut self, pid: usize, id: u64, phase: Phase) {
        if let Some(claimant) = self.processes[pid].leases.claimants.get_mut(&id) {
            claimant.phase = phase;
        }
    }

    fn lease_later(&mut self, pid: usize, id: u64, wait: Time) {
        self.later(self.now + wait.max(10 * MS), Due::Deliver(pid, None, News::LeaseOn(id)));
    }

    pub(crate) fn lease_answered(&mut self, pid: usize, id: u64, outcome: Result<(Reply, ServerId), Fault>) {
        let Some(claimant) = self.processes[pid].leases.claimants.get_mut(&id) else { return };
        claimant.calling = false;
        let (ttl, phase) = (micros(claimant.ttl), claimant.phase);
        match outcome {
            Ok((Reply::Lease(LeaseReply::Acquired(reply)), server)) => self.acquired(pid, id, *reply, server),
            Ok((Reply::Lease(LeaseReply::Renewed(Renewal { outcome: Renewed::Stale, .. })), _)) => {
                self.processes[pid].leases.claimants.remove(&id);
            }
            Ok((Reply::Lease(LeaseReply::Released { .. } | LeaseReply::Forgotten { .. }), _)) => {
                if phase != Phase::Asking {
                    self.processes[pid].leases.claimants.remove(&id);
                }
            }
            Ok(_) => {
                let wait = self.rng.range(ttl / 6, ttl / 2);
                self.lease_later(pid, id, wait);
            }
            Err(_) => self.lease_later(pid, id, AGAIN),
        }
    }

    fn acquired(&mut self, pid: usize, id: u64, reply: AcquireReply, server: ServerId) {
        let now = self.hosts[self.processes[pid].host].clock.read(self.now);
        let leases = &mut self.processes[pid].leases;
        if leases.served.as_ref().is_none_or(|(known, epoch, _)| *known != server || *epoch != reply.epoch) {
            leases.served = Some((server, reply.epoch.clone(), now));
        }
        let Some(claimant) = leases.claimants.get_mut(&id) else { return };
        let again = reply.again.map_or(SECOND, micros).min(5 * SECOND);
        match reply.outcome {
            Acquired::Granted { token, .. } => {
                if claimant.phase == Phase::Asking {
                    claimant.phase = Phase::Held(token);
                }
                let wait = micros(claimant.ttl);
                let wait = self.rng.range(0, wait / 2);
                self.lease_later(pid, id, wait);
            }
            Acquired::Queued { .. } => self.lease_later(pid, id, again),
            Acquired::Refused(Refusal::Draining | Refusal::Overloaded) => {
                leases.claimants.remove(&id);
            }
            Acquired::Refused(_) if claimant.waits_until > self.now => self.lease_later(pid, id, again.max(AGAIN)),
            Acquired::Refused(_) => {
                leases.claimants.remove(&id);
            }
        }
    }

    /// A client wants to do something once.
    pub(crate) fn want_once(&mut self, pid: usize, keys: Vec<String>) {
        let Some(instance) = self.life_of(pid) else { return };
        let request_id = self.fresh("o").to_string();
        let once = Once {
            by: instance.node_id,
            request_id,
            ttl: Duration::from_hours(24),
            keys,
            give_back: false,
            attempt: None,
            seen: None,
        };
        self.sides += 1;
        self.processes[pid].leases.once.insert(self.sides, once);
        self.once_on(pid, self.sides);
    }

    pub(crate) fn once_on(&mut self, pid: usize, id: u64) {
        if let Some(once) = self.processes[pid].leases.once.get(&id).cloned() {
            self.side_call(pid, Side::Once(id), Call::Once(Box::new(once)));
        }
    }

    pub(crate) fn once_answered(&mut self, pid: usize, id: u64, outcome: Result<Reply, Fault>) {
        match outcome {
            Ok(_) => {
                self.processes[pid].leases.once.remove(&id);
            }
            Err(_) => self.later(self.now + AGAIN, Due::Deliver(pid, None, News::OnceOn(id))),
        }
    }
}
