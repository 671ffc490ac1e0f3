//! The leader's record: grant, registration, watch, handover, resignation.
//!
//! 1. The condition of a grant is checked at the moment of the grant; a refusal says which condition failed.
//! 2. Only the holder of exactly this term can resign it.

use super::data::{Record, Row, answered, covers, score};
use super::state::Step;
use clawster::cluster::event::{ClusterFact, ElectedReason, LeftReason, LostReason};
use clawster::cluster::ids::{NodeId, Nonce, Term};
use clawster::cluster::members::member::{PresenceKind, StoredStatus};
use clawster::cluster::protocol::{
    Campaign, CampaignReply, HandedOver, Identity, Instance, LeaderRecord, Registered, Rule, WatchReply,
};
use clawster::cluster::settings::{LeaderMode, Promise};
use clawster::cluster::time::millis;
use clawster::store::Notice;
use std::time::Duration;

impl Step<'_> {
    /// The record as an answer.
    pub(super) fn leader(&self) -> Option<LeaderRecord> {
        self.data.leader.as_ref().map(|record| LeaderRecord {
            holder: record.holder.clone(),
            term: record.term,
            expires_at: answered(record.expires.saturating_add(self.data.skew)),
            nonce: record.nonce.clone(),
            presence: record.presence.clone(),
            handing_to: record.handing_to.clone(),
            present: record.presence.as_ref().is_some_and(|nonce| self.server.present(nonce)),
            promise: record.promise,
            stated: true,
        })
    }

    fn vacate(&mut self, reason: LostReason) {
        let now = self.cluster_now();
        let Some(record) = &mut self.data.leader else { return };
        let Some(holder) = record.holder.take() else { return };
        let term = record.term;
        record.vacated = now;
        record.previous = Some(holder.node_id.clone());
        record.lost = Some(reason);
        // The server stays: whether the record is the newest one is known only where it was granted or confirmed.
        record.presence = None;
        record.nonce = format!("vacant-{term}");
        self.emit(&holder.node_id, ClusterFact::LeaderLost { leader_id: holder.node_id.clone(), term, reason });
    }

    /// Vacates the record if this life holds it.
    pub(super) fn vacate_if_held(&mut self, instance: &Instance, reason: LostReason) -> bool {
        let held = self.data.leader.as_ref().is_some_and(|record| record.holder.as_ref() == Some(instance));
        if held {
            self.vacate(reason);
        }
        held
    }

    pub(super) fn resign(&mut self, instance: &Instance, term: Term) -> (Identity, bool) {
        self.guard_stall();
        let identity = self.identify(instance, "");
        let record = self.data.leader.as_ref().filter(|record| record.term == term);
        let reason = match record.map(|record| record.handing_to.is_some()) {
            Some(true) => LostReason::Handover,
            Some(false) => LostReason::Resigned,
            None => return (identity, false),
        };
        (identity, self.vacate_if_held(instance, reason))
    }

    pub(super) fn hand_over(&mut self, candidate: &NodeId) -> HandedOver {
        let Some(row) = self.row(candidate).filter(Row::is_live) else {
            return HandedOver::Unknown;
        };
        if !row.candidate || row.kind == PresenceKind::None || row.status == StoredStatus::Draining {
            return HandedOver::Barred;
        }
        let Some(record) = &mut self.data.leader else {
            return HandedOver::Vacant;
        };
        let instance = Instance { node_id: candidate.clone(), incarnation: row.incarnation };
        if record.holder.as_ref() == Some(&instance) {
            record.handing_to = None;
            return HandedOver::Same;
        }
        record.handing_to = Some(candidate.clone());
        let outcome = if record.holder.is_none() { HandedOver::Vacant } else { HandedOver::Asked };
        self.server.notice(Notice::HandOver);
        outcome
    }

    pub(super) fn campaign(&mut self, campaign: &Campaign) -> CampaignReply {
        let stale = campaign.known_token > self.data.numbers.token;
        self.guard_stall();
        let identity = self.identify(&campaign.instance, "");
        let judged = match identity {
            Identity::Ok if stale => Err("stale data"),
            Identity::Ok if self.is_draining(&campaign.instance.node_id) => Err("draining"),
            Identity::Ok => self.judge(campaign),
            Identity::Unknown => Err("unknown"),
            Identity::Replaced => Err("replaced"),
            Identity::Gone => Err("gone"),
            Identity::Epoch => Err("epoch"),
        };
        let (granted, refused) = match judged {
            Ok(reason) => (Some(self.elect(campaign, reason)), String::new()),
            Err(why) => (None, why.to_owned()),
        };
        let (leader, token) = (self.leader(), self.data.numbers.token);
        CampaignReply { identity, now: self.now, granted, refused, leader, token }
    }

    /// Why the term is granted, or why not.
    fn judge(&self, campaign: &Campaign) -> Result<ElectedReason, &'static str> {
        let refuse_if = |bad: bool, why: &'static str| if bad { Err(why) } else { Ok(()) };
        let refuse_unless = |seen: bool| refuse_if(!seen, "seen too briefly");
        let covers = |wait: Duration| covers(campaign.seen_for, score(millis(wait)));
        // Where another leader than the record's may have come after it.
        let longest = self.longest(&campaign.promise);
        let record = match (&campaign.rule, &self.data.leader) {
            (Rule::Absent | Rule::AbsentLease, Some(_)) => return Err("there is a record"),
            (Rule::AbsentLease, None) => {
                refuse_unless(covers(longest.lease))?;
                return Ok(ElectedReason::Vacant);
            }
            (Rule::Absent, None) => {
                refuse_if(self.server.promoted, "a promoted replica knows nothing of subscribers")?;
                refuse_if(self.server.leader_channel(), "a leader may live")?;
                refuse_unless(covers(longest.grace))?;
                return Ok(ElectedReason::Vacant);
            }
            (_, None) => return Err("no record"),
            (_, Some(record)) => record,
        };
        refuse_if(record.term != campaign.seen, "another term")?;
        let mine = record.handing_to.as_ref() == Some(&campaign.instance.node_id);
        let now = self.cluster_now();
        let reason = match &campaign.rule {
            Rule::Expired { nonce } => {
                refuse_if(record.nonce != *nonce, "renewed")?;
                refuse_if(record.holder.is_some() && record.expires >= now, "not expired")?;
                let newest = record.server == self.server.id;
                refuse_unless(covers(if newest { record.promise.lease } else { longest.lease }))?;
                if record.holder.is_none() { lost(record) } else { ElectedReason::Expired }
            }
            Rule::Restarted { nonce } => {
                refuse_if(record.nonce != *nonce, "renewed")?;
                refuse_if(record.server == self.server.id, "confirmed on this server")?;
                refuse_if(self.server.promoted, "a promoted replica knows nothing of subscribers")?;
                // The copy may have been put under a process that ran before, where no connection broke.
                refuse_if(self.server.leader_channel(), "a leader may live")?;
                // Without a registration on that process the holder may lead by a connection to an even older one.
                refuse_if(record.holder.is_some() && record.presence.is_none(), "never registered")?;
                refuse_unless(covers(longest.grace))?;
                if record.holder.is_none() { lost(record) } else { ElectedReason::Expired }
            }
            Rule::Presence { nonce } | Rule::Fenced { nonce } => {
                refuse_if(record.holder.is_none(), "vacant")?;
                refuse_if(record.presence.as_ref() != Some(nonce), "registered again")?;
                refuse_if(record.server != self.server.id, "registered on another server")?;
                refuse_if(self.server.present(nonce), "present")?;
                if matches!(campaign.rule, Rule::Fenced { .. }) {
                    let both = [record.promise.mode, self.data.mode] == [LeaderMode::Fenced; 2];
                    refuse_if(!both, "not fenced")?;
                } else {
                    refuse_unless(covers(record.promise.grace))?;
                }
                return Ok(ElectedReason::ProcessDied);
            }
            Rule::Vacant | Rule::Absent | Rule::AbsentLease => {
                refuse_if(record.holder.is_some(), "not vacant")?;
                refuse_if(record.server != self.server.id, "granted on another server")?;
                let waits = now.saturating_sub(record.vacated) < score(millis(longest.grace));
                refuse_if(record.handing_to.is_some() && !mine && waits, "kept for another candidate")?;
                lost(record)
            }
        };
        Ok(if mine { ElectedReason::Handover } else { reason })
    }

    /// The longest that the record, the data set and the candidate know.
    fn longest(&self, known: &Promise) -> Promise {
        let (grace, lease) = (Duration::from_millis(self.data.grace), Duration::from_millis(self.data.lease));
        let set = Promise { grace, lease, mode: self.data.mode };
        let record = self.data.leader.as_ref().map_or(set, |record| record.promise);
        known.longest(set).longest(record)
    }

    fn elect(&mut self, campaign: &Campaign, reason: ElectedReason) -> Term {
        let old = self.data.leader.clone();
        let holder = old.as_ref().and_then(|record| record.holder.clone());
        let since = score(self.now.0).saturating_sub(self.data.stalled_at);
        let stalled = self.data.stalled_at > 0 && since < score(self.data.ttl);
        if let (Rule::Presence { nonce }, Some(holder), false) = (&campaign.rule, &holder, stalled) {
            // The connection that proved the leader's life proved the member's life too, unless the server stood still:
            // then only deadlines count.
            let registered = self.data.presence.get(&holder.node_id);
            let same = registered.is_some_and(|(at, server)| at == nonce && *server == self.server.id);
            let alive = |row: &Row| row.is_live() && row.incarnation == holder.incarnation;
            if let Some(dead) = self.row(&holder.node_id).filter(alive).filter(|_| same && *holder != campaign.instance)
            {
                self.end_life(&holder.node_id, dead, StoredStatus::Offline, LeftReason::ProcessDied);
            }
        }
        let previous = holder.map(|instance| instance.node_id).or(old.and_then(|record| record.previous));
        let presence = campaign.presence.as_ref().filter(|nonce| self.server.present(nonce.as_str()));
        let presence = presence.map(ToString::to_string);
        self.settle();
        // Whoever knew other settings had the time to bring them.
        self.data.settings = self.data.settings.max(1);
        let term = Term(self.next_token());
        let leader_id = campaign.instance.node_id.clone();
        self.data.leader = Some(Record {
            holder: Some(campaign.instance.clone()),
            term,
            expires: self.cluster_now().saturating_add(score(millis(campaign.promise.lease))),
            nonce: campaign.nonce.to_string(),
            presence,
            server: self.server.id.clone(),
            handing_to: None,
            vacated: 0,
            previous: previous.clone(),
            lost: None,
            promise: campaign.promise,
            stated: campaign.stated,
        });
        let elected = ClusterFact::LeaderElected { leader_id, term, previous_leader_id: previous, reason };
        self.emit(&campaign.instance.node_id, elected);
        term
    }

    pub(super) fn register(&mut self, instance: &Instance, presence: &Nonce, term: Option<Term>) -> Registered {
        let identity = self.identify(instance, "");
        if identity != Identity::Ok || !self.server.present(presence.as_str()) {
            return Registered { identity, registered: false, leads: false };
        }
        let registration = (presence.to_string(), self.server.id.clone());
        self.data.presence.insert(instance.node_id.clone(), registration);
        self.is_known(presence);
        let term = term.filter(|term| term.0 != 0 && self.server.leader_channel());
        let mine = |record: &&mut Record| {
            record.holder.as_ref() == Some(instance) && Some(record.term) == term && record.server == self.server.id
        };
        let record = self.data.leader.as_mut().filter(mine);
        let leads = record.is_some();
        if let Some(record) = record {
            record.presence = Some(presence.to_string());
            record.server = self.server.id.clone();
        }
        Registered { identity, registered: true, leads }
    }

    pub(super) fn watch(&self) -> WatchReply {
        WatchReply {
            now: self.now,
            epoch: self.data.epoch.clone(),
            leader: self.leader(),
            same_server: self.data.leader.as_ref().is_some_and(|record| record.server == self.server.id),
            leader_channel: self.server.leader_channel(),
        }
    }

    pub(super) fn sweep(
        &mut self,
        instance: &Instance,
        term: Term,
        dead: &[(NodeId, String)],
    ) -> (bool, Vec<(NodeId, String)>) {
        let leads = |record: &Record| record.holder.as_ref() == Some(instance) && record.term == term;
        if self.identify(instance, "") != Identity::Ok || !self.data.leader.as_ref().is_some_and(leads) {
            return (false, Vec::new());
        }
        // After a stall of the server everybody's connection may be gone for a moment: then only deadlines count.
        let since = score(self.now.0).saturating_sub(self.data.stalled_at);
        let stalled = self.data.stalled_at > 0 && since < score(self.data.ttl);
        for (id, nonce) in dead.iter().filter(|(id, _)| !stalled && *id != instance.node_id) {
            let unchanged = self.data.presence.get(id).is_some_and(|(at, on)| at == nonce && *on == self.server.id);
            if unchanged
                && !self.server.present(nonce)
                && let Some(row) = self.row(id).filter(Row::is_live)
            {
                self.end_life(id, row, StoredStatus::Offline, LeftReason::ProcessDied);
            }
        }
        let gone = self.data.presence.iter().filter(|(id, (nonce, server))| {
            *server == self.server.id && **id != instance.node_id && !self.server.present(nonce)
        });
        (true, gone.map(|(id, (nonce, _))| (id.clone(), nonce.clone())).collect())
    }
}

/// Why a vacant record is vacant.
fn lost(record: &Record) -> ElectedReason {
    match record.lost {
        Some(LostReason::Handover) => ElectedReason::Handover,
        Some(LostReason::Resigned) => ElectedReason::Resigned,
        Some(LostReason::Replaced | LostReason::Other) | None => ElectedReason::Vacant,
    }
}
