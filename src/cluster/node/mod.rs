//! One node of the cluster as a state machine: inputs and the current time in, effects out.
//!
//! 1. No I/O, no clock, no randomness: the same inputs give the same effects, so that a simulator can drive it.
//! 2. At most one heartbeat, one campaign, one watch, one sweep and one join are under way at a time.
//! 3. An answer to a call that was given up changes nothing.
//!
//! ```text
//!  timers, answers, pongs, notices, events, requests ──▶ step(now, input) ──▶ calls, pings, replies, news
//! ```
//!
//! `beat.rs` heartbeats and the view · `joining.rs` and `leaving.rs` membership · `presence.rs` the presence connection ·
//! `leading.rs` winning, holding and giving up leadership · `draining.rs` taking no new work · `link.rs` the health of
//! Redis · `recording.rs` history · `requests.rs` clients' requests · `sharing.rs` the settings of the cluster.
//!
//! Not here: messages (`crate::cluster::messages::inbox`), carrying effects out (`crate::engine::node::driver`).

mod attempt;
mod beat;
mod campaign_pause;
mod draining;
mod exchange;
mod joining;
mod leading;
mod leaving;
mod link;
mod presence;
mod recording;
mod requests;
mod sharing;

pub use exchange::{Admission, Effect, Input, Note};
pub use link::{Link, Trouble};
pub use recording::{Beaten, CARRIED, Former};
pub use requests::{Drained, Elected, JoinRequest, Left, Refusal, Request, Response};

use super::ids::{Incarnation, MessageSeq, NodeId, Nonce};
use super::protocol::{Call, Fault, HandOverReply, Instance, LeaveReply, Numbers, Registered, Reply, ServerId, Swept};
use super::settings::{LeaderSettings, Retry, Shared, Timing, Versioned};
use super::time::{Moment, ServerTime};
use crate::cluster::lease::election::Observation;
use crate::cluster::lease::leadership::Leadership;
use crate::cluster::members::member::{Metadata, PresenceKind};
use crate::cluster::members::view::ClusterView;
use crate::cluster::messages::message::Producer;
use std::time::Duration;

/// Identifies a call or a request, to match its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// The parameters of a node.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The node id to join under.
    pub node_id: NodeId,
    /// The node's statement about itself.
    pub metadata: Metadata,
    /// Whether it joins at start.
    pub auto_join: bool,
    /// Its settings for elections.
    pub leader: LeaderSettings,
    /// The timing that it sets if it is the first member.
    pub timing: Timing,
    /// The settings of the cluster that earlier processes of this host have seen; they apply instead of the configured
    /// ones.
    pub remembered: Option<Versioned>,
    /// How a failed heartbeat is retried.
    pub retry: Retry,
    /// A random name of this process.
    pub process: Nonce,
    /// The identity of the outbox.
    pub producer: Producer,
    /// The highest sequence numbers that earlier processes of this node have seen.
    pub known: Numbers,
    /// The acknowledged position, and its data set.
    pub cursor: Option<(MessageSeq, String)>,
    /// The id that the position belongs to; `None`: this id.
    pub cursor_of: Option<NodeId>,
    /// One-shot processes of this host whose membership this process takes over.
    pub former: Option<Former>,
    /// Whether a grant counts only once replicas have it, so that one without an answer may be lost.
    pub confirmed: bool,
}

/// Whether the node is a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// It never joined, or it left.
    Out,
    /// It is trying to become a member.
    Joining,
    /// It is a member.
    Member(Instance),
    /// Another process, described here, holds its id.
    Refused(String),
}

/// A call under way.
#[derive(Debug, Clone)]
struct Pending {
    ticket: Ticket,
    /// The version of the view that it asks about.
    asked: u64,
    /// The term that it renews, and the promise that it states.
    renewed: Option<(super::ids::Term, super::settings::Promise)>,
}

/// A node; see the head of this file.
#[derive(Debug)]
pub struct Node {
    settings: Settings,
    standing: Standing,
    incarnation: Incarnation,
    joined_at: ServerTime,
    view: ClusterView,
    /// When the view was last updated, by this node's clock.
    seen: Moment,
    known: Numbers,
    acknowledged: Option<MessageSeq>,
    /// The number of statements that this node made about itself.
    revision: u64,
    confirmed_revision: u64,
    /// The ids that it had before renames.
    aliases: Vec<NodeId>,
    link: Link,
    timing: Timing,
    sharing: sharing::Sharing,
    counter: u64,
    beat: beat::Beating,
    join: joining::Joining,
    presence: presence::Presence,
    observation: Observation,
    leadership: Option<Leadership>,
    /// The highest term that it held and gave up: it never resumes that term.
    given_up: super::ids::Term,
    leading: leading::Leading,
    requests: requests::Requests,
    draining: draining::Draining,
    recording: recording::Recording,
    effects: Vec<Effect>,
}

