//! Winning, holding and giving up leadership; looking for dead members while leading.
//!
//! 1. A granted term is not led until the leader channel and the presence are registered and a ping was answered.
//! 2. A record that names another incarnation or a higher term ends this node's term at once.
//! 3. A leader that is asked to make room stops first, and tells the store then. Once it has told the store, it never leads
//!    in that term again, whether an answer came or not.
//! 4. Only a leader declares a member dead, and only if it saw the member's presence gone for the whole grace without
//!    interruption.

use super::campaign_pause::CampaignPause;
use super::{Effect, Node, Note, Ticket};
use crate::cluster::ids::{NodeId, Term};
use crate::cluster::lease::leadership::Leadership;
use crate::cluster::lease::margins::takeover_wait;
use crate::cluster::protocol::{
    Call, Campaign, CampaignReply, Fault, Resign, Rule, ServerId, Sweep, WatchLeader, WatchReply,
};
use crate::cluster::settings::{LeaderMode, Promise};
use crate::cluster::time::{Moment, ServerTime};
use std::collections::BTreeMap;
use std::time::Duration;

/// The maximum number of members that one sweep declares dead.
const SWEEP: usize = 16;
/// The pause before a refused campaign, or a resignation without an answer, is repeated.
const LEADER_CALL_RETRY_DELAY: Duration = Duration::from_millis(200);

/// A campaign under way: the promise that it states, and what it asks for.
#[derive(Debug)]
struct UnderWay {
    ticket: Ticket,
    promise: Promise,
    seen: Term,
    rule: Rule,
}

#[derive(Debug, Default)]
pub(super) struct Leading {
    watch: Option<Ticket>,
    watch_at: Option<Moment>,
    campaign: Option<UnderWay>,
    campaign_pause: CampaignPause,
    campaign_at: Option<Moment>,
    resign: Option<Ticket>,
    resign_at: Option<Moment>,
    sweep: Option<Ticket>,
    sweep_at: Option<Moment>,
    swept_at: Option<Moment>,
    stalled_until: Moment,
    /// The highest term that another node knew.
    heard: Term,
    gone: BTreeMap<NodeId, (String, Moment)>,
}

impl Leading {
    pub(super) fn due(&self) -> Option<Moment> {
        let watch = self.watch_at.filter(|_| self.watch.is_none());
        let campaign = self.campaign_at.filter(|_| self.campaign.is_none());
        let resign = self.resign_at.filter(|_| self.resign.is_none());
        let sweep = self.sweep_at.filter(|_| self.sweep.is_none());
        [watch, campaign, resign, sweep].into_iter().flatten().min()
    }

    pub(super) fn stop(&mut self) {
        *self = Self::default();
    }
}

impl Node {
    /// Looks at the leader at once.
    pub(super) fn look_now(&mut self, now: Moment) {
        self.leading.watch_at = Some(now);
    }

    /// Asks Redis when another node knows a higher term. A leader does not lead until Redis has confirmed its term again. A term is
    /// doubted once for each higher number, so that a wrong word costs one round trip.
    pub(super) fn heard_term(&mut self, now: Moment, term: Term) {
        if term <= self.view.term.max(self.leading.heard) {
            return;
        }
        self.leading.heard = term;
        if let Some(leadership) = &mut self.leadership {
            leadership.doubt(now);
        }
        self.look_now(now);
        self.beat_now(now);
    }

    pub(super) fn act_leading(&mut self, now: Moment) {
        self.act_resign(now);
        self.act_sweep(now);
        if self.leading.watch.is_none() && self.leading.watch_at.is_some_and(|at| at <= now) {
            self.leading.watch_at = None;
            self.leading.watch = Some(self.call(Call::Watch(WatchLeader)));
        }
        self.act_campaign(now);
    }

    /// Plans the candidate's next look: the first two in rank watch all the time, the others once something is wrong.
    pub(super) fn plan_watch(&mut self, now: Moment) {
        let grace = self.settings.leader.presence_grace;
        let often = match self.settings.leader.mode {
            LeaderMode::Exclusive => grace / 4,
            LeaderMode::Fenced => Duration::from_millis(50),
        };
        let every = match self.view.rank(self.node_id()) {
            _ if self.leadership.is_some() => return,
            Some(rank) if rank < 2 => often.max(Duration::from_millis(20)),
            Some(_) if self.observation.trouble() => grace.max(Duration::from_millis(20)),
            _ => return,
        };
        let at = now + every;
        self.leading.watch_at = Some(self.leading.watch_at.map_or(at, |known| known.min(at)));
    }

    pub(super) fn watched(&mut self, now: Moment, ticket: Ticket, reply: WatchReply, server: &ServerId) {
        if self.leading.watch.take_if(|t| *t == ticket).is_none() {
            return;
        }
        if reply.epoch != self.view.epoch() {
            self.beat_now(now);
        }
        let watch = Some((reply.same_server, reply.leader_channel));
        self.take_leader(now, reply.now, reply.leader, server, watch);
        self.plan_watch(now);
    }

