//! The holder while it holds a lease.
//!
//! 1. Only pings count that were sent after the store confirmed their connection.
//! 2. A renewal names the current connection: the lease moves to it, even across a change of the server process.
//!
//! Not here: waiting (`wait.rs`), giving the lease up (`leave.rs`).

use super::state::{Holder, Holding, Phase, Then};
use super::{Effect, End, Limits, News, Terms, Why};
use crate::cluster::ids::{Nonce, Term};
use crate::cluster::lease::leadership::lease_deadline;
use crate::cluster::lease::margins::{LEASE_SAFETY, acting_time};
use crate::cluster::protocol::{LeaseCall, Renewed, ServerId};
use crate::cluster::time::{Moment, millis};
use std::time::Duration;

/// When the command is asked to end, and when it is killed: fractions of the grace, since the last answered ping was sent.
const GRACE_PARTS: (f64, f64) = (0.5, 0.8);
/// The same as fractions of the lease, since the last confirmed renewal was sent, less [`LEASE_SAFETY`].
const LEASE_PARTS: (f64, f64) = (0.75, 0.9);

impl Holder {
    /// Takes a granted lease. `confirmed`: the earliest time at which the call that granted it may have been sent.
    pub(super) fn granted(
        &mut self,
        now: Moment,
        token: Term,
        (grace, ticket): (Duration, Nonce),
        confirmed: Moment,
        registered: Option<(Nonce, ServerId)>,
    ) {
        let grace = grace.min(self.terms.grace);
        self.effects.push(Effect::Report(News::Granted(token)));
        let renew_at = if registered.is_some() { confirmed + self.terms.ttl / 3 } else { now };
        self.phase = Phase::Holding(Holding {
            token,
            grace,
            ticket,
            confirmed,
            registered: registered.map(|(nonce, server)| (nonce, now, server)),
            ping: None,
            renew_at,
            confirm_by: now + grace * 2,
            giving_up: false,
            started: false,
        });
        self.line.ping_now(now);
    }

    pub(super) fn act_holding(&mut self, now: Moment) {
        let Phase::Holding(holding) = &mut self.phase else { return };
        if !self.running && (holding.giving_up || self.quit.is_some()) {
            let (token, ticket) = holding.grant();
            let then = self.quit.map_or(Then::Wait, |code| Then::Exit(End::Code(code)));
            self.leave(now, Some(token), Some(ticket), then);
            return self.act_leaving(now);
        }
        if !self.running
            && holding.registered.is_some()
            && let Some(limits) = holding.limits(&self.terms)
            && now < limits.terminate_at
        {
            let token = holding.token;
            let news = if holding.started { News::Again(token) } else { News::Started(token) };
            holding.started = true;
            self.running = true;
            self.effects.push(Effect::Report(news));
            self.effects.push(Effect::Start { token, limits });
        }
        self.renew_if_due(now);
    }

    fn renew_if_due(&mut self, now: Moment) {
        let Phase::Holding(holding) = &self.phase else { return };
        if self.call.is_some() || holding.renew_at > now {
            return;
        }
        // Without a connection the store would refuse.
        let Some(presence) = self.line.standing().cloned() else { return };
        let holds = holding.ping.is_some() && now < holding.over_at(&self.terms);
        let (token, ticket) = holding.grant();
        let (nonce, owner, ticket) = (self.name(), self.owner(presence), Some(ticket));
        let (name, ttl, grace) = (self.terms.name.clone(), Some(self.terms.ttl), self.terms.grace);
        let stated = millis(now.0);
        self.call(LeaseCall::Renew { name, token, ttl, nonce, owner, ticket, holds, grace, stated });
    }

    pub(super) fn renewed(
        &mut self,
        now: Moment,
        sent: Moment,
        (presence, stated): (Option<Nonce>, Duration),
        outcome: Renewed,
        server: ServerId,
    ) {
        let Phase::Holding(holding) = &mut self.phase else { return };
        match outcome {
            Renewed::Until(_) => {
                holding.confirmed = holding.confirmed.max(sent);
                holding.renew_at = sent + self.terms.ttl / 3;
                // The record has the stated grace; the cluster's may have become shorter since.
                holding.grace = stated.min(self.terms.grace);
                if holding.grace != self.terms.grace {
                    holding.renew_at = now;
                }
                if let Some(nonce) = presence
                    && self.line.standing() == Some(&nonce)
                    && holding.registered.as_ref().is_none_or(|(known, ..)| *known != nonce)
                {
                    holding.registered = Some((nonce, now, server));
                    self.line.ping_now(now);
                }
                self.tell_limits();
            }
            Renewed::Stale => self.lease_lost(now, Why::Lost),
            Renewed::NoPresence => {
                // This connection reaches another server than the calls do: try a new one.
                holding.registered = None;
                holding.renew_at = now + self.terms.grace / 4;
                let close = self.line.give_up(now);
                self.effects.extend(close);
            }
        }
    }

