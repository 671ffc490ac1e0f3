//! One heartbeat and its news.
//!
//! Not here: when to beat (`crate::cluster::node`).

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
    /// Who beats.
    pub instance: Instance,
    /// The data set that the caller's view is of.
    pub epoch: String,
    /// The version that the caller's view has.
    pub version: u64,
    /// The floor that the last delta told.
    pub floor: u64,
    /// The highest numbers that the node has seen.
    pub known: Numbers,
    /// The name of the data set, should it be empty.
    pub fresh_epoch: Nonce,
    /// The term to renew.
    pub renew: Option<Term>,
    /// The nonce of that renewal.
    pub nonce: Nonce,
    /// The settings of the cluster as the node knows them: the data set takes them where they are newer.
    pub settings: Versioned,
    /// What the holder states to follow from this renewal on.
    pub promise: Promise,
    /// When it states it, by its own clock in milliseconds.
    pub stated: u64,
    /// Whether the caller leads at this instant.
    pub leads: bool,
    /// The presence connection that stands; of a leader only once it is registered with its term.
    pub presence: Option<Nonce>,
    /// What the caller acknowledged.
    pub acknowledged: Option<MessageSeq>,
    /// The last of its statements about itself that the store confirmed.
    pub revision: u64,
    /// Its earlier beats that history does not have yet, where Redis keeps it; the same one may be brought again.
    pub samples: Vec<Sample>,
}

/// What became of the lease in a tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeaseNews {
    /// No renewal was asked for.
    None,
    /// It was renewed.
    Renewed,
    /// The caller holds it no more.
    Lost,
}

/// The answer to [`Tick`].
#[derive(Debug, Clone, PartialEq)]
pub struct TickReply {
    /// Whether the caller is known.
    pub identity: Identity,
    /// Server time.
    pub now: ServerTime,
    /// The data set.
    pub data: DataSet,
    /// The lease.
    pub lease: LeaseNews,
    /// The leader's record.
    pub leader: Option<LeaderRecord>,
    /// Changed rows.
    pub delta: Delta,
    /// Last beats of live members, oldest first, at most 32.
    pub beats: Vec<(NodeId, ServerTime)>,
    /// Until the next member is overdue.
    pub due: Duration,
    /// How many members are alive.
    pub alive: u64,
    /// The caller's row is older than what it said of itself last: a stale copy.
    pub outdated: bool,
    /// The store took this beat, but refuses what needs more memory.
    pub full: bool,
}
