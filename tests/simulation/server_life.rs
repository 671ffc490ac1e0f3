//! What happens to the primary as a whole: pauses, restarts, a replica's promotion, the loss of all data.
//!
//! 1. A server process that takes another one's place has an identity of its own.
//!
//! Not here: when it happens (`faults.rs`), what the processes make of a connection that ends (`process.rs`).

use crate::clock::{MS, Time};
use crate::network::{Kind, News};
use crate::server::Server;
use crate::world::{Due, World};
use clawster::cluster::protocol::ServerId;
use testkit::memory::MemoryState;

impl World {
    pub(crate) fn pause_server(&mut self, length: Time) {
        let sid = self.primary;
        if self.servers[sid].alive {
            self.coverage.see("fault: server stopped");
            self.servers[sid].paused_until = self.now + length;
            self.later(self.now + length, Due::ResumeServer(sid));
            self.note(|| format!("!! s{sid} paused for {} ms", length / MS));
        }
    }

    pub(crate) fn resume_server(&mut self, sid: usize) {
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

    pub(crate) fn start_server_again(&mut self) {
        let sid = self.primary;
        self.servers[sid].alive = true;
        self.note(|| format!("!! s{sid} is there"));
    }

    fn stop_server(&mut self, sid: usize) {
        self.servers[sid].alive = false;
        self.servers[sid].backlog.clear();
        for conn in self.open_conns(sid) {
            self.conns[conn].server_open = false;
            self.conns[conn].waiting = None;
            self.conns[conn].channels.clear();
            self.send_down(conn, News::Lost);
        }
    }

    /// A replica, stale or not, becomes the primary; the old one answers what only reads, and pings.
    pub(crate) fn promote(&mut self, data: MemoryState, old_stops: bool) {
        let old = self.primary;
        let next = self.servers.len();
        let ahead = self.rng.range(0, 100);
        self.jumped += ahead * MS;
        let clock = self.servers[old].clock + i64::try_from(ahead).unwrap_or(0) - 50;
        let state = data.fork(self.next_server_id(next));
        self.servers[old].read_only = true;
        // A server that becomes a replica ends the reads that block on it.
        for conn in self.open_conns(old) {
            if matches!(self.conns[conn].kind, Kind::Follow | Kind::Read) {
                self.send_down(conn, News::Lost);
                self.server_closes(conn);
            }
        }
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
        self.flushed = self.flushed.max(server.told.0);
        server.told = Default::default();
        self.note(|| "!! FLUSHALL".to_owned());
    }
}
