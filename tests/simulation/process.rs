//! A process of a node: takes steps on what reaches it, and can be stopped, continued and killed.
//!
//! 1. While it is stopped, everything that reaches it waits; its own timers go off when it goes on.
//!
//! Not here: how the effects of a step are carried out (`effects.rs`).

use crate::clock::{MS, SECOND, Time};
use crate::disk::Disk;
use crate::lease_client::Leases;
use crate::messages::Mail;
use crate::network::{ConnId, Job, Kind, News};
use crate::oneshot::TIMERS;
use crate::side::Side;
use crate::task_client::Work;
use crate::world::{Due, World};
use crate::wrapper::WRAPPERS;
use clawster::cluster::ids::{EventSeq, NodeId, Nonce};
use clawster::cluster::members::member::Metadata;
use clawster::cluster::node::{Input, Node, Request, Settings, Standing, Ticket};
use clawster::cluster::protocol::Fault;
use clawster::cluster::time::Moment;
use clawster::store::Notice;
use std::collections::{BTreeMap, VecDeque};

pub(crate) struct Process {
    pub(crate) host: usize,
    pub(crate) node: Node,
    pub(crate) alive: bool,
    pub(crate) paused_until: Time,
    pub(crate) hole_until: Time,
    /// When it was last disturbed by something that concerned it alone.
    pub(crate) hurt: Time,
    pub(crate) inbox: VecDeque<(Option<ConnId>, News)>,
    pub(crate) calls: Option<ConnId>,
    pub(crate) presence: Option<ConnId>,
    pub(crate) follow: Option<ConnId>,
    /// The last event that it was given, once it follows.
    pub(crate) event: Option<EventSeq>,
    pub(crate) pending: BTreeMap<Ticket, (Moment, ConnId)>,
    /// What calls beside the node's own are for.
    pub(crate) side: BTreeMap<Ticket, Side>,
    pub(crate) mail: Mail,
    pub(crate) leases: Leases,
    pub(crate) work: Work,
    pub(crate) read: Option<ConnId>,
    wake: u64,
    /// When the last effect is carried out that was planned.
    performs: Time,
    pub(crate) asked: BTreeMap<Ticket, Request>,
    pub(crate) ids: Vec<NodeId>,
    steps: (Time, u32),
}

impl World {
    /// Starts a process of a host; `twin` under the id of another host.
    pub(crate) fn start(&mut self, host: usize, twin: Option<usize>) {
        let h = &mut self.hosts[host];
        h.starts += 1;
        let process = Nonce::new(format!("h{host}p{}", h.starts)).expect("a nonce");
        let settings = Settings {
            node_id: h.id.clone(),
            metadata: Metadata { candidate: h.candidate, ..Metadata::default() },
            auto_join: true,
            leader: clawster::cluster::settings::LeaderSettings {
                candidate: h.candidate,
                presence_grace: h.file.presence_grace,
                ..self.setup.leader
            },
            timing: h.file.timing,
            remembered: h.remembered,
            retry: self.retry,
            producer: Nonce::new(format!("out{host}")).expect("a nonce"),
            process,
            known: h.known,
            cursor: None,
            cursor_of: None,
            former: None,
            confirmed: host.is_multiple_of(2),
        };
        let node_id = twin.map_or(settings.node_id.clone(), |other| self.hosts[other].id.clone());
        let pid = self.processes.len();
        let disk = self.disks.get(&(host, node_id.clone())).filter(|disk| disk.holder.is_none());
        let producer = disk.map_or(settings.producer.clone(), |disk| disk.producer.clone());
        let cursor = disk.and_then(|disk| disk.cursor.clone());
        let cursor_of = disk.and_then(Disk::cursor_of);
        let settings = Settings { node_id: node_id.clone(), producer, cursor, cursor_of, ..settings };
        // Whoever finds the store held by a living process stays out until a client asks.
        let held = self.disks.get(&(host, node_id.clone())).is_some_and(|disk| disk.holder.is_some());
        let node = if held { Node::refused(settings, "another process".to_owned()) } else { Node::new(settings) };
        self.processes.push(Process {
            host,
            node,
            alive: true,
            paused_until: 0,
            hole_until: 0,
            hurt: self.now,
            inbox: VecDeque::new(),
            calls: None,
            presence: None,
            follow: None,
            event: None,
            pending: BTreeMap::new(),
            side: BTreeMap::new(),
            mail: Mail::default(),
            leases: Leases::default(),
            work: Work::default(),
            read: None,
            wake: 0,
            performs: 0,
            asked: BTreeMap::new(),
            ids: vec![node_id],
            steps: (0, 0),
        });
        self.note(|| format!("!! p{pid} starts on host {host}"));
        if self.setup.load.messages {
            let id = self.processes[pid].node.node_id().clone();
            self.resume_disk(pid, &id);
        }
        self.step(pid, Input::Wake);
    }

