//! One heartbeat of a host without a running node, as a state machine: it joins if needed, sends the heartbeat, and campaigns
//! if no other node does.
//!
//! 1. No I/O, no clock, no randomness: the program and the simulator drive the same rules.
//! 2. What one run learned is [`Saved`] for the next; the times in it are those of the host's clock since its boot.
//! 3. Such a member has no presence: only its heartbeat deadline ends it. It campaigns only if there is no live candidate
//!    with a running process, and gives up leadership with its next heartbeat once there is one.
//! 4. The rules for the candidacy of a running node apply here too, counted within one run, or, for an expired lease, from
//!    run to run.
//! 5. Whether it leads is reported only with a heartbeat that Redis has just answered: no command reads the saved lease for
//!    it. So the saved lease is not seen after a loss of data: the next heartbeat finds another data set, and renews
//!    nothing there.
//!
//! Not here: carrying the calls out (`crate::engine::oneshot`), a running node (`crate::cluster::node`).

mod saved;
mod steps;

pub use saved::{HeldLease, ObservedRecord, Saved};

use super::ids::{Incarnation, NodeId, Nonce, Term};
use super::lease::election::Observation;
use super::lease::margins::{acting_time, takeover_wait};
use super::members::member::Metadata;
use super::members::whole_view::WholeView;
use super::messages::message::Producer;
use super::protocol::{Call, DataSet, Identity, Instance, Join, JoinReply, Numbers, Reply, ServerId};
use super::settings::{Shared, Versioned};
use super::time::{Moment, ServerTime};
use crate::cluster::members::member::PresenceKind;
use std::time::Duration;

/// How long one run waits for an election rule to apply.
const RULE_WAIT: Duration = Duration::from_secs(3);

/// What a host states about itself.
#[derive(Debug, Clone)]
pub struct Host {
    /// The node id to join under.
    pub node_id: NodeId,
    /// The metadata of the node.
    pub metadata: Metadata,
    /// Whether it is a candidate for leader.
    pub candidate: bool,
    /// The identity of the outbox.
    pub producer: Producer,
    /// A name that no other run has.
    pub random: Nonce,
}

/// What to do next.
#[derive(Debug, Clone, PartialEq)]
pub enum Next {
    /// Make this call, then [`Run::answered`]. A call without an answer ends the run.
    Call(Call),
    /// Wait until then, then [`Run::waited`].
    Wait(Moment),
    /// The heartbeat was accepted.
    Done(Box<Beaten>),
    /// Another live process holds the node id.
    InUse,
}

/// A heartbeat that was accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beaten {
    /// The incarnation of the node.
    pub incarnation: Incarnation,
    /// The highest term that it saw.
    pub term: Term,
    /// The leader.
    pub leader_id: Option<NodeId>,
    /// When Redis accepted the heartbeat.
    pub at: ServerTime,
    /// The time between the heartbeat and its answer.
    pub round_trip: Duration,
}

/// What the run waits for.
#[derive(Debug)]
enum Stage {
    /// A join, since when; `dead`: a presence that is gone, and since when.
    Joining { since: Moment, dead: Option<(String, Moment)> },
    /// A heartbeat.
    Ticking,
    /// The members, page by page.
    Viewing(Box<WholeView>),
    /// A look at the leader's record, until then.
    Watching { until: Moment },
    /// A campaign, or the end of a leadership.
    Ending,
}

/// A heartbeat under way; see the head of this file.
#[derive(Debug)]
pub struct Run {
    host: Host,
    settings: Versioned,
    numbers: Numbers,
    saved: Option<Saved>,
    stage: Stage,
    observation: Observation,
    beaten: Option<Beaten>,
    /// When the call was sent that confirmed the lease last.
    confirmed: Option<Moment>,
}

impl Run {
    /// A heartbeat that continues from what the last run saved. `settings` are those of the cluster as the host knows them, `known` the
    /// highest sequence numbers that it has seen.
    #[must_use]
    pub fn new(host: Host, saved: Option<Saved>, settings: Versioned, known: Numbers) -> Self {
        Self {
            numbers: saved.as_ref().map_or(known, |saved| saved.numbers.max(known)),
            stage: Stage::Ticking,
            observation: Observation::default(),
            beaten: None,
            confirmed: None,
            host,
            settings,
            saved,
        }
    }

    /// The first step.
    pub fn begin(&mut self, now: Moment) -> Next {
        if self.saved.is_some() { self.tick(now) } else { self.join_first(now) }
    }

    /// Takes the answer to the call, which was sent at `sent`.
    pub fn answered(&mut self, now: Moment, sent: Moment, reply: Reply, server: &ServerId) -> Next {
        match reply {
            Reply::Join(reply) => self.joined(now, *reply),
            Reply::Tick(reply) if reply.identity != Identity::Ok => {
                self.adopt(&reply.data);
                self.join_first(now)
            }
            Reply::Tick(reply) => self.ticked(now, sent, *reply),
            Reply::View(reply) => self.viewed(now, *reply),
            Reply::Watch(reply) => self.watched(now, &reply, server),
            Reply::Campaign(reply) => self.campaigned(sent, &reply),
            // The leadership was given up.
            _ => self.done(),
        }
    }

