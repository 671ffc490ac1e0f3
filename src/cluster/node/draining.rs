//! Draining (taking no new work), and giving up a term on request.
//!
//! 1. A leader stops leading before the store is told, and never leads again in a term whose end the store may know.
//! 2. A draining node does not campaign. It keeps draining when data was lost and it joins again; only a new process takes
//!    part in everything.
//!
//! Not here: leaving (`leaving.rs`), the work itself (`crate::engine`).

use super::requests::{Refusal, Response};
use super::{Drained, Node, Ticket};
use crate::cluster::ids::Term;
use crate::cluster::protocol::{Call, Drain, DrainReply, Fault, Identity};
use crate::cluster::time::Moment;
use std::time::Duration;

#[derive(Debug, Default)]
pub(super) struct Draining {
    /// The last requested state.
    wanted: bool,
    /// The state in the store, according to an answer; `None`: unknown.
    confirmed: Option<bool>,
    call: Option<(Ticket, bool, u64)>,
    clients: Vec<(Ticket, bool)>,
    /// The earliest time to repeat a failed call.
    after: Moment,
    /// The clients that wait for the end of a term, the term, and how long they wait.
    resigning: Vec<(Ticket, Term, Moment)>,
}

/// The pause before a failed call is repeated.
const DRAIN_RETRY_DELAY: Duration = Duration::from_millis(200);

impl Draining {
    pub(super) fn wanted(&self) -> bool {
        self.wanted
    }

    pub(super) fn due(&self, node: &Node) -> Option<Moment> {
        let quiet = self.call.is_none() && !node.leaving() && node.link.takes_beats() && node.instance().is_some();
        let again = Some(self.after).filter(|_| self.confirmed != Some(self.wanted) && quiet);
        self.resigning.iter().map(|(.., until)| *until).chain(again).min()
    }
}

impl Node {
    /// Whether this node is draining.
    #[must_use]
    pub fn drains(&self) -> bool {
        self.draining.wanted
    }

    pub(super) fn asked_to_drain(&mut self, client: Ticket, enabled: bool) {
        if self.instance().is_none() {
            let refusal = self.unfit();
            self.reply(client, Err(refusal));
            return;
        }
        self.revision += u64::from(enabled != self.draining.wanted);
        self.draining.wanted = enabled;
        self.draining.clients.push((client, enabled));
    }

    /// Tells the store if it does not know yet, or if a client asks for the counts.
    pub(super) fn act_drain(&mut self, now: Moment) {
        self.act_resigned(now);
        let Draining { wanted, confirmed, after, call, clients, .. } = &self.draining;
        let wanted = *wanted;
        let asked = !clients.is_empty() || (*confirmed != Some(wanted) && *after <= now && !self.link.is_down());
        if !asked || call.is_some() || self.leaving() {
            return;
        }
        let Some(instance) = self.instance().cloned() else { return };
        if wanted && let Some(leadership) = &mut self.leadership {
            leadership.resigning = true;
        }
        let revision = self.revision;
        let ticket = self.call(Call::Drain(Drain { instance, enabled: wanted, revision }));
        self.draining.call = Some((ticket, wanted, revision));
    }

    pub(super) fn asked_to_resign(&mut self, now: Moment, client: Ticket, term: Term) {
        match &mut self.leadership {
            Some(held) if held.term == term => {
                held.resigning = true;
                self.resign_now(now);
                self.draining.resigning.push((client, term, now + self.timing.lease_ttl));
            }
            _ => self.reply(client, Ok(Response::Resigned(Term(0)))),
        }
    }

    /// Answers the clients whose term has ended, or does not end in time.
    fn act_resigned(&mut self, now: Moment) {
        let held = self.leadership.as_ref().map(|held| held.term);
        for (client, term, until) in std::mem::take(&mut self.draining.resigning) {
            if held != Some(term) {
                self.reply(client, Ok(Response::Resigned(term)));
            } else if until <= now {
                let why = "the node could not give up leadership in time".to_owned();
                self.reply(client, Err(Refusal::Unavailable(why)));
            } else {
                self.draining.resigning.push((client, term, until));
            }
        }
    }

    pub(super) fn drain_answered(&mut self, now: Moment, ticket: Ticket, reply: &DrainReply) {
        let Some((_, enabled, revision)) = self.draining.call.take_if(|(t, ..)| *t == ticket) else { return };
        match reply.identity {
            Identity::Ok => {}
            Identity::Replaced => return self.replaced(),
            // Data was lost: the next heartbeat repairs that, and the store is told then.
            _ => {
                self.beat_now(now);
                self.refuse_drain(now, "the node is renewing its membership and tells Redis after that");
                return;
            }
        }
        self.draining.confirmed = Some(enabled);
        self.confirmed_revision = self.confirmed_revision.max(revision);
        if enabled && let Some(term) = self.leadership.as_ref().map(|held| held.term) {
            self.step_down(now, term);
        }
        self.refresh_view(now);
        for (client, wanted) in std::mem::take(&mut self.draining.clients) {
            if wanted != enabled {
                // Requested in the meantime.
                self.draining.clients.push((client, wanted));
                continue;
            }
            let node_id = self.node_id().clone();
            let (running_tasks, leases) = (reply.running_tasks, reply.leases);
            let drained = Drained { node_id, draining: enabled, running_tasks, leases };
            self.reply(client, Ok(Response::Drained(drained)));
        }
    }

    pub(super) fn drain_failed(&mut self, now: Moment, ticket: Ticket, fault: &Fault) {
        let Some((_, enabled, _)) = self.draining.call.take_if(|(t, ..)| *t == ticket) else { return };
        let lost = matches!(fault, Fault::Unavailable(_));
        let asked = !self.draining.clients.is_empty();
        if lost {
            // It may have been executed, or may still be.
            self.draining.confirmed = None;
            let why = format!("{fault}; this node tells Redis as soon as it can, call again to see whether it has");
            self.refuse_drain(now, &why);
        } else {
            if asked && self.draining.confirmed == Some(!enabled) {
                // Nothing happened, and the client is told so: the state stays as it was.
                self.draining.wanted = !enabled;
                self.revision += 1;
            }
            self.refuse_drain(now, &fault.to_string());
        }
        self.lead_again(now, lost);
    }

    fn refuse_drain(&mut self, now: Moment, why: &str) {
        self.draining.after = now + DRAIN_RETRY_DELAY;
        for (client, _) in std::mem::take(&mut self.draining.clients) {
            self.reply(client, Err(Refusal::Unavailable(why.to_owned())));
        }
    }

    /// Called when a join carried the state to the store.
    pub(super) fn drain_joined(&mut self, draining: bool) {
        self.draining.confirmed = Some(draining);
    }

    /// Called at the end of a membership: waiting clients are refused, and the next incarnation takes part in everything.
    pub(super) fn end_draining(&mut self, refusal: &Refusal) {
        let Draining { clients, resigning, .. } = std::mem::take(&mut self.draining);
        let waiting =
            clients.into_iter().map(|(client, _)| client).chain(resigning.into_iter().map(|(client, ..)| client));
        for client in waiting {
            self.reply(client, Err(refusal.clone()));
        }
    }
}