    /// Something reaches a process.
    pub(crate) fn deliver(&mut self, pid: usize, conn: Option<ConnId>, news: News) {
        if let Some(at) = pid.checked_sub(TIMERS) {
            return self.timer_deliver(at, conn, news);
        }
        if let Some(at) = pid.checked_sub(WRAPPERS) {
            return self.wrapper_deliver(at, conn, news);
        }
        let process = &mut self.processes[pid];
        if !process.alive {
            return;
        }
        if process.paused_until > self.now {
            process.inbox.push_back((conn, news));
            return;
        }
        if conn.is_some_and(|conn| !self.conns[conn].client_open) {
            return;
        }
        match news {
            News::Answer(ticket, outcome) => {
                if matches!(*outcome, Err(Fault::Unavailable(_))) && self.processes[pid].calls == conn {
                    self.processes[pid].calls = None;
                }
                self.answer(pid, ticket, *outcome);
            }
            News::CallLate(ticket) => {
                if let Some((_, used)) = self.processes[pid].pending.get(&ticket) {
                    if self.processes[pid].calls == Some(*used) {
                        self.processes[pid].calls = None;
                    }
                    self.answer(pid, ticket, Err(Fault::Unavailable("no answer in time".to_owned())));
                }
            }
            News::Up(nonce) => {
                if let Some(conn) = conn {
                    self.conns[conn].up = true;
                }
                self.step(pid, Input::PresenceUp(nonce));
            }
            News::Held(nonce) => self.step(pid, Input::LeaderChannelHeld(nonce)),
            News::Pong(nonce, sent) => {
                self.note(|| format!("   p{pid} pong on {nonce} of {sent:?}"));
                if let Some(conn) = conn {
                    self.conns[conn].ping = None;
                }
                self.step(pid, Input::Pong { nonce, sent });
            }
            News::PingLate(nonce, sent) => {
                let Some(conn) = self.presence_of(pid, &nonce) else { return };
                if self.conns[conn].ping == Some(sent) {
                    self.presence_lost(pid, conn);
                }
            }
            News::OpenLate(nonce) => {
                let Some(conn) = self.presence_of(pid, &nonce) else { return };
                if !self.conns[conn].up {
                    self.presence_lost(pid, conn);
                }
            }
            News::Notice(Notice::Register) => self.step(pid, Input::CalledToRegister),
            News::Notice(Notice::HandOver) => self.step(pid, Input::CalledToHandOver),
            News::Notice(Notice::Lease(ticket)) => self.lease_called(pid, &ticket),
            News::Notice(Notice::Drain | Notice::Schedule) | News::Hold(_) => {}
            News::LeaseOn(id) => self.lease_on(pid, id),
            News::OnceOn(id) => self.once_on(pid, id),
            News::SubmitOn(id) => self.submit_on(pid, id),
            News::ClaimOn => self.claim_on(pid),
            News::SettleOn(id) => self.settle_on(pid, id),
            News::Event(event) => {
                self.processes[pid].event = Some(event.seq);
                self.checks.read(pid, &event);
                self.step(pid, Input::Event(event));
            }
            News::Lost => {
                if let Some(conn) = conn {
                    self.connection_lost(pid, conn);
                }
            }
            News::Reopen => self.follow(pid),
            News::ReadAgain => self.reads_again(pid),
            News::Entries(asked, entries) => self.entries_arrived(pid, asked, entries),
            News::PublishAgain => self.publish_on(pid),
            News::StoreFree => self.store_is_free(pid),
            News::Wish(wish) => self.fulfil(pid, wish),
            News::Wake(number) => {
                if self.processes[pid].wake == number {
                    self.step(pid, Input::Wake);
                }
            }
            News::Perform(effect) => self.perform(pid, *effect),
            News::Input(input) => {
                if self.may_ask(pid, &input) {
                    self.step(pid, *input);
                }
            }
        }
    }

