//! Leaving on request, and what ends with a membership for any reason.
//!
//! 1. The node stops leading before the store is told, and never leads again in a term whose end the store may know.
//! 2. A join under way ends first: else it would make a node that left a member again.

use super::requests::{Refusal, Response};
use super::{Effect, Left, Node, Note, Standing, Ticket};
use crate::cluster::ids::Incarnation;
use crate::cluster::protocol::{Call, Fault, Identity, Leave};
use crate::cluster::time::{Moment, ServerTime};

impl Node {
    pub(super) fn asked_to_leave(&mut self, client: Ticket) {
        if let Some((_, clients)) = &mut self.join.leave {
            clients.push(client);
            return;
        }
        self.join.leave_next.push(client);
    }

    /// Leaves, once no join is under way that would make this node a member again.
    pub(super) fn act_leave(&mut self, now: Moment) {
        let joins = self.join.attempt.as_ref().is_some_and(|attempt| {
            // The first attempt of the automatic join counts as under way until its outcome is known.
            attempt.ticket.is_some() || (!self.join.settled && attempt.left.is_none())
        });
        if self.join.leave_next.is_empty() || self.leaving() || joins {
            return;
        }
        let clients = std::mem::take(&mut self.join.leave_next);
        let Some(instance) = self.instance().cloned() else {
            if self.join.attempt.as_ref().is_some_and(|attempt| attempt.left.is_some()) {
                // It waits for the holder of its id, and would make a node that was asked to leave a member.
                self.drop_waiting_join(now, "the node was asked to leave in the meantime");
                self.join.settled = true;
                self.standing = Standing::Out;
                self.close_presence();
            }
            for client in clients {
                self.reply(client, Err(Refusal::NotJoined));
            }
            return;
        };
        if let Some(leadership) = &mut self.leadership {
            leadership.resigning = true;
        }
        let ticket = self.call(Call::Leave(Leave { instance, acknowledged: self.acknowledged }));
        self.join.leave = Some((ticket, clients));
    }

    pub(super) fn left(&mut self, now: Moment, ticket: Ticket, identity: Identity, at: ServerTime, resigned: bool) {
        let Some((_, clients)) = self.join.leave.take_if(|(t, _)| *t == ticket) else {
            self.resign_answered(now, ticket);
            return;
        };
        let node_id = self.settings.node_id.clone();
        // Only joins that a client asked for survive it.
        let attempt = self.join.attempt.take().filter(|attempt| !attempt.clients.is_empty());
        if let Some(leadership) = self.leadership.take() {
            self.effects.push(Effect::Note(Note::SteppedDown(leadership.term)));
        }
        // Whether the store knew this incarnation or not: the node is not a member now.
        let answer = match identity {
            Identity::Replaced => Err(Refusal::NotJoined),
            _ => Ok(Response::Left(Left { node_id, left_at: at, resigned })),
        };
        for client in clients {
            self.reply(client, answer.clone());
        }
        self.depart(Standing::Out);
        self.incarnation = Incarnation(0);
        if let Some(mut attempt) = attempt {
            attempt.rename_from = None;
            self.join.attempt = Some(attempt);
            self.standing = Standing::Joining;
        }
    }

    pub(super) fn leave_failed(&mut self, now: Moment, ticket: Ticket, fault: &Fault) {
        let Some((_, clients)) = self.join.leave.take_if(|(t, _)| *t == ticket) else { return };
        self.lead_again(now, matches!(fault, Fault::Unavailable(_)));
        for client in clients {
            self.reply(client, Err(Refusal::Unavailable(fault.to_string())));
        }
    }

    pub(super) fn depart(&mut self, standing: Standing) {
        self.leadership = None;
        self.aliases.clear();
        self.standing = standing;
        self.join.settled = true;
        self.beat.stop();
        self.leading.stop();
        self.observation.forget();
        self.effects.push(Effect::Departed);
        self.close_presence();
        let refusal = self.not_a_member();
        for client in std::mem::take(&mut self.join.waiting_for_view) {
            self.reply(client, Err(refusal.clone()));
        }
        self.refuse_waiting(&refusal);
        self.end_draining(&refusal);
    }

    pub(super) fn leaving(&self) -> bool {
        self.join.leave.is_some()
    }

    pub(super) fn not_a_member(&self) -> Refusal {
        match &self.standing {
            Standing::Refused(holder) => {
                Refusal::InUse { node_id: self.settings.node_id.clone(), holder: holder.clone() }
            }
            _ => Refusal::NotJoined,
        }
    }
}
