//! The presence connection: opened while the node wants to be a member, registered with the store, pinged.
//!
//! 1. Every connection has a nonce of its own; a statement about one says nothing about the next.
//! 2. A connection to another server than the one that answers calls proves nothing there: it is opened again.
//! 3. A leader pings three times per grace; other nodes only to notice a dead connection.

use super::{Effect, Node, Ticket};
use crate::cluster::ids::Nonce;
use crate::cluster::protocol::{Call, Identity, Register, ServerId};
use crate::cluster::time::Moment;
use std::time::Duration;

/// How often a node that does not lead pings.
const IDLE_PING_INTERVAL: Duration = Duration::from_secs(5);
/// The pause before a lost connection is opened again.
const REOPEN_DELAY: Duration = Duration::from_millis(200);

#[derive(Debug, Default)]
enum Connection {
    #[default]
    Closed,
    Opening(Nonce),
    Up(Nonce),
}

#[derive(Debug, Default)]
pub(super) struct Presence {
    connection: Connection,
    reopen_at: Option<Moment>,
    /// The server process that stored it.
    stored: Option<ServerId>,
    register: Option<Ticket>,
    register_after: Moment,
    ping_at: Option<Moment>,
    /// When the current ping was sent.
    pinging: Option<Moment>,
    overdue: bool,
    channel: Channel,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Channel {
    #[default]
    Free,
    Asked,
    Held,
}

impl Presence {
    /// The nonce of the current connection.
    pub(super) fn standing(&self) -> Option<&Nonce> {
        match &self.connection {
            Connection::Up(nonce) => Some(nonce),
            _ => None,
        }
    }

    pub(super) fn due(&self, node: &Node) -> Option<Moment> {
        if !node.wants_presence() {
            return None;
        }
        let reopen = self.reopen_at.filter(|_| matches!(self.connection, Connection::Closed));
        let ping = self.ping_at.filter(|_| self.pinging.is_none() && self.standing().is_some());
        let overdue = self.pinging.filter(|_| !self.overdue).map(|sent| sent + node.settings.leader.presence_grace);
        let register = Some(self.register_after)
            .filter(|at| *at > Moment::default() && self.register.is_none() && node.has_to_register().is_some());
        [reopen, ping, overdue, register].into_iter().flatten().min()
    }

    /// The store confirmed the term: the reason why the connection could not be registered may be gone.
    pub(super) fn register_at_once(&mut self) {
        self.register_after = Moment::default();
    }

    /// Called when a join stored the connection, or did not see it.
    pub(super) fn joined(&mut self, stored: Option<ServerId>) {
        self.stored = stored;
    }
}

impl Node {
    pub(super) fn act_presence(&mut self, now: Moment) {
        if !self.wants_presence() {
            return;
        }
        match &self.presence.connection {
            Connection::Closed if self.presence.reopen_at.is_none_or(|at| at <= now) => {
                let nonce = self.nonce();
                self.presence = Presence { connection: Connection::Opening(nonce.clone()), ..Presence::default() };
                self.effects.push(Effect::OpenPresence(nonce));
            }
            Connection::Up(nonce) => {
                let nonce = nonce.clone();
                self.act_connected(now, nonce);
            }
            _ => {}
        }
    }

    fn act_connected(&mut self, now: Moment, nonce: Nonce) {
        // A leader pings for the shorter of the grace that it follows and the configured one.
        let grace = self.settings.leader.presence_grace;
        let held = self.leadership().map(|leadership| leadership.follows().grace.min(grace));
        let (holds, grace) = (held.is_some(), held.unwrap_or(grace));
        if holds && self.presence.channel == Channel::Free {
            self.presence.channel = Channel::Asked;
            self.effects.push(Effect::HoldLeaderChannel(nonce.clone(), true));
        }
        self.act_register(now);
        let every = if holds { grace / 3 } else { IDLE_PING_INTERVAL.max(grace) };
        if self.presence.ping_at.is_none_or(|at| at > now + every) {
            self.presence.ping_at = Some(now + every);
        }
        if !self.presence.overdue && self.presence.pinging.is_some_and(|sent| now.since(sent) >= grace) {
            // No answer for the whole grace: Redis is away, whatever the connection's own timeout says.
            self.presence.overdue = true;
            self.link_silent(now, "no answer to a ping");
        }
        if self.presence.pinging.is_none() && self.presence.ping_at.is_some_and(|at| at <= now) {
            self.presence.pinging = Some(now);
            self.presence.overdue = false;
            self.presence.ping_at = Some(now + every);
            let deadline = (grace * 2).max(Duration::from_secs(2));
            self.effects.push(Effect::Ping(nonce, deadline));
        }
    }

    /// Registers the connection if the store does not know it, or not as the leader's.
    fn act_register(&mut self, now: Moment) {
        if self.presence.register.is_some() || self.presence.register_after > now {
            return;
        }
        if let Some(call) = self.has_to_register() {
            self.presence.register_after = Moment::default();
            self.presence.register = Some(self.call(call));
        }
    }

