//! Becoming a member, a rename, and the end of a membership.
//!
//! 1. An id has one live process; another one gets it when the holder is overdue, seen dead, or by force.
//! 2. A process whose incarnation was replaced does not take the id back.
//! 3. A rename keeps the cursor, the aliases and the producer, and resigns leadership. The cursor of an id that belonged to another
//!    store before stays with that store.

use super::data::{Record, Row, covers, score};
use super::state::Step;
use clawster::cluster::event::{ClusterFact, LeftReason, LostReason};
use clawster::cluster::ids::{Incarnation, MessageSeq, NodeId};
use clawster::cluster::members::member::{PresenceKind, StoredStatus};
use clawster::cluster::messages::message::Producer;
use clawster::cluster::protocol::{Identity, Instance, Join, JoinReply};
use clawster::cluster::time::millis;
use clawster::store::Notice;
use std::time::Duration;

/// How long the text of a row's aliases may be before one more is left out.
const ALIASES_LENGTH: usize = 1000;

impl Step<'_> {
    pub(super) fn join(&mut self, join: &Join) -> JoinReply {
        self.open(join.known, &join.fresh_epoch);
        self.take_settings(&join.settings);
        self.guard_stall();
        let mut row = self.row(&join.node_id);
        let mine = row.as_ref().is_some_and(|r| {
            r.process == join.process || Some(&r.process) == join.former.as_ref() || r.incarnation == join.own
        });
        if let Some(other) = row.clone().filter(|_| !mine) {
            if join.own > other.incarnation {
                // A stale copy of the data: that life was over before this one began.
                if other.is_live() {
                    self.end_life(&join.node_id, other, StoredStatus::Offline, LeftReason::Replaced);
                }
            } else if join.own.0 != 0 {
                return JoinReply::Replaced;
            } else if other.is_live()
                && let Some(refusal) = self.contest(join, other)
            {
                return refusal;
            }
            row = self.row(&join.node_id);
        }
        self.admit(join, row, mine)
    }

    /// Takes the id from another live process, or says why not.
    fn contest(&mut self, join: &Join, other: Row) -> Option<JoinReply> {
        let id = &join.node_id;
        let left = self.data.beats.score(id).unwrap_or(0).saturating_sub(self.cluster_now());
        let held = self.data.presence.get(id).cloned();
        let present = held.as_ref().is_some_and(|(nonce, _)| self.server.present(nonce));
        let same_server = held.as_ref().is_some_and(|(_, server)| *server == self.server.id);
        let heir = other.producer.as_ref() == Some(&join.producer);
        let presence = held.map(|(nonce, _)| nonce);
        // The cluster's grace, and what it promised if it leads: not what the caller's file says.
        let leads = |record: &&Record| record.holder.as_ref().is_some_and(|instance| instance.node_id == *id);
        let promised = self.data.leader.as_ref().filter(leads).map_or(0, |record| millis(record.promise.grace));
        let grace = score(self.data.grace.max(promised));
        let ripe = covers(join.dead_for, grace);
        let proves = same_server || heir && score(self.data.ttl).saturating_sub(left) >= grace;
        let died = presence.is_some() && presence == join.dead_presence && !present && proves && ripe;
        if join.force {
            self.end_life(id, other, StoredStatus::Offline, LeftReason::Replaced);
            self.server.notice(Notice::Register);
        } else if died {
            self.end_life(id, other, StoredStatus::Offline, LeftReason::ProcessDied);
        } else if left < 0 {
            self.end_life(id, other, StoredStatus::Offline, LeftReason::HeartbeatTimeout);
        } else {
            return Some(JoinReply::Held {
                incarnation: other.incarnation,
                presence,
                present,
                provable: same_server || heir,
                left: Duration::from_millis(u64::try_from(left).unwrap_or(0)),
                metadata: other.metadata,
            });
        }
        None
    }

    /// Writes the membership; `mine`: the row is of this very process, or of the one-shot that it takes over.
    fn admit(&mut self, join: &Join, row: Option<Row>, mine: bool) -> JoinReply {
        let id = &join.node_id;
        let known = row.is_some() || self.data.cursors.contains_key(id);
        let mut aliases = row.as_ref().map(|r| r.aliases.clone()).unwrap_or_default();
        let held_by_another = row.as_ref().filter(|_| !mine).and_then(|r| r.producer.clone());
        let lent = row.as_ref().and_then(|r| r.lent.clone()).or(held_by_another).filter(|lent| *lent != join.producer);
        let own = self.witness(join.cursor.as_ref());
        let mut stood = self.data.cursors.get(id).copied().max(self.witness(join.stood.as_ref()));
        let mut behind = own.filter(|_| join.elsewhere);
        stood = stood.max(own.filter(|_| !join.elsewhere));
        let mut renamed = false;
        if let Some(from) = join.rename_from.as_ref().filter(|from| *from != id) {
            let before = if mine { aliases.clone() } else { Vec::new() };
            match self.row(from) {
                // Lost with the data: the process says which id it had.
                None => {
                    renamed = true;
                    aliases = merged(id, std::iter::once(from).chain(&before));
                }
                Some(old) if old.process == join.process => {
                    renamed = true;
                    behind = behind.max(self.data.cursors.get(from).copied());
                    aliases = merged(id, std::iter::once(from).chain(&old.aliases).chain(&before));
                    self.leave_behind(from, old, &join.producer);
                }
                Some(_) => {}
            }
        }
        if !join.aliases.is_empty() {
            // A stale copy may not know of a rename.
            aliases = merged(id, aliases.iter().chain(&join.aliases));
            for alias in join.aliases.iter().filter(|alias| *alias != id) {
                if let Some(old) = self.row(alias).filter(|old| old.process == join.process && old.is_live()) {
                    self.leave_behind(alias, old, &join.producer);
                }
            }
        }
        let mut cursor = stood.or(behind).unwrap_or(self.data.numbers.message);
        if let Some(behind) = behind.filter(|_| renamed) {
            cursor = cursor.min(behind);
        }

        let living = row.as_ref().filter(|r| mine && r.is_live());
        let fresh = living.is_none();
        let incarnation = match living {
            _ if join.own.0 != 0 => join.own,
            Some(row) => row.incarnation,
            None => Incarnation(self.next_token()),
        };
        let joined_at = living.map_or(self.now, |r| r.joined_at);
        // Calls may overtake each other: what was said later stays.
        let later = living.filter(|r| r.revision > join.revision);
        let status = match (later, join.draining) {
            (None, Some(true)) => StoredStatus::Draining,
            (None, Some(false)) => StoredStatus::Online,
            _ => living.map_or(StoredStatus::Online, |r| r.status),
        };
        let after = Row {
            incarnation,
            process: join.process.clone(),
            status,
            kind: join.kind,
            joined_at,
            candidate: join.candidate,
            producer: Some(join.producer.clone()),
            lent,
            aliases: aliases.clone(),
            metadata: join.metadata.clone(),
            revision: later.map_or(join.revision, |r| r.revision),
        };
        if fresh || row.as_ref() != Some(&after) {
            self.write_row(id, after);
        }
        let deadline = self.cluster_now().saturating_add(score(self.data.ttl));
        self.data.beats.set(id, deadline);
        self.data.away.remove(id);
        self.data.cursors.insert(id.clone(), cursor);
        self.data.acks.set(id, score(cursor));
        let registered = self.take_presence(join);
        if fresh {
            let name = name(&join.metadata, id);
            self.emit(id, ClusterFact::NodeJoined { name, incarnation, rejoined: known });
        }
        let stood = stood.filter(|_| renamed).map(MessageSeq);
        let (now, data, cursor) = (self.now, self.data_set(), MessageSeq(cursor));
        JoinReply::Joined { now, incarnation, joined_at, cursor, aliases, data, registered, stood }
    }

    fn take_presence(&mut self, join: &Join) -> bool {
        match &join.presence {
            Some(nonce) if self.server.present(nonce.as_str()) => {
                let registration = (nonce.to_string(), self.server.id.clone());
                self.data.presence.insert(join.node_id.clone(), registration);
                self.is_known(nonce);
                true
            }
            _ => {
                if join.kind == PresenceKind::None {
                    self.data.presence.remove(&join.node_id);
                }
                false
            }
        }
    }

    /// An id that this process had before: it leaves, and what it was known for goes along; a cursor that it only borrowed stays.
    fn leave_behind(&mut self, from: &NodeId, mut old: Row, producer: &Producer) {
        self.vacate_if_held(&Instance { node_id: from.clone(), incarnation: old.incarnation }, LostReason::Resigned);
        old.aliases = Vec::new();
        old.producer = old.lent.clone().filter(|lent| lent != producer);
        let borrowed = old.producer.is_some();
        if old.is_live() {
            self.end_life(from, old, StoredStatus::Left, LeftReason::Left);
        }
        if !borrowed {
            self.data.cursors.remove(from);
            self.data.acks.remove(from);
        }
    }

    /// A position that a node kept itself. One of an earlier data set counts, so that what was lost shows as a gap, but skips
    /// nothing of this one.
    fn witness(&self, kept: Option<&(MessageSeq, String)>) -> Option<u64> {
        let (seq, epoch) = kept?;
        match epoch {
            _ if *epoch == self.data.epoch => Some(seq.0),
            _ if epoch.is_empty() => None,
            _ => Some(seq.0.min(self.data.message_start)),
        }
    }

    pub(super) fn leave(&mut self, instance: &Instance, acknowledged: Option<MessageSeq>) -> (Identity, bool) {
        self.guard_stall();
        let identity = self.identify(instance, "");
        let Some(row) = self.row(&instance.node_id).filter(|_| identity == Identity::Ok) else {
            return (identity, false);
        };
        if let Some(seq) = acknowledged {
            self.acknowledge_up_to(&instance.node_id, seq);
        }
        let resigned = self.vacate_if_held(instance, LostReason::Resigned);
        self.end_life(&instance.node_id, row, StoredStatus::Left, LeftReason::Left);
        (identity, resigned)
    }
}

/// The aliases of a renamed node, newest first: no id twice, its own not at all.
fn merged<'a>(id: &NodeId, aliases: impl Iterator<Item = &'a NodeId>) -> Vec<NodeId> {
    let mut all: Vec<NodeId> = Vec::new();
    let mut length = 0;
    for alias in aliases {
        if alias != id && !all.contains(alias) && length < ALIASES_LENGTH {
            length += usize::from(!all.is_empty()) + alias.as_str().len();
            all.push(alias.clone());
        }
    }
    all
}

/// The name in the metadata, or the id.
fn name(metadata: &str, id: &NodeId) -> String {
    let metadata: serde_json::Value = serde_json::from_str(metadata).unwrap_or_default();
    let name = metadata.get("name").and_then(serde_json::Value::as_str).filter(|name| !name.is_empty());
    name.unwrap_or(id.as_str()).to_owned()
}
