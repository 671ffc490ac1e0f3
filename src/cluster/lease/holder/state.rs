//! The holder's state.
//!
//! Not here: its transitions (`step.rs`, `hold.rs`, `wait.rs`, `leave.rs`).

use super::line::Line;
use super::{Effect, End, News, Terms};
use crate::cluster::ids::{Nonce, Term};
use crate::cluster::lease::observation::HolderObservation;
use crate::cluster::protocol::{LeaseCall, ServerId};
use crate::cluster::time::Moment;
use std::time::Duration;

/// The holder; see the head of `mod.rs`.
#[derive(Debug)]
pub struct Holder {
    pub(super) terms: Terms,
    pub(super) phase: Phase,
    pub(super) line: Line,
    /// The call under way.
    pub(super) call: Option<LeaseCall>,
    /// Whether a command was started and has not ended.
    pub(super) running: bool,
    /// The server process and the data set of the latest answers, and since when they are the same.
    pub(super) served: Option<(ServerId, String, Moment)>,
    /// The highest token seen.
    pub(super) token: u64,
    /// Set when this process was asked to end: the exit code.
    pub(super) quit: Option<u8>,
    /// Whether it was reported that Redis does not answer.
    pub(super) away: bool,
    pub(super) effects: Vec<Effect>,
    pub(super) names: u64,
}

#[derive(Debug)]
pub(super) enum Phase {
    Waiting(Box<Waiting>),
    Holding(Holding),
    Leaving(Leaving),
    Over,
}

/// The state of waiting.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) ticket: Nonce,
    /// The place in the queue, once known.
    pub(super) before: Option<u64>,
    pub(super) ask_at: Moment,
    pub(super) watch_at: Option<Moment>,
    /// The earliest time of the next claim, so that a refused claim is not repeated at once.
    pub(super) claim_after: Moment,
    /// When the first call without an answer was sent: it may have been granted.
    pub(super) unanswered: Option<Moment>,
    pub(super) observation: HolderObservation,
    pub(super) reported: Option<News>,
    /// When a waiter that does not want to wait asked first.
    pub(super) began: Option<Moment>,
}

/// A lease that was granted to this process.
#[derive(Debug)]
pub(super) struct Holding {
    pub(super) token: Term,
    /// The grace that this process follows; the record promises at least that.
    pub(super) grace: Duration,
    /// The ticket of the attempt that was granted: the proof that the lease belongs to this process.
    pub(super) ticket: Nonce,
    /// When the last confirmed grant or renewal was sent.
    pub(super) confirmed: Moment,
    /// The connection that the store knows, since when, and the server process that confirmed it.
    pub(super) registered: Option<(Nonce, Moment, ServerId)>,
    /// When the last answered ping that counts was sent.
    pub(super) ping: Option<Moment>,
    pub(super) renew_at: Moment,
    /// Without an answered ping by this time, the lease is given up.
    pub(super) confirm_by: Moment,
    /// Whether the lease is given up once the command is gone.
    pub(super) giving_up: bool,
    pub(super) started: bool,
}

/// What follows after giving up.
#[derive(Debug)]
pub(super) enum Then {
    /// Wait for the lease again.
    Wait,
    /// End in this way.
    Exit(End),
}

/// The state of giving up.
#[derive(Debug)]
pub(super) struct Leaving {
    pub(super) token: Option<Term>,
    pub(super) ticket: Option<Nonce>,
    pub(super) then: Then,
    pub(super) settled: bool,
    pub(super) retry_at: Moment,
    /// Set once the command is gone: when to stop waiting for Redis.
    pub(super) give_up_at: Option<Moment>,
}
