//! The world: one queue of what happens, true time, servers, processes and the connections between them.
//!
//! 1. A seed decides everything; the same seed gives the same run.
//! 2. After every step of a process and every transition of a server, the checks look (`checks.rs`).
//!
//! Not here: what a process does with its effects (`process.rs`), which faults happen when (`faults.rs`).

use crate::brief;
use crate::checks::Checks;
use crate::clock::{Clock, MS, SECOND, Time, micros};
use crate::network::{Conn, ConnId, Job, Kind, News};
use crate::process::Process;
use crate::rng::Rng;
use crate::server::Server;
use clawster::cluster::ids::NodeId;
use clawster::cluster::protocol::{Call, Fault, Numbers, Reply, ServerId};
use clawster::cluster::settings::{LeaderSettings, Retry, Timing};
use clawster::store::Notice;
use clawster::store::memory::{Channel, MemoryState};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

/// Something that will happen.
#[derive(Debug)]
pub(crate) enum Due {
    Arrive(ConnId, Job),
    /// News for a process, over a connection or of its own.
    Deliver(usize, Option<ConnId>, News),
    ResumeProcess(usize),
    ResumeServer(usize),
    StartProcess(usize),
    StartServer,
    /// The next random fault.
    Fault,
}

/// A host: what outlives its processes.
#[derive(Debug)]
pub(crate) struct Host {
    pub(crate) id: NodeId,
    pub(crate) clock: Clock,
    pub(crate) known: Numbers,
    pub(crate) starts: u64,
    pub(crate) candidate: bool,
}

/// How the network is at the moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Weather {
    /// The longest ordinary latency, in microseconds.
    pub(crate) latency: u64,
    /// Of a thousand calls, how many lose their request, and how many their answer.
    pub(crate) lost_requests: u64,
    pub(crate) lost_answers: u64,
}

pub(crate) const CALM: Weather = Weather { latency: 800, lost_requests: 0, lost_answers: 0 };

/// What a run is made of.
#[derive(Debug, Clone)]
pub(crate) struct Setup {
    pub(crate) nodes: usize,
    pub(crate) timing: Timing,
    pub(crate) leader: LeaderSettings,
    /// Every clock runs true.
    pub(crate) true_clocks: bool,
}

/// What a control experiment does wrong, so that the checks can be seen to catch it.
#[derive(Default, Clone, Copy)]
pub(crate) struct Wrong {
    /// Changes a process's call before the server sees it.
    pub(crate) call: Option<fn(&World, usize, &mut Call)>,
    /// Changes the answer to a process.
    pub(crate) reply: Option<fn(&World, usize, &mut Reply)>,
    /// The stall guard steps in at a quarter of the TTL.
    pub(crate) stall_at_quarter: bool,
    /// A server process has the identity of the one before.
    pub(crate) same_server_id: bool,
    /// A candidate acquires as soon as the server's clock says that the lease is over.
    pub(crate) acquire_by_server_clock: bool,
}

pub(crate) struct World {
    pub(crate) wrong: Wrong,
    /// Calls whose answer is lost, as often as the number says.
    pub(crate) swallow: Option<(fn(&Call) -> bool, u32)>,
    pub(crate) now: Time,
    pub(crate) rng: Rng,
    pub(crate) setup: Setup,
    pub(crate) retry: Retry,
    pub(crate) servers: Vec<Server>,
    pub(crate) primary: usize,
    pub(crate) hosts: Vec<Host>,
    pub(crate) processes: Vec<Process>,
    pub(crate) conns: Vec<Conn>,
    pub(crate) weather: Weather,
    pub(crate) checks: Checks,
    pub(crate) trace: Option<Vec<String>>,
    pub(crate) faults_until: Time,
    pub(crate) clients: u64,
    /// The server's clock may jump back, but no data are lost.
    pub(crate) clock_goes_back: bool,
    /// When calls were lost last.
    pub(crate) lossy_at: Time,
    /// When a primary was demoted that still answers pings.
    pub(crate) demoted_at: Option<Time>,
    queue: BinaryHeap<Reverse<(Time, u64)>>,
    items: BTreeMap<u64, Due>,
    sequence: u64,
}

