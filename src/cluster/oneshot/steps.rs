//! The steps of a member: the heartbeat, the look at the others, the campaign.
//!
//! Not here: joining (`mod.rs`).

use super::{Beaten, HeldLease, Next, ObservedRecord, RULE_WAIT, Run, Stage};
use crate::cluster::ids::{Nonce, Term};
use crate::cluster::lease::election::{Chance, LeaderLook, Observation};
use crate::cluster::lease::leadership::lease_deadline;
use crate::cluster::lease::margins::takeover_wait;
use crate::cluster::members::member::{Member, PresenceKind};
use crate::cluster::members::view::ClusterView;
use crate::cluster::members::whole_view::WholeView;
use crate::cluster::protocol::{
    Call, Campaign, CampaignReply, LeaseNews, Resign, Rule, ServerId, Tick, TickReply, ViewReply, WatchLeader,
    WatchReply,
};
use crate::cluster::time::{Moment, millis};
use std::time::Duration;

impl Run {
    pub(super) fn tick(&mut self, now: Moment) -> Next {
        self.stage = Stage::Ticking;
        Next::Call(Call::Tick(Box::new(Tick {
            instance: self.instance(),
            epoch: String::new(),
            version: 0,
            floor: 0,
            known: self.numbers,
            fresh_epoch: self.host.random.clone(),
            renew: self.saved.as_ref().and_then(|saved| saved.lease).map(|lease| lease.term),
            nonce: self.nonce("r"),
            settings: self.settings,
            promise: self.shared().promise(),
            stated: millis(now.0),
            leads: false,
            presence: None,
            acknowledged: None,
            revision: 0,
            samples: Vec::new(),
        })))
    }

    pub(super) fn ticked(&mut self, now: Moment, sent: Moment, reply: TickReply) -> Next {
        // The record now has the lease that this heartbeat stated.
        let lease_ttl = self.shared().timing.lease_ttl;
        self.adopt(&reply.data);
        self.take_record(now, sent, &reply, lease_ttl);
        let record = reply.leader.as_ref();
        self.beaten = Some(Beaten {
            incarnation: self.instance().incarnation,
            term: record.map(|record| record.term).unwrap_or_default(),
            leader_id: record.and_then(|record| record.holder.as_ref()).map(|holder| holder.node_id.clone()),
            at: reply.now,
            round_trip: now.since(sent),
        });
        let holds = self.saved.as_ref().is_some_and(|saved| saved.lease.is_some());
        if !holds && !self.host.candidate {
            return self.done();
        }
        let mut reading = Box::<WholeView>::default();
        let call = reading.call();
        self.stage = Stage::Viewing(reading);
        Next::Call(Call::View(call))
    }

    /// Takes the leadership from the answer, and saves for the next run how long the record has been the same.
    fn take_record(&mut self, now: Moment, sent: Moment, reply: &TickReply, lease_ttl: Duration) {
        let instance = self.instance();
        let numbers = self.numbers;
        let Some(saved) = &mut self.saved else { return };
        let record = reply.leader.as_ref();
        let mine = record.is_some_and(|record| record.holder.as_ref() == Some(&instance));
        saved.numbers = numbers;
        saved.lease = match (saved.lease, reply.lease) {
            (Some(lease), LeaseNews::Renewed) => {
                self.confirmed = Some(sent);
                Some(HeldLease { term: lease.term, deadline_ms: millis(lease_deadline(sent, lease_ttl).0) })
            }
            // A grant whose answer was lost: the next run renews it.
            (None, _) if mine => record.map(|record| HeldLease { term: record.term, deadline_ms: 0 }),
            _ => None,
        };
        let seen = record.and_then(|record| Some((record.term, Nonce::new(record.nonce.as_str()).ok()?)));
        saved.observed = seen.map(|(term, nonce)| match saved.observed.take() {
            Some(known) if known.term == term && known.nonce == nonce => known,
            _ => ObservedRecord { term, nonce, since_ms: millis(now.0) },
        });
    }

    pub(super) fn viewed(&mut self, now: Moment, reply: ViewReply) -> Next {
        let Stage::Viewing(mut reading) = std::mem::replace(&mut self.stage, Stage::Ending) else {
            return self.done();
        };
        if !reading.take(reply) {
            let call = reading.call();
            self.stage = Stage::Viewing(reading);
            return Next::Call(Call::View(call));
        }
        self.decide(now, &reading.into_view())
    }

