//! A server of the cluster's state: its data, its identity and its subscribers.
//!
//! 1. [`MemoryState::apply`] is deterministic: no clock, no randomness, no I/O.
//! 2. Subscriptions belong to the server process: they survive a loss of data, but no restart, and no replica has them.
//!
//! Not here: the transitions themselves (one file per family), the async store around this (`mod.rs`).

use super::data::Data;
use clawster::cluster::event::ClusterEvent;
use clawster::cluster::ids::{EventSeq, MessageSeq, Nonce};
use clawster::cluster::protocol::{
    Acknowledge, Call, Entry, HandOver, HandOverReply, Leave, LeaveReply, ListLeases, PushSettings, Register, Reply,
    Resign, ServerId, SettingsReply, Sweep, Swept, TakeCensus, ViewReply, WatchLeader,
};
use clawster::cluster::time::ServerTime;
use clawster::store::Notice;
use std::collections::{BTreeMap, BTreeSet};

/// How many notices wait to be taken; more would say nothing new.
const NOTICES_KEPT: usize = 1024;

/// What a connection can hold.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Channel {
    /// The channel that proves the life of the connection with this nonce.
    Presence(Nonce),
    /// The channel that every leader holds.
    Leader,
}

/// The server process, without its data.
#[derive(Debug, Clone)]
pub(super) struct Server {
    pub(super) id: ServerId,
    /// Whether it was a replica before it took writes.
    pub(super) promoted: bool,
    presence: BTreeMap<String, u64>,
    leader: u64,
    notices: Vec<Posted>,
}

/// What was called, and to whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Posted {
    /// The nonce of the presence whose channel it was; `None`: the cluster's channel.
    pub to: Option<String>,
    /// What was called.
    pub notice: Notice,
}

impl Server {
    fn new(id: ServerId, promoted: bool) -> Self {
        Self { id, promoted, presence: BTreeMap::new(), leader: 0, notices: Vec::new() }
    }

    pub(super) fn present(&self, nonce: &str) -> bool {
        self.presence.contains_key(nonce)
    }

    /// All presences that are subscribed.
    pub(super) fn presences(&self) -> BTreeSet<String> {
        self.presence.keys().cloned().collect()
    }

    pub(super) fn leader_channel(&self) -> bool {
        self.leader > 0
    }

    pub(super) fn notice(&mut self, notice: Notice) {
        self.post(Posted { to: None, notice });
    }

    /// Calls the connection with this nonce, if it is there.
    pub(super) fn notice_one(&mut self, nonce: &str, notice: Notice) {
        if self.present(nonce) {
            self.post(Posted { to: Some(nonce.to_owned()), notice });
        }
    }

    fn post(&mut self, posted: Posted) {
        if self.notices.len() < NOTICES_KEPT {
            self.notices.push(posted);
        }
    }
}

/// The cluster's state on one server.
#[derive(Debug, Clone)]
pub struct MemoryState {
    data: Data,
    server: Server,
}

/// One transition under way.
pub(super) struct Step<'a> {
    pub(super) data: &'a mut Data,
    pub(super) server: &'a mut Server,
    pub(super) now: ServerTime,
    /// It is the first write of its server process on data of another one.
    pub(super) moved: bool,
    /// That, or it begins a data set.
    pub(super) begun: bool,
}

impl MemoryState {
    /// A fresh server without data.
    #[must_use]
    pub fn new(server: ServerId) -> Self {
        Self { data: Data::default(), server: Server::new(server, false) }
    }