    pub(super) fn pong(&mut self, now: Moment, nonce: &Nonce, sent: Moment) {
        let late = matches!(self.phase, Phase::Holding(_)) && now.since(sent) > self.grace() / 3;
        if !self.line.pong(now, nonce, late) {
            return;
        }
        if let Phase::Holding(holding) = &mut self.phase
            && holding.registered.as_ref().is_some_and(|(known, since, _)| known == nonce && sent >= *since)
        {
            holding.ping = holding.ping.max(Some(sent));
            self.tell_limits();
        }
    }

    /// Takes the cluster's grace from an answer.
    pub(super) fn learn(&mut self, now: Moment, grace: Duration) {
        if grace == self.terms.grace {
            return;
        }
        self.terms.grace = grace;
        if let Phase::Holding(holding) = &mut self.phase {
            holding.grace = holding.grace.min(grace);
            holding.renew_at = now;
        }
        self.tell_limits();
    }

    /// The grace that binds this process now.
    #[must_use]
    pub fn grace(&self) -> Duration {
        match &self.phase {
            Phase::Holding(holding) => holding.grace,
            _ => self.terms.grace,
        }
    }

    fn tell_limits(&mut self) {
        if let Phase::Holding(holding) = &self.phase
            && self.running
            && let Some(limits) = holding.limits(&self.terms)
        {
            self.effects.push(Effect::Limit(limits));
        }
    }

    /// Called when the guardian asked the command to end.
    pub(super) fn terminating(&mut self) {
        if matches!(&self.phase, Phase::Holding(holding) if !holding.giving_up) {
            self.effects.push(Effect::Report(News::Stopping(Why::Silence)));
        }
    }

    pub(super) fn drained(&mut self) {
        if let Phase::Holding(holding) = &mut self.phase
            && !holding.giving_up
        {
            holding.giving_up = true;
            self.effects.push(Effect::Report(News::Stopping(Why::Drained)));
            if self.running {
                self.effects.push(Effect::Stop(self.terms.stop_timeout));
            }
        }
    }

    pub(super) fn expire(&mut self, now: Moment) {
        if let Phase::Holding(holding) = &self.phase
            && now >= holding.over_at(&self.terms)
        {
            self.lease_lost(now, Why::Silence);
        }
    }

    pub(super) fn lease_lost(&mut self, now: Moment, why: Why) {
        let Phase::Holding(holding) = &self.phase else { return };
        let (token, ticket) = holding.grant();
        if self.running {
            self.effects.push(Effect::Report(News::Stopping(why)));
            self.effects.push(Effect::Kill);
        }
        let then = if self.terms.exit_when_lost { Then::Exit(End::Lost(why)) } else { Then::Wait };
        self.leave(now, Some(token), Some(ticket), then);
    }
}

impl Holding {
    /// The token of the lease, and the proof that it belongs to this process.
    pub(super) fn grant(&self) -> (Term, Nonce) {
        (self.token, self.ticket.clone())
    }

    /// When the lease counts as lost unless something confirms it again.
    pub(super) fn over_at(&self, terms: &Terms) -> Moment {
        let present = self.ping.map_or(self.confirm_by, |sent| sent + acting_time(self.grace));
        lease_deadline(self.confirmed, terms.ttl).min(present)
    }

    fn limits(&self, terms: &Terms) -> Option<Limits> {
        let ping = self.ping?;
        let at = |grace: f64, lease: f64| {
            let by_lease = self.confirmed + terms.ttl.mul_f64(lease).saturating_sub(LEASE_SAFETY);
            by_lease.min(ping + self.grace.mul_f64(grace))
        };
        Some(Limits { terminate_at: at(GRACE_PARTS.0, LEASE_PARTS.0), kill_at: at(GRACE_PARTS.1, LEASE_PARTS.1) })
    }
}