    /// Whether another candidate with a running process is alive.
    fn is_rival(&self, member: &Member) -> bool {
        let other = member.node_id != self.host.node_id;
        other && member.is_live() && member.metadata.candidate && member.presence == PresenceKind::Connection
    }

    /// Gives up leadership to a candidate with a running process; campaigns if there is none, and a rule allows it.
    fn decide(&mut self, now: Moment, view: &ClusterView) -> Next {
        if let Some(lease) = self.saved.as_ref().and_then(|saved| saved.lease) {
            return match view.members.values().any(|member| self.is_rival(member)) {
                true => self.resign(lease.term),
                false => self.done(),
            };
        }
        let record = view.leader.as_ref();
        let dying = record.and_then(|r| r.holder.as_ref().filter(|_| !r.present)).map(|holder| &holder.node_id);
        if view.members.values().any(|member| self.is_rival(member) && Some(&member.node_id) != dying) {
            return self.done();
        }
        if let Some(chance) = self.expired_over_runs(now, view) {
            return self.campaign(now, chance);
        }
        self.observation = Observation::default();
        // One run waits only as long as the default grace needs; a longer grace is covered by expiry, over several runs.
        self.stage = Stage::Watching { until: now + self.shared().presence_grace.mul_f64(1.6).min(RULE_WAIT) };
        self.watch()
    }

    fn resign(&mut self, term: Term) -> Next {
        // It counts as given up before the store says so: an answer that is lost must not leave a leader.
        if let Some(saved) = &mut self.saved {
            saved.lease = None;
        }
        Next::Call(Call::Resign(Resign { instance: self.instance(), term }))
    }

    pub(super) fn watch(&self) -> Next {
        Next::Call(Call::Watch(WatchLeader))
    }

    pub(super) fn watched(&mut self, now: Moment, reply: &WatchReply, server: &ServerId) -> Next {
        let Stage::Watching { until } = self.stage else { return self.done() };
        let watch = Some((reply.same_server, reply.leader_channel));
        let look = LeaderLook { record: reply.leader.as_ref(), server, at: reply.now, watch };
        let shared = self.shared();
        self.observation.observe(now, &look, shared.timing.lease_ttl);
        match self.observation.chance(&self.host.node_id, shared.promise(), 0) {
            Some(chance) if chance.at <= now => self.campaign(now, chance),
            Some(chance) if chance.at <= until => Next::Wait(chance.at.min(now + shared.presence_grace / 4)),
            _ => self.done(),
        }
    }

    fn expired_over_runs(&self, now: Moment, view: &ClusterView) -> Option<Chance> {
        let record = view.leader.as_ref().filter(|record| view.as_of > record.expires_at)?;
        let observed = self.saved.as_ref()?.observed.as_ref()?;
        let same = observed.term == record.term && observed.nonce.as_str() == record.nonce;
        let since = Moment(Duration::from_millis(observed.since_ms));
        let own = self.shared().promise();
        let lease = if record.stated { record.promise.lease } else { own.longest(record.promise).lease };
        let rule = Rule::Expired { nonce: record.nonce.clone() };
        (same && now.since(since) >= takeover_wait(lease)).then_some(Chance { at: now, seen: record.term, rule, since })
    }

    fn campaign(&mut self, now: Moment, chance: Chance) -> Next {
        self.stage = Stage::Ending;
        Next::Call(Call::Campaign(Box::new(Campaign {
            instance: self.instance(),
            rule: chance.rule,
            seen: chance.seen,
            nonce: self.nonce("c"),
            presence: None,
            promise: self.shared().promise(),
            stated: millis(now.0),
            seen_for: now.since(chance.since),
            known_token: self.numbers.token,
        })))
    }

    pub(super) fn campaigned(&mut self, sent: Moment, reply: &CampaignReply) -> Next {
        self.numbers.token = self.numbers.token.max(reply.token);
        let lease_ttl = self.shared().timing.lease_ttl;
        if let Some(saved) = &mut self.saved {
            saved.numbers = self.numbers;
            if let Some(term) = reply.granted {
                let deadline_ms = millis(lease_deadline(sent, lease_ttl).0);
                (saved.lease, saved.observed) = (Some(HeldLease { term, deadline_ms }), None);
                self.confirmed = Some(sent);
            }
        }
        if let (Some(beaten), Some(term)) = (&mut self.beaten, reply.granted) {
            (beaten.term, beaten.leader_id) = (term, Some(self.host.node_id.clone()));
        }
        self.done()
    }
}
