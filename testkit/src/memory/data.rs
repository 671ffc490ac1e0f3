//! The cluster's data: the counterpart of the Redis keys, and the steps that several transitions share.
//!
//! 1. Cluster time is server time minus `skew`: it does not advance during a silence of more than half a TTL.
//! 2. Numbers only rise; a data set that knows less than a caller starts a new epoch above all numbers ever seen.
//!
//! Not here: the transitions (one file per family), how a data set begins (`opening.rs`), what a server has beyond its data
//! (`state.rs`).

use super::acquire::KnownRequest;
use super::leases::{Lease, Waiter};
use super::limits::Limits;
use super::once::Done;
use super::schedules::Schedules;
use super::sorted::Sorted;
use super::state::Step;
use super::sync::Run;
use super::task_data::Tasks;
use super::transcripts::Transcripts;
use clawster::cluster::event::{ClusterEvent, ClusterFact, LeftReason};
use clawster::cluster::ids::{EventSeq, Incarnation, LeaseName, MessageSeq, NodeId, Nonce, Term};
use clawster::cluster::members::member::{Member, PresenceKind, StoredStatus};
use clawster::cluster::protocol::{DataSet, Delta, Entry, Identity, Instance, Numbers, ServerId};
use clawster::cluster::settings::{LeaderMode, Promise, Shared, Timing, Versioned};
use clawster::cluster::time::{ServerTime, millis};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

/// How many events are kept.
const EVENTS_KEPT: usize = 10_000;

/// The default of a member's TTL and of the leader's lease, in milliseconds.
pub(super) const TTL: i64 = 30_000;

/// A member's row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) incarnation: Incarnation,
    pub(super) process: Nonce,
    pub(super) status: StoredStatus,
    pub(super) kind: PresenceKind,
    pub(super) joined_at: ServerTime,
    pub(super) candidate: bool,
    /// `None` once a rename took it along.
    pub(super) producer: Option<Nonce>,
    /// Whose store the id's cursor is, while a process with another store has the id.
    pub(super) lent: Option<Nonce>,
    /// Ids that it had before a rename.
    pub(super) aliases: Vec<NodeId>,
    /// JSON text.
    pub(super) metadata: String,
    /// Which of the node's statements about itself this is.
    pub(super) revision: u64,
}

impl Row {
    pub(super) fn is_live(&self) -> bool {
        matches!(self.status, StoredStatus::Online | StoredStatus::Draining)
    }
}

/// The leader's record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) holder: Option<Instance>,
    pub(super) term: Term,
    /// In cluster time.
    pub(super) expires: i64,
    pub(super) nonce: String,
    pub(super) presence: Option<String>,
    /// The server process that granted or confirmed it.
    pub(super) server: ServerId,
    pub(super) handing_to: Option<NodeId>,
    /// In cluster time.
    pub(super) vacated: i64,
    pub(super) previous: Option<NodeId>,
    pub(super) lost: Option<clawster::cluster::event::LostReason>,
    /// What the holder stated to follow.
    pub(super) promise: Promise,
    /// When it stated that, by its own clock.
    pub(super) stated: u64,
}

impl Record {
    /// The holder states what it follows; an older statement changes nothing.
    pub(super) fn state(&mut self, promise: Promise, at: u64) {
        if at >= self.stated {
            (self.promise, self.stated) = (promise, at);
        }
    }
}

