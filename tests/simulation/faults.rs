//! What goes wrong, when, and that it ends.

use crate::clock::{MS, SECOND, Time};
use crate::network::Kind;
use crate::side::Side;
use crate::world::{CALM, Due, Weather, World};
use clawster::cluster::ids::{EventSeq, MessageSeq, NodeId, Term};
use clawster::cluster::node::{JoinRequest, Request, Standing};
use clawster::cluster::protocol::{Call, PushSettings, ServerId};
use testkit::memory::MemoryState;

impl World {
    fn some_process(&mut self) -> Option<usize> {
        let alive: Vec<usize> = (0..self.processes.len()).filter(|pid| self.processes[*pid].alive).collect();
        // Leaders are worth more trouble than others.
        let leader = alive.iter().copied().find(|pid| self.leads(*pid));
        if let Some(leader) = leader.filter(|_| self.rng.chance(400)) {
            return Some(leader);
        }
        (!alive.is_empty()).then(|| alive[self.rng.below(alive.len())])
    }

    /// A length that matters: around the grace, around the lease, or anything between.
    fn some_time(&mut self) -> Time {
        let (grace, lease) = (self.grace(), self.lease());
        match self.rng.below(5) {
            0 => self.rng.range(MS, 50 * MS),
            1 => self.rng.range(grace / 2, grace * 3 / 2),
            2 => self.rng.range(grace, 4 * grace),
            3 => self.rng.range(lease / 2, lease * 3 / 2),
            _ => self.rng.range(MS, lease),
        }
    }

    /// One fault, and the plan for the next.
    pub(crate) fn fault(&mut self) {
        if self.now >= self.faults_until {
            return;
        }
        let pause = match self.rng.below(4) {
            0 => self.rng.range(0, 100 * MS),
            1 => self.rng.range(0, 2 * SECOND),
            _ => self.rng.range(0, self.lease() / 2),
        };
        self.later(self.now + pause, Due::Fault);
        // Both copies of the data lag behind by the time of a fault or two.
        let (primary, now) = (self.primary, self.now);
        let server = &mut self.servers[primary];
        if self.rng.chance(500) {
            server.replica = server.state.clone();
            server.replica_at = now;
        }
        if self.rng.chance(700) {
            server.disk = server.state.clone();
            server.disk_at = now;
        }
        match self.rng.below(23) {
            22 if !self.timers.is_empty() => {
                let at = self.rng.below(self.timers.len());
                self.timers[at].off = !self.timers[at].off;
                self.coverage.see("fault: a timer stops or goes on");
            }
            20 | 21 => {
                let length = self.some_time();
                self.fault_of_a_wrapper(length);
            }
            0..=3 => self.fault_of_a_process(),
            4..=5 => self.fault_of_a_connection(),
            6..=9 => self.fault_of_the_server(),
            10..=11 => self.fault_of_the_network(),
            12 if self.setup.mixed && self.rng.chance(500) => self.push_settings(),
            12 => self.clock_jumps(),
            _ => self.client_asks(),
        }
    }

    fn fault_of_a_process(&mut self) {
        let Some(pid) = self.some_process() else { return };
        let length = self.some_time();
        match self.rng.below(4) {
            0 | 1 => self.pause(pid, length),
            2 => {
                let with_host = self.rng.chance(200);
                let host = self.processes[pid].host;
                self.kill(pid, with_host);
                let length = if self.rng.chance(500) { length / 20 } else { length };
                self.later(self.now + length, Due::StartProcess(host));
            }
            _ => {
                let twins = self.processes.iter().filter(|p| p.alive).count() > self.hosts.len();
                if !twins && self.rng.chance(300) {
                    let (host, other) = (self.rng.below(self.hosts.len()), self.rng.below(self.hosts.len()));
                    self.coverage.see("fault: impostor");
                    self.start(host, Some(other));
                }
            }
        }
    }

    fn fault_of_a_connection(&mut self) {
        let Some(pid) = self.some_process() else { return };
        let length = self.some_time();
        match self.rng.below(4) {
            0 => self.black_hole(pid, length, false),
            1 => self.black_hole(pid, length, true),
            2 => {
                if let Some(conn) = self.processes[pid].presence {
                    self.coverage.see("fault: presence cut");
                    self.note(|| format!("!! p{pid} presence cut"));
                    self.cut(conn);
                }
            }
            _ => {
                if let Some(conn) = self.processes[pid].calls {
                    self.coverage.see("fault: calls cut");
                    self.note(|| format!("!! p{pid} calls cut"));
                    self.cut(conn);
                }
            }
        }
    }

