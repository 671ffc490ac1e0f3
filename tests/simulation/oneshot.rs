//! Hosts without a running node, which a timer lets beat once: the real rules (`clawster::cluster::oneshot`) on a simulated network.
//!
//! 1. What one run learned is the next run's start. A run ends with the first call that has no answer.
//!
//! Not here: that at most one leads (`checks.rs`).

use crate::clock::{Time, micros};
use crate::network::{ConnId, Job, Kind, News};
use crate::side::DEADLINE;
use crate::world::{Due, World};
use clawster::cluster::ids::{NodeId, Nonce, Term};
use clawster::cluster::lease::margins::acting_time;
use clawster::cluster::members::member::Metadata;
use clawster::cluster::node::Ticket;
use clawster::cluster::oneshot::{Host, Next, Run, Saved};
use clawster::cluster::protocol::{Call, Identity, JoinReply, Numbers, Reply, ServerId};
use clawster::cluster::settings::Versioned;
use clawster::cluster::time::Moment;

/// Numbers of processes from here on are such hosts.
pub(crate) const TIMERS: usize = 1 << 40;

/// A host with a timer.
#[derive(Debug)]
pub(crate) struct Timer {
    /// Whose clock it reads.
    host: usize,
    pub(crate) id: NodeId,
    saved: Option<Saved>,
    /// The settings of the cluster as it knows them.
    settings: Versioned,
    numbers: Numbers,
    /// The run under way, and the number of runs.
    run: Option<Run>,
    runs: u64,
    /// When its lease was granted or renewed last, by true time.
    confirmed: Time,
    /// When the call was sent that this answer belongs to, by the host's clock.
    sent: Moment,
    conn: Option<ConnId>,
    pending: Option<(Ticket, Moment)>,
    /// The timer does not go off.
    pub(crate) off: bool,
}

impl World {
    pub(crate) fn add_timer(&mut self, host: usize) {
        let at = self.timers.len();
        let id = NodeId::new(format!("cron{at}")).expect("an id");
        self.timers.push(Timer {
            host,
            id,
            saved: None,
            settings: Versioned::default(),
            numbers: Numbers::default(),
            run: None,
            runs: 0,
            confirmed: 0,
            sent: Moment::default(),
            conn: None,
            pending: None,
            off: false,
        });
        let first = self.rng.range(0, micros(self.setup.timing.heartbeat_interval));
        self.later(first, Due::Timer(at));
    }

    fn timer_now(&self, at: usize) -> Moment {
        self.hosts[self.timers[at].host].clock.read(self.now)
    }

    /// Whether such a host believes that it leads.
    ///
    /// A loss of data takes its record along, and nobody holds a connection by which others could see that it leads: what it
    /// believes from before one is not counted. An answer that was on its way then counts for as long as the others wait.
    pub(crate) fn timer_leads(&self, at: usize) -> bool {
        let timer = &self.timers[at];
        let lost = self.losses.last().copied().unwrap_or(0);
        if timer.confirmed <= lost {
            return false;
        }
        let lease = timer.saved.as_ref().and_then(|saved| saved.lease);
        let before = timer.sent <= self.hosts[timer.host].clock.read(lost);
        let grace = timer.settings.settings.presence_grace;
        let most = if before { timer.sent + acting_time(grace) } else { self.timer_now(at) + grace };
        lease.is_some_and(|lease| self.timer_now(at) < lease.deadline().min(most))
    }

    pub(crate) fn timer_term(&self, at: usize) -> Term {
        self.timers[at].saved.as_ref().and_then(|saved| saved.lease).map_or(Term(0), |lease| lease.term)
    }

    /// The timer goes off.
    pub(crate) fn timer(&mut self, at: usize) {
        // Rarely enough to be declared dead in between is another fault than those of this simulator.
        let cluster = self.timers[at].settings.settings.timing.heartbeat_interval;
        let pause = micros(self.setup.timing.heartbeat_interval.min(cluster));
        let pause = self.rng.range(pause * 7 / 10, pause);
        self.later(self.now + pause, Due::Timer(at));
        if self.timers[at].off {
            return;
        }
        self.timer_ends(at);
        let host = &self.hosts[self.timers[at].host];
        let settings = host.remembered.unwrap_or(Versioned { version: 0, settings: host.file });
        let timer = &mut self.timers[at];
        timer.runs += 1;
        let nonce = |text: String| Nonce::new(text).expect("a nonce");
        let host = Host {
            node_id: timer.id.clone(),
            metadata: Metadata { candidate: true, ..Metadata::default() },
            candidate: true,
            producer: nonce(format!("outcron{at}")),
            random: nonce(format!("cron{at}-{}", timer.runs)),
        };
        let mut run = Run::new(host, timer.saved.clone(), settings, timer.numbers);
        self.coverage.see("one-shot: a run");
        let next = run.begin(self.timer_now(at));
        self.timers[at].run = Some(run);
        self.timer_goes_on(at, next);
    }

