//! The cluster as one node knows it: member rows, the leader's record, the data set's numbers.
//!
//! 1. Rows come only from deltas of one data set; a delta of another one begins with a reset.
//! 2. What an event says is applied at once, so that a client that heard the event finds it in the state.
//!
//! Not here: asking for deltas (`node/`), what a client sees (`crate::engine`).

use super::member::{Member, Metadata, PresenceKind, StoredStatus};
use crate::cluster::event::{ClusterEvent, ClusterFact, LeftReason};
use crate::cluster::ids::{NodeId, Term};
use crate::cluster::protocol::{DataSet, Delta, Instance, LeaderRecord, Numbers};
use crate::cluster::settings::Promise;
use crate::cluster::time::ServerTime;
use std::collections::BTreeMap;

/// See the module's text.
#[derive(Debug, Clone, Default)]
pub struct ClusterView {
    /// Members by id, those that left included until the cluster forgets them.
    pub members: BTreeMap<NodeId, Member>,
    /// How far the rows reach.
    pub version: u64,
    /// The floor of those rows: it rises when the store forgets some.
    pub floor: u64,
    /// The data set that they are of; `None` before the first answer.
    pub data: Option<DataSet>,
    /// The leader's record.
    pub leader: Option<LeaderRecord>,
    /// The highest term seen.
    pub term: Term,
    /// The server's time of the last answer.
    pub as_of: ServerTime,
    /// How many members are alive.
    pub alive: u64,
    /// The rows are of an earlier data set; the next delta replaces them.
    outdated: bool,
    /// The last event that the rows reflect.
    rows_as_of: u64,
}

impl ClusterView {
    /// The name of the data set, empty before the first answer.
    #[must_use]
    pub fn epoch(&self) -> &str {
        self.data.as_ref().map_or("", |data| &data.epoch)
    }

    /// The highest numbers that the data set has shown.
    #[must_use]
    pub fn numbers(&self) -> Numbers {
        self.data.as_ref().map_or(Numbers::default(), |data| data.numbers)
    }

    /// Takes the data set's description; true when it is another data set than before.
    pub fn take_data(&mut self, data: DataSet) -> bool {
        let changed = self.data.as_ref().is_some_and(|known| known.epoch != data.epoch);
        self.data = Some(data);
        if changed {
            self.version = 0;
            self.outdated = true;
            self.rows_as_of = 0;
        }
        changed
    }

    /// Takes what changed since the version that was asked about. False: another data set came in between, so that this view lacks what
    /// those changes build on; all of it is to be asked for.
    pub fn take_delta(&mut self, delta: Delta, asked: u64) -> bool {
        if self.outdated && !delta.reset && asked > 0 {
            return false;
        }
        if std::mem::take(&mut self.outdated) || delta.reset {
            self.members.clear();
        }
        self.version = delta.version;
        self.floor = delta.floor;
        if !delta.more {
            self.rows_as_of = self.numbers().event;
        }
        for mut row in delta.rows {
            let seen = self.members.get(&row.node_id).map(|old| old.last_seen).unwrap_or_default();
            row.last_seen = seen.max(row.joined_at);
            self.members.insert(row.node_id.clone(), row);
        }
        true
    }

    /// Takes last beats. `complete` says that the list holds every live member, else it holds the oldest beats, and every
    /// other live member beat at least as recently as the last of them.
    pub fn take_beats(&mut self, beats: &[(NodeId, ServerTime)], alive: u64) {
        self.alive = alive;
        let newest = beats.last().map(|(_, at)| *at);
        let complete = beats.len() as u64 >= alive;
        for (id, at) in beats {
            if let Some(member) = self.members.get_mut(id) {
                member.last_seen = *at;
            }
        }
        let (false, Some(newest)) = (complete, newest) else { return };
        for member in self.members.values_mut().filter(|m| m.is_live()) {
            if member.last_seen < newest && !beats.iter().any(|(id, _)| *id == member.node_id) {
                member.last_seen = newest;
            }
        }
    }

