//! The leader's record, and how a term is granted, watched and handed over.
//!
//! Not here: when a candidate may ask (`crate::cluster::lease::election`).

use super::data_set::{Identity, Instance};
use crate::cluster::ids::{NodeId, Nonce, Term};
use crate::cluster::settings::Promise;
use crate::cluster::time::ServerTime;
use std::time::Duration;

/// The leader's record as the store holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaderRecord {
    /// Who holds it; `None` when it is vacant.
    pub holder: Option<Instance>,
    /// The term of the last grant.
    pub term: Term,
    /// When the lease ends.
    pub expires_at: ServerTime,
    /// A fresh text at every renewal.
    pub nonce: String,
    /// The nonce of the holder's registered presence.
    pub presence: Option<String>,
    /// Whom the holder shall make room for.
    pub handing_to: Option<NodeId>,
    /// Whether that presence is subscribed.
    pub present: bool,
    /// What the holder follows, as far as the record says.
    pub promise: Promise,
    /// Whether the holder itself said so under this term. The version before does not: its leader may follow longer times.
    pub stated: bool,
}

/// Why a term may be granted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rule {
    /// The record is vacant.
    Vacant,
    /// The lease is over, and the record was unchanged for one lease on the candidate's own clock.
    Expired {
        /// The nonce that was unchanged.
        nonce: String,
    },
    /// The server process that granted or confirmed the record is gone, and the record was unchanged on a later one for the
    /// grace on the candidate's own clock.
    Restarted {
        /// The nonce that was unchanged.
        nonce: String,
    },
    /// The leader's presence was gone for the grace on the candidate's own clock.
    Presence {
        /// The presence that was gone.
        nonce: String,
    },
    /// Mode `fenced`: the leader's presence is gone, the grace is not over. It costs the leadership, not the membership.
    Fenced {
        /// The presence that was gone.
        nonce: String,
    },
    /// There is no record, and the leader channel had no subscriber for the grace.
    Absent,
    /// There was no record for one lease on the candidate's own clock.
    AbsentLease,
}

/// Asks for the leadership.
#[derive(Debug, Clone, PartialEq)]
pub struct Campaign {
    /// Who asks.
    pub instance: Instance,
    /// Under which rule.
    pub rule: Rule,
    /// The term that the candidate saw; 0 without a record.
    pub seen: Term,
    /// The nonce of the grant.
    pub nonce: Nonce,
    /// The candidate's presence.
    pub presence: Option<Nonce>,
    /// What the candidate will follow as the leader.
    pub promise: Promise,
    /// When it asks, by its own clock in milliseconds: an older statement of what it follows changes no later one.
    pub stated: u64,
    /// For how long it has seen, by its own clock, what its rule needs. The store refuses it unless that covers the promise of
    /// the record's holder and 5 % more.
    pub seen_for: Duration,
    /// The highest token that the candidate has seen.
    pub known_token: u64,
}

/// The answer to [`Campaign`].
#[derive(Debug, Clone, PartialEq)]
pub struct CampaignReply {
    /// Whether the caller is known.
    pub identity: Identity,
    /// Server time.
    pub now: ServerTime,
    /// The granted term.
    pub granted: Option<Term>,
    /// Why not.
    pub refused: String,
    /// The record after the call.
    pub leader: Option<LeaderRecord>,
    /// The token counter after the call.
    pub token: u64,
}

/// The answer to a look at the leader.
#[derive(Debug, Clone, PartialEq)]
pub struct WatchReply {
    /// Server time.
    pub now: ServerTime,
    /// The data set.
    pub epoch: String,
    /// The record.
    pub leader: Option<LeaderRecord>,
    /// Whether the leader registered on this server process.
    pub same_server: bool,
    /// Whether anybody holds the leader channel.
    pub leader_channel: bool,
}

/// The answer to a forced handover.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HandOver {
    /// The leader was asked.
    Asked,
    /// The candidate leads already.
    Same,
    /// Nobody leads; the candidate may take it.
    Vacant,
    /// The candidate is no live member.
    Unknown,
    /// The candidate does not stand for leader.
    Barred,
}
