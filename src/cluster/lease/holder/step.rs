//! The dispatch of inputs to what the holder does now.
//!
//! 1. Expiry by the clock is processed before an input.
//!
//! Not here: holding (`hold.rs`), waiting (`wait.rs`), giving up (`leave.rs`), the connection (`line.rs`).

use super::line::Line;
use super::state::{Holder, Phase, Then, Waiting};
use super::{Effect, End, Input, Terms};
use crate::cluster::ids::{Incarnation, Nonce};
use crate::cluster::protocol::{Fault, LeaseCall, LeaseReply, Owner, ServerId};
use crate::cluster::time::Moment;
use std::time::Duration;

impl Holder {
    /// A process that wants a lease.
    #[must_use]
    pub fn new(terms: Terms) -> Self {
        let mut holder = Self {
            terms,
            phase: Phase::Over,
            line: Line::default(),
            call: None,
            running: false,
            served: None,
            token: 0,
            quit: None,
            away: false,
            effects: Vec::new(),
            names: 0,
        };
        holder.phase = Phase::Waiting(Box::new(Waiting::new(holder.name())));
        holder
    }

    /// Processes an input that happened at `now`; returns the effects, in order.
    pub fn step(&mut self, now: Moment, input: Input) -> Vec<Effect> {
        self.expire(now);
        match input {
            Input::Wake => {}
            Input::Answered { sent, answer } => self.answered(now, sent, answer),
            Input::PresenceUp(nonce) => {
                self.line.up(now, &nonce);
                self.ask_now(now);
            }
            Input::PresenceDown(nonce) => self.presence_down(now, &nonce),
            Input::PresenceRefused { nonce, error } => {
                self.presence_down(now, &nonce);
                self.unanswered(&error);
            }
            Input::Pong { nonce, sent } => self.pong(now, &nonce, sent),
            Input::Called(ticket) => self.called(now, &ticket),
            Input::CalledToRegister => self.renew_now(now),
            Input::Drained => self.drained(),
            Input::Terminating => self.terminating(),
            Input::Ended { code, asked } => self.ended(now, code, asked),
            Input::Quit { code } => self.quit(code),
        }
        self.act(now);
        std::mem::take(&mut self.effects)
    }

    /// The latest time for the next [`Input::Wake`].
    #[must_use]
    pub fn wake_at(&self) -> Option<Moment> {
        let phase = match &self.phase {
            Phase::Waiting(_) => self.waiting_due(),
            Phase::Holding(holding) => {
                let call = (self.call.is_none() && self.line.standing().is_some()).then_some(holding.renew_at);
                call.into_iter().chain([holding.over_at(&self.terms)]).min()
            }
            Phase::Leaving(leaving) => leaving.due(self.running, self.call.is_some()),
            Phase::Over => return None,
        };
        phase.into_iter().chain(self.line.due()).min()
    }

