//! Hosts without a running node, which a timer lets beat once: what `engine::oneshot` does, around the real observation.
//!
//! 1. What one run learned is the next run's start. A run ends with the first call that has no answer.
//! 2. It stands for leader only where no candidate with a running process lives.
//!
//! Not here: that at most one leads (`checks.rs`).

use crate::clock::{Time, micros};
use crate::network::{ConnId, Job, Kind, News};
use crate::side::DEADLINE;
use crate::world::{Due, World};
use clawster::cluster::ids::{Incarnation, NodeId, Nonce, Term};
use clawster::cluster::lease::election::{Chance, LeaderLook, Observation};
use clawster::cluster::lease::leadership::lease_deadline;
use clawster::cluster::lease::margins::acting_time;
use clawster::cluster::members::member::{Metadata, PresenceKind};
use clawster::cluster::node::Ticket;
use clawster::cluster::protocol::{
    Call, Campaign, DataSet, Identity, Instance, Join, JoinReply, LeaseNews, Numbers, Reply, Rule, ServerId, Tick,
    TickReply, View, ViewReply, WatchLeader, WatchReply,
};
use clawster::cluster::settings::Versioned;
use clawster::cluster::time::{Moment, millis};
use std::time::Duration;

/// Numbers of processes from here on are such hosts.
pub(crate) const TIMERS: usize = 1 << 40;
/// How long one run waits for a rule to apply.
const PATIENCE: Duration = Duration::from_secs(3);

/// What one run leaves to the next.
#[derive(Debug, Clone)]
struct Kept {
    incarnation: Incarnation,
    process: Nonce,
    lease: Option<(Term, Moment)>,
    /// The record as it was seen, and since when.
    observed: Option<(Term, String, Moment)>,
}