impl Node {
    /// A new node; the first [`Input::Wake`] starts it.
    #[must_use]
    pub fn new(mut settings: Settings) -> Self {
        let join = joining::Joining::at_start(&settings);
        let sharing = sharing::Sharing::new(Shared::of(settings.timing, settings.leader), settings.remembered);
        if let Some(Versioned { settings: Shared { timing, presence_grace, mode }, .. }) = settings.remembered {
            settings.timing = timing;
            settings.leader = LeaderSettings { presence_grace, mode, ..settings.leader };
        }
        Self {
            standing: if settings.auto_join { Standing::Joining } else { Standing::Out },
            incarnation: Incarnation(0),
            joined_at: ServerTime::default(),
            view: ClusterView::default(),
            seen: Moment::default(),
            known: settings.known,
            acknowledged: None,
            revision: 1,
            confirmed_revision: 0,
            aliases: Vec::new(),
            link: Link::default(),
            timing: settings.timing,
            sharing,
            counter: 0,
            beat: beat::Beating::default(),
            join,
            presence: presence::Presence::default(),
            observation: Observation::default(),
            leadership: None,
            given_up: super::ids::Term(0),
            leading: leading::Leading::default(),
            requests: requests::Requests::default(),
            draining: draining::Draining::default(),
            recording: recording::Recording::default(),
            effects: Vec::new(),
            settings,
        }
    }

    /// A node whose id another process holds, described by `holder`; it stays out until a client asks it to join.
    #[must_use]
    pub fn refused(settings: Settings, holder: String) -> Self {
        Self { standing: Standing::Refused(holder), ..Self::new(Settings { auto_join: false, ..settings }) }
    }

    /// Processes an input that happened at `now`; returns the effects, in order.
    pub fn step(&mut self, now: Moment, input: Input) -> Vec<Effect> {
        match input {
            Input::Wake => {}
            Input::Answered { ticket, sent, outcome } => self.answered(now, ticket, sent, outcome),
            Input::PresenceUp(nonce) => self.presence_up(now, &nonce),
            Input::PresenceDown(nonce) => self.presence_down(now, &nonce, "Redis cannot be reached"),
            Input::PresenceRefused { nonce, error } => self.presence_down(now, &nonce, &error),
            Input::LeaderChannelHeld(nonce) => self.leader_channel_held(&nonce),
            Input::Pong { nonce, sent } => self.pong(now, &nonce, sent),
            Input::CalledToRegister => self.beat_now(now),
            Input::CalledToHandOver => self.look_now(now),
            Input::HeardTerm(term) => self.heard_term(now, term),
            Input::Event(event) => self.event(now, &event),
            Input::Asked(ticket, request) => self.asked(now, ticket, request),
            Input::Record(sample) => self.recording.take(*sample),
            Input::Resumed { producer, known, cursor, cursor_of } => {
                self.settings.producer = producer;
                self.known = self.known.max(known);
                self.settings.cursor = cursor;
                self.settings.cursor_of = cursor_of;
            }
            Input::Acknowledged(seq, epoch) => {
                self.acknowledged = self.acknowledged.max(Some(seq));
                self.settings.cursor = Some((seq, epoch));
            }
        }
        self.act(now);
        std::mem::take(&mut self.effects)
    }

    /// When the node needs its next [`Input::Wake`] if nothing happens before.
    #[must_use]
    pub fn wake_at(&self, now: Moment) -> Moment {
        let far = now + Duration::from_secs(3600);
        let connected = self.presence.standing().is_some();
        [
            self.beat.due(),
            self.join.due(connected),
            self.presence.due(self),
            self.leading.due(),
            self.requests.due(),
            self.draining.due(self),
        ]
        .into_iter()
        .flatten()
        .fold(far, Moment::min)
    }

    /// The cluster as this node sees it.
    #[must_use]
    pub fn view(&self) -> &ClusterView {
        &self.view
    }

    /// How old the view is.
    #[must_use]
    pub fn view_age(&self, now: Moment) -> Duration {
        now.since(self.seen)
    }

    /// Whether the node is a member.
    #[must_use]
    pub fn standing(&self) -> &Standing {
        &self.standing
    }

    /// The node id, configured or joined under.
    #[must_use]
    pub fn node_id(&self) -> &NodeId {
        &self.settings.node_id
    }

    /// The incarnation; 0 before the first join.
    #[must_use]
    pub fn incarnation(&self) -> Incarnation {
        self.incarnation
    }

    /// When it joined.
    #[must_use]
    pub fn joined_at(&self) -> ServerTime {
        self.joined_at
    }

