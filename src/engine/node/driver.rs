//! The loop around the pure node: it feeds inputs and carries out effects, and never waits.
//!
//! 1. The loop never waits for Redis, a disk or a client: calls run beside it, and their answers are inputs.
//! 2. An event reaches subscribers after the node has processed it, so that the node's state is never older than an event
//!    that was delivered.
//! 3. An answer reaches its caller after the node's status shows what it tells: the next call goes by that status.
//!
//! Not here: the rules (`crate::cluster::node`), messages (`messages/sync.rs`).

use super::handle::KnownState;
use super::kept_view::KeptView;
use super::state_view;
use super::status::{Msg, Status};
use crate::clock;
use crate::cluster::event::{Event, LocalFact};
use crate::cluster::history::Sample;
use crate::cluster::ids::{ClusterName, MessageSeq};
use crate::cluster::node::{Beaten, Effect, Input, Link, Node, Note, Refusal, Response, Standing, Ticket};
use crate::cluster::protocol::{Call, Fault, Reply, ServerId};
use crate::cluster::settings::{Shared, Versioned};
use crate::cluster::time::Moment;
use crate::engine::events::Hub;
use crate::engine::history::{self, History};
use crate::engine::leases::Leases;
use crate::engine::messages::sync::Sync;
use crate::engine::metrics::{Metrics, memory_bytes};
use crate::engine::presence::{self, Report};
use crate::engine::schedules::Schedules;
use crate::engine::state_dir::StateDir;
use crate::engine::tasks::Tasks;
use crate::store::redis::{Notice, RedisStore};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tracing::{Instrument, Span, debug_span};

type Answered = (Ticket, Moment, Result<(Reply, ServerId), Fault>);

pub(crate) struct Driver {
    pub(crate) cluster: ClusterName,
    pub(crate) state_dir: StateDir,
    pub(crate) node: Node,
    pub(crate) kept_view: Arc<KeptView>,
    pub(crate) store: Arc<RedisStore>,
    pub(crate) hub: Arc<Hub>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) history: Arc<History>,
    /// Samples for the node to carry, to be passed on after the current step.
    pub(crate) brought: Vec<Sample>,
    pub(crate) sync: Arc<Sync>,
    pub(crate) leases: Arc<Leases>,
    pub(crate) tasks: Arc<Tasks>,
    pub(crate) presence: mpsc::Sender<presence::Command>,
    pub(crate) status: watch::Sender<Status>,
    pub(crate) inbox: mpsc::Receiver<Msg>,
    pub(crate) calls: JoinSet<Answered>,
    pub(crate) running: HashMap<tokio::task::Id, (Ticket, Moment)>,
    pub(crate) clients: HashMap<Ticket, oneshot::Sender<Result<Response, Refusal>>>,
    pub(crate) tickets: u64,
}

/// What a report of the presence connection means to the node; `leases` have waiters of their own.
pub(super) fn heard(leases: &Leases, schedules: &Schedules, report: Report) -> Option<Msg> {
    let input = match report {
        Report::Up(nonce) => Input::PresenceUp(nonce),
        Report::Down(nonce) => Input::PresenceDown(nonce),
        Report::Refused { nonce, error } => Input::PresenceRefused { nonce, error },
        Report::Pong { nonce, sent } => Input::Pong { nonce, sent },
        Report::LeaderChannelHeld(nonce) => Input::LeaderChannelHeld(nonce),
        Report::Notice(Notice::Register) => Input::CalledToRegister,
        Report::Notice(Notice::HandOver) => Input::CalledToHandOver,
        Report::Notice(Notice::Lease(ticket)) => {
            leases.call(&ticket);
            return None;
        }
        Report::Notice(Notice::Schedule) => {
            schedules.look_again();
            return None;
        }
        // Only for processes that hold a lease by a presence of their own.
        Report::Notice(Notice::Drain) => return None,
    };
    Some(Msg::Input(input))
}

impl Driver {
    /// Runs until every handle is gone.
    pub(crate) async fn run(mut self) {
        // The node must be asked once before anything can be due.
        self.step(Input::Wake);
        loop {
            let now = clock::now();
            let wait = self.node.wake_at(now).since(now).max(Duration::from_millis(1));
            tokio::select! {
                msg = self.inbox.recv() => match msg {
                    Some(msg) => self.take(msg),
                    None => return,
                },
                Some(done) = self.calls.join_next_with_id() => self.call_done(done),
                () = tokio::time::sleep(wait) => self.step(Input::Wake),
            }
        }
    }

