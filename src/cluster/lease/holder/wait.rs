//! The holder while it waits for a lease that another process holds.
//!
//! 1. Every waiter queues once, under a ticket, and sleeps until it is notified. Asking again with the ticket keeps its
//!    place.
//! 2. The first waiter in the queue watches a holder with a presence four times per grace. It claims the lease once that
//!    presence was gone for the grace and 5 % more, or the record was unchanged for its TTL and 5 % more, by its own clock.
//!    Grace and TTL are those of the holder's record. The store checks again that the observation still holds, and that it
//!    lasted long enough.
//! 3. An observation on one server process says nothing about another.
//!
//! Not here: holding (`hold.rs`).

use super::state::{Holder, Phase, Then, Waiting};
use super::{Effect, End, News, Wait};
use crate::cluster::ids::{NodeId, Nonce};
use crate::cluster::lease::observation::{Claimable, HolderObservation};
use crate::cluster::protocol::{
    Acquire, AcquireReply, Acquired, Claim, LeaseCall, LeaseRecord, Numbers, Refusal, Served, ServerId,
};
use crate::cluster::time::{Moment, ServerTime, millis};
use std::time::Duration;

/// The longest sleep of a waiter; after it, the waiter checks whether it was forgotten.
const MAX_SLEEP: Duration = Duration::from_secs(5);
/// The pause before a failed call is repeated.
const RETRY_DELAY: Duration = Duration::from_millis(250);
/// How often a waiter of a draining node asks whether draining has ended.
const DRAIN_POLL_INTERVAL: Duration = Duration::from_secs(1);

impl Waiting {
    pub(super) fn new(ticket: Nonce) -> Self {
        Self {
            ticket,
            before: None,
            ask_at: Moment::default(),
            watch_at: None,
            claim_after: Moment::default(),
            unanswered: None,
            observation: HolderObservation::default(),
            reported: None,
            began: None,
        }
    }

    pub(super) fn ask_now(&mut self, now: Moment) {
        self.ask_at = self.ask_at.min(now);
    }

    pub(super) fn failed(&mut self, now: Moment, sent: Moment, asked: bool) {
        if asked {
            self.unanswered = self.unanswered.or(Some(sent));
        }
        self.ask_at = now + RETRY_DELAY;
        self.watch_at = None;
    }
}

impl Holder {
    pub(super) fn waiting_due(&self) -> Option<Moment> {
        let Phase::Waiting(waiting) = &self.phase else { return None };
        let deadline = match self.terms.wait {
            Wait::Until(at) => Some(at),
            Wait::Not | Wait::Forever => None,
        };
        let call = self.call.is_none() && self.line.standing().is_some();
        let claim = waiting.claim().map(|claimable| claimable.at);
        let calls = [Some(waiting.ask_at), waiting.watch_at, claim];
        calls.into_iter().flatten().filter(|_| call).chain(deadline).min()
    }

    pub(super) fn act_waiting(&mut self, now: Moment) {
        let Phase::Waiting(waiting) = &self.phase else { return };
        if self.call.is_some() {
            return;
        }
        let queued = waiting.before.is_some() || waiting.unanswered.is_some();
        let ticket = queued.then(|| waiting.ticket.clone());
        if let Some(code) = self.quit {
            self.leave(now, None, ticket, Then::Exit(End::Code(code)));
            return self.act_leaving(now);
        }
        if matches!(self.terms.wait, Wait::Until(at) if at <= now) {
            let end = self.end_without_lease();
            self.leave(now, None, ticket, Then::Exit(end));
            return self.act_leaving(now);
        }
        let Some(presence) = self.line.standing().cloned() else { return };
        let Phase::Waiting(waiting) = &self.phase else { return };
        let claim = waiting.claim().filter(|it| it.at <= now).map(|it| (it.claim, it.since));
        if claim.is_some() || waiting.ask_at <= now {
            self.ask(now, presence, claim);
        } else if waiting.watch_at.is_some_and(|at| at <= now) {
            self.call(LeaseCall::Watch { name: self.terms.name.clone() });
        }
    }

    /// The end of a wait without the lease.
    fn end_without_lease(&self) -> End {
        let Phase::Waiting(waiting) = &self.phase else { return End::Held(None) };
        match &waiting.reported {
            Some(News::Draining) => End::Draining,
            _ if self.away => End::Away("it did not answer in time".to_owned()),
            _ => End::Held(waiting.holder()),
        }
    }

    fn ask(&mut self, now: Moment, presence: Nonce, claim: Option<(Claim, Moment)>) {
        let (claim, seen_since) = claim.unzip();
        let (nonce, fresh_epoch) = (self.name(), self.name());
        let owner = self.owner(presence);
        let served = self.served.as_ref().map(|(server, epoch, since)| Served {
            server: server.clone(),
            epoch: epoch.clone(),
            span: now.since(*since),
        });
        let Phase::Waiting(waiting) = &mut self.phase else { return };
        waiting.began = waiting.began.or(Some(now));
        waiting.claim_after = now + self.terms.grace / 4;
        // The answer may set an earlier time; a claim is not repeated at once.
        waiting.ask_at = now + MAX_SLEEP;
        let acquire = Acquire {
            name: self.terms.name.clone(),
            owner,
            ticket: waiting.ticket.clone(),
            request_id: String::new(),
            ttl: self.terms.ttl,
            wait: self.terms.wait != Wait::Not,
            grace: self.terms.grace,
            claim,
            seen_for: seen_since.map(|since| now.since(since)).unwrap_or_default(),
            stated: millis(now.0),
            served,
            nonce,
            known: Numbers { token: self.token, ..Numbers::default() },
            fresh_epoch,
        };
        self.call(LeaseCall::Acquire(acquire));
    }