/// A host with a timer.
#[derive(Debug)]
pub(crate) struct Timer {
    /// Whose clock it reads.
    host: usize,
    pub(crate) id: NodeId,
    kept: Option<Kept>,
    /// The settings of the cluster as it knows them.
    settings: Versioned,
    numbers: Numbers,
    run: u64,
    observation: Observation,
    until: Moment,
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
            kept: None,
            settings: Versioned::default(),
            numbers: Numbers::default(),
            run: 0,
            observation: Observation::default(),
            until: Moment::default(),
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
        let lease = timer.kept.as_ref().and_then(|kept| kept.lease);
        let before = timer.sent <= self.hosts[timer.host].clock.read(lost);
        let grace = timer.settings.settings.presence_grace;
        let most = if before { timer.sent + acting_time(grace) } else { self.timer_now(at) + grace };
        lease.is_some_and(|(_, until)| self.timer_now(at) < until.min(most))
    }

    pub(crate) fn timer_term(&self, at: usize) -> Term {
        self.timers[at].kept.as_ref().and_then(|kept| kept.lease).map_or(Term(0), |(term, _)| term)
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
        self.timers[at].run += 1;
        let host = &self.hosts[self.timers[at].host];
        self.timers[at].settings = host.remembered.unwrap_or(Versioned { version: 0, settings: host.file });
        self.coverage.see("one-shot: a run");
        match self.timers[at].kept.is_some() {
            true => self.timer_ticks(at),
            false => self.timer_joins(at),
        }
    }

    fn timer_ends(&mut self, at: usize) {
        self.timers[at].pending = None;
        if let Some(conn) = self.timers[at].conn.take() {
            self.conns[conn].client_open = false;
            self.send_up(conn, Job::Close);
        }
    }

    /// Takes the numbers and the settings of the cluster that an answer showed.
    fn timer_adopts(&mut self, at: usize, data: &DataSet) {
        let timer = &mut self.timers[at];
        timer.numbers = timer.numbers.max(data.numbers);
        if let Some(found) = data.settings.filter(|found| found.version >= timer.settings.version) {
            timer.settings = found;
            let host = timer.host;
            self.remember(host, found);
        }
    }

    fn timer_nonce(&self, at: usize, what: &str) -> Nonce {
        Nonce::new(format!("cron{at}-{}-{what}", self.timers[at].run)).expect("a nonce")
    }

    fn timer_life(&self, at: usize) -> Instance {
        let incarnation = self.timers[at].kept.as_ref().map_or(Incarnation(0), |kept| kept.incarnation);
        Instance { node_id: self.timers[at].id.clone(), incarnation }
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

    fn timer_joins(&mut self, at: usize) {
        let timer = &self.timers[at];
        let kept = timer.kept.clone();
        let join = Join {
            node_id: timer.id.clone(),
            process: kept.as_ref().map_or_else(|| self.timer_nonce(at, "p"), |kept| kept.process.clone()),
            kind: PresenceKind::None,
            metadata: serde_json::to_string(&Metadata { candidate: true, ..Metadata::default() }).expect("JSON"),
            candidate: true,
            settings: timer.settings,
            known: timer.numbers,
            fresh_epoch: self.timer_nonce(at, "e"),
            force: false,
            dead_presence: None,
            dead_for: Duration::ZERO,
            own: kept.map_or(Incarnation(0), |kept| kept.incarnation),
            presence: None,
            producer: Nonce::new(format!("outcron{at}")).expect("a nonce"),
            cursor: None,
            rename_from: None,
            former: None,
            draining: None,
            revision: 0,
            aliases: Vec::new(),
            stood: None,
            elsewhere: false,
        };
        self.timer_calls(at, Call::Join(Box::new(join)));
    }

    fn timer_ticks(&mut self, at: usize) {
        let tick = Tick {
            instance: self.timer_life(at),
            epoch: String::new(),
            version: 0,
            floor: 0,
            known: self.timers[at].numbers,
            fresh_epoch: self.timer_nonce(at, "e"),
            renew: self.timers[at].kept.as_ref().and_then(|kept| kept.lease).map(|(term, _)| term),
            nonce: self.timer_nonce(at, "r"),
            settings: self.timers[at].settings,
            promise: self.timers[at].settings.settings.promise(),
            stated: millis(self.timer_now(at).0),
            leads: false,
            presence: None,
            acknowledged: None,
            revision: 0,
            samples: Vec::new(),
        };
        self.timer_calls(at, Call::Tick(Box::new(tick)));
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
            News::Wake(run) if run == self.timers[at].run && self.timers[at].conn.is_some() => {
                self.timer_calls(at, Call::Watch(WatchLeader));
            }
            _ => {}
        }
    }

    fn timer_answered(&mut self, at: usize, sent: Moment, reply: Reply, server: &ServerId) {
        match reply {
            Reply::Join(reply) => match *reply {
                JoinReply::Joined { incarnation, data, .. } => {
                    let before = self.timers[at].kept.take();
                    let process = before.map_or_else(|| self.timer_nonce(at, "p"), |kept| kept.process);
                    self.timers[at].kept = Some(Kept { incarnation, process, lease: None, observed: None });
                    self.timer_adopts(at, &data);
                    self.checks.data_set(&data);
                    let instance = self.timer_life(at);
                    self.checks.admitted(TIMERS + at, &instance);
                    self.coverage.see("one-shot: joined");
                    self.timer_ticks(at);
                }
                JoinReply::Held { .. } | JoinReply::Replaced => {
                    self.coverage.see("one-shot: its id is held");
                    self.timer_ends(at);
                }
            },
            Reply::Tick(reply) => self.timer_ticked(at, sent, *reply),
            Reply::View(reply) => self.timer_viewed(at, *reply),
            Reply::Watch(reply) => self.timer_watched(at, *reply, server),
            Reply::Campaign(reply) => {
                self.timers[at].numbers.token = self.timers[at].numbers.token.max(reply.token);
                if let Some(term) = reply.granted {
                    self.coverage.see("one-shot: elected");
                    let until = lease_deadline(sent, self.timers[at].settings.settings.timing.lease_ttl);
                    if let Some(kept) = &mut self.timers[at].kept {
                        (kept.lease, kept.observed) = (Some((term, until)), None);
                    }
                    (self.timers[at].confirmed, self.timers[at].sent) = (self.now, sent);
                    self.check_leaders();
                }
                self.timer_ends(at);
            }
            _ => self.timer_ends(at),
        }
    }

    fn timer_ticked(&mut self, at: usize, sent: Moment, reply: TickReply) {
        let (now, instance) = (self.timer_now(at), self.timer_life(at));
        self.checks.data_set(&reply.data);
        if reply.identity != Identity::Ok {
            self.timer_adopts(at, &reply.data);
            return self.timer_joins(at);
        }
        // The lease that this beat stated is what the record says now.
        let lease_ttl = self.timers[at].settings.settings.timing.lease_ttl;
        self.timer_adopts(at, &reply.data);
        let record = reply.leader.as_ref();
        let mine = record.is_some_and(|record| record.holder.as_ref() == Some(&instance));
        let Some(kept) = &mut self.timers[at].kept else { return };
        kept.lease = match (kept.lease, reply.lease) {
            (Some((term, _)), LeaseNews::Renewed) => Some((term, lease_deadline(sent, lease_ttl))),
            // A grant whose answer was lost: the next run renews it.
            (None, _) if mine => record.map(|record| (record.term, Moment::default())),
            _ => None,
        };
        kept.observed = record.map(|record| match kept.observed.take() {
            Some(known) if known.0 == record.term && known.1 == record.nonce => known,
            _ => (record.term, record.nonce.clone(), now),
        });
        let leads = kept.lease.is_some();
        if reply.lease == LeaseNews::Renewed {
            (self.timers[at].confirmed, self.timers[at].sent) = (self.now, sent);
        }
        self.check_leaders();
        if leads {
            return self.timer_ends(at);
        }
        let view = View { epoch: String::new(), version: 0, floor: 0, rows: 1000, beats: 0 };
        self.timer_calls(at, Call::View(view));
    }

    fn timer_viewed(&mut self, at: usize, view: ViewReply) {
        let now = self.timer_now(at);
        let id = self.timers[at].id.clone();
        let record = view.leader.as_ref();
        let dying = record.and_then(|r| r.holder.as_ref().filter(|_| !r.present)).map(|holder| &holder.node_id);
        let rival = view.delta.rows.iter().any(|m| {
            let stands = m.is_live() && m.metadata.candidate && m.presence == PresenceKind::Connection;
            stands && m.node_id != id && Some(&m.node_id) != dying
        });
        if rival {
            return self.timer_ends(at);
        }
        let shared = self.timers[at].settings.settings;
        let observed = self.timers[at].kept.as_ref().and_then(|kept| kept.observed.clone());
        if let Some(record) = record.filter(|record| view.now > record.expires_at)
            && let Some((term, nonce, since)) = observed
        {
            let lease =
                if record.stated { record.promise.lease } else { shared.promise().longest(record.promise).lease };
            if term == record.term && nonce == record.nonce && now.since(since) >= lease.mul_f64(1.05) {
                let rule = Rule::Expired { nonce };
                return self.timer_stands(at, Chance { at: now, seen: term, rule, since });
            }
        }
        self.timers[at].observation = Observation::default();
        self.timers[at].until = now + shared.presence_grace.mul_f64(1.6).min(PATIENCE);
        self.timer_calls(at, Call::Watch(WatchLeader));
    }

    fn timer_watched(&mut self, at: usize, reply: WatchReply, server: &ServerId) {
        let now = self.timer_now(at);
        let clock = self.hosts[self.timers[at].host].clock;
        let timer = &mut self.timers[at];
        let watch = Some((reply.same_server, reply.leader_channel));
        let sight = LeaderLook { record: reply.leader.as_ref(), server, at: reply.now, watch };
        let shared = timer.settings.settings;
        timer.observation.observe(now, &sight, shared.timing.lease_ttl);
        match timer.observation.chance(&timer.id, shared.promise(), 0) {
            Some(chance) if chance.at <= now => self.timer_stands(at, chance),
            Some(chance) if chance.at <= timer.until => {
                let wait = chance.at.since(now).min(shared.presence_grace / 4);
                let wake: Time = clock.when(now + wait).max(self.now + 1);
                let run = self.timers[at].run;
                self.later(wake, Due::Deliver(TIMERS + at, None, News::Wake(run)));
            }
            _ => self.timer_ends(at),
        }
    }

    fn timer_stands(&mut self, at: usize, chance: Chance) {
        let now = self.timer_now(at);
        let campaign = Campaign {
            instance: self.timer_life(at),
            rule: chance.rule,
            seen: chance.seen,
            nonce: self.timer_nonce(at, "c"),
            presence: None,
            promise: self.timers[at].settings.settings.promise(),
            stated: millis(now.0),
            seen_for: now.since(chance.since),
            known_token: self.timers[at].numbers.token,
        };
        self.timer_calls(at, Call::Campaign(Box::new(campaign)));
    }
}
