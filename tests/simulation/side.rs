//! Calls that a process makes beside its node: for its clients' messages, leases and tasks.
//!
//! 1. They travel like the node's own calls, and may be lost like them.
//!
//! Not here: what is made of the answers (`messages.rs` and its siblings).

use crate::clock::MS;
use crate::network::{Job, Kind, News};
use crate::world::{Due, World};
use clawster::cluster::node::Ticket;
use clawster::cluster::protocol::{Call, Fault, Reply, ServerId};
use clawster::cluster::time::Moment;
use std::time::Duration;

/// How long a call, and the opening of a connection, may take.
pub(crate) const DEADLINE: Duration = Duration::from_secs(2);

/// What a call was for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Publish,
    DataSet,
    Acknowledge,
    Lease(u64),
    Once(u64),
    Submit(u64),
    Claim,
    Settle(u64),
    Change,
    List,
    Push,
}

impl World {
    pub(crate) fn side_call(&mut self, pid: usize, side: Side, call: Call) {
        self.sides += 1;
        // Far from the node's own tickets, and from those of clients.
        let ticket = Ticket((1 << 50) + self.sides);
        self.processes[pid].side.insert(ticket, side);
        self.send_call(pid, ticket, call);
    }

    /// Sends a call; its answer, or that there is none, will be delivered.
    pub(crate) fn send_call(&mut self, pid: usize, ticket: Ticket, call: Call) {
        let clock = self.hosts[self.processes[pid].host].clock;
        let sent = clock.read(self.now);
        let conn = self.processes[pid].calls.or_else(|| self.connect(pid, Kind::Calls));
        self.processes[pid].calls = conn;
        let Some(conn) = conn else {
            let fault = Fault::Unavailable("connection refused".to_owned());
            self.processes[pid].pending.insert(ticket, (sent, usize::MAX));
            let news = News::Answer(ticket, Box::new(Err(fault)));
            let at = self.now + self.rng.range(100, 2000);
            self.later(at, Due::Deliver(pid, None, news));
            return;
        };
        self.processes[pid].pending.insert(ticket, (sent, conn));
        self.later(clock.when(sent + DEADLINE), Due::Deliver(pid, None, News::CallLate(ticket)));
        let weather = self.weather;
        if self.rng.chance(weather.lost_requests) {
            self.coverage.see("fault: request lost");
            self.note(|| format!("   p{pid} request lost {call:?}"));
        } else {
            self.send_up(conn, Job::Call(ticket, call));
        }
    }

    pub(crate) fn side_answered(
        &mut self,
        pid: usize,
        side: Side,
        _sent: Moment,
        outcome: Result<(Reply, ServerId), Fault>,
    ) {
        let (outcome, server) = match outcome {
            Ok((reply, server)) => (Ok(reply), Some(server)),
            Err(fault) => (Err(fault), None),
        };
        match side {
            Side::Publish => self.published(pid, outcome),
            Side::DataSet => self.data_set_told(pid, outcome),
            // The next beat carries it.
            Side::Acknowledge | Side::Change | Side::Push => {}
            Side::Lease(id) => self.lease_answered(pid, id, outcome.map(|reply| (reply, server.unwrap_or_default()))),
            Side::Once(id) => self.once_answered(pid, id, outcome),
            Side::Submit(id) => self.submit_answered(pid, id, outcome),
            Side::Claim => self.claim_answered(pid, outcome),
            Side::Settle(id) => self.settle_answered(pid, id, outcome),
            Side::List => self.listed(pid, outcome),
        }
    }
}

/// The pause before something that could not be done is tried again.
pub(crate) const AGAIN: u64 = 100 * MS;
