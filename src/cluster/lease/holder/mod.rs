//! A process that holds a lease by its own presence, and lets a command run exactly as long: a state machine.
//!
//! ```text
//!             granted                 first answered ping             the command ended by itself
//!   waiting ──────────▶ confirming ──────────────────────▶ running ──────────────────────────────▶ leaving ──▶ over
//!      ▲                    │                                 │ a limit passed, the lease is another's, drained    │
//!      └────────────────────┴──────────────── leaving ◀───────┘   (the command is gone before the lease is given up)
//! ```
//!
//! 1. The command is started only after the answer to a ping that was sent after the grant (or after the presence was
//!    registered again), and its limits are before the time at which another process may be granted the lease.
//! 2. It counts like a leader: the lease less 5 % and 50 ms since the last confirmed renewal was sent, the grace less 5 %
//!    since the last answered ping was sent. The command is gone earlier: it is asked to end at half a grace, and killed at
//!    0.8.
//! 3. While any part of the command is left, the lease is neither released nor asked for again.
//! 4. Others wait for what the holder's record promises. When the cluster's grace changes, a shorter one is followed at
//!    once and stated with a renewal; a longer one is stated first, and followed once that renewal was confirmed.
//! 5. One call is under way at a time; after a lost answer it is unknown whether the call took effect, and the next call
//!    settles that.
//!
//! Not here: connections, processes and timers (`crate::engine::leases::holder`), granting (the store's scripts).

mod hold;
mod leave;
mod line;
pub(crate) mod state;
mod step;
#[cfg(test)]
mod tests;
mod wait;

pub use state::Holder;

use crate::cluster::ids::{LeaseName, NodeId, Nonce, Term};
use crate::cluster::protocol::{Fault, LeaseCall, LeaseReply, ServerId};
use crate::cluster::time::Moment;
use std::time::Duration;

/// How long a command may run without new limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limits {
    /// When it is asked to end.
    pub terminate_at: Moment,
    /// When it is killed.
    pub kill_at: Moment,
}

/// What to hold, and how.
#[derive(Debug, Clone)]
pub struct Terms {
    /// The name of the lease.
    pub name: LeaseName,
    /// The node id to hold it under.
    pub node_id: NodeId,
    /// The duration of the lease; at least the grace.
    pub ttl: Duration,
    /// The cluster's grace: the time in which this process, as the holder, has stopped after its presence is gone. It may
    /// change later.
    pub grace: Duration,
    /// How long the command may take to end when it is asked to.
    pub stop_timeout: Duration,
    /// Whether to wait for a lease that another process holds, and until when.
    pub wait: Wait,
    /// Whether to end instead of waiting again when the lease is lost.
    pub exit_when_lost: bool,
    /// A text that no other process has; the nonces of tickets and connections begin with it. At most 32 characters.
    pub random: Nonce,
}

/// Whether to wait for a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// Do not wait.
    Not,
    /// Wait until this time.
    Until(Moment),
    /// Wait for as long as it takes.
    Forever,
}

/// An input of the state machine.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// Time passed.
    Wake,
    /// The end of a call.
    Answered {
        /// When it was sent, taken just before sending.
        sent: Moment,
        /// The answer, and the server that gave it.
        answer: Result<(LeaseReply, ServerId), Fault>,
    },
    /// The presence connection is up.
    PresenceUp(Nonce),
    /// The presence connection is down.
    PresenceDown(Nonce),
    /// The presence connection could not be opened.
    PresenceRefused {
        /// The nonce of the connection.
        nonce: Nonce,
        /// Why.
        error: String,
    },
    /// A ping was answered.
    Pong {
        /// The nonce of the connection.
        nonce: Nonce,
        /// When the ping was sent, taken just before sending.
        sent: Moment,
    },
    /// The waiter with this ticket should ask again.
    Called(Nonce),
    /// All processes should register again.
    CalledToRegister,
    /// The node is draining.
    Drained,
    /// The command's guardian asked it to end, because its limits passed.
    Terminating,
    /// The command and all its descendants are gone.
    Ended {
        /// The exit code to pass on.
        code: u8,
        /// Whether its guardian asked it to end, or killed it.
        asked: bool,
    },
    /// A signal asks this process to end; a running command got the signal, too.
    Quit {
        /// The exit code for that.
        code: u8,
    },
}

/// An effect of the state machine.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Make a call; its end is an [`Input::Answered`].
    Call(Box<LeaseCall>),
    /// Open a presence connection with this nonce.
    OpenPresence(Nonce),
    /// Close the presence connection.
    ClosePresence,
    /// Ping on this connection; a ping without an answer within this time ends the connection.
    Ping(Nonce, Duration),
    /// Start the command.
    Start {
        /// The fencing token.
        token: Term,
        /// The first limits.
        limits: Limits,
    },
    /// Give the command new limits.
    Limit(Limits),
    /// Ask the command to end within this time.
    Stop(Duration),
    /// Make sure that no part of the command is left, now.
    Kill,
    /// Report something to people.
    Report(News),
    /// The state machine has ended.
    Finish(End),
}

/// A report to people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// Another process holds the lease, and this process waits.
    Waiting {
        /// The holder; `None` while the lease is reserved for a waiter.
        holder: Option<NodeId>,
        /// The number of waiters before this process.
        before: u64,
    },
    /// The node is draining, and this process waits until that ends.
    Draining,
    /// Redis does not answer.
    Away(String),
    /// This process holds the lease.
    Granted(Term),
    /// The command starts.
    Started(Term),
    /// The command is asked to end, or killed, for this reason.
    Stopping(Why),
    /// The command was stopped although this process still holds the lease; it starts again.
    Again(Term),
    /// The lease was released.
    Released(Term),
    /// Ctrl-Z was pressed; the command continues, because its lease would not last.
    NotSuspended,
}

/// Why a command must stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// Redis did not answer for too long.
    Silence,
    /// The lease was lost.
    Lost,
    /// The node is draining.
    Drained,
    /// This process was asked to end.
    Asked,
}

/// How the state machine ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// The command ended, or this process was asked to end: the exit code to pass on.
    Code(u8),
    /// The lease was lost, and waiting again was not wanted.
    Lost(Why),
    /// Another process holds the lease, and (further) waiting was not wanted.
    Held(Option<NodeId>),
    /// The node is draining.
    Draining,
    /// Redis does not answer, and waiting was not wanted.
    Away(String),
    /// The store refuses this permanently.
    Refused(String),
}