    fn act_campaign(&mut self, now: Moment) {
        self.leading.campaign_at = None;
        let idle = self.leading.campaign.is_none() && self.leadership.is_none() && self.join_is_quiet();
        let candidate = self.settings.leader.candidate && !self.drains();
        let stands = candidate && self.presence.standing().is_some() && self.link.takes_beats();
        if !idle || !stands {
            return;
        }
        let Some(instance) = self.instance().cloned() else { return };
        let promise = self.promise();
        // The rank is computed only when the first in rank could ask: with many members it costs more than the rest.
        let first = self.observation.chance(self.node_id(), promise, 0);
        let Some(first) = first else { return };
        if first.at > now {
            self.leading.campaign_at = Some(self.leading.campaign_pause.earliest(&first));
            return;
        }
        let Some(rank) = self.view.rank(self.node_id()) else { return };
        let Some(chance) = self.observation.chance(self.node_id(), promise, rank) else { return };
        let at = self.leading.campaign_pause.earliest(&chance);
        if at > now {
            self.leading.campaign_at = Some(at);
            return;
        }
        if self.settings.confirmed {
            self.view.ask(instance.clone());
        }
        let campaign = Campaign {
            instance,
            rule: chance.rule.clone(),
            seen: chance.seen,
            nonce: self.nonce(),
            presence: self.presence.standing().cloned(),
            promise,
            stated: Self::stated(now),
            seen_for: now.since(chance.since),
            known_token: self.known.token,
        };
        let ticket = self.call(Call::Campaign(Box::new(campaign)));
        self.leading.campaign = Some(UnderWay { ticket, promise, seen: chance.seen, rule: chance.rule });
    }

    pub(super) fn campaigned(
        &mut self,
        now: Moment,
        ticket: Ticket,
        sent: Moment,
        reply: CampaignReply,
        server: &ServerId,
    ) {
        let Some(asked) = self.leading.campaign.take_if(|campaign| campaign.ticket == ticket) else { return };
        self.known.token = self.known.token.max(reply.token);
        self.view.answered(reply.granted);
        if let Some(term) = reply.granted {
            let mut leadership = Leadership::granted(term, sent, asked.promise);
            leadership.shorten(self.promise());
            self.leadership = Some(leadership);
            self.effects.push(Effect::Note(Note::Elected(term)));
        } else {
            self.leading.campaign_pause.refused(asked.seen, asked.rule, now + LEADER_CALL_RETRY_DELAY);
            self.look_now(now);
            if reply.refused == "stale data" {
                self.beat_now(now);
            }
        }
        self.take_leader(now, reply.now, reply.leader, server, None);
    }

    /// Compares this node's term with the record that was just seen.
    pub(super) fn compare_with_record(&mut self, now: Moment) {
        let Some(instance) = self.instance().cloned() else { return };
        let record = self.view.leader.as_ref();
        let holder = record.and_then(|r| r.holder.as_ref());
        let term = record.map(|r| r.term).unwrap_or_default();
        // An event names the holder without its incarnation; the record that follows has it.
        let mine = holder.is_some_and(|h| *h == instance);
        let handing = record.and_then(|r| r.handing_to.clone()).filter(|id| *id != instance.node_id);
        let quiet = self.leading.campaign.is_none() && self.join_is_quiet();
        let promise = self.promise();
        match &mut self.leadership {
            Some(held) if term > held.term && !mine => {
                let held = held.term;
                self.step_down(now, held);
            }
            Some(held) if mine && term == held.term && handing.is_some() && !held.resigning => {
                held.resigning = true;
                self.leading.resign_at = Some(now);
            }
            Some(held) if term == held.term && holder.is_none() => {
                let held = held.term;
                self.step_down(now, held);
            }
            None if mine && quiet && term > self.given_up => {
                // A grant whose answer was lost: hold it, and let the next heartbeat confirm it.
                self.leadership = Some(Leadership::found(term, promise));
                self.beat_now(now);
            }
            _ => {}
        }
    }

    fn join_is_quiet(&self) -> bool {
        !self.leaving() && self.leading.resign.is_none()
    }

    pub(super) fn step_down(&mut self, now: Moment, term: Term) {
        if self.leadership.take_if(|l| l.term == term).is_none() {
            return;
        }
        self.given_up = self.given_up.max(term);
        self.effects.push(Effect::Note(Note::SteppedDown(term)));
        self.release_leader_channel();
        self.leading.gone.clear();
        self.leading.swept_at = None;
        self.leading.sweep_at = None;
        self.leading.resign_at = None;
        self.look_now(now);
    }

    /// Resumes leadership after the operation that suspended it failed. If a call of it was lost, it may still be executed,
    /// and vacate the record: then this term is over, and is given up properly.
    pub(super) fn lead_again(&mut self, now: Moment, lost: bool) {
        match &mut self.leadership {
            Some(leadership) if leadership.resigning && lost => self.leading.resign_at = Some(now),
            Some(leadership) if self.leading.resign.is_none() && self.leading.resign_at.is_none() => {
                leadership.resigning = false;
            }
            _ => {}
        }
    }

