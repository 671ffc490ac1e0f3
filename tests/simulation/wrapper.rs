//! Processes that hold a lease by their own life and run a command for exactly as long: `run --lease`, on the real holder.
//!
//! 1. The guardian has its own clock and is never stopped with its wrapper: it ends the command by the last limits.
//! 2. A wrapper that is killed leaves its command to the guardian, which ends it at the last moment that is allowed.
//!
//! Not here: the rules (`clawster::cluster::lease::holder`), what must hold (`lease_checks.rs`).

use crate::clock::{MS, SECOND, Time, micros};
use crate::network::{ConnId, Job, Kind, News};
use crate::side::DEADLINE;
use crate::world::{Due, World};
use clawster::cluster::ids::{LeaseName, Nonce, Term};
use clawster::cluster::lease::holder::{Effect, End, Holder, Input, Limits, News as Told, Terms, Wait};
use clawster::cluster::node::Ticket;
use clawster::cluster::protocol::{Call, Fault, LeaseCall, Reply, ServerId};
use clawster::cluster::time::Moment;
use clawster::store::Notice;
use std::collections::VecDeque;
use std::time::Duration;
use testkit::memory::Channel;

/// Numbers of processes from here on are wrappers.
pub(crate) const WRAPPERS: usize = 1 << 32;

/// A command that runs.
#[derive(Debug)]
pub(crate) struct Command {
    pub(crate) token: Term,
    pub(crate) limits: Limits,
    pub(crate) number: u64,
    /// It was asked to end.
    pub(crate) asked: bool,
}

/// A wrapper, its guardian and its command.
pub(crate) struct Wrapper {
    pub(crate) host: usize,
    pub(crate) name: LeaseName,
    holder: Holder,
    pub(crate) alive: bool,
    pub(crate) paused_until: Time,
    pub(crate) hole_until: Time,
    pub(crate) waiting: VecDeque<(Option<ConnId>, News)>,
    pub(crate) calls: Option<ConnId>,
    pub(crate) presence: Option<ConnId>,
    pending: Option<(Ticket, Moment)>,
    wake: u64,
    pub(crate) command: Option<Command>,
    grace: Duration,
}

impl World {
    /// Starts a wrapper on a host.
    pub(crate) fn start_wrapper(&mut self, host: usize, name: &LeaseName) {
        let at = self.wrappers.len();
        let host_knows = self.hosts[host].remembered.map_or(self.hosts[host].file, |known| known.settings);
        let grace = host_knows.presence_grace;
        let ttl = grace.max(Duration::from_millis(self.rng.range(1000, 8000)));
        let wait = if self.rng.chance(150) { Wait::Not } else { Wait::Forever };
        let terms = Terms {
            name: name.clone(),
            node_id: self.hosts[host].id.clone(),
            ttl,
            grace,
            stop_timeout: grace,
            wait,
            exit_when_lost: self.rng.chance(200),
            random: Nonce::new(format!("w{at}")).expect("a nonce"),
        };
        self.wrappers.push(Wrapper {
            host,
            name: name.clone(),
            holder: Holder::new(terms),
            alive: true,
            paused_until: 0,
            hole_until: 0,
            waiting: VecDeque::new(),
            calls: None,
            presence: None,
            pending: None,
            wake: 0,
            command: None,
            grace,
        });
        self.note(|| format!("!! w{at} starts on host {host} for {name}"));
        self.wrapper_step(at, Input::Wake);
    }

