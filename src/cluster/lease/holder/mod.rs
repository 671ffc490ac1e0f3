//! A process that holds a lease by its own life, and lets a command run for exactly as long: a state machine.
//!
//! ```text
//!             granted                 first answered ping             the command ended by itself
//!   waiting ──────────▶ confirming ──────────────────────▶ running ──────────────────────────────▶ leaving ──▶ over
//!      ▲                    │                                 │ a limit passed, the lease is another's, drained    │
//!      └────────────────────┴──────────────── leaving ◀───────┘   (the command is gone before the lease is given up)
//! ```
//!
//! 1. The command is started only after a ping that was sent after the grant (or after the presence was registered anew) was
//!    answered, and its limits lie before the moment at which another process may be granted the lease.
//! 2. It counts like a leader: the lease less 5 % and 50 ms from before the last confirmed renewal was sent, the grace less
//!    5 % from before the last answered ping was sent. The command is gone earlier: asked at half a grace, killed at 0.8.
//! 3. While anything of the command is left, the lease is neither released nor asked for again.
//! 4. Others wait for what the holder's record promises. When the cluster's grace changes, a shorter one is followed at once and
//!    stated with a renewal; a longer one is stated first, and followed once that renewal was confirmed.
//! 5. One call is under way at a time; a lost answer leaves it unknown whether it happened, so the next call settles that.
//!
//! Not here: connections, processes and timers (`crate::engine::leases::holder`), who is granted what (the store's scripts).

mod hold;
mod leave;
mod line;
pub(crate) mod state;
#[cfg(test)]
mod tests;
mod wait;

pub use state::Holder;

use crate::cluster::ids::{LeaseName, NodeId, Nonce, Term};
use crate::cluster::protocol::{Fault, LeaseCall, LeaseReply, ServerId};
use crate::cluster::time::Moment;
use std::time::Duration;

/// How long a command may run unless new limits come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limits {
    /// From then on it is asked to end.
    pub terminate_at: Moment,
    /// From then on it is killed.
    pub kill_at: Moment,
}

/// What is to be held, and how.
#[derive(Debug, Clone)]
pub struct Terms {
    /// The lease.
    pub name: LeaseName,
    /// Under which node's id.
    pub node_id: NodeId,
    /// For how long the lease is asked for; at least the grace.
    pub ttl: Duration,
    /// The cluster's grace: by when this process, as the holder, has stopped once its presence is gone. It may change meanwhile.
    pub grace: Duration,
    /// How long the command may take to end when it is asked to.
    pub patience: Duration,
    /// Whether to wait for a lease that another holds, and until when.
    pub wait: Wait,
    /// Whether to end, instead of waiting again, when the lease is lost.
    pub exit_when_lost: bool,
    /// A text that no other process has; the names of tickets and connections begin with it. At most 32 characters.
    pub random: Nonce,
}

/// Whether to wait for a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// Not at all.
    Not,
    /// Until this moment.
    Until(Moment),
    /// For as long as it takes.
    Forever,
}

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// Time passed.
    Wake,
    /// A call that was sent at this moment came back.
    Answered {
        /// Just before it was sent.
        sent: Moment,
        /// The answer, and the server that gave it.
        answer: Result<(LeaseReply, ServerId), Fault>,
    },
    /// The presence connection stands.
    PresenceUp(Nonce),
    /// It does not stand any more.
    PresenceDown(Nonce),
    /// It could not be opened.
    PresenceRefused {
        /// The connection.
        nonce: Nonce,
        /// Why.
        error: String,
    },
    /// A ping on it that was sent at this moment was answered.
    Pong {
        /// The connection.
        nonce: Nonce,
        /// Just before it was sent.
        sent: Moment,
    },
    /// The waiter with this ticket is called.
    Called(Nonce),
    /// Everybody is called to register again.
    CalledToRegister,
    /// The node takes no new work.
    Drained,
    /// The command's guardian asked it to end, because its limits passed.
    Terminating,
    /// The command, and all that descends from it, is gone.
    Ended {
        /// The exit code to pass on.
        code: u8,
        /// Whether it was asked to end, or killed, by its guardian.
        asked: bool,
    },
    /// A signal asks this process to end; a command that runs was given it, too.
    Quit {
        /// The exit code for that.
        code: u8,
    },
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Make a call; [`Input::Answered`] brings its end.
    Call(Box<LeaseCall>),
    /// Open a presence connection of this name.
    OpenPresence(Nonce),
    /// Close it.
    ClosePresence,
    /// Ping on it; a ping without an answer within this time ends the connection.
    Ping(Nonce, Duration),
    /// Start the command.
    Start {
        /// The fencing token.
        token: Term,
        /// Until when, to begin with.
        limits: Limits,
    },
    /// Give the command new limits.
    Limit(Limits),
    /// Ask the command to end within this time.
    Stop(Duration),
    /// Make sure that nothing of the command is left, now.
    Kill,
    /// Tell people.
    Say(News),
    /// It is over.
    Finish(End),
}

/// What people want to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// Another holds the lease, and this process waits.
    Waiting {
        /// Who; `None` while it is kept for a waiter.
        holder: Option<NodeId>,
        /// How many wait before this process.
        before: u64,
    },
    /// The node takes no new work, and this process waits until it does.
    Draining,
    /// Redis does not answer.
    Away(String),
    /// The lease is this process's.
    Granted(Term),
    /// The command starts.
    Started(Term),
    /// The command is asked to end, or killed, because of this.
    Stopping(Why),
    /// The command was stopped though the lease is still this process's; it starts again.
    Again(Term),
    /// The lease was given up.
    Released(Term),
    /// Ctrl-Z was pressed; the command goes on, because its lease would not last.
    NotSuspended,
}

/// Why a command may not go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// Redis did not answer for too long.
    Silence,
    /// The lease is not this process's any more.
    Lost,
    /// The node drains.
    Drained,
    /// This process was asked to end.
    Asked,
}

/// How it ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// The command ended, or this process was asked to: the exit code to pass on.
    Code(u8),
    /// The lease was lost, and waiting again was not wanted.
    Lost(Why),
    /// Another holds the lease, and waiting (any longer) was not wanted.
    Held(Option<NodeId>),
    /// The node takes no new work.
    Draining,
    /// Redis does not answer, and waiting was not wanted.
    Away(String),
    /// The store refuses this for good.
    Refused(String),
}