    fn take(&mut self, msg: Msg) {
        match msg {
            Msg::Input(input) => self.step(input),
            Msg::News(event) => {
                self.step(Input::Event(event.clone()));
                self.tasks.heard(&event);
                self.metrics.event(&event.fact);
                self.hub.publish(Event::Cluster(event));
            }
            Msg::Ask(request, client, span) => {
                // Far above the node's own tickets, so that the two never collide.
                self.tickets += 1;
                let ticket = Ticket((1 << 62) + self.tickets);
                self.clients.insert(ticket, client);
                // The calls that it makes at once belong to the request.
                span.in_scope(|| self.step(Input::Asked(ticket, request)));
            }
            Msg::State(client) => {
                let now = clock::now();
                let until = self.node.leadership().map(|l| l.until()).unwrap_or_default();
                let mut state = state_view::of(&self.cluster, &self.node, now);
                state.redis_trouble = state.redis_trouble.or_else(|| self.store.eviction_found());
                state.servers = self.store.servers().borrow().clone();
                let known = Arc::new(KnownState::new(state, now, until));
                self.kept_view.keep(&known);
                // The client may be gone.
                let _ = client.send(known);
            }
            Msg::Carried(client) => {
                // The client may be gone.
                let _ = client.send(self.node.unrecorded());
            }
        }
    }

    fn call_done(&mut self, done: Result<(tokio::task::Id, Answered), tokio::task::JoinError>) {
        let (ticket, sent, outcome) = match done {
            Ok((id, answered)) => {
                self.running.remove(&id);
                answered
            }
            Err(error) => {
                tracing::error!(%error, "a call to the store failed unexpectedly; it counts as unanswered");
                let Some((ticket, sent)) = self.running.remove(&error.id()) else { return };
                (ticket, sent, Err(Fault::Unavailable("the call failed unexpectedly".to_owned())))
            }
        };
        if let Ok((Reply::Tick(reply), _)) = &outcome {
            self.leases.saw_clock(reply.now, sent);
        }
        self.step(Input::Answered { ticket, sent, outcome });
    }

    fn step(&mut self, input: Input) {
        self.kept_view.begin_step();
        self.node.saw_message(self.sync.highest());
        let effects = self.node.step(clock::now(), input).into_iter();
        let (answers, others): (Vec<_>, Vec<_>) = effects.partition(|effect| matches!(effect, Effect::Reply(..)));
        others.into_iter().for_each(|effect| self.carry_out(effect));
        while let Some(sample) = self.brought.pop() {
            self.step(Input::Record(Box::new(sample)));
        }
        self.publish_status();
        answers.into_iter().for_each(|answer| self.carry_out(answer));
    }

    /// Checks Redis' eviction policy from time to time, beside the heartbeats, which it must not delay.
    fn look_at_eviction(&self) {
        if self.store.eviction_is_due() {
            let store = Arc::clone(&self.store);
            tokio::spawn(async move { store.look_at_eviction().await });
        }
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Call(ticket, call) => {
                let store = Arc::clone(&self.store);
                let sent = clock::now();
                let (attempt, span) = match &call {
                    Call::Tick(tick) => {
                        self.look_at_eviction();
                        let attempt = self.node.beat_attempt();
                        (attempt, debug_span!("tick", attempt, node_id = %tick.instance.node_id, leads = tick.leads))
                    }
                    _ => (1, Span::current()),
                };
                let calling = async move {
                    let outcome = store.attempt_call(&call, attempt).await.map(|answer| (answer.reply, answer.server));
                    (ticket, sent, outcome)
                };
                let handle = self.calls.spawn(calling.instrument(span));
                self.running.insert(handle.id(), (ticket, sent));
            }
            Effect::OpenPresence(nonce) => self.tell_presence(presence::Command::Open(nonce)),
            Effect::ClosePresence => self.tell_presence(presence::Command::Close),
            Effect::Ping(nonce, deadline) => self.tell_presence(presence::Command::Ping(nonce, deadline)),
            Effect::HoldLeaderChannel(nonce, hold) => self.tell_presence(presence::Command::Hold(nonce, hold)),
            Effect::Reply(ticket, outcome) => {
                if let Some(client) = self.clients.remove(&ticket) {
                    // The client may be gone.
                    let _ = client.send(*outcome);
                }
            }
            Effect::Joined(admission) => {
                self.sync.admitted(&admission);
                self.leases.call_all();
                self.tasks.look_again();
            }
            Effect::DataSet(data) => self.sync.data_set(&data),
            Effect::Departed => self.sync.departed(matches!(self.node.standing(), Standing::Refused(_))),
            Effect::Degraded(trouble) => {
                let (reason, detail) = (trouble.reason(), trouble.to_string());
                tracing::warn!(redis = %self.store.target(), reason = reason.word(), "{detail}; continuing with the last known state");
                self.hub.publish_local(LocalFact::Degraded { reason, detail });
            }
            Effect::Recovered => {
                self.hub.publish_local(LocalFact::Recovered);
                tracing::info!(redis = %self.store.target(), "Redis accepts heartbeats again");
            }
            Effect::Reconnected => {
                self.leases.call_all();
                self.tasks.look_again();
            }
            Effect::Beaten(beaten) => self.beaten(*beaten),
            Effect::Settings(settings) => self.remember(settings),
            Effect::Note(note) => {
                if matches!(note, Note::BeatFailed { .. }) {
                    self.metrics.beat_failed();
                }
                log(&note);
            }
        }
    }

    /// Counts a heartbeat that Redis accepted, and records it in the history.
    fn beaten(&mut self, beaten: Beaten) {
        self.metrics.beat(beaten.round_trip, beaten.delay);
        self.metrics.history_recorded.inc_by(beaten.recorded);
        let lag = self.sync.lag(MessageSeq(self.node.known().message));
        let memory = memory_bytes().unwrap_or_default();
        self.brought.extend(self.history.take(history::sample(beaten, lag, memory, self.metrics.peers())));
    }

    /// Saves the settings of the cluster on disk, beside the loop.
    fn remember(&self, settings: Versioned) {
        let dir = self.state_dir.clone();
        tokio::task::spawn_blocking(move || {
            if let Err(error) = dir.keep_settings(settings) {
                tracing::warn!(%error, "cannot save the cluster's settings on disk");
            }
        });
    }

    /// Sends a command to the presence connection. Only a few commands are under way at a time; a full queue means that the
    /// connection hangs, and the ping's deadline ends it.
    fn tell_presence(&self, command: presence::Command) {
        match self.presence.try_send(command) {
            // Closed: the node is being stopped.
            Ok(()) | Err(mpsc::error::TrySendError::Closed(_)) => {}
            Err(mpsc::error::TrySendError::Full(_)) => {
                tracing::error!("the command queue of the presence connection is full; dropped a command")
            }
        }
    }

    fn publish_status(&mut self) {
        let view = self.node.view();
        self.hub.set_server_time(view.as_of);
        let status = Status {
            standing: self.node.standing().clone(),
            settled: self.node.settled(),
            link: self.node.link().takes_beats(),
            well: *self.node.link() == Link::Well,
            leads: self.node.leads(clock::now()),
            leader_id: view.granted().and_then(|record| Some(record.holder.as_ref()?.node_id.clone())),
            term: view.term,
            draining: self.node.drains(),
            node_id: self.node.node_id().clone(),
            epoch: view.epoch().to_owned(),
            numbers: self.node.known(),
            interval: self.node.timing().heartbeat_interval,
            grace: self.node.shared().settings.presence_grace,
        };
        self.status.send_if_modified(|known| {
            let changed = *known != status;
            *known = status;
            changed
        });
    }
}