    pub(crate) fn wrapper_deliver(&mut self, at: usize, conn: Option<ConnId>, news: News) {
        let wrapper = &mut self.wrappers[at];
        if !wrapper.alive {
            return;
        }
        if wrapper.paused_until > self.now {
            wrapper.waiting.push_back((conn, news));
            return;
        }
        if conn.is_some_and(|conn| !self.conns[conn].client_open) {
            return;
        }
        match news {
            News::Answer(ticket, outcome) => {
                if outcome.is_err() {
                    self.wrappers[at].calls = None;
                }
                self.wrapper_answered(at, ticket, *outcome);
            }
            News::CallLate(ticket) if self.wrappers[at].pending.is_some_and(|(own, _)| own == ticket) => {
                self.wrappers[at].calls = None;
                self.wrapper_answered(at, ticket, Err(Fault::Unavailable("no answer in time".to_owned())));
            }
            News::Up(nonce) => {
                if let Some(conn) = conn {
                    self.conns[conn].up = true;
                }
                self.wrapper_step(at, Input::PresenceUp(nonce));
            }
            News::Pong(nonce, sent) => {
                if let Some(conn) = conn {
                    self.conns[conn].ping = None;
                }
                self.wrapper_step(at, Input::Pong { nonce, sent });
            }
            News::PingLate(nonce, sent) => {
                let late = self.wrapper_presence(at, &nonce).filter(|conn| self.conns[*conn].ping == Some(sent));
                late.into_iter().for_each(|conn| self.wrapper_presence_lost(at, conn));
            }
            News::OpenLate(nonce) => {
                let late = self.wrapper_presence(at, &nonce).filter(|conn| !self.conns[*conn].up);
                late.into_iter().for_each(|conn| self.wrapper_presence_lost(at, conn));
            }
            News::Notice(Notice::Register) => self.wrapper_step(at, Input::CalledToRegister),
            News::Notice(Notice::Lease(ticket)) => {
                self.coverage.see("notice: a waiter is called");
                self.wrapper_step(at, Input::Called(ticket));
            }
            News::Notice(Notice::Drain) => {
                self.coverage.see("notice: a holder is told of the drain");
                self.wrapper_step(at, Input::Drained);
            }
            News::Lost => match conn.map(|conn| (conn, self.conns[conn].kind.clone())) {
                Some((conn, Kind::Calls)) => {
                    self.conns[conn].client_open = false;
                    if self.wrappers[at].calls == Some(conn) {
                        self.wrappers[at].calls = None;
                        if let Some((ticket, _)) = self.wrappers[at].pending {
                            self.wrapper_answered(at, ticket, Err(Fault::Unavailable("lost".to_owned())));
                        }
                    }
                }
                Some((conn, _)) => self.wrapper_presence_lost(at, conn),
                None => {}
            },
            News::Wake(number) if self.wrappers[at].wake == number => self.wrapper_step(at, Input::Wake),
            News::Hold(input) => self.wrapper_step(at, *input),
            _ => {}
        }
    }

    fn wrapper_presence(&self, at: usize, nonce: &Nonce) -> Option<ConnId> {
        self.wrappers[at].presence.filter(|conn| self.conns[*conn].kind == Kind::Presence(nonce.clone()))
    }

    fn wrapper_presence_lost(&mut self, at: usize, conn: ConnId) {
        if self.conns[conn].client_open {
            self.conns[conn].client_open = false;
            self.send_up(conn, Job::Close);
        }
        if self.wrappers[at].presence == Some(conn)
            && let Kind::Presence(nonce) = self.conns[conn].kind.clone()
        {
            self.wrappers[at].presence = None;
            self.wrapper_step(at, Input::PresenceDown(nonce));
        }
    }

    fn wrapper_answered(&mut self, at: usize, ticket: Ticket, outcome: Result<(Reply, ServerId), Fault>) {
        let Some((_, sent)) = self.wrappers[at].pending.take_if(|(own, _)| *own == ticket) else { return };
        let answer = match outcome {
            Ok((Reply::Lease(reply), server)) => Ok((reply, server)),
            Ok(_) => panic!("unexpected reply to a lease call"),
            Err(fault) => Err(fault),
        };
        self.wrapper_step(at, Input::Answered { sent, answer });
    }

    fn wrapper_step(&mut self, at: usize, input: Input) {
        let clock = self.hosts[self.wrappers[at].host].clock;
        let wrapper = &mut self.wrappers[at];
        if !wrapper.alive {
            return;
        }
        let told = self.trace.is_some().then(|| format!("{input:?}"));
        let effects = wrapper.holder.step(clock.read(self.now), input);
        wrapper.wake += 1;
        let wake = wrapper.wake;
        if let Some(due) = wrapper.holder.wake_at() {
            let when = clock.when(due).max(self.now + 1) + self.rng.range(0, 300);
            self.later(when, Due::Deliver(WRAPPERS + at, None, News::Wake(wake)));
        }
        if let Some(told) = told.filter(|told| told != "Wake" || !effects.is_empty()) {
            self.note(|| format!("   w{at} takes {told}, wants {effects:?}"));
        }
        for effect in effects {
            self.wrapper_does(at, effect);
        }
    }

