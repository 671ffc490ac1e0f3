//! Heartbeats: sending them, retrying them, and updating the view from their answers.
//!
//! 1. A failed heartbeat is retried `retry.count` times, `retry.delay` or one interval apart, whichever is shorter, then at the
//!    next interval: where the server answers only for moments, waiting longer would make a live node late.
//! 2. An overdue member is looked for when it becomes overdue, by the leader and the first in rank, not at the next
//!    heartbeat of every node.

use super::{Effect, Node, Note, Pending, Standing, Ticket};
use crate::cluster::event::{ClusterEvent, ClusterFact};
use crate::cluster::lease::election::LeaderLook;
use crate::cluster::protocol::{
    Call, DataSet, Fault, Identity, LeaderRecord, LeaseNews, ServerId, Tick, TickReply, View, ViewReply,
};
use crate::cluster::time::{Moment, ServerTime};
use std::time::Duration;

/// The maximum number of rows in one view.
const ROWS: u64 = 500;

#[derive(Debug, Default)]
pub(super) struct Beating {
    next: Option<Moment>,
    scheduled: Moment,
    /// When the current heartbeat was due, including its failed attempts.
    pub(super) was_due: Moment,
    attempt: u32,
    pending: Option<Pending>,
    again: bool,
    /// The call under way, and the version that it asks about.
    view: Option<(Ticket, u64)>,
    view_at: Option<Moment>,
    viewed_at: Moment,
}

impl Beating {
    pub(super) fn due(&self) -> Option<Moment> {
        let tick = self.next.filter(|_| self.pending.is_none());
        let view = self.view_at.filter(|_| self.view.is_none());
        match (tick, view) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    /// Whether this ticket belongs to the heartbeat under way.
    pub(super) fn is_asked(&self, ticket: Ticket) -> bool {
        self.pending.as_ref().is_some_and(|pending| pending.ticket == ticket)
    }

    pub(super) fn stop(&mut self) {
        *self = Self { viewed_at: self.viewed_at, ..Self::default() };
    }
}

impl Node {
    /// Sends a heartbeat as soon as possible: now, or right after the one under way.
    pub(super) fn beat_now(&mut self, now: Moment) {
        if !matches!(self.standing, Standing::Member(_)) {
            return;
        }
        if self.beat.pending.is_some() {
            self.beat.again = true;
        } else {
            self.beat.next = Some(now);
        }
    }

    /// Sends a heartbeat within this time, if the node sends heartbeats at all.
    pub(super) fn beat_within(&mut self, now: Moment, wait: Duration) {
        self.beat.next = self.beat.next.map(|at| at.min(now + wait));
    }

    /// The number of the attempt that is under way or comes next, from 1.
    #[must_use]
    pub fn beat_attempt(&self) -> u32 {
        self.beat.attempt + 1
    }

    pub(super) fn act_beat(&mut self, now: Moment) {
        let Some(instance) = self.instance().cloned() else { return self.act_observer(now) };
        if self.beat.pending.is_none()
            && let Some(due) = self.beat.next.filter(|at| *at <= now)
        {
            let renew = self.leadership().filter(|l| !l.resigning).map(|l| l.term);
            let promise = self.promise();
            let tick = Tick {
                instance,
                epoch: self.view.epoch().to_owned(),
                version: self.view.version,
                floor: self.view.floor,
                known: self.known,
                fresh_epoch: self.nonce(),
                renew,
                nonce: self.nonce(),
                settings: self.shared(),
                promise,
                stated: Self::stated(now),
                leads: self.leads(now),
                presence: self.beating_presence().cloned(),
                acknowledged: self.acknowledged,
                revision: self.confirmed_revision,
                samples: self.recording.carry(),
            };
            if self.beat.attempt == 0 {
                self.beat.was_due = due;
            }
            self.beat.scheduled = now;
            let (asked, ticket) = (tick.version, self.call(Call::Tick(Box::new(tick))));
            self.beat.pending = Some(Pending { ticket, asked, renewed: renew.map(|term| (term, promise)) });
            self.beat.again = false;
        }
        self.act_view(now);
    }

