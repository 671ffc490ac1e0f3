//! The holder's state, and what it does while it holds a lease.
//!
//! 1. Only pings count that were sent after the store confirmed the connection they were sent on.
//! 2. A renewal names the connection that stands: the lease follows it, also across a change of the server process.
//!
//! Not here: waiting (`wait.rs`), giving up (`leave.rs`), the connection (`line.rs`).

use super::leave::{Leaving, Then};
use super::line::Line;
use super::wait::Waiting;
use super::{Effect, End, Input, Limits, News, Terms, Why};
use crate::cluster::ids::{Incarnation, Nonce, Term};
use crate::cluster::leadership::lease_deadline;
use crate::cluster::protocol::{Fault, LeaseCall, LeaseReply, Owner, Renewed, ServerId};
use crate::cluster::time::Moment;
use std::time::Duration;

/// What a holder takes off its wait, because its clock may be slow.
const SLOW: f64 = 0.95;
/// When the command is asked to end, and when it is killed: parts of the grace since the last answered ping was sent.
const GRACE_PARTS: (f64, f64) = (0.5, 0.8);
/// The same for the lease since the last confirmed renewal was sent, less [`SAFETY`].
const LEASE_PARTS: (f64, f64) = (0.75, 0.9);
/// What is taken off the lease on top.
const SAFETY: Duration = Duration::from_millis(50);

/// See the module's text.
#[derive(Debug)]
pub struct Holder {
    pub(super) terms: Terms,
    pub(super) phase: Phase,
    pub(super) line: Line,
    /// The call under way.
    pub(super) call: Option<LeaseCall>,
    /// A command was started, and its end was not told yet.
    pub(super) running: bool,
    /// The server process and the data set that answered last, and since when.
    pub(super) served: Option<(ServerId, String, Moment)>,
    /// The highest token that was seen.
    pub(super) token: u64,
    /// This process was asked to end, with this exit code.
    pub(super) quit: Option<u8>,
    /// People were told that Redis does not answer.
    pub(super) away: bool,
    pub(super) effects: Vec<Effect>,
    names: u64,
}

#[derive(Debug)]
pub(super) enum Phase {
    Waiting(Waiting),
    Holding(Holding),
    Leaving(Leaving),
    Over,
}