impl World {
    pub(crate) fn new(seed: u64, setup: Setup, traced: bool) -> Self {
        let mut rng = Rng::new(seed);
        let hosts = (0..setup.nodes)
            .map(|at| {
                let rate = if setup.true_clocks { SECOND } else { rng.range(950_000, 1_050_001) };
                let candidate = at < 2 || !rng.chance(150);
                let clock = Clock { offset: rng.range(1, 100_000 * SECOND), rate };
                let id = NodeId::new(format!("n{at}")).expect("an id");
                Host { id, clock, known: Numbers::default(), starts: 0, candidate }
            })
            .collect();
        Self {
            wrong: Wrong::default(),
            swallow: None,
            now: 0,
            rng,
            servers: vec![Server::new(MemoryState::new(ServerId("s0".to_owned())), 0)],
            primary: 0,
            hosts,
            processes: Vec::new(),
            conns: Vec::new(),
            weather: CALM,
            checks: Checks::new(setup.leader.mode),
            trace: traced.then(Vec::new),
            faults_until: 0,
            clients: 1 << 40,
            clock_goes_back: seed % 4 == 1,
            lossy_at: 0,
            demoted_at: None,
            queue: BinaryHeap::new(),
            items: BTreeMap::new(),
            sequence: 0,
            retry: Retry::default(),
            setup,
        }
    }