    fn wrapper_does(&mut self, at: usize, effect: Effect) {
        let pid = WRAPPERS + at;
        let clock = self.hosts[self.wrappers[at].host].clock;
        let sent = clock.read(self.now);
        match effect {
            Effect::Call(call) => self.wrapper_calls(at, *call),
            Effect::OpenPresence(nonce) => {
                self.wrapper_closes(at);
                match self.connect(pid, Kind::Presence(nonce.clone())) {
                    Some(conn) => {
                        self.wrappers[at].presence = Some(conn);
                        let late = News::OpenLate(nonce.clone());
                        self.later(clock.when(sent + DEADLINE), Due::Deliver(pid, None, late));
                        self.send_up(conn, Job::Subscribe(Channel::Presence(nonce)));
                    }
                    None => {
                        let error = "connection refused".to_owned();
                        let input = Box::new(Input::PresenceRefused { nonce, error });
                        self.later(self.now + 1, Due::Deliver(pid, None, News::Hold(input)));
                    }
                }
            }
            Effect::ClosePresence => self.wrapper_closes(at),
            Effect::Ping(nonce, deadline) => {
                if let Some(conn) = self.wrapper_presence(at, &nonce) {
                    self.conns[conn].ping = Some(sent);
                    self.later(clock.when(sent + deadline), Due::Deliver(pid, None, News::PingLate(nonce, sent)));
                    self.send_up(conn, Job::Ping(sent));
                }
            }
            Effect::Start { token, limits } => {
                self.commands += 1;
                let number = self.commands;
                self.note(|| format!("== w{at} starts its command under {token}"));
                self.check_start(at, token);
                self.wrappers[at].command = Some(Command { token, limits, number, asked: false });
                // It ends by itself some time.
                let length = if self.rng.chance(300) { SECOND } else { 20 * SECOND };
                let end = self.now + self.rng.range(MS, length);
                if !self.wrong.guardians_sleep {
                    self.later(end, Due::CommandEnds(at, number, false));
                }
                self.guard(at, number);
            }
            Effect::Limit(limits) => {
                if let Some(command) = &mut self.wrappers[at].command {
                    command.limits = limits;
                }
            }
            Effect::Stop(within) => {
                if let Some(command) = &mut self.wrappers[at].command {
                    command.asked = true;
                    let number = command.number;
                    let end = self.now + self.rng.range(0, micros(within));
                    self.later(end, Due::CommandEnds(at, number, true));
                }
            }
            Effect::Kill => {
                if let Some(command) = &self.wrappers[at].command {
                    let number = command.number;
                    let within = self.wrappers[at].grace / 20;
                    let end = clock.when(sent + within);
                    let end = if self.rng.chance(500) { end } else { self.now + 1 };
                    self.later(end, Due::CommandEnds(at, number, true));
                }
            }
            Effect::Report(told) => self.coverage.see(match told {
                Told::Waiting { .. } => "run --lease: waits",
                Told::Draining => "run --lease: waits for the end of a drain",
                Told::Away(_) => "run --lease: Redis away",
                Told::Granted(_) => "run --lease: granted",
                Told::Started(_) => "run --lease: command started",
                Told::Stopping(_) => "run --lease: command stopped",
                Told::Again(_) => "run --lease: command started again under the same lease",
                Told::Released(_) => "run --lease: given back",
                Told::NotSuspended => "run --lease: not suspended",
            }),
            Effect::Finish(end) => {
                self.note(|| format!("!! w{at} ends: {end:?}"));
                self.coverage.see(match end {
                    End::Code(_) => "run --lease: ended",
                    End::Lost(_) => "run --lease: ended with the loss of its lease",
                    End::Held(_) => "run --lease: ended, another holds it",
                    End::Draining => "run --lease: ended, draining",
                    End::Away(_) => "run --lease: ended, Redis away",
                    End::Refused(why) => panic!("w{at} was refused: {why}"),
                });
                self.wrapper_is_over(at, false);
            }
        }
    }

    fn wrapper_calls(&mut self, at: usize, call: LeaseCall) {
        let pid = WRAPPERS + at;
        let clock = self.hosts[self.wrappers[at].host].clock;
        let sent = clock.read(self.now);
        self.sides += 1;
        let ticket = Ticket((1 << 50) + self.sides);
        self.wrappers[at].pending = Some((ticket, sent));
        let conn = self.wrappers[at].calls.or_else(|| self.connect(pid, Kind::Calls));
        self.wrappers[at].calls = conn;
        let Some(conn) = conn else {
            let refused = Box::new(Err(Fault::Unavailable("connection refused".to_owned())));
            return self.later(self.now + 200, Due::Deliver(pid, None, News::Answer(ticket, refused)));
        };
        self.later(clock.when(sent + DEADLINE), Due::Deliver(pid, None, News::CallLate(ticket)));
        if !self.rng.chance(self.weather.lost_requests) {
            self.send_up(conn, Job::Call(ticket, Call::Lease(Box::new(call))));
        }
    }

    fn wrapper_closes(&mut self, at: usize) {
        if let Some(conn) = self.wrappers[at].presence.take() {
            self.conns[conn].client_open = false;
            self.send_up(conn, Job::Close);
        }
    }
}
