//! The world: one queue of what happens, true time, servers, processes and the connections between them.
//!
//! 1. A seed decides everything; the same seed gives the same run.
//! 2. After every step of a process and every transition of a server, the checks look (`checks.rs`).
//!
//! Not here: what travels between them (`network.rs`), what a server makes of it (`serving.rs`) and a process (`process.rs`),
//! which faults happen when (`faults.rs`).

use crate::checks::Checks;
use crate::clock::{Clock, MS, SECOND, Time, micros};
use crate::coverage::Coverage;
use crate::disk::{Disk, DiskKey};
use crate::gossip::Heard;
use crate::lease_checks::Granted;
use crate::load::Load;
use crate::message_checks::Streams;
use crate::network::{Conn, ConnId, Job, News};
use crate::oneshot::Timer;
use crate::process::Process;
use crate::rng::Rng;
use crate::run::file;
use crate::server::Server;
use crate::task_checks::Tasks;
use crate::wrapper::Wrapper;
use clawster::cluster::ids::{LeaseName, NodeId};
use clawster::cluster::protocol::{Call, Numbers, Reply, ServerId};
use clawster::cluster::settings::{LeaderSettings, Retry, Shared, Timing, Versioned};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use testkit::memory::MemoryState;

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
    /// The next time that somebody hears of a term by gossip.
    Gossip,
    /// The next thing that a client does.
    Load,
    /// A read that waits for messages ends without any.
    ReadIsOver(ConnId, u64),
    StartWrapper(usize, LeaseName),
    ResumeWrapper(usize),
    /// The timer of a host without a running node goes off.
    Timer(usize),
    /// A guardian looks at its command, by its number.
    Guard(usize, u64),
    /// A command ends; whether it was asked to.
    CommandEnds(usize, u64, bool),
}

/// A host: what outlives its processes.
#[derive(Debug)]
pub(crate) struct Host {
    pub(crate) id: NodeId,
    pub(crate) clock: Clock,
    pub(crate) known: Numbers,
    /// The settings of the cluster that its processes have seen.
    pub(crate) remembered: Option<Versioned>,
    pub(crate) starts: u64,
    pub(crate) candidate: bool,
    /// What its file says of the cluster's settings.
    pub(crate) file: Shared,
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
    /// What clients do besides.
    pub(crate) load: Load,
    /// Each host has times of its own in its file.
    pub(crate) mixed: bool,
    /// The nodes hear of each other's terms past Redis.
    pub(crate) gossip: bool,
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
    /// The server's clock runs ahead with every call.
    pub(crate) fast_server: bool,
    /// Guardians end no command.
    pub(crate) guardians_sleep: bool,
    /// A candidate acquires as soon as the server's clock says that the lease is over.
    pub(crate) acquire_by_server_clock: bool,
    /// Nobody listens to gossip.
    pub(crate) deaf: bool,
}

/// Which answers are lost, and how many.
pub(crate) type Swallow = (fn(&Call) -> bool, u32);

pub(crate) struct World {
    pub(crate) wrong: Wrong,
    /// Calls whose answer is lost, as often as the number says.
    pub(crate) swallow: Option<Swallow>,
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
    pub(crate) heard: Heard,
    pub(crate) coverage: Coverage,
    pub(crate) disks: BTreeMap<DiskKey, Disk>,
    pub(crate) streams: Streams,
    /// How many messages clients gave, how many calls were made beside nodes, and how many reads waited.
    pub(crate) messages: u64,
    pub(crate) sides: u64,
    pub(crate) reads: u64,
    pub(crate) tasks: u64,
    pub(crate) commands: u64,
    pub(crate) wrappers: Vec<Wrapper>,
    pub(crate) timers: Vec<Timer>,
    pub(crate) granted: Granted,
    pub(crate) task_book: Tasks,
    /// How far the servers' clocks jumped forward in all.
    pub(crate) jumped: Time,
    /// The highest event that a server had told before it was emptied; a replica may not have it.
    pub(crate) flushed: u64,
    /// When they jumped, and how far forward.
    pub(crate) jumps: Vec<(Time, Time)>,
    /// When data were lost.
    pub(crate) losses: Vec<Time>,
    /// The data set that answered last.
    pub(crate) epoch: String,
    /// When the faults were over.
    pub(crate) healed: Option<Time>,
    pub(crate) trace: Option<Vec<String>>,
    pub(crate) faults_until: Time,
    pub(crate) clients: u64,
    /// The server's clock may jump back, but no data are lost.
    pub(crate) clock_goes_back: bool,
    /// When calls were lost last, or a word on a presence connection arrived that had taken longer than the grace.
    pub(crate) lossy_at: Time,
    /// When a primary was demoted that still answers pings.
    pub(crate) demoted_at: Option<Time>,
    queue: BinaryHeap<Reverse<(Time, u64)>>,
    items: BTreeMap<u64, Due>,
    sequence: u64,
}

impl World {
    pub(crate) fn new(seed: u64, setup: Setup, traced: bool) -> Self {
        let (mut rng, mut files) = (Rng::new(seed), Rng::new(seed ^ 0xF11E));
        let hosts = (0..setup.nodes)
            .map(|at| {
                let rate = if setup.true_clocks { SECOND } else { rng.range(950_000, 1_050_001) };
                let candidate = at < 2 || !rng.chance(150);
                let clock = Clock { offset: rng.range(1, 100_000 * SECOND), rate };
                let id = NodeId::new(format!("n{at}")).expect("an id");
                let file = file(&setup, &mut files);
                Host { id, clock, known: Numbers::default(), remembered: None, starts: 0, candidate, file }
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
            heard: Heard::new(seed),
            coverage: Coverage::default(),
            disks: BTreeMap::new(),
            streams: Streams::default(),
            messages: 0,
            sides: 0,
            reads: 0,
            tasks: 0,
            commands: 0,
            wrappers: Vec::new(),
            timers: Vec::new(),
            granted: Granted::default(),
            task_book: Tasks::default(),
            jumped: 0,
            flushed: 0,
            jumps: Vec::new(),
            losses: Vec::new(),
            epoch: String::new(),
            healed: None,
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
            Due::Gossip => self.gossip(),
            Due::Load => self.load(),
            Due::ReadIsOver(conn, number) => self.read_is_over(conn, number),
            Due::StartWrapper(host, name) => self.start_wrapper(host, &name),
            Due::ResumeWrapper(at) => self.resume_wrapper(at),
            Due::Timer(at) => self.timer(at),
            Due::Guard(at, number) => self.guard(at, number),
            Due::CommandEnds(at, number, asked) => self.command_ends(at, number, asked),
        }
    }

    /// The faults are over, and everything had a while to settle.
    pub(crate) fn calm(&self) -> bool {
        self.healed.is_some_and(|at| self.now > at + 5 * SECOND)
    }

    pub(crate) fn lease(&self) -> Time {
        micros(self.setup.timing.lease_ttl)
    }

    pub(crate) fn ttl(&self) -> Time {
        micros(self.setup.timing.heartbeat_ttl)
    }

    /// Whether the server's clock jumped forward several times within this time, together by more than the longest jump that counts as time.
    pub(crate) fn jumped_repeatedly(&self, within: Time) -> bool {
        let recent = || self.jumps.iter().filter(|(at, by)| at + within > self.now && *by > 0).map(|(_, by)| by);
        recent().count() > 1 && recent().sum::<Time>() > self.ttl() / 2
    }

    pub(crate) fn grace(&self) -> Time {
        micros(self.setup.leader.presence_grace)
    }
}