    /// Whether the state machine has ended.
    #[must_use]
    pub fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Over)
    }

    /// A signal asks for the end; after a second one it does not wait for Redis.
    fn quit(&mut self, code: u8) {
        let again = self.quit.replace(code).is_some();
        if again && !self.running && !self.is_over() {
            self.finish(End::Code(code));
        }
    }

    pub(super) fn name(&mut self) -> Nonce {
        self.names += 1;
        // The random part is short enough that this is a valid nonce.
        Nonce::new(format!("{}-{}", self.terms.random, self.names)).unwrap_or_else(|_| self.terms.random.clone())
    }

    pub(super) fn owner(&self, presence: Nonce) -> Owner {
        Owner { node_id: self.terms.node_id.clone(), incarnation: Incarnation(0), presence: Some(presence) }
    }

    pub(super) fn call(&mut self, call: LeaseCall) {
        self.call = Some(call.clone());
        self.effects.push(Effect::Call(Box::new(call)));
    }

    pub(super) fn finish(&mut self, end: End) {
        self.phase = Phase::Over;
        self.effects.push(Effect::ClosePresence);
        self.effects.push(Effect::Finish(end));
    }

    /// Redis did not answer: reports that once.
    pub(super) fn unanswered(&mut self, why: &str) {
        if !self.away {
            self.away = true;
            self.effects.push(Effect::Report(super::News::Away(why.to_owned())));
        }
        self.wait_failed(why);
    }

    fn act(&mut self, now: Moment) {
        if self.is_over() {
            return;
        }
        let holds = matches!(self.phase, Phase::Holding(_));
        let name = self.name();
        let effect = self.line.act(now, self.grace(), holds, || name);
        self.effects.extend(effect);
        match &self.phase {
            Phase::Waiting(_) => self.act_waiting(now),
            Phase::Holding(_) => self.act_holding(now),
            Phase::Leaving(_) => self.act_leaving(now),
            Phase::Over => {}
        }
    }

    fn answered(&mut self, now: Moment, sent: Moment, answer: Result<(LeaseReply, ServerId), Fault>) {
        let Some(call) = self.call.take() else { return };
        let (reply, server) = match answer {
            Ok(answered) => answered,
            Err(fault) => {
                let (Fault::Unavailable(why) | Fault::Unwritable(why) | Fault::Refused(why)) = fault;
                self.call_failed(now, sent, &call);
                return self.unanswered(&why);
            }
        };
        self.away = false;
        self.see_server(now, &server, &reply);
        match (call, reply) {
            (LeaseCall::Acquire(asked), LeaseReply::Acquired(reply)) => {
                let grace = reply.grace;
                self.acquired(now, sent, asked, *reply, server);
                self.learn(now, grace.unwrap_or(self.terms.grace));
            }
            (LeaseCall::Watch { .. }, LeaseReply::Watched { now: at, record, .. }) => {
                self.watched(now, at, record, &server);
            }
            (LeaseCall::Renew { owner, grace: stated, .. }, LeaseReply::Renewed { outcome, grace, .. }) => {
                self.renewed(now, sent, (owner.presence, stated), outcome, server);
                self.learn(now, grace.unwrap_or(self.terms.grace));
            }
            (LeaseCall::Release { .. }, LeaseReply::Released { .. })
            | (LeaseCall::Forget { .. }, LeaseReply::Forgotten { .. }) => self.settled(),
            (call, _) => self.call_failed(now, sent, &call),
        }
    }

    fn see_server(&mut self, now: Moment, server: &ServerId, reply: &LeaseReply) {
        let epoch = match reply {
            LeaseReply::Acquired(reply) => {
                self.token = self.token.max(reply.token);
                Some(&reply.epoch)
            }
            LeaseReply::Watched { epoch, .. } => Some(epoch),
            _ => None,
        };
        if let Some(epoch) = epoch
            && !self.served.as_ref().is_some_and(|(known, data, _)| known == server && data == epoch)
        {
            self.served = Some((server.clone(), epoch.clone(), now));
        }
        // A connection that another server process confirmed, for example a demoted primary, proves nothing to this one.
        if let Phase::Holding(holding) = &mut self.phase
            && holding.registered.take_if(|(_, _, known)| known != server).is_some()
        {
            let close = self.line.give_up(now);
            self.effects.extend(close);
        }
    }

    fn call_failed(&mut self, now: Moment, sent: Moment, call: &LeaseCall) {
        let retry = (self.terms.grace / 4).max(Duration::from_millis(50));
        match &mut self.phase {
            Phase::Holding(holding) => holding.renew_at = now + retry,
            Phase::Waiting(waiting) => waiting.failed(now, sent, matches!(call, LeaseCall::Acquire(_))),
            Phase::Leaving(leaving) => leaving.retry(now),
            Phase::Over => {}
        }
    }

    fn presence_down(&mut self, now: Moment, nonce: &Nonce) {
        if !self.line.down(now, nonce) {
            return;
        }
        if let Phase::Holding(holding) = &mut self.phase {
            // What its answered pings allow remains allowed.
            holding.registered = None;
        }
    }

    fn renew_now(&mut self, now: Moment) {
        if let Phase::Holding(holding) = &mut self.phase {
            holding.renew_at = holding.renew_at.min(now);
        }
        self.ask_now(now);
    }

    /// A new connection is up: the store must know it.
    fn ask_now(&mut self, now: Moment) {
        match &mut self.phase {
            Phase::Holding(holding) => holding.renew_at = holding.renew_at.min(now),
            Phase::Waiting(waiting) => waiting.ask_now(now),
            Phase::Leaving(_) | Phase::Over => {}
        }
    }

    fn ended(&mut self, now: Moment, code: u8, asked: bool) {
        self.running = false;
        let for_good = !asked || self.quit.is_some();
        match &mut self.phase {
            Phase::Holding(holding) if for_good => {
                let (token, ticket) = holding.grant();
                self.leave(now, Some(token), Some(ticket), Then::Exit(End::Code(code)));
            }
            Phase::Leaving(leaving) if for_good => leaving.then(Then::Exit(End::Code(code))),
            _ => {}
        }
    }
}