/// A lease that this process was granted.
#[derive(Debug)]
pub(super) struct Holding {
    token: Term,
    /// When the last confirmed grant or renewal was sent.
    confirmed: Moment,
    /// The connection that the store knows, since when, and the server process that confirmed it.
    registered: Option<(Nonce, Moment, ServerId)>,
    /// When the last answered ping was sent that counts.
    ping: Option<Moment>,
    renew_at: Moment,
    /// Without an answered ping by then, the lease is given up.
    confirm_by: Moment,
    /// It shall be given up once the command is gone.
    giving_up: bool,
    started: bool,
}

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
        holder.phase = Phase::Waiting(Waiting::new(holder.name()));
        holder
    }

    /// Takes what happened at `now`; returns what is to be done, in this order.
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
            Input::Terminating => {
                if matches!(&self.phase, Phase::Holding(holding) if !holding.giving_up) {
                    self.effects.push(Effect::Say(News::Stopping(Why::Silence)));
                }
            }
            Input::Ended { code, asked } => self.ended(now, code, asked),
            Input::Quit { code } => self.quit = self.quit.or(Some(code)),
        }
        self.act(now);
        std::mem::take(&mut self.effects)
    }

    /// When the next [`Input::Wake`] is due, at the latest.
    #[must_use]
    pub fn wake_at(&self) -> Option<Moment> {
        let phase = match &self.phase {
            Phase::Waiting(_) => self.waiting_due(),
            Phase::Holding(holding) => {
                let call = self.call.is_none().then_some(holding.renew_at);
                call.into_iter().chain([holding.over_at(&self.terms)]).min()
            }
            Phase::Leaving(leaving) => leaving.due(self.running, self.call.is_some()),
            Phase::Over => return None,
        };
        phase.into_iter().chain(self.line.due()).min()
    }

    /// Whether all is over.
    #[must_use]
    pub fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Over)
    }

    pub(super) fn name(&mut self) -> Nonce {
        self.names += 1;
        // The random part is short enough for this to be a nonce.
        Nonce::new(format!("{}-{}", self.terms.random, self.names)).unwrap_or_else(|_| self.terms.random.clone())
    }

    pub(super) fn owner(&self, presence: Nonce) -> Owner {
        Owner { node_id: self.terms.node_id.clone(), incarnation: Incarnation(0), presence: Some(presence) }
    }

    pub(super) fn call(&mut self, call: LeaseCall) {
        self.call = Some(call.clone());
        self.effects.push(Effect::Call(call));
    }

    pub(super) fn finish(&mut self, end: End) {
        self.phase = Phase::Over;
        self.effects.push(Effect::ClosePresence);
        self.effects.push(Effect::Finish(end));
    }

    /// Redis did not answer: people are told once.
    pub(super) fn unanswered(&mut self, why: &str) {
        if !self.away {
            self.away = true;
            self.effects.push(Effect::Say(News::Away(why.to_owned())));
        }
        self.waited_in_vain(why);
    }

    fn act(&mut self, now: Moment) {
        if self.is_over() {
            return;
        }
        let holds = matches!(self.phase, Phase::Holding(_));
        let name = self.name();
        let effect = self.line.act(now, self.terms.grace, holds, || name);
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
                let (Fault::Unavailable(why) | Fault::Refused(why)) = fault;
                self.call_failed(now, sent, &call);
                return self.unanswered(&why);
            }
        };
        self.away = false;
        self.see_server(now, &server, &reply);
        match (call, reply) {
            (LeaseCall::Acquire(asked), LeaseReply::Acquired(reply)) => self.acquired(now, sent, asked, *reply, server),
            (LeaseCall::Watch { .. }, LeaseReply::Watched { now: at, record, .. }) => {
                self.watched(now, at, record, &server);
            }
            (LeaseCall::Renew { presence, .. }, LeaseReply::Renewed { outcome, .. }) => {
                self.renewed(now, sent, presence, outcome, server);
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
        // A connection that another server process confirmed, say a primary that was demoted, proves nothing to this one.
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

    /// The lease is this process's. `confirmed`: when what granted it was sent, at the earliest.
    pub(super) fn granted(&mut self, now: Moment, token: Term, confirmed: Moment, registered: Option<(Nonce, ServerId)>) {
        self.effects.push(Effect::Say(News::Granted(token)));
        let renew_at = if registered.is_some() { confirmed + self.terms.ttl / 3 } else { now };
        self.phase = Phase::Holding(Holding {
            token,
            confirmed,
            registered: registered.map(|(nonce, server)| (nonce, now, server)),
            ping: None,
            renew_at,
            confirm_by: now + self.terms.grace * 2,
            giving_up: false,
            started: false,
        });
        self.line.ping_now(now);
    }

    fn act_holding(&mut self, now: Moment) {
        let Phase::Holding(holding) = &mut self.phase else { return };
        if !self.running && (holding.giving_up || self.quit.is_some()) {
            let token = holding.token;
            let then = self.quit.map_or(Then::Wait, |code| Then::Exit(End::Code(code)));
            return self.leave(now, Some(token), None, then);
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
            self.effects.push(Effect::Say(news));
            self.effects.push(Effect::Start { token, limits });
        }
        self.renew_if_due(now);
    }

    fn renew_if_due(&mut self, now: Moment) {
        let Phase::Holding(holding) = &self.phase else { return };
        if self.call.is_some() || holding.renew_at > now {
            return;
        }
        let standing = self.line.standing().cloned();
        let holds = holding.ping.is_some() && now < holding.over_at(&self.terms);
        let owner = standing.clone().or_else(|| holding.registered.as_ref().map(|(nonce, ..)| nonce.clone()));
        let (token, holds) = (holding.token, owner.filter(|_| holds).map(|nonce| self.owner(nonce)));
        let nonce = self.name();
        let (name, ttl) = (self.terms.name.clone(), Some(self.terms.ttl));
        self.call(LeaseCall::Renew { name, token, ttl, nonce, presence: standing, holds });
    }

    fn renewed(&mut self, now: Moment, sent: Moment, presence: Option<Nonce>, outcome: Renewed, server: ServerId) {
        let Phase::Holding(holding) = &mut self.phase else { return };
        match outcome {
            Renewed::Until(_) => {
                holding.confirmed = holding.confirmed.max(sent);
                holding.renew_at = sent + self.terms.ttl / 3;
                if let Some(nonce) = presence
                    && self.line.standing() == Some(&nonce)
                    && holding.registered.as_ref().is_none_or(|(known, ..)| *known != nonce)
                {
                    holding.registered = Some((nonce, now, server));
                    self.line.ping_now(now);
                }
                self.tell_limits();
            }
            Renewed::Stale => self.lose(now, Why::Lost),
            Renewed::NoPresence => {
                // This connection reaches another server than the calls do: try a new one.
                holding.registered = None;
                holding.renew_at = now + self.terms.grace / 4;
                let close = self.line.give_up(now);
                self.effects.extend(close);
            }
        }
    }

    fn pong(&mut self, now: Moment, nonce: &Nonce, sent: Moment) {
        let late = matches!(self.phase, Phase::Holding(_)) && now.since(sent) > self.terms.grace / 3;
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

    fn tell_limits(&mut self) {
        if let Phase::Holding(holding) = &self.phase
            && self.running
            && let Some(limits) = holding.limits(&self.terms)
        {
            self.effects.push(Effect::Limit(limits));
        }
    }

    fn presence_down(&mut self, now: Moment, nonce: &Nonce) {
        if !self.line.down(now, nonce) {
            return;
        }
        if let Phase::Holding(holding) = &mut self.phase {
            // What its answered pings allow stays allowed.
            holding.registered = None;
        }
    }

    fn renew_now(&mut self, now: Moment) {
        if let Phase::Holding(holding) = &mut self.phase {
            holding.renew_at = holding.renew_at.min(now);
        }
        self.ask_now(now);
    }

    /// A new connection stands: the store has to know it.
    fn ask_now(&mut self, now: Moment) {
        match &mut self.phase {
            Phase::Holding(holding) => holding.renew_at = holding.renew_at.min(now),
            Phase::Waiting(waiting) => waiting.ask_now(now),
            Phase::Leaving(_) | Phase::Over => {}
        }
    }

    fn drained(&mut self) {
        if let Phase::Holding(holding) = &mut self.phase
            && !holding.giving_up
        {
            holding.giving_up = true;
            self.effects.push(Effect::Say(News::Stopping(Why::Drained)));
            if self.running {
                self.effects.push(Effect::Stop(self.terms.patience));
            }
        }
    }

    fn expire(&mut self, now: Moment) {
        if let Phase::Holding(holding) = &self.phase
            && now >= holding.over_at(&self.terms)
        {
            self.lose(now, Why::Silence);
        }
    }

    fn lose(&mut self, now: Moment, why: Why) {
        let Phase::Holding(holding) = &self.phase else { return };
        let token = holding.token;
        if self.running {
            self.effects.push(Effect::Say(News::Stopping(why)));
            self.effects.push(Effect::Kill);
        }
        let then = if self.terms.exit_when_lost { Then::Exit(End::Lost(why)) } else { Then::Wait };
        self.leave(now, Some(token), None, then);
    }

    fn ended(&mut self, now: Moment, code: u8, asked: bool) {
        self.running = false;
        let for_good = !asked || self.quit.is_some();
        match &mut self.phase {
            Phase::Holding(holding) if for_good => {
                let token = holding.token;
                self.leave(now, Some(token), None, Then::Exit(End::Code(code)));
            }
            Phase::Leaving(leaving) if for_good => leaving.then(Then::Exit(End::Code(code))),
            _ => {}
        }
    }
}

impl Holding {
    /// The moment at which the lease counts as lost unless something confirms it again.
    fn over_at(&self, terms: &Terms) -> Moment {
        let present = self.ping.map_or(self.confirm_by, |sent| sent + terms.grace.mul_f64(SLOW));
        lease_deadline(self.confirmed, terms.ttl).min(present)
    }

    fn limits(&self, terms: &Terms) -> Option<Limits> {
        let ping = self.ping?;
        let at = |grace: f64, lease: f64| {
            let by_lease = self.confirmed + terms.ttl.mul_f64(lease).saturating_sub(SAFETY);
            by_lease.min(ping + terms.grace.mul_f64(grace))
        };
        Some(Limits {
            terminate_at: at(GRACE_PARTS.0, LEASE_PARTS.0),
            kill_at: at(GRACE_PARTS.1, LEASE_PARTS.1),
        })
    }
}
