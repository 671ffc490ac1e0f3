//! Withdraws calls that were abandoned without an answer: their grants end, and the calls are refused if they arrive later.
//!
//! 1. A mark refuses a withdrawn call for ten minutes.
//! 2. A grant that a later call of the same request has received stays.

use super::leases::Lease;
use super::state::Step;
use super::task_data::How;
use clawster::cluster::ids::{LeaseName, Nonce, TaskToken};
use clawster::cluster::protocol::{Acquire, Instance, Once, Owner};
use clawster::cluster::task::{TaskKind, TaskState};
use clawster::cluster::time::ServerTime;

/// How long a mark is kept, in milliseconds of the server's clock.
const WITHDRAWN_FOR: u64 = 600_000;

impl Step<'_> {
    fn mark_ends(&self) -> ServerTime {
        ServerTime(self.now.0.saturating_add(WITHDRAWN_FOR))
    }

    pub(super) fn is_withdrawn(&self, nonce: &Nonce) -> bool {
        self.data.withdrawn.get(nonce).is_some_and(|until| self.now < *until)
    }

    pub(super) fn mark(&mut self, nonce: &Nonce) {
        let (now, until) = (self.now, self.mark_ends());
        self.data.withdrawn.retain(|_, until| now < *until);
        self.data.withdrawn.insert(nonce.clone(), until);
    }

    /// Takes an acquisition back; whether it had been granted the lease.
    pub(super) fn withdraw_acquisition(
        &mut self,
        name: &LeaseName,
        owner: &Owner,
        ticket: &Nonce,
        request_id: &str,
    ) -> bool {
        self.guard_stall();
        self.mark(ticket);
        self.give_up(name, ticket);
        let own = |lease: &&Lease| {
            lease.holder.is_some() && lease.ticket.as_ref() == Some(ticket) && lease.is_own(owner, Some(ticket))
        };
        let Some(token) = self.lease(name).filter(own).map(|lease| lease.token) else { return false };
        let request = (owner.node_id.clone(), name.clone(), request_id.to_owned());
        if self.data.requests.get(&request).is_some_and(|told| told.token == token) {
            self.data.requests.remove(&request);
        }
        self.vacate_lease(name);
        true
    }

    /// A later attempt has received the grant: withdrawing an earlier attempt does not end it.
    pub(super) fn adopt(&mut self, acquire: &Acquire, token: clawster::cluster::ids::Term) {
        let Some(lease) = self.data.leases.get_mut(&acquire.name) else { return };
        let held = lease.holder.as_ref().is_some_and(|owner| owner.presence.is_none());
        if held && lease.token == token && lease.stated < acquire.stated {
            (lease.ticket, lease.stated) = (Some(acquire.ticket.clone()), acquire.stated);
        }
    }

    /// Whether a call is void because it, or a later one of its request, was withdrawn or superseded; notes what it says of others.
    pub(super) fn void(&mut self, once: &Once) -> bool {
        let Some(attempt) = &once.attempt else { return false };
        let request = (once.by.clone(), once.request_id.clone());
        let known =
            self.data.void.get(&request).filter(|(of, _, until)| *of >= attempt.incarnation && self.now < *until);
        let upto = known.map(|(of, upto, _)| if *of == attempt.incarnation { *upto } else { u64::MAX });
        let reach = if once.give_back {
            Some(attempt.number)
        } else {
            attempt.number.checked_sub(1).filter(|_| attempt.supersedes)
        };
        if let Some(reach) = reach.filter(|reach| upto.is_none_or(|upto| *reach > upto)) {
            let until = self.mark_ends();
            self.data.void.insert(request, (attempt.incarnation, reach, until));
        }
        upto.is_some_and(|upto| upto >= attempt.number)
    }

    /// Takes a claim back; how many tasks wait again.
    pub(super) fn withdraw_claim(
        &mut self,
        instance: &Instance,
        kinds: &[TaskKind],
        nonce: &Nonce,
        told: Option<TaskToken>,
    ) -> u64 {
        self.guard_stall();
        self.mark(nonce);
        let mut kinds = kinds.to_vec();
        kinds.sort();
        kinds.dedup();
        let remembered = self.data.tasks.claimed.get(&instance.node_id).and_then(|all| all.get(&kinds));
        let Some((_, got)) = remembered.filter(|(of, _)| of == nonce).cloned() else { return 0 };
        if got.first().is_some_and(|(_, token)| Some(*token) == told) {
            return 0;
        }
        if let Some(all) = self.data.tasks.claimed.get_mut(&instance.node_id) {
            all.remove(&kinds);
        }
        let mut back = 0;
        for (id, token) in got {
            if self.handed_out(&id, token, instance).is_none() {
                continue;
            }
            if let Some(task) = self.data.tasks.all.get_mut(&id) {
                task.attempts = task.attempts.saturating_sub(1);
            }
            self.data.tasks.running.remove(&id);
            self.note_stop(&id);
            self.data.tasks.give_back(&instance.node_id, &id);
            self.set_state(&id, TaskState::Waiting, 0, How::None);
            self.make_ready(&id);
            back += 1;
        }
        self.settle_waiting();
        back
    }
}
