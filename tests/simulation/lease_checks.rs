//! The invariants of leases, looked at where a server grants and where a command starts.
//!
//! 1. L1: a lease that is bound to a life is granted again only after it was released, its life ended, or its time was over.
//! 2. L2: tokens of leases, terms and tasks come from one counter that only rises, whatever is lost; an older token renews,
//!    releases and proves nothing.
//! 3. L3: of the commands that hold a lease by a process's life, one runs at a time, and their tokens rise.
//! 4. A key of what runs once is granted to one request.
//!
//! Not here: who asks (`lease_client.rs`, `wrapper.rs`).

use crate::clock::{MS, SECOND, Time, micros};
use crate::world::World;
use clawster::cluster::event::{ClusterEvent, ClusterFact, LeftReason};
use clawster::cluster::ids::{LeaseName, NodeId, Term};
use clawster::cluster::protocol::{
    Acquired, Check, Claim, Instance, LeaseCall, LeaseReply, Once, OnceGrant, Owner, Refusal, Release, Renew, Renewal,
    Renewed,
};
use std::collections::BTreeMap;
use std::time::Duration;

/// A grant as the servers made it.
#[derive(Debug, Clone)]
struct Grant {
    token: Term,
    owner: Owner,
    ttl: Duration,
    /// Not before then, by true time, may it be over by itself.
    until: Time,
    /// How far the server's clock had jumped forward in all.
    jumped: Time,
}

/// See the module's text.
#[derive(Debug, Default)]
pub(crate) struct Granted {
    /// The highest number that fences, of any sort.
    fencing: u64,
    held: BTreeMap<LeaseName, Grant>,
    last: BTreeMap<LeaseName, Term>,
    /// The token of the last command, and when it started.
    commands: BTreeMap<LeaseName, (Term, Time)>,
    once: BTreeMap<String, (NodeId, String)>,
}

impl World {
    /// A server gave out a number that fences: it must be higher than all before.
    pub(crate) fn check_number(&mut self, what: &str, number: u64) {
        let highest = self.granted.fencing;
        if number <= highest {
            self.checks.violated(format!("L2: {what} {number} was given out after {highest}"));
        }
        self.granted.fencing = number.max(highest);
    }

    pub(crate) fn check_lease(&mut self, call: &LeaseCall, reply: &LeaseReply) {
        let name = call.name().clone();
        match (call, reply) {
            (LeaseCall::Acquire(asked), LeaseReply::Acquired(reply)) => match reply.outcome {
                Acquired::Granted { token, again: false, .. } => {
                    self.coverage.see(match (&asked.claim, &asked.owner.presence) {
                        (Some(Claim::Presence { .. }), _) => "lease: granted after a claim, presence gone",
                        (Some(Claim::Expired { .. }), _) => "lease: granted after a claim, unchanged for its TTL",
                        (None, Some(_)) => "lease: granted to a presence",
                        (None, None) => "lease: granted to a life",
                    });
                    self.check_number("lease token", token.0);
                    self.check_ended(&name, &asked.owner);
                    let grant = Grant {
                        token,
                        owner: asked.owner.clone(),
                        ttl: asked.ttl,
                        until: self.now + micros(asked.ttl),
                        jumped: self.jumped,
                    };
                    self.granted.held.insert(name.clone(), grant);
                    self.granted.last.insert(name, token);
                }
                Acquired::Granted { .. } => self.coverage.see("lease: a grant told again"),
                Acquired::Queued { before: 0 } => self.coverage.see("lease: queued, the first"),
                Acquired::Queued { .. } => self.coverage.see("lease: queued behind others"),
                Acquired::Refused(why) => self.coverage.see(match why {
                    Refusal::Held => "lease: refused, held",
                    Refusal::Draining => "lease: refused, draining",
                    Refusal::NoPresence => "lease: refused, no presence",
                    Refusal::Unsettled => "lease: refused, a new server process",
                    Refusal::Overloaded => "lease: refused, overloaded",
                    Refusal::NoMember(_) => "lease: refused, no member",
                    Refusal::Leadership => "lease: refused, the leadership",
                }),
            },
            (LeaseCall::Renew(Renew { token, holds, ttl, .. }), LeaseReply::Renewed(Renewal { outcome, .. })) => {
                match outcome {
                    Renewed::Until(_) => {
                        self.coverage.see(if *holds { "lease: renewed by a presence" } else { "lease: renewed" });
                        self.check_newest(&name, *token, "renewed");
                        let (until, jumped) = (self.now, self.jumped);
                        if let Some(grant) = self.granted.held.get_mut(&name).filter(|grant| grant.token == *token) {
                            grant.ttl = ttl.unwrap_or(grant.ttl);
                            (grant.until, grant.jumped) = (until + micros(grant.ttl), jumped);
                        }
                    }
                    Renewed::Stale => self.coverage.see("lease: renewal of a stale token"),
                    Renewed::NoPresence => self.coverage.see("lease: renewal without a presence"),
                }
            }
            (LeaseCall::Release(Release { token, .. }), LeaseReply::Released { released: true }) => {
                self.coverage.see("lease: released");
                self.check_newest(&name, *token, "released");
                self.granted.held.remove(&name);
            }
            (LeaseCall::Release { .. }, LeaseReply::Released { .. }) => {
                self.coverage.see("lease: release of a stale token")
            }
            (LeaseCall::Check(Check { token, .. }), LeaseReply::Checked { valid: true }) => {
                self.coverage.see("lease: checked, valid");
                self.check_newest(&name, *token, "checked");
            }
            (LeaseCall::Check { .. }, LeaseReply::Checked { .. }) => self.coverage.see("lease: checked, stale"),
            (LeaseCall::Forget { .. }, LeaseReply::Forgotten { waited: true }) => {
                self.coverage.see("lease: a waiter gave up")
            }
            _ => {}
        }
    }