/// The warning that the settings of the cluster differ from the configured ones.
#[must_use]
pub fn different(configured: &Shared, cluster: &Shared) -> String {
    let words = |(key, cluster, own)| format!("{key} is {cluster} (configured here: {own})");
    let differences: Vec<String> = cluster.differences(configured).into_iter().map(words).collect();
    format!(
        "the cluster's settings differ from this host's configuration and are used instead: {}; clawster config push \
         makes this host's configuration the cluster's",
        differences.join(", ")
    )
}

/// Logs a note of the node for the operator.
fn log(note: &Note) {
    match note {
        Note::BeatFailed { attempt, of, error, wait } => {
            let wait_ms = crate::cluster::time::millis(*wait);
            tracing::warn!(attempt, of, %error, wait_ms, "heartbeat attempt {attempt} of {of} failed: {error}; next in {wait_ms} ms");
        }
        Note::BeatRecovered { attempts } => tracing::info!(attempts, "heartbeat succeeded on attempt {attempts}"),
        Note::JoinFailed { error, wait } => {
            let wait_ms = crate::cluster::time::millis(*wait);
            tracing::warn!(%error, wait_ms, "joining failed: {error}; next attempt in {wait_ms} ms");
        }
        Note::Joined(instance) => {
            tracing::info!(node_id = %instance.node_id, incarnation = instance.incarnation.0, "joined the cluster");
        }
        Note::Refused { node_id, holder } => {
            tracing::error!(%node_id, holder, "node id {node_id} is in use by {holder}; this node stays out of the cluster");
        }
        Note::Elected(term) => tracing::info!(term = term.0, "became leader"),
        Note::SteppedDown(term) => tracing::info!(term = term.0, "lost leadership"),
        Note::SettingsDiffer { configured, adopted } => {
            tracing::warn!("{}", different(configured, adopted));
        }
        Note::SettingsChanged { before, after } => {
            let words = |(key, before, after)| format!("{key} {before} -> {after}");
            let changes: Vec<String> = before.differences(after).into_iter().map(words).collect();
            tracing::info!("the cluster's settings changed: {}", changes.join(", "));
        }
        Note::StillDegraded(trouble) => tracing::warn!(reason = trouble.reason().word(), "still degraded: {trouble}"),
        Note::CallRefused { call, error } => tracing::error!(call, %error, "Redis refused a call"),
    }
}