    /// Takes the leader's record.
    pub fn take_leader(&mut self, leader: Option<LeaderRecord>) {
        if let Some(record) = &leader {
            self.term = self.term.max(record.term);
        }
        self.leader = leader;
    }

    /// The life that holds the lease.
    #[must_use]
    pub fn holder(&self) -> Option<&Instance> {
        self.leader.as_ref().and_then(|record| record.holder.as_ref())
    }

    /// Whether a live member has this id.
    #[must_use]
    pub fn is_live(&self, id: &NodeId) -> bool {
        self.members.get(id).is_some_and(Member::is_live)
    }

    /// This node's place among those that would take over: candidates with a process that do not drain, but for the
    /// leader, in the order in which they joined. Whoever asks counts: a holder that lost its term stands again. `None`: it is not among them.
    #[must_use]
    pub fn rank(&self, me: &NodeId) -> Option<usize> {
        let key = |m: &Member| (m.joined_at, m.node_id.clone());
        let stands = |m: &&Member| {
            m.status == StoredStatus::Online
                && m.metadata.candidate
                && m.presence == PresenceKind::Connection
                && (m.node_id == *me || self.holder().is_none_or(|holder| holder.node_id != m.node_id))
        };
        let mine = self.members.get(me).filter(stands).map(key)?;
        Some(self.members.values().filter(stands).filter(|m| key(m) < mine).count())
    }

    /// Takes what an event says.
    pub fn take_event(&mut self, event: &ClusterEvent) {
        // What the rows reflect already may be past: whoever it says has left may be back.
        let past = event.seq.0 <= self.rows_as_of;
        match &event.fact {
            ClusterFact::NodeJoined { .. } | ClusterFact::NodeLeft { .. } if past => {}
            ClusterFact::NodeJoined { name, incarnation, .. } => {
                let known = self.members.get(&event.node_id);
                if known.is_some_and(|m| m.incarnation >= *incarnation && m.is_live()) {
                    return;
                }
                let metadata = Metadata { name: name.clone(), ..Metadata::default() };
                let row = Member {
                    node_id: event.node_id.clone(),
                    incarnation: *incarnation,
                    metadata: known.map_or(metadata, |m| m.metadata.clone()),
                    status: StoredStatus::Online,
                    presence: PresenceKind::Connection,
                    joined_at: event.at,
                    last_seen: event.at,
                };
                self.members.insert(event.node_id.clone(), row);
            }
            ClusterFact::NodeLeft { incarnation, reason } => {
                if let Some(member) = self.members.get_mut(&event.node_id)
                    && member.incarnation == *incarnation
                {
                    member.status =
                        if *reason == LeftReason::Left { StoredStatus::Left } else { StoredStatus::Offline };
                }
            }
            ClusterFact::TaskAvailable { .. } | ClusterFact::TaskDead { .. } | ClusterFact::Other { .. } => {}
            ClusterFact::LeaderElected { leader_id, term, .. } => self.take_elected(leader_id, *term, event.at),
            ClusterFact::LeaderLost { term, .. } => {
                if let Some(record) = self.leader.as_mut().filter(|record| record.term == *term) {
                    record.holder = None;
                }
            }
        }
    }

    fn take_elected(&mut self, leader_id: &NodeId, term: Term, at: ServerTime) {
        if self.leader.as_ref().is_some_and(|record| record.term >= term) {
            return;
        }
        self.term = self.term.max(term);
        let lease = self.data.as_ref().and_then(|data| data.timing).unwrap_or_default().lease_ttl;
        let incarnation = self.members.get(leader_id).map(|m| m.incarnation).unwrap_or_default();
        self.leader = Some(LeaderRecord {
            holder: Some(Instance { node_id: leader_id.clone(), incarnation }),
            term,
            expires_at: at.plus(lease),
            nonce: String::new(),
            presence: None,
            handing_to: None,
            present: true,
            promise: Promise::default(),
            stated: false,
        });
    }
}
