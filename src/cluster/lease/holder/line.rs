//! The presence connection of a holder or waiter: opened, pinged, reopened.
//!
//! 1. Every connection has a nonce of its own; a statement about one says nothing about the next.
//! 2. A holder pings three times per grace, a waiter only to notice a dead connection.
//!
//! Not here: what an answered ping allows (`hold.rs`).

use super::Effect;
use crate::cluster::ids::Nonce;
use crate::cluster::time::Moment;
use std::time::Duration;

/// The pause before opening a connection is tried again.
const REOPEN_DELAY: Duration = Duration::from_millis(200);
/// How often a waiter pings.
const IDLE_PING_INTERVAL: Duration = Duration::from_secs(5);

/// The state of the presence connection.
#[derive(Debug, Default)]
pub(super) struct Line {
    state: State,
    reopen_at: Moment,
    ping_at: Moment,
    pinging: bool,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Closed,
    Opening(Nonce),
    Up(Nonce),
}

impl Line {
    /// The current connection.
    pub(super) fn standing(&self) -> Option<&Nonce> {
        match &self.state {
            State::Up(nonce) => Some(nonce),
            _ => None,
        }
    }

    /// Opens or pings, if that is due.
    pub(super) fn act(
        &mut self,
        now: Moment,
        grace: Duration,
        holds: bool,
        name: impl FnOnce() -> Nonce,
    ) -> Option<Effect> {
        match &self.state {
            State::Closed if self.reopen_at <= now => {
                let nonce = name();
                self.state = State::Opening(nonce.clone());
                Some(Effect::OpenPresence(nonce))
            }
            State::Up(nonce) => {
                let every = if holds { grace / 3 } else { IDLE_PING_INTERVAL.max(grace) };
                self.ping_at = self.ping_at.min(now + every);
                if self.pinging || self.ping_at > now {
                    return None;
                }
                self.pinging = true;
                self.ping_at = now + every;
                Some(Effect::Ping(nonce.clone(), (grace * 2).max(Duration::from_secs(2))))
            }
            _ => None,
        }
    }

    /// When [`Self::act`] is due next.
    pub(super) fn due(&self) -> Option<Moment> {
        match &self.state {
            State::Closed => Some(self.reopen_at),
            State::Up(_) => (!self.pinging).then_some(self.ping_at),
            State::Opening(_) => None,
        }
    }

    pub(super) fn up(&mut self, now: Moment, nonce: &Nonce) {
        if matches!(&self.state, State::Opening(opening) if opening == nonce) {
            *self = Self {
                state: State::Up(nonce.clone()),
                reopen_at: now,
                ping_at: now + IDLE_PING_INTERVAL,
                pinging: false,
            };
        }
    }

    /// Called when a connection is down; false: it was not the current one.
    pub(super) fn down(&mut self, now: Moment, nonce: &Nonce) -> bool {
        let wait = match &self.state {
            State::Up(up) if up == nonce => Duration::ZERO,
            State::Opening(opening) if opening == nonce => REOPEN_DELAY,
            _ => return false,
        };
        *self = Self { reopen_at: now + wait, ..Self::default() };
        true
    }

    /// Whether this pong belongs to the current connection. `late`: the next ping follows at once.
    pub(super) fn pong(&mut self, now: Moment, nonce: &Nonce, late: bool) -> bool {
        if self.standing() != Some(nonce) {
            return false;
        }
        self.pinging = false;
        if late {
            self.ping_at = now;
        }
        true
    }

    /// Pings as soon as the current ping is answered.
    pub(super) fn ping_now(&mut self, now: Moment) {
        self.ping_at = self.ping_at.min(now);
    }

    /// Abandons the connection; a new one is opened after a moment.
    pub(super) fn give_up(&mut self, now: Moment) -> Option<Effect> {
        let open = !matches!(self.state, State::Closed);
        *self = Self { reopen_at: now + REOPEN_DELAY, ..Self::default() };
        open.then_some(Effect::ClosePresence)
    }
}