/// Everything that is lost with the data.
#[derive(Debug, Clone, Default)]
pub(super) struct Data {
    pub(super) epoch: String,
    /// The last server process that wrote.
    pub(super) server: Option<ServerId>,
    pub(super) version: u64,
    /// Changes before this version are no longer known, because rows were removed.
    pub(super) floor: u64,
    pub(super) numbers: Numbers,
    pub(super) event_start: u64,
    pub(super) message_start: u64,
    /// Behind which the next message gets its number, where the newest may be lost; 0 or lower than the last number where not.
    pub(super) message_lift: u64,
    /// Between which nothing was numbered, the last times in this data set.
    pub(super) left_out: Vec<(u64, u64)>,
    /// Milliseconds; 0 before the first member.
    pub(super) interval: u64,
    pub(super) ttl: u64,
    pub(super) lease: u64,
    pub(super) grace: u64,
    pub(super) mode: LeaderMode,
    /// The version of these settings.
    pub(super) settings: u64,
    pub(super) last_tick: Option<i64>,
    pub(super) skew: i64,
    pub(super) stalled_at: i64,
    /// The cluster time at which this server process first wrote, or the data set began.
    pub(super) settled_at: i64,
    /// Presences that stood then, and of which nothing was heard since.
    pub(super) strangers: BTreeSet<String>,
    /// The data set began on a copy that holds records of this very process.
    pub(super) doubt: bool,
    /// The longest TTL that a presence was granted, in milliseconds.
    pub(super) longest: i64,
    pub(super) members: BTreeMap<NodeId, Row>,
    /// Live nodes by deadline in cluster time.
    pub(super) beats: Sorted,
    /// Nodes by the version of their last change.
    pub(super) changes: Sorted,
    pub(super) leader: Option<Record>,
    pub(super) events: VecDeque<ClusterEvent>,
    pub(super) messages: VecDeque<Entry>,
    pub(super) presence: BTreeMap<NodeId, (String, ServerId)>,
    /// Members whose backlog is kept, by their cursor.
    pub(super) acks: Sorted,
    pub(super) cursors: BTreeMap<NodeId, u64>,
    /// The place and the position of each producer's last accepted message.
    pub(super) producers: BTreeMap<Nonce, (u64, u64)>,
    /// How many bytes the stream holds; see `sync.rs`.
    pub(super) runs: VecDeque<Run>,
    /// Bytes of each producer's runs.
    pub(super) sent: BTreeMap<Nonce, u64>,
    /// Who held senders up when the stream was full: where it stood, and since which cluster time.
    pub(super) stuck: Option<(NodeId, u64, i64)>,
    /// Nodes that are away, by the cluster time at which they left.
    pub(super) away: Sorted,
    pub(super) tasks: Tasks,
    pub(super) leases: BTreeMap<LeaseName, Lease>,
    /// Leases by the cluster time at which they are over, or an offer of them is.
    pub(super) due: Sorted<LeaseName>,
    /// Who waits for a lease, in order of arrival.
    pub(super) queues: BTreeMap<LeaseName, Vec<Waiter>>,
    /// The first grant of each request.
    pub(super) requests: BTreeMap<(NodeId, LeaseName, String), KnownRequest>,
    pub(super) limits: Limits,
    pub(super) schedules: Schedules,
    pub(super) transcripts: Transcripts,
    /// Who did what may be done once for a key.
    pub(super) once: BTreeMap<String, Done>,
    /// Jumps forward of the server's clock: the first time that was seen after each, and its length in milliseconds.
    pub(super) jumps: Vec<(u64, u64)>,
    /// Tickets and nonces of calls that were given up without an answer, and until when they are refused.
    pub(super) withdrawn: BTreeMap<Nonce, ServerTime>,
    /// Up to which call of an incarnation a request for such keys is void, and until when that counts.
    pub(super) void: BTreeMap<(NodeId, String), (Incarnation, u64, ServerTime)>,
}