    /// Looks at the cluster as often as a member sends heartbeats, while the node is not a member.
    fn act_observer(&mut self, now: Moment) {
        if self.beat.view.is_none() && self.beat.view_at.is_none() {
            let first = self.beat.viewed_at == Moment::default();
            self.beat.view_at = Some(if first { now } else { self.beat.viewed_at + self.timing.heartbeat_interval });
        }
        self.act_view(now);
    }

    fn act_view(&mut self, now: Moment) {
        if self.beat.view.is_none() && self.beat.view_at.is_some_and(|at| at <= now) {
            self.beat.view_at = None;
            let view = View {
                epoch: self.view.epoch().to_owned(),
                version: self.view.version,
                floor: self.view.floor,
                rows: ROWS,
                beats: 32,
            };
            let (asked, ticket) = (view.version, self.call(Call::View(view)));
            self.beat.view = Some((ticket, asked));
        }
    }

    pub(super) fn ticked(&mut self, now: Moment, ticket: Ticket, sent: Moment, reply: TickReply, server: &ServerId) {
        let Some(pending) = self.beat.pending.take_if(|p| p.ticket == ticket) else { return };
        if self.beat.attempt > 0 {
            self.effects.push(Effect::Note(Note::BeatRecovered { attempts: self.beat.attempt + 1 }));
        }
        let attempts = std::mem::take(&mut self.beat.attempt) + 1;
        self.beat.next = Some(if self.beat.again { now } else { sent + self.timing.heartbeat_interval });
        self.take_common(now, reply.now, reply.data, reply.leader.clone(), server, None);
        let whole = self.view.take_delta(reply.delta.clone(), pending.asked);
        self.view.take_beats(&reply.beats, reply.alive);
        if reply.delta.more || !whole {
            self.beat.view_at = Some(now);
        } else {
            self.view_is_complete(now);
        }
        match reply.identity {
            Identity::Ok => {
                self.renewal_answered(now, sent, &pending, reply.lease);
                self.look_for_overdue(now, reply.due);
                self.beaten(now, sent, reply.now, attempts);
                self.beat_done(now, sent, reply.now, attempts);
                if reply.outdated {
                    self.restate(now);
                }
            }
            Identity::Replaced => self.replaced(),
            Identity::Unknown | Identity::Gone | Identity::Epoch => self.rejoin(now),
        }
    }

    fn renewal_answered(&mut self, now: Moment, sent: Moment, pending: &Pending, lease: LeaseNews) {
        let Some((term, stated)) = pending.renewed else { return };
        match lease {
            LeaseNews::Renewed => {
                self.view.answered(Some(term));
                // The settings may have changed since the call was sent.
                let wanted = self.promise();
                if let Some(leadership) = self.leadership.as_mut().filter(|l| l.term == term) {
                    leadership.renewed(sent, stated);
                    leadership.shorten(wanted);
                    self.presence.register_at_once();
                }
            }
            LeaseNews::Lost => self.step_down(now, term),
            LeaseNews::None => {}
        }
    }

    /// Plans a look when the next member becomes overdue in `due`: the leader looks then, the first in rank slightly later.
    fn look_for_overdue(&mut self, now: Moment, due: Duration) {
        let wait = if self.leads(now) {
            Duration::from_millis(2)
        } else if self.view.rank(self.node_id()) == Some(0) {
            Duration::from_millis(50)
        } else {
            return;
        };
        let at = now + due + wait;
        if self.beat.next.is_some_and(|next| at < next) {
            self.beat.next = Some(at);
        }
    }