    pub(crate) fn presence_of(&self, pid: usize, nonce: &Nonce) -> Option<ConnId> {
        let conn = self.processes[pid].presence?;
        (self.conns[conn].kind == Kind::Presence(nonce.clone())).then_some(conn)
    }

    fn connection_lost(&mut self, pid: usize, conn: ConnId) {
        self.conns[conn].client_open = false;
        match self.conns[conn].kind {
            Kind::Calls => {
                if self.processes[pid].calls == Some(conn) {
                    self.processes[pid].calls = None;
                }
                let waiting: Vec<Ticket> =
                    self.processes[pid].pending.iter().filter(|(_, (_, c))| *c == conn).map(|(t, _)| *t).collect();
                for ticket in waiting {
                    self.answer(pid, ticket, Err(Fault::Unavailable("the connection was lost".to_owned())));
                }
            }
            Kind::Presence(_) => self.presence_lost(pid, conn),
            Kind::Read if self.processes[pid].read == Some(conn) => self.read_lost(pid),
            Kind::Read => {}
            Kind::Follow => {
                self.processes[pid].follow = None;
                self.later(self.now + 100 * MS, Due::Deliver(pid, None, News::Reopen));
            }
        }
    }

    fn presence_lost(&mut self, pid: usize, conn: ConnId) {
        if self.conns[conn].client_open {
            self.conns[conn].client_open = false;
            self.send_up(conn, Job::Close);
        }
        if self.processes[pid].presence == Some(conn)
            && let Kind::Presence(nonce) = self.conns[conn].kind.clone()
        {
            self.processes[pid].presence = None;
            self.step(pid, Input::PresenceDown(nonce));
        }
    }

    fn answer(
        &mut self,
        pid: usize,
        ticket: Ticket,
        outcome: Result<(clawster::cluster::protocol::Reply, clawster::cluster::protocol::ServerId), Fault>,
    ) {
        if let Some((sent, _)) = self.processes[pid].pending.remove(&ticket) {
            match self.processes[pid].side.remove(&ticket) {
                Some(side) => self.side_answered(pid, side, sent, outcome),
                None => self.step(pid, Input::Answered { ticket, sent, outcome }),
            }
        }
    }

    /// Takes one step, looks at the invariants, and plans what the effects ask for.
    pub(crate) fn step(&mut self, pid: usize, mut input: Input) {
        if !self.processes[pid].alive {
            return;
        }
        let clock = self.hosts[self.processes[pid].host].clock;
        let now = clock.read(self.now);
        let woken = matches!(input, Input::Wake);
        let led = self.processes[pid].node.leads(now);
        let higher = self.hears(pid, &mut input);
        let process = &mut self.processes[pid];
        let highest = process.mail.highest();
        process.node.saw_message(highest);
        let effects = process.node.step(now, input);
        let known = process.node.known();
        let wake_at = process.node.wake_at(now);
        process.wake += 1;
        let wake = process.wake;
        let second = self.now / SECOND;
        process.steps = if process.steps.0 == second { (second, process.steps.1 + 1) } else { (second, 1) };
        assert!(process.steps.1 < 3000, "p{pid} steps {} times in a second", process.steps.1);
        assert!(!woken || wake_at > now, "p{pid} wants to be woken in the past: {wake_at:?} at {now:?}");
        let host = process.host;
        self.hosts[host].known = self.hosts[host].known.max(known);
        let leads = self.processes[pid].node.leads(now);
        if led != leads {
            let term = self.processes[pid].node.leadership().map(|l| l.term);
            self.note(|| format!("== p{pid} leads: {leads} {term:?}"));
        }
        self.check_leaders();
        self.check_doubt(pid, higher, led, now);
        let at = clock.when(wake_at).max(self.now + 1) + self.rng.range(0, 300);
        self.later(at, Due::Deliver(pid, None, News::Wake(wake)));
        // Effects are carried out in order, a little later, and behind those of earlier steps.
        let mut at = self.processes[pid].performs.max(self.now);
        for effect in effects {
            at += self.rng.range(5, 60);
            self.later(at, Due::Deliver(pid, None, News::Perform(Box::new(effect))));
        }
        self.processes[pid].performs = at;
    }

