//! One heartbeat of a host without a running node: joins if needed, sends the heartbeat, and campaigns if no other node
//! does.
//!
//! 1. What one run learned is saved for the next run; a reboot makes it void.
//! 2. Such a member has no presence: only its heartbeat deadline ends it. It campaigns only if there is no live candidate
//!    with a running process, and gives up leadership with its next heartbeat once there is one.
//! 3. The rules for the candidacy of a running node apply here too, counted within one run, or, for an expired lease, from
//!    run to run on the boot clock.
//! 4. Whether it leads is reported only with a heartbeat that Redis has just answered: no command reads the saved lease for
//!    it. So the saved lease is not seen after a loss of data: the next heartbeat finds another data set, and renews
//!    nothing there.
//!
//! Not here: retries (`crate::cli`), the file with the state (`oneshot/state.rs`).

use super::history::OneBeat;
use crate::clock;
use crate::cluster::ids::{Incarnation, Nonce, Term};
use crate::cluster::lease::election::{Chance, LeaderLook, Observation};
use crate::cluster::lease::leadership::lease_deadline;
use crate::cluster::lease::margins::{acting_time, takeover_wait};
use crate::cluster::members::member::{Member, Metadata, PresenceKind};
use crate::cluster::messages::message::Producer;
use crate::cluster::protocol::{
    Campaign, DataSet, Fault, Identity, Instance, Join, JoinReply, LeaseNews, Numbers, Resign, Rule, Tick, TickReply,
    WatchLeader,
};
use crate::cluster::settings::{Shared, Timing, Versioned};
use crate::cluster::time::{Moment, millis};
use crate::engine::node::fresh_state;
use crate::engine::node::handle::{Beat, Role};
use crate::engine::oneshot::state::{HeldLease, ObservedRecord, OneshotState};
use crate::store::Answer;
use crate::store::redis::RedisStore;
use std::time::Duration;

/// The parameters of a one-shot heartbeat.
pub struct Oneshot<'a> {
    /// The store of the cluster's state.
    pub store: &'a RedisStore,
    /// The node id to join under.
    pub node_id: crate::cluster::ids::NodeId,
    /// The metadata of the node.
    pub metadata: Metadata,
    /// Whether it is a candidate for leader.
    pub candidate: bool,
    /// The settings of the cluster as this host knows them.
    pub settings: Versioned,
    /// The identity of the outbox.
    pub producer: Producer,
    /// The highest sequence numbers seen.
    pub known: Numbers,
    /// A name that no other process has.
    pub random: Nonce,
}

/// Why a heartbeat failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// Redis did not answer, or refused.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// A live process holds the node id.
    #[error("node id {0} is in use by another live process; stop it or choose another id")]
    InUse(crate::cluster::ids::NodeId),
}

/// How long one run waits for an election rule to apply.
const RULE_WAIT: Duration = Duration::from_secs(3);

/// Takes the settings of the cluster from an answer.
fn adopt(settings: &mut Versioned, data: &DataSet) {
    if let Some(found) = data.settings.filter(|found| found.version >= settings.version) {
        *settings = found;
    }
}

/// Whether a lease that a call sent at `sent` confirmed makes this process the leader now. A loss of data takes the record along, and
/// without a presence nobody can see that this process leads: candidates wait for a grace then, so the answer must not be older.
fn leads(lease: HeldLease, sent: Moment, shared: Shared, now: Moment) -> bool {
    now < Moment(Duration::from_millis(lease.deadline_ms)).min(sent + acting_time(shared.presence_grace))
}