    pub(super) fn viewed(&mut self, now: Moment, ticket: Ticket, reply: ViewReply, server: &ServerId) {
        let Some((_, asked)) = self.beat.view.take_if(|(t, _)| *t == ticket) else { return };
        self.beat.viewed_at = now;
        // If there is no data set at all, the next heartbeat restores it.
        if reply.data.epoch.is_empty() {
            (self.view.as_of, self.seen) = (reply.now, now);
            self.beat_now(now);
            return;
        }
        self.take_common(now, reply.now, reply.data, reply.leader, server, None);
        let more = reply.delta.more;
        let whole = self.view.take_delta(reply.delta, asked);
        self.view.take_beats(&reply.beats, reply.alive);
        if more || !whole {
            self.beat.view_at = Some(now);
        } else {
            self.view_is_complete(now);
        }
    }

    /// Takes what every answer contains: the server's time, the data set, the leader's record.
    pub(super) fn take_common(
        &mut self,
        now: Moment,
        at: ServerTime,
        data: DataSet,
        leader: Option<LeaderRecord>,
        server: &ServerId,
        watch: Option<(bool, bool)>,
    ) {
        (self.view.as_of, self.seen) = (at, now);
        self.known = self.known.max(data.numbers);
        self.adopt(now, &data);
        if self.view.take_data(data.clone()) {
            self.effects.push(Effect::DataSet(Box::new(data)));
        }
        self.take_leader(now, at, leader, server, watch);
    }

    pub(super) fn take_leader(
        &mut self,
        now: Moment,
        at: ServerTime,
        leader: Option<LeaderRecord>,
        server: &ServerId,
        watch: Option<(bool, bool)>,
    ) {
        let longest_gap = self.timing.heartbeat_interval.mul_f64(1.5) + Duration::from_secs(1);
        self.observation.observe(now, &LeaderLook { record: leader.as_ref(), server, at, watch }, longest_gap);
        self.view.take_leader(leader);
        self.compare_with_record(now);
    }

    pub(super) fn beat_failed(&mut self, now: Moment, ticket: Ticket, fault: &Fault) {
        if self.beat.view.take_if(|(t, _)| *t == ticket).is_some() {
            self.beat.viewed_at = now;
        }
        if self.beat.pending.take_if(|p| p.ticket == ticket).is_none() {
            return;
        }
        self.view_is_late();
        self.beat.attempt += 1;
        let of = self.settings.retry.count + 1;
        let last = self.beat.attempt >= of;
        let interval = self.timing.heartbeat_interval;
        let next = if last { self.beat.scheduled + interval } else { now + self.settings.retry.delay.min(interval) };
        let next = next.max(now + Duration::from_millis(20));
        let note = Note::BeatFailed { attempt: self.beat.attempt, of, error: fault.to_string(), wait: next.since(now) };
        self.effects.push(Effect::Note(note));
        self.beat.next = Some(next);
        if last {
            self.beat.attempt = 0;
            self.beats_exhausted(&fault.to_string());
        }
    }

    pub(super) fn event(&mut self, now: Moment, event: &ClusterEvent) {
        self.known.event = self.known.event.max(event.seq.0);
        self.view.take_event(event);
        self.compare_with_record(now);
        if matches!(event.fact, ClusterFact::LeaderLost { .. } | ClusterFact::LeaderElected { .. }) {
            self.look_now(now);
        }
        // Events that change no row need no look at the rows; task events are too frequent for that.
        let rows = matches!(
            event.fact,
            ClusterFact::NodeJoined { .. } | ClusterFact::NodeLeft { .. } | ClusterFact::LeaderElected { .. }
        );
        if rows {
            self.refresh_view(now);
        }
    }

    /// Plans to ask for changed rows soon; in a large cluster less often, so that a wave of joins takes few calls.
    pub(super) fn refresh_view(&mut self, now: Moment) {
        let gap = Duration::from_millis((self.view.alive / 10).clamp(2, 1000));
        let at = now.max(self.beat.viewed_at + gap);
        self.beat.view_at = Some(self.beat.view_at.map_or(at, |known| known.min(at)));
    }
}