    fn has_to_register(&self) -> Option<Call> {
        let presence = self.presence.standing()?.clone();
        let instance = self.instance()?.clone();
        let term = self.leadership().filter(|l| !l.resigning && !l.is_registered(&presence)).map(|l| l.term);
        let term = term.filter(|_| self.presence.channel == Channel::Held);
        (self.presence.stored.is_none() || term.is_some()).then_some(Call::Register(Register {
            instance,
            presence,
            term,
        }))
    }

    /// A server answered a call: a connection that another server stored, for example a demoted primary, is useless now.
    pub(super) fn answered_by(&mut self, now: Moment, server: &ServerId) {
        if self.presence.stored.as_ref().is_some_and(|stored| stored != server) {
            if let Some(leadership) = &mut self.leadership {
                leadership.unregistered();
            }
            self.effects.push(Effect::ClosePresence);
            self.presence = Presence { reopen_at: Some(now), ..Presence::default() };
        }
    }

    /// The current connection, if it is registered as the leader's.
    pub(super) fn registered_presence(&self) -> Option<&Nonce> {
        let registered = |nonce: &&Nonce| self.leadership().is_some_and(|l| l.is_registered(nonce));
        self.presence.standing().filter(registered)
    }

    /// The presence in a heartbeat: a leader's counts only once it is registered with the term, because a lost record is
    /// restored from it.
    pub(super) fn beating_presence(&self) -> Option<&Nonce> {
        if self.leadership().is_some() { self.registered_presence() } else { self.presence.standing() }
    }

    pub(super) fn presence_up(&mut self, now: Moment, nonce: &Nonce) {
        if !matches!(&self.presence.connection, Connection::Opening(n) if n == nonce) {
            return;
        }
        self.presence.connection = Connection::Up(nonce.clone());
        if matches!(self.link, super::Link::Silent { .. }) {
            // A server that just answered a subscription answers calls, too.
            self.beat_now(now);
        }
    }

    pub(super) fn presence_down(&mut self, now: Moment, nonce: &Nonce, error: &str) {
        let opening = match &self.presence.connection {
            Connection::Up(n) if n == nonce => false,
            Connection::Opening(n) if n == nonce => true,
            _ => return,
        };
        self.presence = Presence { reopen_at: Some(now + REOPEN_DELAY), ..Presence::default() };
        if let Some(leadership) = &mut self.leadership {
            leadership.unregistered();
        }
        if opening {
            self.link_silent(now, error);
            self.attempt_failed(now, error, REOPEN_DELAY);
        } else {
            self.presence.reopen_at = Some(now);
            self.beat_now(now);
        }
    }

    pub(super) fn close_presence(&mut self) {
        if !matches!(self.presence.connection, Connection::Closed) {
            self.effects.push(Effect::ClosePresence);
        }
        self.presence = Presence::default();
    }

    pub(super) fn leader_channel_held(&mut self, nonce: &Nonce) {
        if self.presence.standing() == Some(nonce) && self.presence.channel == Channel::Asked {
            self.presence.channel = Channel::Held;
        }
    }

    pub(super) fn release_leader_channel(&mut self) {
        if let Some(nonce) = self.presence.standing().cloned()
            && self.presence.channel != Channel::Free
        {
            self.presence.channel = Channel::Free;
            self.effects.push(Effect::HoldLeaderChannel(nonce, false));
        }
    }

    pub(super) fn pong(&mut self, now: Moment, nonce: &Nonce, sent: Moment) {
        if self.presence.standing() != Some(nonce) {
            return;
        }
        self.presence.pinging = None;
        self.link_heard(now);
        if let Some(leadership) = &mut self.leadership {
            leadership.answered(nonce, sent);
        }
        let grace = self.leadership().map(|leadership| leadership.follows().grace).unwrap_or_default();
        // A late pong means that time is short: ping again at once.
        if self.leadership().is_some() && now.since(sent) > grace / 3 {
            self.presence.ping_at = Some(now);
        }
    }

    pub(super) fn registered(
        &mut self,
        now: Moment,
        ticket: Ticket,
        identity: Identity,
        stored: Option<ServerId>,
        leads: bool,
    ) {
        if self.presence.register.take_if(|t| *t == ticket).is_none() {
            return;
        }
        match identity {
            Identity::Ok => {}
            Identity::Replaced => return self.replaced(),
            _ => {
                self.presence.register_after = now + REOPEN_DELAY;
                return self.beat_now(now);
            }
        }
        let Some(nonce) = self.presence.standing().cloned() else { return };
        let registered = stored.is_some();
        self.presence.stored = stored;
        if !registered {
            // This connection reaches another server than the calls do: try a new one.
            self.effects.push(Effect::ClosePresence);
            self.presence = Presence { reopen_at: Some(now + REOPEN_DELAY), ..Presence::default() };
        } else if leads && let Some(leadership) = &mut self.leadership {
            leadership.registered(nonce, now);
            self.presence.ping_at = Some(now);
        } else if self.leadership().is_some() {
            // The record belongs to another node, or is missing: the next heartbeat shows which.
            self.presence.register_after = now + REOPEN_DELAY;
            self.beat_now(now);
        }
    }

    pub(super) fn presence_failed(&mut self, now: Moment, ticket: Ticket) {
        if self.presence.register.take_if(|t| *t == ticket).is_some() {
            self.presence.register_after = now + REOPEN_DELAY;
        }
    }
}