    fn fault_of_the_server(&mut self) {
        let length = self.some_time();
        let sid = self.primary;
        if !self.servers[sid].alive {
            return;
        }
        let kind = if self.clock_goes_back { self.rng.below(4) } else { self.rng.below(8) };
        match kind {
            0..=2 => self.pause_server(length),
            3 => {
                self.coverage.see("fault: server restarts with its data");
                let data = self.servers[sid].state.clone();
                self.restart_server(data, length / 10, true);
            }
            4 => {
                self.coverage.see("fault: server restarts without its newest data");
                let data = self.servers[sid].disk.clone();
                self.forget_behind(&data);
                self.work_lost(self.servers[sid].disk_at);
                self.restart_server(data, length / 10, true);
            }
            // A primary that loses everything while its predecessor still answers pings is one failure more than is promised.
            5 if self.demoted_at.is_some_and(|at| self.now < at + 2 * self.lease()) => {}
            5 => {
                self.coverage.see("fault: server restarts empty");
                self.streams.data_set_lost();
                self.work_lost(0);
                self.restart_server(MemoryState::new(ServerId::default()), length / 10, false);
            }
            6 => {
                self.coverage.see("fault: FLUSHALL");
                self.streams.data_set_lost();
                self.work_lost(0);
                self.flush();
            }
            _ => {
                let data = self.servers[sid].replica.clone();
                self.forget_behind(&data);
                self.work_lost(self.servers[sid].replica_at);
                let old_stops = self.rng.chance(300);
                self.coverage.see(if old_stops {
                    "fault: promotion"
                } else {
                    "fault: promotion, the old primary answers pings"
                });
                self.promote(data, old_stops);
            }
        }
    }

    /// What was granted, submitted and done later than this is open again.
    fn work_lost(&mut self, since: Time) {
        self.losses.push(self.now);
        self.leases_lost();
        self.tasks_lost(since);
    }

    fn forget_behind(&mut self, data: &MemoryState) {
        let last = data.events(EventSeq(0), usize::MAX).last().map(|e| e.seq.0);
        let now = self.servers[self.primary].told.0.max(self.flushed);
        if last.unwrap_or(0) < now {
            self.checks.tail_lost = true;
        }
        self.checks.forgotten(last.unwrap_or(0));
        let last = data.messages(MessageSeq(0), usize::MAX).last().map_or(0, |entry| entry.last.0);
        self.streams.forgotten(last);
    }

    fn fault_of_the_network(&mut self) {
        let lossy = self.rng.chance(400);
        self.weather = match self.rng.below(3) {
            0 => CALM,
            1 => Weather { latency: self.rng.range(MS, self.grace() / 2), ..CALM },
            _ if lossy => Weather {
                latency: self.rng.range(MS, 20 * MS),
                lost_requests: self.rng.range(0, 200),
                lost_answers: self.rng.range(0, 300),
            },
            _ => Weather { lost_answers: self.rng.range(0, 100), ..CALM },
        };
        self.everybody_is_hurt();
        let weather = self.weather;
        self.coverage.see(match weather {
            Weather { lost_requests: 0, lost_answers: 0, latency: 800 } => "fault: the network is well again",
            Weather { lost_requests: 0, lost_answers: 0, .. } => "fault: slow network",
            _ => "fault: lossy network",
        });
        self.note(|| format!("!! {weather:?}"));
    }

    fn everybody_is_hurt(&mut self) {
        let until = if self.weather.lost_requests > 0 || self.weather.lost_answers > 0 || self.weather.latency > 800 {
            self.faults_until
        } else {
            self.now
        };
        for process in &mut self.processes {
            process.hurt = process.hurt.max(until);
        }
    }

    /// Somebody runs `config push` on a host.
    fn push_settings(&mut self) {
        let Some(pid) = self.some_process() else { return };
        let host = &self.hosts[self.processes[pid].host];
        let (known, wanted) = (host.remembered.map_or(0, |known| known.version), Some(host.file));
        self.coverage.see("asked: config push");
        self.note(|| format!("!! p{pid} pushes {wanted:?}"));
        self.side_call(pid, Side::Push, Call::Settings(PushSettings { known, wanted }));
    }

    fn clock_jumps(&mut self) {
        // Numbers lost with the data, known to nobody who lives, and a clock that went back: then nothing is left to tell
        // which numbers were used. A run has the one or the other.
        let back = if self.clock_goes_back { 100_000 } else { 0 };
        let by = i64::try_from(self.rng.range(0, 200_000)).unwrap_or(0) - back;
        self.servers[self.primary].clock += by;
        let ahead = u64::try_from(by).unwrap_or(0) * MS;
        self.jumped += ahead;
        self.jumps.push((self.now, ahead));
        self.coverage.see(if by < 0 { "fault: server clock jumps back" } else { "fault: server clock jumps ahead" });
        self.note(|| format!("!! server clock jumps by {by} ms"));
    }