    /// A client asks a process for something.
    pub(crate) fn ask(&mut self, pid: usize, request: Request) -> Ticket {
        self.clients += 1;
        let ticket = Ticket(self.clients);
        self.note(|| format!("!! p{pid} is asked {ticket:?} {request:?}"));
        self.processes[pid].asked.insert(ticket, request.clone());
        let news = News::Input(Box::new(Input::Asked(ticket, request)));
        self.later(self.now, Due::Deliver(pid, None, news));
        ticket
    }

    pub(crate) fn pause(&mut self, pid: usize, length: Time) {
        self.coverage.see("fault: process stopped");
        let until = self.now + length;
        let process = &mut self.processes[pid];
        process.paused_until = process.paused_until.max(until);
        process.hurt = process.hurt.max(until);
        self.note(|| format!("!! p{pid} stopped for {} ms", length / MS));
        self.later(until, Due::ResumeProcess(pid));
    }

    pub(crate) fn resume_process(&mut self, pid: usize) {
        let now = self.now;
        if !self.processes[pid].alive || self.processes[pid].paused_until > now {
            return;
        }
        self.note(|| format!("!! p{pid} goes on"));
        // Timers and sockets in any order between themselves, each in its own.
        let waiting: Vec<_> = self.processes[pid].inbox.drain(..).collect();
        let (sockets, timers): (Vec<_>, Vec<_>) = waiting.into_iter().partition(|(conn, _)| conn.is_some());
        let (first, second) = if self.rng.chance(500) { (sockets, timers) } else { (timers, sockets) };
        // All before what comes from now on.
        for (conn, news) in first.into_iter().chain(second) {
            self.later(now, Due::Deliver(pid, conn, news));
        }
    }

    /// The process is gone. Its connections end with it, unless the whole host died: then nobody tells the server.
    pub(crate) fn kill(&mut self, pid: usize, with_host: bool) {
        self.coverage.see(if with_host { "fault: host dies" } else { "fault: process killed" });
        self.note(|| format!("!! p{pid} killed, with its host: {with_host}"));
        let process = &mut self.processes[pid];
        process.alive = false;
        process.asked.clear();
        process.inbox.clear();
        process.mail.inbox = None;
        self.release_disk(pid, true);
        for conn in 0..self.conns.len() {
            if self.conns[conn].pid == pid && self.conns[conn].client_open {
                self.conns[conn].client_open = false;
                if !with_host {
                    self.send_up(conn, Job::Close);
                }
            }
        }
    }

    /// Nothing passes between this process and any server for a while.
    pub(crate) fn black_hole(&mut self, pid: usize, length: Time, presence_only: bool) {
        let until = self.now + length;
        self.coverage.see(if presence_only { "fault: black hole, presence only" } else { "fault: black hole" });
        self.note(|| format!("!! p{pid} black hole for {} ms, presence only: {presence_only}", length / MS));
        let process = &mut self.processes[pid];
        process.hurt = process.hurt.max(until);
        if !presence_only {
            process.hole_until = process.hole_until.max(until);
        }
        for conn in self.conns.iter_mut().filter(|c| c.pid == pid && c.client_open) {
            if !presence_only || matches!(conn.kind, Kind::Presence(_)) {
                conn.hole_until = conn.hole_until.max(until);
            }
        }
    }

    pub(crate) fn is_member(&self, pid: usize) -> bool {
        self.processes[pid].alive && matches!(self.processes[pid].node.standing(), Standing::Member(_))
    }

    pub(crate) fn leads(&self, pid: usize) -> bool {
        let process = &self.processes[pid];
        process.alive && process.node.leads(self.hosts[process.host].clock.read(self.now))
    }
}