impl Oneshot<'_> {
    /// Sends one heartbeat, continuing from `state`, which is updated; also returns the settings of the cluster.
    ///
    /// # Errors
    /// [`Failure`]; `state` stays usable.
    pub async fn beat(&self, boot_id: &str, state: &mut Option<OneshotState>) -> Result<(OneBeat, Versioned), Failure> {
        let known = state.as_ref().map_or(self.known, |s| s.numbers.max(self.known));
        let mut settings = self.settings;
        let mut current = match state.take() {
            Some(state) => state,
            None => self.join(boot_id, known, None, &mut settings).await?,
        };
        let (mut sent, mut reply) = self.tick(&current, settings).await?;
        if reply.identity != Identity::Ok {
            current = self.join(boot_id, known, Some(&current), &mut settings).await?;
            (sent, reply) = self.tick(&current, settings).await?;
        }
        let round_trip = clock::now().since(sent);
        current.beats += 1;
        current.numbers = current.numbers.max(reply.data.numbers);
        // The record now has the lease that this heartbeat stated.
        self.take_lease(&mut current, &reply, sent, settings.settings.timing);
        adopt(&mut settings, &reply.data);
        let shared = settings.settings;
        self.make_room(&mut current).await?;
        let mut beat = self.beat_of(&current, &reply, round_trip);
        if current.lease.is_some_and(|lease| leads(lease, sent, shared, clock::now())) {
            beat.role = Role::Leader;
        }
        if current.lease.is_none()
            && self.candidate
            && let Some((term, sent)) = self.stand(&mut current, shared).await?
        {
            beat.term = term;
            beat.leader_id = Some(self.node_id.clone());
            if current.lease.is_some_and(|lease| leads(lease, sent, shared, clock::now())) {
                beat.role = Role::Leader;
            }
        }
        let number = current.beats;
        *state = Some(current);
        let interval = shared.timing.heartbeat_interval;
        Ok((OneBeat { beat, number, delay: round_trip, interval }, settings))
    }

    fn beat_of(&self, state: &OneshotState, reply: &TickReply, round_trip: Duration) -> Beat {
        let record = reply.leader.as_ref();
        Beat {
            node_id: self.node_id.clone(),
            incarnation: state.incarnation,
            role: Role::Follower,
            term: record.map(|r| r.term).unwrap_or_default(),
            leader_id: record.and_then(|r| r.holder.as_ref()).map(|h| h.node_id.clone()),
            at: reply.now,
            round_trip,
            attempts: 1,
        }
    }

    async fn join(
        &self,
        boot_id: &str,
        known: Numbers,
        before: Option<&OneshotState>,
        settings: &mut Versioned,
    ) -> Result<OneshotState, Failure> {
        let process = before.map_or_else(|| self.random.clone(), |state| state.proc.clone());
        let mut dead: Option<(String, Moment)> = None;
        let grace = takeover_wait(settings.settings.presence_grace);
        let give_up_at = clock::now() + settings.settings.timing.heartbeat_ttl + grace;
        loop {
            let now = clock::now();
            // The store checks whether it has been gone for long enough.
            let (gone, dead_for) =
                dead.clone().map(|(nonce, since): (String, Moment)| (nonce, now.since(since))).unzip();
            let join = Join {
                node_id: self.node_id.clone(),
                process: process.clone(),
                kind: PresenceKind::None,
                metadata: serde_json::to_string(&self.metadata).unwrap_or_else(|_| "{}".to_owned()),
                candidate: self.candidate,
                settings: *settings,
                known,
                fresh_epoch: self.random.clone(),
                force: false,
                dead_presence: gone,
                dead_for: dead_for.unwrap_or_default(),
                own: before.map_or(Incarnation(0), |state| state.incarnation),
                presence: None,
                producer: self.producer.clone(),
                cursor: None,
                rename_from: None,
                former: None,
                draining: None,
                revision: 0,
                aliases: Vec::new(),
                stood: None,
                elsewhere: false,
            };
            match self.store.ask(&join).await?.reply {
                JoinReply::Joined { incarnation, data, .. } => {
                    adopt(settings, &data);
                    return Ok(OneshotState {
                        boot_id: boot_id.to_owned(),
                        incarnation,
                        proc: process,
                        summary: before.filter(|b| b.incarnation == incarnation).and_then(|b| b.summary.clone()),
                        beats: before.filter(|b| b.incarnation == incarnation).map(|b| b.beats).unwrap_or_default(),
                        lease: None,
                        numbers: known.max(data.numbers),
                        observed: None,
                    });
                }
                JoinReply::Held { presence, present, same_server, .. } => {
                    dead = match (presence.filter(|_| !present && same_server), dead.take()) {
                        (Some(nonce), Some((known, since))) if nonce == known => Some((known, since)),
                        (Some(nonce), _) => Some((nonce, now)),
                        (None, _) => None,
                    };
                    // If there is no sign that its process is dead, only the deadline frees the id.
                    if dead.is_none() || now > give_up_at {
                        return Err(Failure::InUse(self.node_id.clone()));
                    }
                    tokio::time::sleep(grace / 4).await;
                }
                JoinReply::Replaced => return Err(Failure::InUse(self.node_id.clone())),
            }
        }
    }

    fn instance(&self, state: &OneshotState) -> Instance {
        Instance { node_id: self.node_id.clone(), incarnation: state.incarnation }
    }

    async fn tick(&self, state: &OneshotState, settings: Versioned) -> Result<(Moment, TickReply), Failure> {
        let sent = clock::now();
        let tick = Tick {
            instance: self.instance(state),
            epoch: String::new(),
            version: 0,
            floor: 0,
            known: state.numbers.max(self.known),
            fresh_epoch: self.random.clone(),
            renew: state.lease.map(|lease| lease.term),
            nonce: self.nonce("r"),
            settings,
            promise: settings.settings.promise(),
            stated: millis(sent.0),
            leads: false,
            presence: None,
            acknowledged: None,
            revision: 0,
            samples: Vec::new(),
        };
        Ok((sent, self.store.ask(&tick).await?.reply))
    }

    fn nonce(&self, what: &str) -> Nonce {
        Nonce::new(format!("{}-{what}", self.random)).unwrap_or_else(|_| self.random.clone())
    }

    /// Takes the leadership from the answer, and saves for the next run how long the record has been the same.
    fn take_lease(&self, state: &mut OneshotState, reply: &TickReply, sent: Moment, timing: Timing) {
        let record = reply.leader.as_ref();
        let mine = record.is_some_and(|r| r.holder.as_ref() == Some(&self.instance(state)));
        state.lease = match (state.lease, reply.lease) {
            (Some(lease), LeaseNews::Renewed) => {
                Some(HeldLease { term: lease.term, deadline_ms: millis(lease_deadline(sent, timing.lease_ttl).0) })
            }
            // A grant whose answer was lost: the next run renews it.
            (None, _) if mine => record.map(|r| HeldLease { term: r.term, deadline_ms: 0 }),
            _ => None,
        };
        let now = millis(clock::now().0);
        let seen = record.and_then(|r| Nonce::new(r.nonce.as_str()).ok().map(|nonce| (r.term, nonce)));
        state.observed = seen.map(|(term, nonce)| match state.observed.take() {
            Some(known) if known.term == term && known.nonce == nonce => known,
            _ => ObservedRecord { term, nonce, since_ms: now },
        });
    }

    /// Whether another candidate with a running process is alive.
    fn is_rival(&self, member: &Member) -> bool {
        let other = member.node_id != self.node_id;
        other && member.is_live() && member.metadata.candidate && member.presence == PresenceKind::Connection
    }

    /// Gives up leadership to a candidate with a running process.
    async fn make_room(&self, state: &mut OneshotState) -> Result<(), Failure> {
        let Some(HeldLease { term, .. }) = state.lease else { return Ok(()) };
        let view = fresh_state::view(self.store).await?;
        if view.members.values().any(|member| self.is_rival(member)) {
            let instance = self.instance(state);
            self.store.ask(&Resign { instance, term }).await?;
            state.lease = None;
        }
        Ok(())
    }

    /// Campaigns if there is no live candidate with a running process, and a rule allows it; returns the granted term, and when it was
    /// asked for.
    async fn stand(&self, state: &mut OneshotState, shared: Shared) -> Result<Option<(Term, Moment)>, Failure> {
        let view = fresh_state::view(self.store).await?;
        let record = view.leader.as_ref();
        let dying = record.and_then(|r| r.holder.as_ref().filter(|_| !r.present)).map(|h| h.node_id.clone());
        if view.members.values().any(|member| self.is_rival(member) && Some(&member.node_id) != dying.as_ref()) {
            return Ok(None);
        }
        if let Some(chance) = self.expired_over_runs(state, &view, shared) {
            return self.campaign(state, chance, shared).await;
        }
        let mut observation = Observation::default();
        // One run waits only as long as the default grace needs; a longer grace is covered by expiry, over several runs.
        let end = clock::now() + shared.presence_grace.mul_f64(1.6).min(RULE_WAIT);
        loop {
            let Answer { reply, server } = self.store.ask(&WatchLeader).await?;
            let now = clock::now();
            let watch = Some((reply.same_server, reply.leader_channel));
            let look = LeaderLook { record: reply.leader.as_ref(), server: &server, at: reply.now, watch };
            observation.observe(now, &look, shared.timing.lease_ttl);
            let Some(chance) = observation.chance(&self.node_id, shared.promise(), 0) else {
                return Ok(None);
            };
            if chance.at <= now {
                return self.campaign(state, chance, shared).await;
            }
            if chance.at > end {
                return Ok(None);
            }
            tokio::time::sleep(chance.at.since(now).min(shared.presence_grace / 4)).await;
        }
    }

    fn expired_over_runs(
        &self,
        state: &OneshotState,
        view: &crate::cluster::members::view::ClusterView,
        shared: Shared,
    ) -> Option<Chance> {
        let record = view.leader.as_ref().filter(|r| view.as_of > r.expires_at)?;
        let observed = state.observed.as_ref()?;
        let same = observed.term == record.term && observed.nonce.as_str() == record.nonce;
        let now = clock::now();
        let since = Moment(Duration::from_millis(observed.since_ms));
        let lease = if record.stated { record.promise.lease } else { shared.promise().longest(record.promise).lease };
        let rule = Rule::Expired { nonce: record.nonce.clone() };
        (same && now.since(since) >= takeover_wait(lease)).then_some(Chance { at: now, seen: record.term, rule, since })
    }

    async fn campaign(
        &self,
        state: &mut OneshotState,
        chance: Chance,
        shared: Shared,
    ) -> Result<Option<(Term, Moment)>, Failure> {
        let sent = clock::now();
        let campaign = Campaign {
            instance: self.instance(state),
            rule: chance.rule,
            seen: chance.seen,
            nonce: self.nonce("c"),
            presence: None,
            promise: shared.promise(),
            stated: millis(sent.0),
            seen_for: sent.since(chance.since),
            known_token: state.numbers.token,
        };
        let reply = self.store.ask(&campaign).await?.reply;
        state.numbers.token = state.numbers.token.max(reply.token);
        if let Some(term) = reply.granted {
            let deadline_ms = millis(lease_deadline(sent, shared.timing.lease_ttl).0);
            state.lease = Some(HeldLease { term, deadline_ms });
            state.observed = None;
        }
        Ok(reply.granted.map(|term| (term, sent)))
    }
}

pub mod state;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::settings::LeaderSettings;

    #[test]
    fn an_answer_that_is_older_than_the_grace_makes_no_leader() {
        let shared = Shared::of(Timing::default(), LeaderSettings::default());
        let at = |ms| Moment(Duration::from_millis(ms));
        let lease = HeldLease { term: Term(7), deadline_ms: 50_000 };
        let grace = millis(shared.presence_grace);
        assert!(leads(lease, at(10_000), shared, at(10_000 + grace * 9 / 10)));
        assert!(!leads(lease, at(10_000), shared, at(10_000 + grace)), "others may lead after a loss of data");
        assert!(
            !leads(HeldLease { deadline_ms: 10_000, ..lease }, at(10_000), shared, at(10_000)),
            "the lease is over"
        );
    }
}