/// A number of the protocol as a score.
pub(super) fn score(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Whether what was observed for this long covers a promise of `wait` milliseconds and 5 % more. Both are whole, so one is given.
pub(super) fn covers(seen: Duration, wait: i64) -> bool {
    score(millis(seen)).saturating_add(1).saturating_mul(20) >= wait.saturating_mul(21)
}

/// A time that may have been moved below zero, as an answer.
pub(super) fn answered(time: i64) -> ServerTime {
    ServerTime(u64::try_from(time).unwrap_or(0))
}

impl Step<'_> {
    pub(super) fn cluster_now(&self) -> i64 {
        score(self.now.0).saturating_sub(self.data.skew)
    }

    /// Stands cluster time still over a silence of more than half a TTL, over backward jumps of the clock, and over a change
    /// of the server process, whose data may lack the last beats.
    /// Every transition that writes a lease or a vacancy calls it first: what is written before would lie in the future after.
    pub(super) fn guard_stall(&mut self) {
        if self.data.epoch.is_empty() {
            return;
        }
        self.settle();
        let now = score(self.now.0);
        let silence = now.saturating_sub(self.data.last_tick.unwrap_or(now));
        if silence < 0 || std::mem::take(&mut self.moved) || silence > self.half_ttl() {
            self.data.skew = self.data.skew.saturating_add(silence);
            self.data.stalled_at = now;
        }
        if std::mem::take(&mut self.begun) {
            self.data.settled_at = self.cluster_now();
            self.data.strangers = self.server.presences();
        }
        self.data.last_tick = Some(now);
    }

    pub(super) fn row(&self, id: &NodeId) -> Option<Row> {
        self.data.members.get(id).cloned()
    }

    pub(super) fn write_row(&mut self, id: &NodeId, row: Row) {
        self.data.members.insert(id.clone(), row);
        self.data.version += 1;
        self.data.changes.set(id, score(self.data.version));
    }

    pub(super) fn emit(&mut self, node_id: &NodeId, fact: ClusterFact) {
        self.data.numbers.event += 1;
        let seq = EventSeq(self.data.numbers.event);
        self.data.events.push_back(ClusterEvent { seq, at: self.now, node_id: node_id.clone(), fact });
        while self.data.events.len() > EVENTS_KEPT {
            self.data.events.pop_front();
        }
    }

    pub(super) fn next_token(&mut self) -> u64 {
        self.data.numbers.token += 1;
        self.data.numbers.token
    }

    /// Ends a life; the row stays as a memory of the node. The leases that are bound to the life end with it, but not those
    /// of a member that was only late: a frozen holder keeps them until they are over.
    pub(super) fn end_life(&mut self, id: &NodeId, mut row: Row, status: StoredStatus, reason: LeftReason) {
        let incarnation = row.incarnation;
        row.status = status;
        self.write_row(id, row);
        self.data.beats.remove(id);
        self.data.presence.remove(id);
        let now = self.cluster_now();
        self.data.away.set(id, now);
        self.emit(id, ClusterFact::NodeLeft { incarnation, reason });
        if reason != LeftReason::HeartbeatTimeout {
            self.end_leases(id, incarnation);
            self.release_slots(id, incarnation);
        }
        self.release_tasks(id, reason);
    }

    /// Whether the caller is the life that the table knows; an empty epoch speaks of any data set.
    pub(super) fn identify(&self, instance: &Instance, epoch: &str) -> Identity {
        if self.data.epoch.is_empty() || (!epoch.is_empty() && epoch != self.data.epoch) {
            return Identity::Epoch;
        }
        match self.data.members.get(&instance.node_id) {
            None => Identity::Unknown,
            Some(row) if row.incarnation > instance.incarnation => Identity::Replaced,
            // An earlier life, as a stale copy has it.
            Some(row) if row.incarnation < instance.incarnation => Identity::Unknown,
            Some(row) if !row.is_live() => Identity::Gone,
            Some(_) => Identity::Ok,
        }
    }

    /// Moves a cursor forward, never back.
    pub(super) fn acknowledge_up_to(&mut self, id: &NodeId, seq: MessageSeq) {
        if seq.0 > self.data.cursors.get(id).copied().unwrap_or(0) {
            self.data.cursors.insert(id.clone(), seq.0);
            self.data.acks.set(id, score(seq.0));
        }
    }

    pub(super) fn data_set(&self) -> DataSet {
        let timing = (self.data.interval > 0).then_some(Timing {
            heartbeat_interval: Duration::from_millis(self.data.interval),
            heartbeat_ttl: Duration::from_millis(self.data.ttl),
            lease_ttl: Duration::from_millis(self.data.lease),
        });
        let (version, presence_grace) = (self.data.settings, Duration::from_millis(self.data.grace));
        let shared = |timing| Shared { timing, presence_grace, mode: self.data.mode };
        let settings = timing.map(|timing| Versioned { version, settings: shared(timing) });
        DataSet {
            epoch: self.data.epoch.clone(),
            numbers: self.data.numbers,
            event_start: EventSeq(self.data.event_start),
            message_start: MessageSeq(self.data.message_start),
            timing,
            settings,
        }
    }

    /// What changed in the member table behind `version`, at most `limit` rows.
    pub(super) fn delta(&self, version: u64, floor: u64, epoch: &str, limit: u64) -> Delta {
        let reset = epoch != self.data.epoch || floor != self.data.floor || version > self.data.version;
        let mut reached = if reset { 0 } else { version };
        if reached == self.data.version {
            return Delta { reset, version: reached, more: false, floor: self.data.floor, rows: Vec::new() };
        }
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let behind = score(reached);
        let changed: Vec<(&NodeId, i64)> =
            self.data.changes.iter().filter(|(_, at)| *at > behind).take(limit).collect();
        let more = changed.len() == limit;
        let mut rows = Vec::with_capacity(changed.len());
        for (id, at) in changed {
            rows.extend(self.data.members.get(id).and_then(|row| member(id, row)));
            reached = u64::try_from(at).unwrap_or(0);
        }
        Delta { reset, version: if more { reached } else { self.data.version }, more, floor: self.data.floor, rows }
    }

    /// Members by their last beat, oldest first.
    pub(super) fn beats(&self, limit: u64) -> Vec<(NodeId, ServerTime)> {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let shift = self.data.skew.saturating_sub(score(self.data.ttl));
        self.data.beats.iter().take(limit).map(|(id, at)| (id.clone(), answered(at.saturating_add(shift)))).collect()
    }
}

/// A row as an answer; `None` when its metadata are no [`clawster::cluster::members::member::Metadata`].
fn member(id: &NodeId, row: &Row) -> Option<Member> {
    Some(Member {
        node_id: id.clone(),
        incarnation: row.incarnation,
        metadata: serde_json::from_str(&row.metadata).ok()?,
        status: row.status,
        presence: row.kind,
        joined_at: row.joined_at,
        last_seen: ServerTime::default(),
    })
}