    fn timer_ends(&mut self, at: usize) {
        (self.timers[at].pending, self.timers[at].run) = (None, None);
        if let Some(conn) = self.timers[at].conn.take() {
            self.conns[conn].client_open = false;
            self.send_up(conn, Job::Close);
        }
    }

    fn timer_calls(&mut self, at: usize, call: Call) {
        let sent = self.timer_now(at);
        self.sides += 1;
        let ticket = Ticket((1 << 50) + self.sides);
        let conn = self.timers[at].conn.or_else(|| self.connect(TIMERS + at, Kind::Calls));
        self.timers[at].conn = conn;
        let Some(conn) = conn else { return self.timer_ends(at) };
        self.timers[at].pending = Some((ticket, sent));
        let clock = self.hosts[self.timers[at].host].clock;
        self.later(clock.when(sent + DEADLINE), Due::Deliver(TIMERS + at, None, News::CallLate(ticket)));
        if !self.rng.chance(self.weather.lost_requests) {
            self.send_up(conn, Job::Call(ticket, call));
        }
    }

    pub(crate) fn timer_deliver(&mut self, at: usize, conn: Option<ConnId>, news: News) {
        if conn.is_some_and(|conn| !self.conns[conn].client_open) {
            return;
        }
        match news {
            News::Answer(ticket, outcome) => {
                let Some((_, sent)) = self.timers[at].pending.take_if(|(own, _)| *own == ticket) else { return };
                match *outcome {
                    Ok((reply, server)) => self.timer_answered(at, sent, reply, &server),
                    Err(_) => self.timer_ends(at),
                }
            }
            News::CallLate(ticket) if self.timers[at].pending.is_some_and(|(own, _)| own == ticket) => {
                self.timer_ends(at);
            }
            News::Lost => self.timer_ends(at),
            News::Wake(run) if run == self.timers[at].runs && self.timers[at].pending.is_none() => {
                let now = self.timer_now(at);
                let Some(next) = self.timers[at].run.as_mut().map(|run| run.waited(now)) else { return };
                self.timer_goes_on(at, next);
            }
            _ => {}
        }
    }

    fn timer_answered(&mut self, at: usize, sent: Moment, reply: Reply, server: &ServerId) {
        let now = self.timer_now(at);
        let (data, joined) = match &reply {
            Reply::Tick(reply) => ((reply.identity == Identity::Ok).then(|| reply.data.clone()), false),
            Reply::Join(reply) => match &**reply {
                JoinReply::Joined { data, .. } => (Some(data.clone()), true),
                _ => (None, false),
            },
            _ => (None, false),
        };
        let elected = matches!(&reply, Reply::Campaign(reply) if reply.granted.is_some());
        let Some(mut run) = self.timers[at].run.take() else { return };
        let before = run.confirmed();
        let next = run.answered(now, sent, reply, server);
        let timer = &mut self.timers[at];
        (timer.saved, timer.settings, timer.numbers) = (run.saved().cloned(), run.settings(), run.numbers());
        if run.confirmed() != before {
            (timer.confirmed, timer.sent) = (self.now, sent);
        }
        let (host, settings, id) = (timer.host, timer.settings, timer.id.clone());
        timer.run = Some(run);
        if let Some(data) = data {
            self.checks.data_set(&data);
            self.remember(host, settings);
        }
        if joined && let Some(saved) = &self.timers[at].saved {
            let instance = clawster::cluster::protocol::Instance { node_id: id, incarnation: saved.incarnation };
            self.checks.admitted(TIMERS + at, &instance);
            self.coverage.see("one-shot: joined");
        }
        if elected {
            self.coverage.see("one-shot: elected");
        }
        self.check_leaders();
        self.timer_goes_on(at, next);
    }

    fn timer_goes_on(&mut self, at: usize, next: Next) {
        match next {
            Next::Call(call) => {
                if matches!(call, Call::Resign(_)) {
                    self.coverage.see("one-shot: made room");
                }
                self.timer_calls(at, call);
            }
            Next::Wait(until) => {
                let clock = self.hosts[self.timers[at].host].clock;
                let wake: Time = clock.when(until).max(self.now + 1);
                let run = self.timers[at].runs;
                self.later(wake, Due::Deliver(TIMERS + at, None, News::Wake(run)));
            }
            Next::Done(_) => self.timer_ends(at),
            Next::InUse => {
                self.coverage.see("one-shot: its id is held");
                self.timer_ends(at);
            }
        }
    }
}
