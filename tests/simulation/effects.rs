//! Carries out what a node's step asked for, as the engine does.
//!
//! 1. `sent` is read when a request is sent, not when it was wanted.
//! 2. A call, and the opening of a connection, is given up after a deadline on the process's own clock.
//!
//! Not here: the steps themselves (`process.rs`).

use crate::clock::MS;
use crate::network::{Job, Kind, News};
use crate::side::DEADLINE;
use crate::world::{Due, World};
use clawster::cluster::ids::EventSeq;
use clawster::cluster::node::{Effect, Input};
use clawster::cluster::settings::Versioned;
use std::time::Duration;
use testkit::memory::Channel;

impl World {
    pub(crate) fn perform(&mut self, pid: usize, effect: Effect) {
        let clock = self.hosts[self.processes[pid].host].clock;
        let sent = clock.read(self.now);
        let after = |wait: Duration| clock.when(sent + wait);
        match effect {
            Effect::Call(ticket, call) => self.send_call(pid, ticket, call),
            Effect::OpenPresence(nonce) => {
                self.close_presence(pid);
                match self.connect(pid, Kind::Presence(nonce.clone())) {
                    Some(conn) => {
                        self.processes[pid].presence = Some(conn);
                        self.later(after(DEADLINE), Due::Deliver(pid, None, News::OpenLate(nonce.clone())));
                        self.send_up(conn, Job::Subscribe(Channel::Presence(nonce)));
                    }
                    None => self.step(pid, Input::PresenceDown(nonce)),
                }
            }
            Effect::ClosePresence => self.close_presence(pid),
            Effect::Ping(nonce, deadline) => {
                if let Some(conn) = self.presence_of(pid, &nonce) {
                    self.conns[conn].ping = Some(sent);
                    self.later(after(deadline), Due::Deliver(pid, None, News::PingLate(nonce, sent)));
                    self.send_up(conn, Job::Ping(sent));
                }
            }
            Effect::HoldLeaderChannel(nonce, hold) => {
                if let Some(conn) = self.presence_of(pid, &nonce) {
                    let job = if hold { Job::Subscribe(Channel::Leader) } else { Job::Unsubscribe(Channel::Leader) };
                    self.send_up(conn, job);
                }
            }
            Effect::Reply(ticket, outcome) => {
                self.note(|| format!("-- p{pid} replies {ticket:?} {outcome:?}"));
                let asked = self.processes[pid].asked.remove(&ticket);
                assert!(asked.is_some(), "p{pid} answers {ticket:?} that nobody waits for: {outcome:?}");
            }
            Effect::Joined(admission) => {
                let name = admission.instance.node_id.clone();
                self.note(|| format!("-- p{pid} joined as {:?}", admission.instance));
                self.checks.admitted(pid, &admission.instance);
                if self.setup.load.messages {
                    self.mail_admitted(pid, &admission);
                } else if !self.processes[pid].ids.contains(&name) {
                    self.processes[pid].ids.push(name);
                }
                if self.processes[pid].event.is_none() {
                    self.processes[pid].event = Some(EventSeq(admission.data.numbers.event));
                }
                if self.processes[pid].follow.is_none() {
                    self.follow(pid);
                }
            }
            Effect::DataSet(data) => {
                self.note(|| format!("-- p{pid} data set {data:?}"));
                self.checks.data_set(&data);
                self.mail_data_set(pid, &data);
            }
            Effect::Departed => {
                self.note(|| format!("-- p{pid} departed"));
                self.mail_departed(pid);
            }
            Effect::Degraded(trouble) => self.note(|| format!("-- p{pid} degraded: {trouble}")),
            Effect::Recovered => self.note(|| format!("-- p{pid} recovered")),
            Effect::Reconnected => self.note(|| format!("-- p{pid} reconnected")),
            Effect::Beaten(beaten) => self.checks.beaten(pid, &beaten),
            Effect::Settings(settings) => self.remember(self.processes[pid].host, settings),
            Effect::Note(note) => self.note(|| format!("-- p{pid} {note:?}")),
        }
    }

    /// A host keeps the newest settings that a data set showed; version 0 nobody confirmed.
    pub(crate) fn remember(&mut self, host: usize, settings: Versioned) {
        let kept = &mut self.hosts[host].remembered;
        if settings.version > 0 && kept.is_none_or(|known| settings.version >= known.version) {
            *kept = Some(settings);
        }
    }

    pub(crate) fn follow(&mut self, pid: usize) {
        let Some(after) = self.processes[pid].event.filter(|_| self.processes[pid].follow.is_none()) else { return };
        match self.connect(pid, Kind::Follow) {
            Some(conn) => {
                self.processes[pid].follow = Some(conn);
                self.send_up(conn, Job::Follow(after));
            }
            None => self.later(self.now + 100 * MS, Due::Deliver(pid, None, News::Reopen)),
        }
    }

    pub(crate) fn close_presence(&mut self, pid: usize) {
        if let Some(conn) = self.processes[pid].presence.take() {
            self.conns[conn].client_open = false;
            self.send_up(conn, Job::Close);
        }
    }
}
