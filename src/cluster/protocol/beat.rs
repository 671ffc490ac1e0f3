//! A heartbeat and its answer.
//!
//! Not here: when to send heartbeats (`crate::cluster::node`).

use super::data_set::{DataSet, Delta, Identity, Instance, Numbers};
use super::leader::LeaderRecord;
use crate::cluster::history::Sample;
use crate::cluster::ids::{MessageSeq, NodeId, Nonce, Term};
use crate::cluster::settings::{Promise, Versioned};
use crate::cluster::time::ServerTime;
use std::time::Duration;

/// A heartbeat.
#[derive(Debug, Clone, PartialEq)]
pub struct Tick {
    /// The caller.
    pub instance: Instance,
    /// The data set of the caller's view.
    pub epoch: String,
    /// The version of the caller's view.
    pub version: u64,
    /// The floor in the last delta.
    pub floor: u64,
    /// The highest sequence numbers that the node has seen.
    pub known: Numbers,
    /// The epoch for the data set if it is empty.
    pub fresh_epoch: Nonce,
    /// The term to renew.
    pub renew: Option<Term>,
    /// The nonce of the renewal.
    pub nonce: Nonce,
    /// The settings of the cluster as the node knows them; the data set takes them if they are newer.
    pub settings: Versioned,
    /// What the holder promises from this renewal on.
    pub promise: Promise,
    /// When it states that, by its own clock in milliseconds.
    pub stated: u64,
    /// Whether the caller leads now.
    pub leads: bool,
    /// The current presence connection; a leader's only once it is registered with its term.
    pub presence: Option<Nonce>,
    /// The position that the caller acknowledged.
    pub acknowledged: Option<MessageSeq>,
    /// The last of its statements about itself that the store confirmed.
    pub revision: u64,
    /// Earlier heartbeats that Redis' history does not have yet; the same one may be sent again.
    pub samples: Vec<Sample>,
}

/// What a heartbeat did to the lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeaseNews {
    /// No renewal was requested.
    None,
    /// It was renewed.
    Renewed,
    /// The caller no longer holds it.
    Lost,
}

/// The answer to [`Tick`].
#[derive(Debug, Clone, PartialEq)]
pub struct TickReply {
    /// Whether the store knows the caller.
    pub identity: Identity,
    /// The server's time.
    pub now: ServerTime,
    /// The data set.
    pub data: DataSet,
    /// What happened to the lease.
    pub lease: LeaseNews,
    /// The leader's record.
    pub leader: Option<LeaderRecord>,
    /// The changed members.
    pub delta: Delta,
    /// The last heartbeats of live members, oldest first, at most 32.
    pub beats: Vec<(NodeId, ServerTime)>,
    /// The time until the next member becomes overdue.
    pub due: Duration,
    /// The number of live members.
    pub alive: u64,
    /// Whether the caller's row is older than its last statement about itself: a stale copy.
    pub outdated: bool,
    /// Whether the store accepted this heartbeat, but refuses what needs more memory.
    pub full: bool,
}