    /// Makes one transition at `now` on the server's clock, which may jump.
    pub fn apply(&mut self, call: &Call, now: ServerTime) -> Reply {
        let mut step = Step { data: &mut self.data, server: &mut self.server, now, moved: false, begun: false };
        match call {
            Call::Join(join) => Reply::Join(Box::new(step.join(join))),
            Call::Tick(tick) => Reply::Tick(Box::new(step.tick(tick))),
            Call::View(view) => Reply::View(Box::new(ViewReply {
                now,
                data: step.data_set(),
                leader: step.leader(),
                delta: step.delta(view.version, view.floor, &view.epoch, view.rows),
                beats: step.beats(view.beats),
                alive: step.data.beats.len() as u64,
            })),
            Call::Leave(Leave { instance, acknowledged }) => {
                let (identity, resigned) = step.leave(instance, *acknowledged);
                Reply::Left(LeaveReply { identity, now, resigned })
            }
            Call::Resign(Resign { instance, term }) => {
                let (identity, resigned) = step.resign(instance, *term);
                Reply::Left(LeaveReply { identity, now, resigned })
            }
            Call::HandOver(HandOver { candidate }) => {
                let outcome = step.hand_over(candidate);
                Reply::HandOver(HandOverReply { outcome, now, leader: step.leader() })
            }
            Call::Campaign(campaign) => Reply::Campaign(Box::new(step.campaign(campaign))),
            Call::Register(Register { instance, presence, term }) => {
                Reply::Registered(step.register(instance, presence, *term))
            }
            Call::Watch(WatchLeader) => Reply::Watch(Box::new(step.watch())),
            Call::Sweep(Sweep { instance, term, dead }) => {
                let (leads, gone) = step.sweep(instance, *term, dead);
                Reply::Sweep(Swept { leads, gone })
            }
            Call::Publish(publish) => Reply::Publish(step.publish(publish)),
            Call::Task(task) => Reply::Task(Box::new(step.task(task))),
            Call::Schedule(schedule) => Reply::Schedule(Box::new(step.schedule(schedule))),
            Call::Transcript(transcript) => Reply::Transcript(step.transcript(transcript)),
            Call::Census(TakeCensus) => Reply::Census(step.census()),
            Call::ForgetMembers(call) => Reply::ForgotMembers(step.forget_members(&call.members)),
            Call::Settings(PushSettings { known, wanted }) => {
                let (before, after) = step.settings(*known, wanted.as_ref());
                Reply::Settings(Box::new(SettingsReply { before, after, leader: step.leader() }))
            }
            Call::Lease(lease) => Reply::Lease(step.lease_call(lease)),
            Call::Leases(ListLeases { limit }) => Reply::Leases(step.list_leases(*limit)),
            Call::Once(once) => Reply::Once(step.once(once)),
            Call::Limit(limit) => Reply::Limit(step.limit(limit)),
            Call::Drain(drain) => Reply::Drain(step.drain(drain)),
            Call::Acknowledge(Acknowledge { instance, epoch, seq }) => {
                Reply::Acknowledge(step.acknowledge(instance, epoch, *seq))
            }
        }
    }

    /// The kept events behind `after`, at most `count`, in order.
    #[must_use]
    pub fn events(&self, after: EventSeq, count: usize) -> Vec<ClusterEvent> {
        let from = self.data.events.partition_point(|event| event.seq <= after);
        self.data.events.iter().skip(from).take(count).cloned().collect()
    }

    /// The kept entries that hold a message behind `after`, at most `count`, in order.
    #[must_use]
    pub fn messages(&self, after: MessageSeq, count: usize) -> Vec<Entry> {
        let from = self.data.messages.partition_point(|entry| entry.last <= after);
        self.data.messages.iter().skip(from).take(count).cloned().collect()
    }

    /// A connection subscribes a channel; several may hold the same one.
    pub fn subscribe(&mut self, channel: &Channel) {
        match channel {
            Channel::Presence(nonce) => *self.server.presence.entry(nonce.to_string()).or_default() += 1,
            Channel::Leader => self.server.leader += 1,
        }
    }

    /// A connection gives a channel back; nothing happens when none holds it.
    pub fn unsubscribe(&mut self, channel: &Channel) {
        match channel {
            Channel::Presence(nonce) => {
                if let Some(count) = self.server.presence.get_mut(nonce.as_str()) {
                    *count -= 1;
                    if *count == 0 {
                        self.server.presence.remove(nonce.as_str());
                    }
                }
            }
            Channel::Leader => self.server.leader = self.server.leader.saturating_sub(1),
        }
    }

    /// How many connections hold a channel.
    #[must_use]
    pub fn subscribers(&self, channel: &Channel) -> u64 {
        match channel {
            Channel::Presence(nonce) => self.server.presence.get(nonce.as_str()).copied().unwrap_or(0),
            Channel::Leader => self.server.leader,
        }
    }

    /// The identity of this server process.
    #[must_use]
    pub fn server_id(&self) -> &ServerId {
        &self.server.id
    }

    /// Whether this server was a replica before it took writes.
    #[must_use]
    pub fn promoted(&self) -> bool {
        self.server.promoted
    }

    /// Says whether this server was a replica before.
    pub fn set_promoted(&mut self, promoted: bool) {
        self.server.promoted = promoted;
    }

    /// Deletes all data; subscriptions stay.
    pub fn flush(&mut self) {
        self.data = Data::default();
    }

    /// Another process takes the server's place: all subscriptions are gone, and the data too unless they are kept.
    pub fn restart(&mut self, server: ServerId, keep_data: bool) {
        let promoted = keep_data && self.server.promoted;
        self.server = Server::new(server, promoted);
        if !keep_data {
            self.flush();
        }
    }

    /// A replica as it is when it is promoted at this instant: the same data, nobody's subscriptions. To promote a stale
    /// one, fork early and use the copy later.
    #[must_use]
    pub fn fork(&self, server: ServerId) -> Self {
        Self { data: self.data.clone(), server: Server::new(server, true) }
    }

    /// Takes what was called since the last time, in order.
    pub fn take_notices(&mut self) -> Vec<Posted> {
        std::mem::take(&mut self.server.notices)
    }
}
