//! Connections between processes and servers: in order, late, cut, or swallowed.
//!
//! 1. What is sent on one connection arrives in the order of sending; two connections know no order.
//! 2. A black hole delays like a network that retransmits: what was sent into it arrives when it ends, even when the sender
//!    gave up meanwhile.

use crate::clock::Time;
use crate::load::Wish;
use crate::oneshot::TIMERS;
use crate::world::{Due, World};
use crate::wrapper::WRAPPERS;
use clawster::cluster::event::ClusterEvent;
use clawster::cluster::ids::{EventSeq, MessageSeq, Nonce};
use clawster::cluster::lease::holder;
use clawster::cluster::node::{Effect, Input, Ticket};
use clawster::cluster::protocol::{Call, Entry, Fault, Reply, ServerId};
use clawster::cluster::time::Moment;
use clawster::store::Notice;
use testkit::memory::Channel;

/// The place of a connection in the world's list.
pub(crate) type ConnId = usize;

/// What a connection is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    Calls,
    Presence(Nonce),
    Follow,
    Read,
}

/// One connection.
#[derive(Debug, Clone)]
pub(crate) struct Conn {
    pub(crate) pid: usize,
    pub(crate) server: usize,
    pub(crate) kind: Kind,
    pub(crate) client_open: bool,
    pub(crate) server_open: bool,
    /// The subscription was confirmed.
    pub(crate) up: bool,
    /// When the last thing sent arrives, at the server and at the process.
    pub(crate) last_up: Time,
    pub(crate) last_down: Time,
    /// Nothing passes before.
    pub(crate) hole_until: Time,
    pub(crate) channels: Vec<Channel>,
    /// What a follower was sent last, once it said where it begins.
    pub(crate) followed: Option<EventSeq>,
    pub(crate) ping: Option<Moment>,
    /// A read of messages behind this position waits for some; the number tells it from others.
    pub(crate) waiting: Option<(MessageSeq, u64)>,
}

/// What a process asks of a server.
#[derive(Debug, Clone)]
pub(crate) enum Job {
    Call(Ticket, Call),
    Subscribe(Channel),
    Unsubscribe(Channel),
    Ping(Moment),
    Follow(EventSeq),
    /// What stands behind this position; whether it may wait for something.
    Read(MessageSeq, bool),
    Close,
}

/// What reaches a process.
#[derive(Debug, Clone)]
pub(crate) enum News {
    Answer(Ticket, Box<Result<(Reply, ServerId), Fault>>),
    Up(Nonce),
    Held(Nonce),
    Pong(Nonce, Moment),
    Notice(Notice),
    Event(ClusterEvent),
    /// Messages behind a position.
    Entries(MessageSeq, Vec<Entry>),
    /// The connection was closed by the server or the network.
    Lost,
    /// Deadlines of the process's own.
    CallLate(Ticket),
    PingLate(Nonce, Moment),
    OpenLate(Nonce),
    Reopen,
    PublishAgain,
    /// The store of its id may be free.
    StoreFree,
    LeaseOn(u64),
    OnceOn(u64),
    SubmitOn(u64),
    ClaimOn,
    SettleOn(u64),
    /// For a wrapper.
    Hold(Box<holder::Input>),
    ReadAgain,
    /// A client wants something.
    Wish(Wish),
    /// The process's own next step.
    Wake(u64),
    /// An effect of an earlier step is carried out.
    Perform(Box<Effect>),
    /// A client asks.
    Input(Box<Input>),
}

impl World {
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
        let hole_until = match pid.checked_sub(WRAPPERS) {
            _ if pid >= TIMERS => 0,
            Some(at) => self.wrappers[at].hole_until,
            None => self.processes[pid].hole_until,
        };
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
            waiting: None,
        });
        let conn = self.conns.len() - 1;
        self.servers[server].open.push(conn);
        Some(conn)
    }

    pub(crate) fn send_up(&mut self, conn: ConnId, job: Job) {
        let latency = self.latency();
        let c = &mut self.conns[conn];
        let at = (self.now.max(c.hole_until) + latency).max(c.last_up + 1);
        c.last_up = at;
        if matches!(c.kind, Kind::Presence(_)) && at > self.now + self.grace() {
            // Nobody can tell that from a dead process.
            self.lossy_at = self.lossy_at.max(at);
        }
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

    /// The connections of a server that are open.
    pub(crate) fn open_conns(&mut self, sid: usize) -> Vec<ConnId> {
        let conns = &self.conns;
        let open = &mut self.servers[sid].open;
        open.retain(|conn| conns[*conn].server_open);
        open.clone()
    }

    /// Ends a connection from the middle: both ends learn it as far as the network lets them.
    pub(crate) fn cut(&mut self, conn: ConnId) {
        self.send_up(conn, Job::Close);
        self.send_down(conn, News::Lost);
    }
}