    pub(crate) fn note(&mut self, what: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            let at = self.now;
            trace.push(format!("{:>5}.{:06} {}", at / SECOND, at % SECOND, what()));
        }
    }

    pub(crate) fn later(&mut self, at: Time, due: Due) {
        self.sequence += 1;
        self.queue.push(Reverse((at.max(self.now), self.sequence)));
        self.items.insert(self.sequence, due);
    }

    /// Lets everything happen up to `until`.
    pub(crate) fn run_until(&mut self, until: Time) {
        while let Some(Reverse((at, key))) = self.queue.peek().copied() {
            if at > until {
                break;
            }
            self.queue.pop();
            self.now = at;
            if let Some(due) = self.items.remove(&key) {
                self.happen(due);
            }
        }
        self.now = until;
    }

    /// Lets time pass until a condition holds; the deadline is an error.
    pub(crate) fn run_while(&mut self, limit: Time, what: &str, mut wait: impl FnMut(&mut Self) -> bool) {
        let end = self.now + limit;
        while wait(self) {
            assert!(self.now < end, "{what}: not within {} ms\n{}", limit / MS, self.tail());
            let next = self.queue.peek().map_or(end, |Reverse((at, _))| (*at).min(end));
            self.run_until(next);
        }
    }

    /// The end of the trace, for a message of failure.
    pub(crate) fn tail(&self) -> String {
        let all = self.trace.as_deref().unwrap_or(&[]);
        let lines = std::env::var("CLAWSTER_TRACE").ok().and_then(|n| n.parse().ok()).unwrap_or(80);
        all[all.len().saturating_sub(lines)..].join("\n")
    }

    fn happen(&mut self, due: Due) {
        match due {
            Due::Arrive(conn, job) => self.arrive(conn, job),
            Due::Deliver(pid, conn, news) => self.deliver(pid, conn, news),
            Due::ResumeProcess(pid) => self.resume_process(pid),
            Due::ResumeServer(sid) => self.resume_server(sid),
            Due::StartProcess(host) => self.start(host, None),
            Due::StartServer => self.start_server_again(),
            Due::Fault => self.fault(),
        }
    }

    fn latency(&mut self) -> Time {
        let slow = self.rng.chance(5);
        let most = if slow { self.weather.latency * 20 } else { self.weather.latency };
        self.rng.range(50, most.max(51))
    }

    pub(crate) fn connect(&mut self, pid: usize, kind: Kind) -> Option<ConnId> {
        let server = self.primary;
        if !self.servers[server].alive {
            return None;
        }
        let hole_until = self.processes[pid].hole_until;
        self.conns.push(Conn {
            pid,
            server,
            kind,
            client_open: true,
            server_open: true,
            up: false,
            last_up: 0,
            last_down: 0,
            hole_until,
            channels: Vec::new(),
            followed: None,
            ping: None,
        });
        Some(self.conns.len() - 1)
    }

    pub(crate) fn send_up(&mut self, conn: ConnId, job: Job) {
        let latency = self.latency();
        let c = &mut self.conns[conn];
        let at = (self.now.max(c.hole_until) + latency).max(c.last_up + 1);
        c.last_up = at;
        self.later(at, Due::Arrive(conn, job));
    }

    pub(crate) fn send_down(&mut self, conn: ConnId, news: News) {
        let latency = self.latency();
        let c = &mut self.conns[conn];
        if !c.server_open && !matches!(news, News::Lost) {
            return;
        }
        let at = (self.now.max(c.hole_until) + latency).max(c.last_down + 1);
        c.last_down = at;
        let pid = c.pid;
        self.later(at, Due::Deliver(pid, Some(conn), news));
    }

    fn arrive(&mut self, conn: ConnId, job: Job) {
        let c = &self.conns[conn];
        let server = &mut self.servers[c.server];
        if !c.server_open || !server.alive {
            return;
        }
        if server.paused_until > self.now {
            server.backlog.push((conn, job));
            return;
        }
        self.serve(conn, job);
    }

    fn serve(&mut self, conn: ConnId, job: Job) {
        if !self.conns[conn].server_open {
            return;
        }
        let sid = self.conns[conn].server;
        match job {
            Job::Call(ticket, call) => self.serve_call(conn, sid, ticket, &call),
            Job::Subscribe(channel) => {
                self.servers[sid].state.subscribe(&channel);
                self.conns[conn].channels.push(channel.clone());
                match (channel, self.conns[conn].kind.clone()) {
                    (Channel::Presence(nonce), _) => self.send_down(conn, News::Up(nonce)),
                    (Channel::Leader, Kind::Presence(nonce)) => self.send_down(conn, News::Held(nonce)),
                    _ => {}
                }
            }
            Job::Unsubscribe(channel) => {
                if let Some(at) = self.conns[conn].channels.iter().position(|held| *held == channel) {
                    self.conns[conn].channels.remove(at);
                    self.servers[sid].state.unsubscribe(&channel);
                }
            }
            Job::Ping(sent) => {
                if let Kind::Presence(nonce) = self.conns[conn].kind.clone() {
                    self.send_down(conn, News::Pong(nonce, sent));
                }
            }
            Job::Follow(after) => {
                self.conns[conn].followed = Some(after);
                self.tell_follower(conn);
            }
            Job::Close => self.server_closes(conn),
        }
    }

    pub(crate) fn server_closes(&mut self, conn: ConnId) {
        let sid = self.conns[conn].server;
        self.conns[conn].server_open = false;
        for channel in std::mem::take(&mut self.conns[conn].channels) {
            self.servers[sid].state.unsubscribe(&channel);
        }
    }

    fn serve_call(&mut self, conn: ConnId, sid: usize, ticket: clawster::cluster::node::Ticket, call: &Call) {
        let now = self.now;
        let reads = matches!(call, Call::View(_) | Call::Watch);
        if self.servers[sid].read_only && !reads {
            let fault = Fault::Unavailable("this Redis is a read-only replica now".to_owned());
            self.send_down(conn, News::Answer(ticket, Box::new(Err(fault))));
            return;
        }
        let pid = self.conns[conn].pid;
        let mut call = call.clone();
        if let Some(change) = self.wrong.call {
            change(self, pid, &mut call);
        }
        let call = &call;
        let server = &mut self.servers[sid];
        let mut at = server.time(now);
        if self.wrong.stall_at_quarter {
            at = server.time_guarded(at, call, self.setup.timing.heartbeat_ttl);
        }
        let mut reply = server.state.apply(call, at);
        if self.wrong.acquire_by_server_clock {
            server.acquire_for(&self.processes[pid].node, &reply, at);
        }
        let id = server.state.server_id().clone();
        let notices = server.state.take_notices();
        if let Some(change) = self.wrong.reply {
            change(self, pid, &mut reply);
        }
        let dull = matches!(&reply, Reply::Sweep { leads: true, gone } if gone.is_empty());
        if !reads && !dull {
            self.note(|| format!("   s{sid} p{pid} {} -> {}", brief::call(call), brief::reply(&reply)));
        }
        self.checks.applied(call, &reply);
        self.look_at_events(sid);
        for notice in notices {
            self.publish(sid, notice);
        }
        if let Some((loses, left)) = &mut self.swallow
            && *left > 0
            && loses(call)
        {
            *left -= 1;
            self.note(|| format!("   s{sid} p{pid} answer swallowed"));
            return;
        }
        let weather = self.weather;
        if weather.lost_answers + weather.lost_requests > 0 {
            self.lossy_at = now;
        }
        if self.rng.chance(weather.lost_answers) {
            self.note(|| format!("   s{sid} p{pid} answer lost"));
            if self.rng.chance(500) {
                self.cut(conn);
            }
            return;
        }
        self.send_down(conn, News::Answer(ticket, Box::new(Ok((reply, id)))));
    }

    fn publish(&mut self, sid: usize, notice: Notice) {
        let listens = |c: &Conn| c.server == sid && c.server_open && !c.channels.is_empty();
        let all: Vec<ConnId> = (0..self.conns.len()).filter(|at| listens(&self.conns[*at])).collect();
        for conn in all {
            self.send_down(conn, News::Notice(notice));
        }
    }

    fn look_at_events(&mut self, sid: usize) {
        let server = &mut self.servers[sid];
        let events = server.state.events(server.told, usize::MAX);
        let Some(last) = events.last() else { return };
        server.told = last.seq;
        for event in &events {
            self.note(|| format!("** s{sid} {event:?}"));
        }
        self.check_events(&events);
        let follows = |c: &Conn| c.server == sid && c.server_open && c.kind == Kind::Follow;
        let all: Vec<ConnId> = (0..self.conns.len()).filter(|at| follows(&self.conns[*at])).collect();
        for conn in all {
            self.tell_follower(conn);
        }
    }

    fn tell_follower(&mut self, conn: ConnId) {
        let sid = self.conns[conn].server;
        let Some(after) = self.conns[conn].followed else { return };
        let events = self.servers[sid].state.events(after, usize::MAX);
        for event in events {
            self.conns[conn].followed = Some(event.seq);
            self.send_down(conn, News::Event(event));
        }
    }

    /// Ends a connection from the middle: both ends learn it as far as the network lets them.
    pub(crate) fn cut(&mut self, conn: ConnId) {
        self.send_up(conn, Job::Close);
        self.send_down(conn, News::Lost);
    }

    pub(crate) fn pause_server(&mut self, length: Time) {
        let sid = self.primary;
        if self.servers[sid].alive {
            self.servers[sid].paused_until = self.now + length;
            self.later(self.now + length, Due::ResumeServer(sid));
            self.note(|| format!("!! s{sid} paused for {} ms", length / MS));
        }
    }

    fn resume_server(&mut self, sid: usize) {
        if !self.servers[sid].alive || self.servers[sid].paused_until > self.now {
            return;
        }
        self.note(|| format!("!! s{sid} resumed"));
        // One connection's requests in order, the connections in any.
        let mut backlog = std::mem::take(&mut self.servers[sid].backlog);
        while !backlog.is_empty() {
            let conn = backlog[self.rng.below(backlog.len())].0;
            let at = backlog.iter().position(|(c, _)| *c == conn).expect("it is there");
            let (conn, job) = backlog.remove(at);
            self.serve(conn, job);
        }
    }

    /// The primary's process dies; another one takes its place after `gap`, with `data`.
    pub(crate) fn restart_server(&mut self, mut data: MemoryState, gap: Time, keep: bool) {
        let old = self.primary;
        self.stop_server(old);
        let next = self.servers.len();
        data.restart(self.next_server_id(next), keep);
        let clock = self.servers[old].clock;
        self.servers.push(Server { alive: false, ..Server::new(data, clock) });
        self.primary = next;
        self.later(self.now + gap, Due::StartServer);
        self.note(|| format!("!! s{old} dies, s{next} comes after {} ms, keep {keep}", gap / MS));
    }

    fn next_server_id(&self, next: usize) -> ServerId {
        if self.wrong.same_server_id {
            return self.servers[self.primary].state.server_id().clone();
        }
        ServerId(format!("s{next}"))
    }

    fn start_server_again(&mut self) {
        let sid = self.primary;
        self.servers[sid].alive = true;
        self.note(|| format!("!! s{sid} is there"));
    }

    fn stop_server(&mut self, sid: usize) {
        self.servers[sid].alive = false;
        self.servers[sid].backlog.clear();
        for conn in 0..self.conns.len() {
            if self.conns[conn].server == sid && self.conns[conn].server_open {
                self.conns[conn].server_open = false;
                self.conns[conn].channels.clear();
                self.send_down(conn, News::Lost);
            }
        }
    }

    /// A replica, stale or not, becomes the primary; the old one answers what only reads, and pings.
    pub(crate) fn promote(&mut self, data: MemoryState, old_stops: bool) {
        let old = self.primary;
        let next = self.servers.len();
        let clock = self.servers[old].clock + i64::try_from(self.rng.range(0, 100)).unwrap_or(0) - 50;
        let state = data.fork(self.next_server_id(next));
        self.servers[old].read_only = true;
        self.servers.push(Server::new(state, clock));
        self.primary = next;
        self.note(|| format!("!! s{next} promoted, s{old} read-only"));
        self.demoted_at = Some(self.now);
        if old_stops {
            self.demoted_at = None;
            self.stop_server(old);
        }
    }

    pub(crate) fn flush(&mut self) {
        let server = &mut self.servers[self.primary];
        server.state.flush();
        server.told = Default::default();
        self.note(|| "!! FLUSHALL".to_owned());
    }

    pub(crate) fn lease(&self) -> Time {
        micros(self.setup.timing.lease_ttl)
    }

    pub(crate) fn ttl(&self) -> Time {
        micros(self.setup.timing.heartbeat_ttl)
    }

    pub(crate) fn grace(&self) -> Time {
        micros(self.setup.leader.presence_grace)
    }
}