    pub(super) fn acquired(
        &mut self,
        now: Moment,
        sent: Moment,
        asked: Acquire,
        reply: AcquireReply,
        server: ServerId,
    ) {
        let grace = self.terms.grace;
        let Phase::Waiting(waiting) = &mut self.phase else { return };
        let soon = reply.again.unwrap_or(MAX_SLEEP).clamp(Duration::from_millis(10), MAX_SLEEP);
        match reply.outcome {
            Acquired::Granted { token, again, .. } => {
                // A repeated grant may have been made by the first call whose answer was lost.
                let confirmed = if again { waiting.unanswered.unwrap_or(sent).min(sent) } else { sent };
                let standing = asked.owner.presence.filter(|nonce| !again && self.line.standing() == Some(nonce));
                // The grace in the record, if it is there: an earlier call of this ticket may have stated another one.
                let recorded = reply.record.as_ref().map_or(asked.grace, |record| record.grace.min(asked.grace));
                let grace = if recorded.is_zero() { asked.grace } else { recorded };
                let standing = standing.map(|nonce| (nonce, server));
                self.granted(now, token, (grace, asked.ticket), confirmed, standing);
            }
            Acquired::Queued { before } => {
                waiting.unanswered = None;
                waiting.before = Some(before);
                waiting.observation.observe(now, reply.now, reply.record.as_ref(), &server);
                waiting.ask_at = now + soon;
                waiting.watch_later(now, grace);
                let news = News::Waiting { holder: waiting.holder(), before };
                self.report_waiting(news);
            }
            Acquired::Refused(why) => {
                waiting.unanswered = None;
                waiting.observation.observe(now, reply.now, reply.record.as_ref(), &server);
                waiting.ask_at = now + soon;
                self.refused(now, why);
            }
        }
    }

    fn refused(&mut self, now: Moment, why: Refusal) {
        let unwilling = self.terms.wait == Wait::Not;
        let grace = self.terms.grace;
        let Phase::Waiting(waiting) = &mut self.phase else { return };
        let holder = waiting.holder();
        let patient = waiting.began.is_some_and(|began| now.since(began) < grace * 3);
        match why {
            Refusal::Held | Refusal::Overloaded if unwilling => self.finish(End::Held(holder)),
            Refusal::Draining if unwilling => self.finish(End::Draining),
            Refusal::Unsettled if unwilling && !patient => self.finish(End::Held(holder)),
            Refusal::Held | Refusal::Overloaded => self.report_waiting(News::Waiting { holder, before: 0 }),
            Refusal::Draining => {
                waiting.ask_at = now + DRAIN_POLL_INTERVAL;
                self.report_waiting(News::Draining);
            }
            Refusal::Unsettled => waiting.ask_at = waiting.ask_at.min(now + grace / 4),
            Refusal::NoPresence => {
                // This connection reaches another server than the calls do: a new one asks again.
                let close = self.line.give_up(now);
                self.effects.extend(close);
            }
            Refusal::NoMember(_) => {
                self.finish(End::Refused(
                    "the store treats this process as a member, although it is not one".to_owned(),
                ));
            }
            Refusal::Leadership => {
                let why = "the lease name leader is reserved for the elected leadership; choose another name";
                self.finish(End::Refused(why.to_owned()));
            }
        }
    }

    pub(super) fn watched(&mut self, now: Moment, at: ServerTime, record: Option<LeaseRecord>, server: &ServerId) {
        let grace = self.terms.grace;
        let Phase::Waiting(waiting) = &mut self.phase else { return };
        waiting.observation.observe(now, at, record.as_ref(), server);
        waiting.watch_later(now, grace);
        if waiting.observation.record().is_none() {
            // Vacant: it is reserved for a waiter, most likely for this one.
            waiting.ask_now(now);
        } else if record.is_some_and(|record| !record.same_server) {
            // Only the server knows when a lease of an earlier process may be taken.
            waiting.ask_at = waiting.ask_at.min(now + grace / 4);
        }
    }

    pub(super) fn called(&mut self, now: Moment, ticket: &Nonce) {
        if let Phase::Waiting(waiting) = &mut self.phase
            && waiting.ticket == *ticket
        {
            waiting.ask_at = now;
        }
    }

    /// Redis did not answer: a waiter that does not want to wait ends.
    pub(super) fn wait_failed(&mut self, why: &str) {
        if matches!(self.phase, Phase::Waiting(_)) && self.terms.wait == Wait::Not {
            self.finish(End::Away(why.to_owned()));
        }
    }

    fn report_waiting(&mut self, news: News) {
        if let Phase::Waiting(waiting) = &mut self.phase {
            let same = match (&waiting.reported, &news) {
                (Some(News::Waiting { holder: old, .. }), News::Waiting { holder: new, .. }) => old == new,
                (reported, news) => reported.as_ref() == Some(news),
            };
            if !same {
                waiting.reported = Some(news.clone());
                self.effects.push(Effect::Report(news));
            }
        }
    }
}

impl Waiting {
    fn holder(&self) -> Option<NodeId> {
        self.observation.holder().cloned()
    }

    /// What the first waiter in the queue may claim, and when.
    fn claim(&self) -> Option<Claimable> {
        let claimable = self.observation.claimable().filter(|_| self.before == Some(0))?;
        Some(Claimable { at: claimable.at.max(self.claim_after), ..claimable })
    }

    /// Plans the next check: the first waiter watches a holder with a presence closely; all others sleep until they are
    /// notified.
    fn watch_later(&mut self, now: Moment, grace: Duration) {
        let first = self.before == Some(0);
        let close = self.observation.by_presence();
        self.watch_at = (first && close).then(|| now + grace / 4);
    }
}
