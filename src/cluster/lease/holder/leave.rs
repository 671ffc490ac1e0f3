//! Giving up a lease, or a place in the queue.
//!
//! 1. Nothing is given up while any part of the command is left.
//! 2. A process that ends does not wait long for Redis: the lease ends without it, too.
//!
//! Not here: why it is given up (`hold.rs`, `wait.rs`).

use super::state::{Holder, Leaving, Phase, Then, Waiting};
use super::{Effect, End, News};
use crate::cluster::ids::{Nonce, Term};
use crate::cluster::protocol::LeaseCall;
use crate::cluster::time::Moment;
use std::time::Duration;

/// How long an ending process waits for Redis to confirm the release.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(3);
/// The pause before a failed call is repeated.
const RETRY_DELAY: Duration = Duration::from_millis(200);

impl Leaving {
    pub(super) fn then(&mut self, then: Then) {
        self.then = then;
    }

    pub(super) fn retry(&mut self, now: Moment) {
        self.retry_at = now + RETRY_DELAY;
    }

    pub(super) fn due(&self, running: bool, calling: bool) -> Option<Moment> {
        if running {
            return None;
        }
        let retry = (!calling && !self.settled).then_some(self.retry_at);
        retry.into_iter().chain(self.give_up_at.filter(|_| matches!(self.then, Then::Exit(_)))).min()
    }
}

impl Holder {
    /// Gives up what this process has: a lease by its token and the granted ticket, or a place in the queue by its ticket.
    pub(super) fn leave(&mut self, now: Moment, token: Option<Term>, ticket: Option<Nonce>, then: Then) {
        let settled = token.is_none() && ticket.is_none();
        let leaving = Leaving { token, ticket, then, settled, retry_at: now, give_up_at: None };
        self.phase = Phase::Leaving(leaving);
    }

    pub(super) fn settled(&mut self) {
        if let Phase::Leaving(leaving) = &mut self.phase
            && !leaving.settled
        {
            leaving.settled = true;
            let news = leaving.token.map(|token| Effect::Report(News::Released(token)));
            self.effects.extend(news);
        }
    }

    pub(super) fn act_leaving(&mut self, now: Moment) {
        let Phase::Leaving(leaving) = &mut self.phase else { return };
        if self.running {
            return;
        }
        if let (Some(code), Then::Wait) = (self.quit, &leaving.then) {
            leaving.then = Then::Exit(End::Code(code));
        }
        let give_up_at = *leaving.give_up_at.get_or_insert(now + RELEASE_TIMEOUT);
        let timed_out = matches!(leaving.then, Then::Exit(_)) && now >= give_up_at;
        if leaving.settled || timed_out {
            match std::mem::replace(&mut leaving.then, Then::Wait) {
                Then::Exit(end) => self.finish(end),
                Then::Wait => {
                    let ticket = self.name();
                    self.phase = Phase::Waiting(Box::new(Waiting::new(ticket)));
                    self.act_waiting(now);
                }
            }
        } else if self.call.is_none() && leaving.retry_at <= now {
            let name = self.terms.name.clone();
            let (token, ticket) = (leaving.token, leaving.ticket.clone());
            let call = match (token, ticket) {
                (Some(token), ticket) => {
                    // The name of any connection will do: the ticket is the proof.
                    let presence = self.name();
                    LeaseCall::Release { name, token, owner: self.owner(presence), ticket }
                }
                (None, Some(ticket)) => LeaseCall::Forget { name, ticket },
                (None, None) => return,
            };
            self.call(call);
        }
    }
}
