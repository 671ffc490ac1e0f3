//! What a node may ask of the shared store, and what the store answers: one pair for each transition.
//!
//! 1. Every call is one atomic transition of the cluster's state; a lost answer leaves it unknown whether it happened.
//! 2. Every call of a member names its life (id and incarnation); the store refuses another life inside the transition.
//!
//! Not here: how a store does it (`crate::store`), when a node asks (`node/`).

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
    /// Ends the membership, gives up leadership.
    Leave {
        /// Who leaves.
        instance: Instance,
        /// What it acknowledged.
        acknowledged: Option<MessageSeq>,
    },
    /// Gives up a term, stays a member.
    Resign {
        /// Who resigns.
        instance: Instance,
        /// Which term.
        term: Term,
    },
    /// Asks the leader to make room.
    HandOver {
        /// For whom.
        candidate: NodeId,
    },
    /// See [`Campaign`].
    Campaign(Box<Campaign>),
    /// Stores which connection proves that the caller lives.
    Register {
        /// Who.
        instance: Instance,
        /// The connection's nonce.
        presence: Nonce,
        /// The term that the caller holds.
        term: Option<Term>,
    },
    /// Looks at the leader.
    Watch,
    /// The leader looks at all members' presence, and declares dead whose was gone for the grace.
    Sweep {
        /// Who leads.
        instance: Instance,
        /// Under which term.
        term: Term,
        /// Members and their gone presence, at most 16.
        dead: Vec<(NodeId, String)>,
    },
    /// See [`Publish`].
    Publish(Box<Publish>),
    /// Moves the caller's cursor forward.
    Acknowledge {
        /// Who.
        instance: Instance,
        /// The data set that the caller speaks of.
        epoch: String,
        /// Up to here.
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
    /// Shows the settings of the cluster, or changes them for all.
    Settings {
        /// The highest version that the caller has seen.
        known: u64,
        /// What they shall be; `None`: shows them only.
        wanted: Option<Shared>,
    },
}

/// The store's answer, of the same name as its [`Call`].
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
        /// Whether the caller is known.
        identity: Identity,
        /// Server time.
        now: ServerTime,
        /// Whether a leadership was given up.
        resigned: bool,
    },
    /// To [`Call::HandOver`].
    HandOver {
        /// What came of it.
        outcome: HandOver,
        /// Server time.
        now: ServerTime,
        /// The record.
        leader: Option<LeaderRecord>,
    },
    /// To [`Call::Campaign`].
    Campaign(Box<CampaignReply>),
    /// To [`Call::Register`].
    Registered {
        /// Whether the caller is known.
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
    /// To [`Call::Once`], a grant for each key.
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

/// The settings of the cluster, as the answer to [`Call::Settings`] shows them.
#[derive(Debug, Clone, PartialEq)]
pub struct SettingsReply {
    /// As they were; `None`: nobody set them yet.
    pub before: Option<Versioned>,
    /// As they are now.
    pub after: Option<Versioned>,
    /// The leader's record.
    pub leader: Option<LeaderRecord>,
}

/// Why a call has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The store did not answer, or the connection was lost: whether the call happened is unknown.
    #[error("{0}")]
    Unavailable(String),
    /// The store answers, but cannot do it now: it is full, read-only, loading, or lacks a right. Nothing happened, and the
    /// same call may succeed once the cause, which the text names, is gone.
    #[error("{0}")]
    Unwritable(String),
    /// The store answered with an error that nobody foresaw: a defect. Nothing happened.
    #[error("{0}")]
    Refused(String),
}