    fn client_asks(&mut self) {
        let Some(pid) = self.some_process() else { return };
        let host = self.processes[pid].host;
        let other = self.hosts[self.rng.below(self.hosts.len())].id.clone();
        let request = match self.rng.below(15) {
            12 | 13 => Request::Drain(self.rng.chance(600)),
            14 => Request::Resign(self.processes[pid].node.leadership().map_or(Term(1), |held| held.term)),
            0 | 1 => Request::Elect { candidate: None, force: true },
            2 | 3 => Request::Elect { candidate: Some(other), force: true },
            4 => Request::Elect { candidate: None, force: false },
            5 => Request::Leave,
            6 | 7 => Request::Join(JoinRequest::default()),
            8 => {
                let name = format!("n{host}r{}", self.rng.below(3));
                Request::Join(self.rename_ask(pid, NodeId::new(name).expect("an id")))
            }
            9 => {
                let force = JoinRequest { force: true, ..JoinRequest::default() };
                self.rivals_are_hurt(pid);
                Request::Join(force)
            }
            _ => Request::Beat,
        };
        self.coverage.see(match &request {
            Request::Elect { force: true, .. } => "asked: forced election",
            Request::Elect { .. } => "asked: election",
            Request::Leave => "asked: leave",
            Request::Join(ask) if ask.force => "asked: forced join",
            Request::Join(ask) if ask.node_id.is_some() => "asked: rename",
            Request::Join(_) => "asked: join",
            Request::Beat => "asked: beat",
            Request::Drain(true) => "asked: drain",
            Request::Drain(false) => "asked: end of a drain",
            Request::Resign(_) => "asked: resign",
        });
        self.ask(pid, request);
    }

    /// Nothing passes between this process and any server, but on its presence connection, for a while.
    pub(crate) fn black_hole_but_presence(&mut self, pid: usize, length: Time) {
        let until = self.now + length;
        let process = &mut self.processes[pid];
        process.hurt = process.hurt.max(until);
        process.hole_until = until;
        for conn in self.conns.iter_mut().filter(|c| c.pid == pid && c.client_open) {
            if !matches!(conn.kind, Kind::Presence(_)) {
                conn.hole_until = until;
            }
        }
    }

    /// A forced join may meet a row that it ends; whoever holds it is declared gone with reason.
    fn rivals_are_hurt(&mut self, pid: usize) {
        let id = self.processes[pid].node.node_id().clone();
        let now = self.now;
        for process in self.processes.iter_mut().filter(|p| *p.node.node_id() == id) {
            process.hurt = process.hurt.max(now);
        }
    }

    /// Everything that was done to the world is undone.
    pub(crate) fn heal(&mut self) {
        self.note(|| "!! everything heals".to_owned());
        self.weather = CALM;
        let now = self.now;
        self.healed = Some(now);
        self.timers.iter_mut().for_each(|timer| timer.off = false);
        for at in 0..self.wrappers.len() {
            let wrapper = &mut self.wrappers[at];
            wrapper.hole_until = wrapper.hole_until.min(now);
            if wrapper.alive && wrapper.paused_until > now {
                wrapper.paused_until = now;
                self.later(now, Due::ResumeWrapper(at));
            }
        }
        for conn in &mut self.conns {
            conn.hole_until = conn.hole_until.min(now);
        }
        let primary = self.primary;
        if self.servers[primary].paused_until > now {
            self.servers[primary].paused_until = now;
            self.later(now, Due::ResumeServer(primary));
        }
        for pid in 0..self.processes.len() {
            let process = &mut self.processes[pid];
            process.hole_until = process.hole_until.min(now);
            if process.alive && process.paused_until > now {
                process.paused_until = now;
                self.later(now, Due::ResumeProcess(pid));
            }
        }
    }

    /// Clients ask nodes whose id has no member to join.
    pub(crate) fn ask_the_missing(&mut self) {
        for pid in 0..self.processes.len() {
            let drains = self.is_member(pid) && self.processes[pid].node.drains();
            if drains && self.processes[pid].asked.is_empty() {
                self.ask(pid, Request::Drain(false));
            }
            let id = self.processes[pid].node.node_id().clone();
            let waits = !self.processes[pid].asked.is_empty();
            let held = (0..self.processes.len())
                .any(|other| self.is_member(other) && *self.processes[other].node.node_id() == id);
            let out = matches!(self.processes[pid].node.standing(), Standing::Out | Standing::Refused(_));
            if self.processes[pid].alive && out && !held && !waits {
                self.ask(pid, Request::Join(JoinRequest::default()));
            }
        }
    }
}