    /// The time that the run waited for has come.
    pub fn waited(&mut self, now: Moment) -> Next {
        match self.stage {
            Stage::Joining { .. } => self.join(now),
            _ => self.watch(),
        }
    }

    /// What the next run continues from; `None`: it is not a member.
    #[must_use]
    pub fn saved(&self) -> Option<&Saved> {
        self.saved.as_ref()
    }

    /// The settings of the cluster as the run knows them.
    #[must_use]
    pub fn settings(&self) -> Versioned {
        self.settings
    }

    /// The highest sequence numbers that it has seen.
    #[must_use]
    pub fn numbers(&self) -> Numbers {
        self.numbers
    }

    /// When the call was sent whose answer confirmed the lease in this run; `None`: none did.
    #[must_use]
    pub fn confirmed(&self) -> Option<Moment> {
        self.confirmed
    }

    /// Whether this host leads now. A loss of data takes the record along, and without a presence nobody can see that this host leads:
    /// candidates wait for a grace then, so the answer that confirmed the lease must not be older.
    #[must_use]
    pub fn leads(&self, now: Moment) -> bool {
        let lease = self.saved.as_ref().and_then(|saved| saved.lease);
        let (Some(lease), Some(sent)) = (lease, self.confirmed) else { return false };
        now < lease.deadline().min(sent + acting_time(self.shared().presence_grace))
    }

    fn shared(&self) -> Shared {
        self.settings.settings
    }

    /// Takes the numbers and the settings of the cluster from an answer.
    fn adopt(&mut self, data: &DataSet) {
        self.numbers = self.numbers.max(data.numbers);
        if let Some(found) = data.settings.filter(|found| found.version >= self.settings.version) {
            self.settings = found;
        }
    }

    fn nonce(&self, what: &str) -> Nonce {
        Nonce::new(format!("{}-{what}", self.host.random)).unwrap_or_else(|_| self.host.random.clone())
    }

    fn instance(&self) -> Instance {
        let incarnation = self.saved.as_ref().map_or(Incarnation(0), |saved| saved.incarnation);
        Instance { node_id: self.host.node_id.clone(), incarnation }
    }

    fn join_first(&mut self, now: Moment) -> Next {
        self.stage = Stage::Joining { since: now, dead: None };
        self.join(now)
    }

    fn join(&mut self, now: Moment) -> Next {
        let dead = match &self.stage {
            Stage::Joining { dead, .. } => dead.clone(),
            _ => None,
        };
        // The store checks whether it has been gone for long enough.
        let (dead_presence, dead_for) = dead.map(|(nonce, since)| (nonce, now.since(since))).unzip();
        let saved = self.saved.as_ref();
        Next::Call(Call::Join(Box::new(Join {
            node_id: self.host.node_id.clone(),
            process: saved.map_or_else(|| self.host.random.clone(), |saved| saved.process.clone()),
            kind: PresenceKind::None,
            metadata: serde_json::to_string(&self.host.metadata).unwrap_or_else(|_| "{}".to_owned()),
            candidate: self.host.candidate,
            settings: self.settings,
            known: self.numbers,
            fresh_epoch: self.host.random.clone(),
            force: false,
            dead_presence,
            dead_for: dead_for.unwrap_or_default(),
            own: saved.map_or(Incarnation(0), |saved| saved.incarnation),
            presence: None,
            producer: self.host.producer.clone(),
            cursor: None,
            rename_from: None,
            former: None,
            draining: None,
            revision: 0,
            aliases: Vec::new(),
            stood: None,
            elsewhere: false,
        })))
    }

    fn joined(&mut self, now: Moment, reply: JoinReply) -> Next {
        match reply {
            JoinReply::Joined { incarnation, data, .. } => {
                self.adopt(&data);
                let process = self.saved.take().map_or_else(|| self.host.random.clone(), |saved| saved.process);
                let numbers = self.numbers;
                self.saved = Some(Saved { incarnation, process, lease: None, numbers, observed: None });
                self.tick(now)
            }
            JoinReply::Held { presence, present, provable, .. } => {
                let grace = takeover_wait(self.shared().presence_grace);
                let Stage::Joining { since, dead } = &mut self.stage else { return Next::InUse };
                *dead = match (presence.filter(|_| !present && provable), dead.take()) {
                    (Some(nonce), Some((known, seen))) if nonce == known => Some((known, seen)),
                    (Some(nonce), _) => Some((nonce, now)),
                    (None, _) => None,
                };
                // If there is no sign that its process is dead, only the deadline frees the id.
                let give_up_at = *since + self.settings.settings.timing.heartbeat_ttl + grace;
                if dead.is_none() || now > give_up_at { Next::InUse } else { Next::Wait(now + grace / 4) }
            }
            JoinReply::Replaced => Next::InUse,
        }
    }

    fn done(&mut self) -> Next {
        // A run that was not answered is not done: whoever drives it ends it.
        self.beaten.take().map_or(Next::InUse, |beaten| Next::Done(Box::new(beaten)))
    }
}