    pub(super) fn resign_now(&mut self, now: Moment) {
        self.leading.resign_at = Some(now);
    }

    fn act_resign(&mut self, now: Moment) {
        if self.leading.resign.is_some() || self.leading.resign_at.is_none_or(|at| at > now) {
            return;
        }
        self.leading.resign_at = None;
        let (Some(instance), Some(held)) = (self.instance().cloned(), self.leadership.as_ref()) else { return };
        let term = held.term;
        self.leading.resign = Some(self.call(Call::Resign(Resign { instance, term })));
    }

    pub(super) fn resign_answered(&mut self, now: Moment, ticket: Ticket) {
        if self.leading.resign.take_if(|t| *t == ticket).is_none() {
            return;
        }
        // Given up now, or lost before: in both cases it is over.
        if let Some(term) = self.leadership.as_ref().map(|l| l.term) {
            self.step_down(now, term);
        }
    }

    fn act_sweep(&mut self, now: Moment) {
        if !self.leads(now) {
            self.leading.sweep_at = None;
            return;
        }
        if self.leading.sweep.is_some() {
            return;
        }
        let grace = self.settings.leader.presence_grace;
        if self.leading.sweep_at.is_some_and(|at| at > now) {
            return;
        }
        let (Some(instance), Some(held)) = (self.instance().cloned(), self.leadership.as_ref()) else { return };
        let term = held.term;
        let wait = takeover_wait(grace);
        let calm = now >= self.leading.stalled_until;
        let ripe = self.leading.gone.iter().filter(|(_, (_, since))| calm && now.since(*since) >= wait);
        let dead = ripe.take(SWEEP).map(|(id, (nonce, _))| (id.clone(), nonce.clone())).collect();
        self.leading.sweep_at = Some(now + grace / 3);
        self.leading.sweep = Some(self.call(Call::Sweep(Sweep { instance, term, dead })));
    }

    pub(super) fn swept(
        &mut self,
        now: Moment,
        ticket: Ticket,
        sent: Moment,
        leads: bool,
        gone: Vec<(NodeId, String)>,
    ) {
        if self.leading.sweep.take_if(|t| *t == ticket).is_none() {
            return;
        }
        if !leads {
            self.beat_now(now);
            return;
        }
        let grace = self.settings.leader.presence_grace;
        let paused = self.leading.swept_at.is_some_and(|before| now.since(before) > grace + grace / 3);
        if paused || now.since(sent) > grace / 2 {
            // Redis or this node was suspended: members that are not back yet get time to return.
            self.leading.stalled_until = now + self.timing.heartbeat_ttl;
            self.leading.gone.clear();
        }
        self.leading.swept_at = Some(now);
        let mut before = std::mem::take(&mut self.leading.gone);
        for (id, nonce) in gone {
            let since = before.remove(&id).filter(|(known, _)| *known == nonce).map_or(now, |(_, since)| since);
            self.leading.gone.insert(id, (nonce, since));
        }
        // A member that has been gone for the grace is declared dead then, not a third of a grace later.
        let ripe =
            self.leading.gone.values().map(|(_, since)| *since + takeover_wait(grace)).filter(|at| *at > now).min();
        self.leading.sweep_at = self.leading.sweep_at.map(|at| ripe.map_or(at, |ripe| at.min(ripe)));
    }

    pub(super) fn leading_failed(&mut self, now: Moment, ticket: Ticket, _fault: &Fault) {
        if self.leading.watch.take_if(|t| *t == ticket).is_some() {
            self.leading.watch_at = Some(now + LEADER_CALL_RETRY_DELAY);
        }
        if self.leading.campaign.take_if(|campaign| campaign.ticket == ticket).is_some() {
            // It may have succeeded: look before asking again.
            self.leading.campaign_pause.unanswered(now + LEADER_CALL_RETRY_DELAY);
            self.leading.watch_at = Some(now + LEADER_CALL_RETRY_DELAY);
        }
        if self.leading.sweep.take_if(|t| *t == ticket).is_some() {
            self.leading.stalled_until = now + self.timing.heartbeat_ttl;
            self.leading.gone.clear();
            self.leading.sweep_at = Some(now + LEADER_CALL_RETRY_DELAY);
        }
        if self.leading.resign.take_if(|t| *t == ticket).is_some() {
            self.leading.resign_at = Some(now + LEADER_CALL_RETRY_DELAY);
        }
    }

    /// The live leader as far as this node can tell: the record has a holder, and its lease was not over.
    pub(super) fn live_leader(&self, at: ServerTime) -> Option<(NodeId, Term, ServerTime)> {
        let record = self.view.leader.as_ref()?;
        let holder = record.holder.as_ref()?;
        let gone = record.presence.is_some() && !record.present;
        (at <= record.expires_at && !gone).then(|| (holder.node_id.clone(), record.term, record.expires_at))
    }
}
