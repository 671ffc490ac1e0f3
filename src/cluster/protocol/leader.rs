//! The leader's record, and how a term is granted, watched and handed over.
//!
//! Not here: when a candidate may ask (`crate::cluster::lease::election`).

use super::data_set::{Identity, Instance};
use crate::cluster::ids::{NodeId, Nonce, Term};
use crate::cluster::settings::Promise;
use crate::cluster::time::ServerTime;
use std::time::Duration;

/// The leader's record in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaderRecord {
    /// The holder; `None`: it is vacant.
    pub holder: Option<Instance>,
    /// The term of the last grant.
    pub term: Term,
    /// When the lease expires.
    pub expires_at: ServerTime,
    /// A new text with every renewal.
    pub nonce: String,
    /// The nonce of the holder's registered presence.
    pub presence: Option<String>,
    /// The candidate that the holder must make room for.
    pub handing_to: Option<NodeId>,
    /// Whether that presence is subscribed.
    pub present: bool,
    /// What the holder promises, as far as the record says.
    pub promise: Promise,
    /// Whether the holder itself stated that in this term. An older version does not: its leader may follow longer times.
    pub stated: bool,
}

/// Why a term may be granted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rule {
    /// The record is vacant.
    Vacant,
    /// The lease has expired, and the record was unchanged for one lease by the candidate's own clock.
    Expired {
        /// The nonce that was unchanged.
        nonce: String,
    },
    /// The server process that granted or confirmed the record is gone, and the record was unchanged on a later process for
    /// the grace by the candidate's own clock.
    Restarted {
        /// The nonce that was unchanged.
        nonce: String,
    },
    /// The leader's presence was gone for the grace by the candidate's own clock.
    Presence {
        /// The presence that was gone.
        nonce: String,
    },
    /// Mode `fenced`: the leader's presence is gone, and the grace is not over. The leader loses leadership, but not its
    /// membership.
    Fenced {
        /// The presence that was gone.
        nonce: String,
    },
    /// There is no record, and the leader channel had no subscriber for the grace.
    Absent,
    /// There was no record for one lease by the candidate's own clock.
    AbsentLease,
}

/// Asks for leadership.
#[derive(Debug, Clone, PartialEq)]
pub struct Campaign {
    /// The candidate.
    pub instance: Instance,
    /// The rule that allows it.
    pub rule: Rule,
    /// The term that the candidate saw; 0 without a record.
    pub seen: Term,
    /// The nonce of the grant.
    pub nonce: Nonce,
    /// The candidate's presence.
    pub presence: Option<Nonce>,
    /// What the candidate promises as leader.
    pub promise: Promise,
    /// When it states that, by its own clock in milliseconds: an older statement changes no later one.
    pub stated: u64,
    /// How long it has observed the condition of its rule, by its own clock. The store refuses unless that covers the
    /// promise of the record's holder and 5 % more.
    pub seen_for: Duration,
    /// The highest token that the candidate has seen.
    pub known_token: u64,
}

/// The answer to [`Campaign`].
#[derive(Debug, Clone, PartialEq)]
pub struct CampaignReply {
    /// Whether the store knows the caller.
    pub identity: Identity,
    /// The server's time.
    pub now: ServerTime,
    /// The granted term.
    pub granted: Option<Term>,
    /// Why no term was granted.
    pub refused: String,
    /// The record after the call.
    pub leader: Option<LeaderRecord>,
    /// The token counter after the call.
    pub token: u64,
}

/// Gives up a term; the caller stays a member.
#[derive(Debug, Clone, PartialEq)]
pub struct Resign {
    /// The caller.
    pub instance: Instance,
    /// The term.
    pub term: Term,
}

/// Reads the leader's record.
#[derive(Debug, Clone, PartialEq)]
pub struct WatchLeader;

/// The answer to [`WatchLeader`].
#[derive(Debug, Clone, PartialEq)]
pub struct WatchReply {
    /// The server's time.
    pub now: ServerTime,
    /// The epoch of the data set.
    pub epoch: String,
    /// The record.
    pub leader: Option<LeaderRecord>,
    /// Whether the leader registered on this server process.
    pub same_server: bool,
    /// Whether any process holds the leader channel.
    pub leader_channel: bool,
}

/// Asks the leader to make room.
#[derive(Debug, Clone, PartialEq)]
pub struct HandOver {
    /// The member to become leader.
    pub candidate: NodeId,
}

/// The answer to [`HandOver`].
#[derive(Debug, Clone, PartialEq)]
pub struct HandOverReply {
    /// The result.
    pub outcome: HandedOver,
    /// The server's time.
    pub now: ServerTime,
    /// The leader's record.
    pub leader: Option<LeaderRecord>,
}

/// The result of a [`HandOver`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HandedOver {
    /// The leader was asked.
    Asked,
    /// The candidate is already the leader.
    Same,
    /// There is no leader; the candidate may take leadership.
    Vacant,
    /// The candidate is not a live member.
    Unknown,
    /// The candidate is not a candidate for leader.
    Barred,
}
