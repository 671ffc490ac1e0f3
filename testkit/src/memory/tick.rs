//! The heartbeat: deadlines, overdue members and leases, the leadership's lease, and the news.
//!
//! 1. The stall guard moves every deadline before the first one is judged.
//! 2. Samples for the history are ignored: the simulator checks the cluster's state only.
//! 3. A leader's record that was lost with the data is written again only while its holder's connection is subscribed.

use super::data::{Record, score};
use super::state::Step;
use clawster::cluster::event::LeftReason;
use clawster::cluster::ids::NodeId;
use clawster::cluster::members::member::StoredStatus;
use clawster::cluster::protocol::{Forgotten, Identity, LeaseNews, Tick, TickReply};
use clawster::cluster::settings::Promise;
use clawster::cluster::task::Jitter;
use clawster::cluster::time::millis;
use std::time::Duration;

/// How many overdue members one tick ends.
const OVERDUE: usize = 16;

/// How many tasks of each sort one tick makes ready, takes from their workers, or forgets.
const TASKS: usize = 16;

/// How many members one tick forgets.
const FORGOTTEN: usize = 4;

/// How long a member that is away is remembered, in milliseconds.
const MEMORY: i64 = 604_800_000;

impl Step<'_> {
    pub(super) fn tick(&mut self, tick: &Tick) -> TickReply {
        self.open(tick.known, &tick.fresh_epoch);
        self.take_settings(&tick.settings);
        self.guard_stall();
        let id = &tick.instance.node_id;
        let identity = self.identify(&tick.instance, "");
        let now = self.cluster_now();
        let outdated =
            identity == Identity::Ok && self.data.members.get(id).is_some_and(|row| row.revision < tick.revision);
        if identity == Identity::Ok {
            self.data.beats.set(id, now.saturating_add(score(self.data.ttl)));
            if let Some(seq) = tick.acknowledged.filter(|_| tick.epoch == self.data.epoch) {
                self.acknowledge_up_to(id, seq);
            }
            self.mend_presence(id, tick);
            if let Some(presence) = &tick.presence {
                self.is_known(presence);
            }
        }
        for late in self.data.beats.below(now, OVERDUE) {
            match self.row(&late) {
                Some(row) => self.end_life(&late, row, StoredStatus::Offline, LeftReason::HeartbeatTimeout),
                None => self.data.beats.remove(&late),
            }
        }
        for gone in self.data.away.below(now.saturating_sub(MEMORY).saturating_add(1), FORGOTTEN) {
            self.forget(&gone);
        }
        let next_lease = self.sweep_leases();
        let next_ready = self.promote_due(TASKS);
        let next_overdue = self.end_overdue(TASKS, Jitter::from_text(tick.nonce.as_str()));
        self.settle_waiting();
        self.forget_old(TASKS);
        let lease = self.renew(tick, identity);
        let first = self.data.beats.first().map_or(score(self.data.ttl), |(_, deadline)| deadline.saturating_sub(now));
        let others = [next_lease, next_ready, next_overdue].into_iter().flatten().map(|at| at.saturating_sub(now));
        let due = others.fold(first, i64::min).max(0);
        TickReply {
            identity,
            now: self.now,
            data: self.data_set(),
            lease,
            leader: self.leader(),
            delta: self.delta(tick.version, tick.floor, &tick.epoch, 128),
            beats: self.beats(32),
            due: Duration::from_millis(u64::try_from(due).unwrap_or(0)),
            alive: self.data.beats.len() as u64,
            outdated,
            // Memory is not bounded here.
            full: false,
        }
    }

    /// Registers the caller's presence where the registration is lost, or is one that has ended since, which a join that came late put
    /// back. No other key can be lost here by itself.
    fn mend_presence(&mut self, id: &NodeId, tick: &Tick) {
        let Some(nonce) = tick.presence.as_ref().filter(|nonce| self.server.present(nonce.as_str())) else { return };
        let stands = self.data.presence.get(id).is_some_and(|(registered, server)| {
            *server == self.server.id && (registered == nonce.as_str() || self.server.present(registered))
        });
        if !stands {
            self.data.presence.insert(id.clone(), (nonce.to_string(), self.server.id.clone()));
        }
    }

    /// Members that somebody asks to be removed: only those that are away.
    pub(super) fn forget_members(&mut self, members: &[NodeId]) -> Vec<(NodeId, Forgotten)> {
        let mut outcomes = Vec::new();
        for id in members {
            let outcome = match self.row(id) {
                None => Forgotten::Unknown,
                Some(row) if row.is_live() => Forgotten::Alive,
                Some(_) => {
                    self.forget(id);
                    Forgotten::Forgotten
                }
            };
            outcomes.push((id.clone(), outcome));
        }
        outcomes
    }

    fn forget(&mut self, id: &NodeId) {
        if let Some(producer) = self.data.members.remove(id).and_then(|row| row.producer) {
            self.data.producers.remove(&producer);
        }
        self.data.cursors.remove(id);
        self.data.acks.remove(id);
        self.data.away.remove(id);
        self.data.changes.remove(id);
        self.data.version += 1;
        self.data.floor = self.data.version;
    }

    fn renew(&mut self, tick: &Tick, identity: Identity) -> LeaseNews {
        let Some(term) = tick.renew.filter(|term| term.0 != 0) else {
            return LeaseNews::None;
        };
        if identity != Identity::Ok {
            return LeaseNews::Lost;
        }
        let now = self.cluster_now();
        let lasts = |promise: &Promise| now.saturating_add(score(millis(promise.lease)));
        match (&mut self.data.leader, &tick.presence) {
            // Granted on another server process, whose last writes may be lost: somebody else may have been granted a term
            // since. Only a holder that leads at this instant knows that nobody was.
            (Some(record), _)
                if record.holder.as_ref() == Some(&tick.instance)
                    && record.term == term
                    && (record.server == self.server.id || tick.leads) =>
            {
                if record.server != self.server.id {
                    record.server = self.server.id.clone();
                    record.presence = None;
                }
                record.state(tick.promise, tick.stated);
                record.expires = lasts(&record.promise);
                record.nonce = tick.nonce.to_string();
                LeaseNews::Renewed
            }
            // The record was lost with the data, the leader was not: nobody else can have been granted a term, because
            // candidates wait for the leader channel, which this connection holds.
            (None, Some(presence)) if tick.leads && self.server.present(presence.as_str()) => {
                self.data.leader = Some(Record {
                    holder: Some(tick.instance.clone()),
                    term,
                    expires: lasts(&tick.promise),
                    nonce: tick.nonce.to_string(),
                    presence: Some(presence.to_string()),
                    server: self.server.id.clone(),
                    handing_to: None,
                    vacated: 0,
                    previous: None,
                    lost: None,
                    promise: tick.promise,
                    stated: tick.stated,
                });
                LeaseNews::Renewed
            }
            _ => LeaseNews::Lost,
        }
    }
}
