//! The calls of a node to the shared store, and the store's answers: one pair for each transition.
//!
//! 1. Every call is one atomic transition of the cluster's state; a lost answer leaves it unknown whether it happened.
//! 2. Every call of a member names its incarnation; inside the transition, the store refuses another incarnation.
//!
//! Not here: how a store executes them (`crate::store`), when a node makes them (`node/`).

mod beat;
mod census;
mod data_set;
mod leader;
mod lease;
mod membership;
mod messages;
mod once;
mod task;

pub use beat::{LeaseNews, Tick, TickReply};
pub use census::{Census, MOST_LANES};
pub use data_set::{DataSet, Delta, Identity, Instance, Numbers, ServerId, View, ViewReply};
pub use leader::{Campaign, CampaignReply, HandOver, LeaderRecord, Rule, WatchReply};
pub use lease::{
    Acquire, AcquireReply, Acquired, Claim, Drain, DrainReply, LEASE_TTL, LONGEST_REQUEST_ID, LeaseCall, LeaseRecord,
    LeaseReply, MOST_WAITERS, Owner, Refusal, Renewed, Served,
};
pub use membership::{Join, JoinReply};
pub use messages::{Entry, Packed, Publish, PublishReply};
pub use once::{Attempt, ClockSeen, JUMP, KEPT_LONGER, LONGEST_ONCE, ONCE_KEYS, Once, OnceGrant};
pub use task::{
    ClaimedTask, NewTask, Settled, Settlement, Submitted, Task, TaskCall, TaskChange, TaskClaim, TaskReply,
    TaskSummary, Verdict,
};

use crate::cluster::ids::{MessageSeq, NodeId, Nonce, Term};
use crate::cluster::settings::{Shared, Versioned};
use crate::cluster::time::ServerTime;

/// A transition of the cluster's state.
#[derive(Debug, Clone, PartialEq)]
pub enum Call {
    /// See [`Join`].
    Join(Box<Join>),
    /// See [`Tick`].
    Tick(Box<Tick>),
    /// See [`View`].
    View(View),
    /// Ends the membership, and gives up leadership.
    Leave {
        /// The caller.
        instance: Instance,
        /// The position that the caller acknowledged.
        acknowledged: Option<MessageSeq>,
    },
    /// Gives up a term; the caller stays a member.
    Resign {
        /// The caller.
        instance: Instance,
        /// The term.
        term: Term,
    },
    /// Asks the leader to make room.
    HandOver {
        /// The member to become leader.
        candidate: NodeId,
    },
    /// See [`Campaign`].
    Campaign(Box<Campaign>),
    /// Stores the connection that proves that the caller is alive.
    Register {
        /// The caller.
        instance: Instance,
        /// The nonce of the connection.
        presence: Nonce,
        /// The term that the caller holds.
        term: Option<Term>,
    },
    /// Reads the leader's record.
    Watch,
    /// Checks the presence of all members, and declares those dead whose presence was gone for the grace. Only the leader
    /// may call it.
    Sweep {
        /// The leader.
        instance: Instance,
        /// The leader's term.
        term: Term,
        /// Members and their presence that is gone, at most 16.
        dead: Vec<(NodeId, String)>,
    },
    /// See [`Publish`].
    Publish(Box<Publish>),
    /// Moves the caller's cursor forward.
    Acknowledge {
        /// The caller.
        instance: Instance,
        /// The caller's data set.
        epoch: String,
        /// The acknowledged position.
        seq: MessageSeq,
    },
    /// See [`LeaseCall`].
    Lease(Box<LeaseCall>),
    /// See [`Once`].
    Once(Box<Once>),
    /// See [`Drain`].
    Drain(Drain),
    /// See [`TaskCall`].
    Task(Box<TaskCall>),
    /// Counts leases and tasks; see [`struct@Census`].
    Census,
    /// Returns the settings of the cluster, or changes them for all.
    Settings {
        /// The highest version that the caller has seen.
        known: u64,
        /// The new settings; `None`: only returns them.
        wanted: Option<Shared>,
    },
}

/// The store's answer, with the same name as its [`Call`].
#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    /// To [`Call::Join`].
    Join(Box<JoinReply>),
    /// To [`Call::Tick`].
    Tick(Box<TickReply>),
    /// To [`Call::View`].
    View(Box<ViewReply>),
    /// To [`Call::Leave`] and [`Call::Resign`].
    Left {
        /// Whether the store knows the caller.
        identity: Identity,
        /// The server's time.
        now: ServerTime,
        /// Whether leadership was given up.
        resigned: bool,
    },
    /// To [`Call::HandOver`].
    HandOver {
        /// The result.
        outcome: HandOver,
        /// The server's time.
        now: ServerTime,
        /// The leader's record.
        leader: Option<LeaderRecord>,
    },
    /// To [`Call::Campaign`].
    Campaign(Box<CampaignReply>),
    /// To [`Call::Register`].
    Registered {
        /// Whether the store knows the caller.
        identity: Identity,
        /// Whether the presence was stored.
        registered: bool,
        /// Whether it was stored as the leader's, too.
        leads: bool,
    },
    /// To [`Call::Watch`].
    Watch(Box<WatchReply>),
    /// To [`Call::Sweep`].
    Sweep {
        /// Whether the caller leads.
        leads: bool,
        /// Members whose presence is gone now, with its nonce.
        gone: Vec<(NodeId, String)>,
    },
    /// To [`Call::Publish`].
    Publish(PublishReply),
    /// To [`Call::Acknowledge`].
    Acknowledge(Identity),
    /// To [`Call::Lease`].
    Lease(LeaseReply),
    /// To [`Call::Once`]: a grant for each key.
    Once(Vec<OnceGrant>),
    /// To [`Call::Drain`].
    Drain(DrainReply),
    /// To [`Call::Task`].
    Task(Box<TaskReply>),
    /// To [`Call::Census`].
    Census(Census),
    /// To [`Call::Settings`].
    Settings(Box<SettingsReply>),
}

/// The settings of the cluster, as the answer to [`Call::Settings`].
#[derive(Debug, Clone, PartialEq)]
pub struct SettingsReply {
    /// The previous settings; `None`: there were none.
    pub before: Option<Versioned>,
    /// The current settings.
    pub after: Option<Versioned>,
    /// The leader's record.
    pub leader: Option<LeaderRecord>,
}

/// Why a call failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The store did not answer, or the connection was lost: it is unknown whether the call was executed.
    #[error("{0}")]
    Unavailable(String),
    /// The store answers, but cannot execute the call now: it is full, read-only, loading, or lacks a permission. Nothing
    /// happened; the same call may succeed once the cause, which the text names, is gone.
    #[error("{0}")]
    Unwritable(String),
    /// The store answered with an unexpected error: a defect. Nothing happened.
    #[error("{0}")]
    Refused(String),
}