    /// The node's statement about itself.
    #[must_use]
    pub fn metadata(&self) -> &Metadata {
        &self.settings.metadata
    }

    /// The timing of the cluster.
    #[must_use]
    pub fn timing(&self) -> Timing {
        self.timing
    }

    /// The highest sequence numbers that it has seen.
    #[must_use]
    pub fn known(&self) -> Numbers {
        self.known
    }

    /// Called when a message with this sequence number was read, published or acknowledged: a data set that knows less is
    /// not the newest.
    pub fn saw_message(&mut self, seq: MessageSeq) {
        self.known.message = self.known.message.max(seq.0);
    }

    /// The term that this node holds.
    #[must_use]
    pub fn leadership(&self) -> Option<&Leadership> {
        self.leadership.as_ref().filter(|_| matches!(self.standing, Standing::Member(_)))
    }

    /// Whether this node leads now.
    #[must_use]
    pub fn leads(&self, now: Moment) -> bool {
        self.leadership().is_some_and(|leadership| leadership.leads(now))
    }

    fn act(&mut self, now: Moment) {
        self.act_presence(now);
        self.act_join(now);
        self.act_drain(now);
        self.act_beat(now);
        self.act_leading(now);
        self.act_requests(now);
    }

    fn answered(&mut self, now: Moment, ticket: Ticket, sent: Moment, outcome: Result<(Reply, ServerId), Fault>) {
        match &outcome {
            Ok((reply, server)) => {
                self.link_answered(now, reply);
                self.answered_by(now, server);
            }
            Err(fault) => self.link_failed(now, ticket, fault),
        }
        match outcome {
            Ok((Reply::Tick(reply), server)) => self.ticked(now, ticket, sent, *reply, &server),
            Ok((Reply::View(reply), server)) => self.viewed(now, ticket, *reply, &server),
            Ok((Reply::Join(reply), server)) => self.join_answered(now, ticket, *reply, server),
            Ok((Reply::Campaign(reply), server)) => self.campaigned(now, ticket, sent, *reply, &server),
            Ok((Reply::Watch(reply), server)) => self.watched(now, ticket, *reply, &server),
            Ok((Reply::Registered(Registered { identity, registered, leads }), server)) => {
                self.registered(now, ticket, identity, registered.then_some(server), leads);
            }
            Ok((Reply::Sweep(Swept { leads, gone }), _)) => self.swept(now, ticket, sent, leads, gone),
            Ok((Reply::Left(LeaveReply { identity, now: at, resigned }), _)) => {
                self.left(now, ticket, identity, at, resigned)
            }
            Ok((Reply::HandOver(HandOverReply { outcome, leader, .. }), _)) => {
                self.hand_over_answered(now, ticket, outcome, leader)
            }
            Ok((Reply::Drain(reply), _)) => self.drain_answered(now, ticket, &reply),
            // Called beside the node.
            Ok((Reply::Publish(_) | Reply::Acknowledge(_) | Reply::Task(_) | Reply::Lease(_) | Reply::Once(_), _))
            | Ok((Reply::Limit(_) | Reply::Census(_) | Reply::Leases(_) | Reply::Settings(_), _))
            | Ok((Reply::ForgotMembers(_) | Reply::Schedule(_) | Reply::Transcript(_), _)) => {}
            Err(fault) => self.failed(now, ticket, &fault),
        }
    }

    /// A call got no answer: each part that waits for it continues.
    fn failed(&mut self, now: Moment, ticket: Ticket, fault: &Fault) {
        self.beat_failed(now, ticket, fault);
        self.join_failed(now, ticket, fault);
        self.leading_failed(now, ticket, fault);
        self.presence_failed(now, ticket);
        self.request_failed(now, ticket, fault);
        self.drain_failed(now, ticket, fault);
    }

    /// Whether this ticket belongs to a heartbeat or a join.
    fn is_beat(&self, ticket: Ticket) -> bool {
        self.beat.is_asked(ticket) || self.join.is_asked(ticket)
    }

    fn ticket(&mut self) -> Ticket {
        self.counter += 1;
        Ticket(self.counter)
    }

    /// A unique nonce: this process's random name and a number.
    fn nonce(&mut self) -> Nonce {
        self.counter += 1;
        let text = format!("{}-{}", self.settings.process, self.counter);
        Nonce::new(text).unwrap_or_else(|_| self.settings.process.clone())
    }

    fn call(&mut self, call: Call) -> Ticket {
        let ticket = self.ticket();
        self.effects.push(Effect::Call(ticket, call));
        ticket
    }

    fn instance(&self) -> Option<&Instance> {
        match &self.standing {
            Standing::Member(instance) => Some(instance),
            _ => None,
        }
    }

    fn kind(&self) -> PresenceKind {
        PresenceKind::Connection
    }
}