    fn check_newest(&mut self, name: &LeaseName, token: Term, what: &str) {
        if self.granted.last.get(name).is_some_and(|last| *last > token) {
            self.checks.violated(format!("L2: {name} was {what} under {token} after a later grant"));
        }
    }

    /// The lease is granted to another: the one before must be over.
    fn check_ended(&mut self, name: &LeaseName, next: &Owner) {
        let Some(before) = self.granted.held.get(name) else { return };
        let life_bound = before.owner.presence.is_none();
        // By how much the server's clock ran ahead of true time since the last renewal.
        let ahead = self.jumped - before.jumped + 5 * MS;
        if life_bound && self.now + ahead < before.until && before.owner != *next {
            let (now, jumped) = (self.now, self.jumped);
            self.checks
                .violated(format!("L1: {name} was granted to {next:?} at {now} ({jumped} jumped) over {before:?}"));
        }
    }

    /// Lives end, and with them the leases that are bound to them.
    pub(crate) fn leases_end(&mut self, event: &ClusterEvent) {
        let ClusterFact::NodeLeft { incarnation, reason } = &event.fact else { return };
        if *reason != LeftReason::HeartbeatTimeout {
            let instance = Instance { node_id: event.node_id.clone(), incarnation: *incarnation };
            let own = |owner: &Owner| owner.node_id == instance.node_id && owner.incarnation == instance.incarnation;
            self.granted.held.retain(|_, grant| !own(&grant.owner));
        }
    }

    /// A server came back without its newest data, or without any.
    pub(crate) fn leases_lost(&mut self) {
        self.granted.held.clear();
        self.granted.last.clear();
        self.granted.once.clear();
    }

    /// A command starts.
    pub(crate) fn check_start(&mut self, at: usize, token: Term) {
        let name = self.wrappers[at].name.clone();
        let other = |w: &&crate::wrapper::Wrapper| w.name == name && w.command.is_some();
        // Not promised: see docs/guarantees.md.
        let excused = self.jumped_repeatedly(10 * SECOND);
        if let Some(running) = self.wrappers.iter().find(other).and_then(|w| w.command.as_ref()).filter(|_| !excused) {
            let held = running.token;
            let what = format!("w{at} starts a command for {name} under {token}, one runs under {held}");
            self.checks.violated(format!("L3: {what}"));
        }
        let now = self.now;
        let (last, at_last) = self.granted.commands.entry(name.clone()).or_insert((token, now));
        *at_last = now;
        if token < *last {
            let last = *last;
            self.checks.violated(format!("L3: w{at} starts a command for {name} under {token} after {last}"));
        } else {
            *last = token;
        }
    }

    /// A lease for which processes wait, and under which no command has started since the faults were over.
    pub(crate) fn waits_for_lease(&self) -> Option<String> {
        let healed = self.healed.unwrap_or(0);
        self.wrappers.iter().filter(|w| w.alive).find_map(|w| {
            let runs = self.wrappers.iter().any(|other| other.name == w.name && other.command.is_some());
            let started = self.granted.commands.get(&w.name).is_some_and(|(_, at)| *at > healed);
            (!runs && !started).then(|| format!("nobody was granted {}", w.name))
        })
    }

    pub(crate) fn check_once(&mut self, once: &Once, grants: &[OnceGrant]) {
        for (key, grant) in once.keys.iter().zip(grants) {
            if !grant.granted {
                self.coverage.see("once: refused");
                continue;
            }
            self.coverage.see("once: granted");
            let asked = (once.by.clone(), once.request_id.clone());
            let before = self.granted.once.insert(key.clone(), asked.clone());
            if before.as_ref().is_some_and(|before| *before != asked) {
                self.checks.violated(format!("once: {key} was granted to {asked:?} after {before:?}"));
            }
        }
    }
}
