//! The cluster as one node knows it: the members, the leader's record, the data set's sequence numbers.
//!
//! 1. Members come only from deltas of one data set; a delta of another one begins with a reset.
//! 2. An event is applied at once, so that a client that received the event finds its effect in the state; only that this node was
//!    elected shows once the store has confirmed it ([`ClusterView::ask`]).
//!
//! Not here: asking for deltas (`node/`), the view for clients (`crate::engine`).

use super::member::{Member, Metadata, PresenceKind, StoredStatus};
use crate::cluster::event::{ClusterEvent, ClusterFact, LeftReason};
use crate::cluster::ids::{Incarnation, NodeId, Term};
use crate::cluster::protocol::{DataSet, Delta, Instance, LeaderRecord, Numbers};
use crate::cluster::settings::Promise;
use crate::cluster::time::ServerTime;
use std::collections::BTreeMap;

/// The view; see the head of this file.
#[derive(Debug, Clone, Default)]
pub struct ClusterView {
    /// The members by id, including those that left, until the cluster forgets them.
    pub members: BTreeMap<NodeId, Member>,
    /// The version of the member table that the view includes.
    pub version: u64,
    /// The floor of that version: it rises when the store forgets rows.
    pub floor: u64,
    /// The data set of the members; `None` before the first answer.
    pub data: Option<DataSet>,
    /// The leader's record.
    pub leader: Option<LeaderRecord>,
    /// The highest term seen. One that was asked for here does not count before the store has granted it: see [`Self::ask`].
    pub term: Term,
    /// This node, while it does not know whether what it asked for was granted.
    asking: Option<Instance>,
    /// The server's time of the last answer.
    pub as_of: ServerTime,
    /// The number of live members.
    pub alive: u64,
    /// Whether the members are those of an earlier data set; the next delta replaces them.
    outdated: bool,
    /// The last event that the members reflect.
    rows_as_of: u64,
}

impl ClusterView {
    /// The epoch of the data set, empty before the first answer.
    #[must_use]
    pub fn epoch(&self) -> &str {
        self.data.as_ref().map_or("", |data| &data.epoch)
    }

    /// The highest sequence numbers that the data set has shown.
    #[must_use]
    pub fn numbers(&self) -> Numbers {
        self.data.as_ref().map_or(Numbers::default(), |data| data.numbers)
    }

    /// Takes the data set's description; true if it is another data set than before.
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

    /// Takes the changes since the version that was asked about. False: the data set changed in between, so that this view
    /// lacks what those changes build on, and the whole table must be read.
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

    /// Takes the times of last heartbeats. If `complete`, the list holds every live member; else it holds the oldest times,
    /// and every other live member had a heartbeat at least as recent as the last one in the list.
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

    /// Called when this node asks for a term that replicas must confirm: until the answer, a record in its name is no proof. It may be a
    /// grant that too few replicas have, and that a failover loses.
    pub fn ask(&mut self, me: Instance) {
        self.asking = Some(me);
    }

    /// Called when what this node asked for was refused, or granted or confirmed: then under this term.
    pub fn answered(&mut self, term: Option<Term>) {
        self.asking = None;
        self.term = self.term.max(term.unwrap_or_default());
    }

    /// Whether this node asked for what this record grants, and has no answer.
    fn is_open(&self, record: &LeaderRecord) -> bool {
        // An event names the holder before its incarnation is known.
        let same = |me: &Instance, holder: &Instance| {
            me.node_id == holder.node_id && [me.incarnation, Incarnation(0)].contains(&holder.incarnation)
        };
        self.asking.as_ref().zip(record.holder.as_ref()).is_some_and(|(me, holder)| same(me, holder))
    }

    /// Takes the leader's record.
    pub fn take_leader(&mut self, leader: Option<LeaderRecord>) {
        if let Some(record) = leader.as_ref().filter(|record| !self.is_open(record)) {
            self.term = self.term.max(record.term);
        }
        self.leader = leader;
    }

    /// The leader's record, unless it may be lost: see [`Self::ask`].
    #[must_use]
    pub fn granted(&self) -> Option<&LeaderRecord> {
        self.leader.as_ref().filter(|record| !self.is_open(record))
    }

    /// The holder of the lease.
    #[must_use]
    pub fn holder(&self) -> Option<&Instance> {
        self.leader.as_ref().and_then(|record| record.holder.as_ref())
    }

    /// Whether a live member has this id.
    #[must_use]
    pub fn is_live(&self, id: &NodeId) -> bool {
        self.members.get(id).is_some_and(Member::is_live)
    }

    /// This node's rank among those that would take over: candidates with a process that are not draining, except the
    /// leader, in the order in which they joined. The caller is always included: a former leader may stand again. `None`:
    /// it is not a candidate.
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

    /// Takes an event.
    pub fn take_event(&mut self, event: &ClusterEvent) {
        // If the members already reflect a later state, the event is past: a node that it says has left may be back.
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
            ClusterFact::LeaderElected { leader_id, term, .. } => self.take_elected(leader_id, *term, event.at),
            ClusterFact::LeaderLost { term, .. } => {
                if let Some(record) = self.leader.as_mut().filter(|record| record.term == *term) {
                    record.holder = None;
                }
            }
            // Those about tasks change nothing here.
            _ => {}
        }
    }

    fn take_elected(&mut self, leader_id: &NodeId, term: Term, at: ServerTime) {
        if self.leader.as_ref().is_some_and(|record| record.term >= term) {
            return;
        }
        let lease = self.data.as_ref().and_then(|data| data.timing).unwrap_or_default().lease_ttl;
        let incarnation = self.members.get(leader_id).map(|m| m.incarnation).unwrap_or_default();
        self.take_leader(Some(LeaderRecord {
            holder: Some(Instance { node_id: leader_id.clone(), incarnation }),
            term,
            expires_at: at.plus(lease),
            nonce: String::new(),
            presence: None,
            handing_to: None,
            present: true,
            promise: Promise::default(),
            stated: false,
        }));
    }
}
