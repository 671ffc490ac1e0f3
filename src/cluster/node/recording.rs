//! The node's part in history: it numbers its heartbeats, reports each accepted one, and carries samples to Redis.
//!
//! 1. The heartbeats of an incarnation are numbered from 1 without a hole; an incarnation that a one-shot process began
//!    continues its numbers.
//! 2. A heartbeat counts once, when its answer has arrived; a failed one has no number.
//! 3. Samples wait for the next heartbeat, at most [`CARRIED`] of them; they are removed when a heartbeat that carried them
//!    was answered.
//!
//! Not here: the other fields of a sample (`crate::engine`), storing samples (`crate::store`).

use super::{Effect, Node};
use crate::cluster::history::Sample;
use crate::cluster::ids::{Incarnation, NodeId, Nonce, Term};
use crate::cluster::protocol::Instance;
use crate::cluster::time::{Moment, ServerTime};
use std::collections::VecDeque;
use std::time::Duration;

/// The maximum number of samples that wait for a heartbeat; beyond it, the oldest are dropped.
pub const CARRIED: usize = 16;

/// One-shot processes whose membership a node takes over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Former {
    /// The name that they used.
    pub process: Nonce,
    /// Their incarnation.
    pub incarnation: Incarnation,
    /// The number of heartbeats that they sent in it.
    pub beats: u64,
}

/// A heartbeat that Redis accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beaten {
    /// The node and its incarnation.
    pub instance: Instance,
    /// The number of the heartbeat within that incarnation, from 1.
    pub number: u64,
    /// When Redis accepted it.
    pub at: ServerTime,
    /// Whether the node led when the answer arrived.
    pub leads: bool,
    /// The highest term that the node knew.
    pub term: Term,
    /// The holder of the leader's lease that the node knew.
    pub leader_id: Option<NodeId>,
    /// The time from sending the successful attempt to its answer.
    pub round_trip: Duration,
    /// The number of attempts, at least 1.
    pub attempts: u32,
    /// The time from when it was due to its answer.
    pub delay: Duration,
    /// The heartbeat interval at that time.
    pub interval: Duration,
    /// The number of samples of earlier heartbeats that it carried to Redis.
    pub recorded: u64,
}

#[derive(Debug, Default)]
pub(super) struct Recording {
    instance: Option<Instance>,
    number: u64,
    /// The number of samples taken so far, which identifies each of them.
    taken: u64,
    waiting: VecDeque<(u64, Sample)>,
    /// The last sample that the current heartbeat carries, and how many it carries.
    carried: (u64, u64),
}

impl Recording {
    /// Called when an incarnation begins or continues.
    pub(super) fn admitted(&mut self, instance: &Instance, former: Option<&Former>) {
        if self.instance.as_ref() != Some(instance) {
            let beats = former.filter(|former| former.incarnation == instance.incarnation).map(|former| former.beats);
            self.number = beats.unwrap_or_default();
            self.instance = Some(instance.clone());
        }
    }

    pub(super) fn take(&mut self, sample: Sample) {
        if self.waiting.len() >= CARRIED {
            self.waiting.pop_front();
        }
        self.taken += 1;
        self.waiting.push_back((self.taken, sample));
    }

    /// The samples for a heartbeat that is sent now.
    pub(super) fn carry(&mut self) -> Vec<Sample> {
        self.carried = (self.taken, self.waiting.len() as u64);
        self.samples()
    }

    fn samples(&self) -> Vec<Sample> {
        self.waiting.iter().map(|(_, sample)| sample.clone()).collect()
    }

    /// The heartbeat was answered: removes the samples that it carried, and returns their number.
    fn delivered(&mut self) -> u64 {
        let (last, count) = std::mem::take(&mut self.carried);
        self.waiting.retain(|(taken, _)| *taken > last);
        count
    }
}

impl Node {
    /// The samples that no answered heartbeat has carried yet, oldest first.
    #[must_use]
    pub fn unrecorded(&self) -> Vec<Sample> {
        self.recording.samples()
    }

    /// Called when a heartbeat was accepted.
    pub(super) fn beaten(&mut self, now: Moment, sent: Moment, at: ServerTime, attempts: u32) {
        let recorded = self.recording.delivered();
        let Some(instance) = self.instance().cloned() else { return };
        self.recording.number += 1;
        let holder = self.view.granted().and_then(|record| record.holder.as_ref());
        let beaten = Beaten {
            number: self.recording.number,
            at,
            leads: self.leads(now),
            term: self.view.term,
            leader_id: holder.map(|instance| instance.node_id.clone()),
            round_trip: now.since(sent),
            attempts,
            delay: now.since(self.beat.was_due),
            interval: self.timing.heartbeat_interval,
            recorded,
            instance,
        };
        self.effects.push(Effect::Beaten(Box::new(beaten)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::ids::{EventSeq, MessageSeq};
    use crate::cluster::members::member::Metadata;
    use crate::cluster::node::{Input, Note, Request, Settings, Ticket};
    use crate::cluster::protocol::{
        Call, DataSet, Delta, Fault, Identity, JoinReply, LeaseNews, Numbers, Reply, ServerId, Tick, TickReply,
    };
    use crate::cluster::settings::{LeaderSettings, Retry, Timing};

    const INTERVAL: Duration = Duration::from_secs(10);

    /// A node whose calls are answered by hand.
    struct Bench {
        node: Node,
        now: Moment,
        calls: Vec<(Ticket, Call)>,
        beats: Vec<Beaten>,
        instance: u64,
        timing: Timing,
        /// How long the node waits after each failed beat.
        waits: Vec<Duration>,
    }

    impl Bench {
        fn new(former: Option<Former>) -> Self {
            Self::with(former, Timing::default())
        }

        fn with(former: Option<Former>, timing: Timing) -> Self {
            let settings = Settings {
                node_id: NodeId::new("a").expect("an id"),
                metadata: Metadata::default(),
                auto_join: true,
                leader: LeaderSettings { candidate: false, ..LeaderSettings::default() },
                timing,
                remembered: None,
                retry: Retry::default(),
                process: Nonce::new("p").expect("a nonce"),
                producer: Nonce::new("o").expect("a nonce"),
                known: Numbers::default(),
                cursor: None,
                cursor_of: None,
                former,
                confirmed: false,
            };
            let now = Moment(Duration::from_secs(100));
            Self {
                node: Node::new(settings),
                now,
                calls: Vec::new(),
                beats: Vec::new(),
                instance: 7,
                timing,
                waits: Vec::new(),
            }
        }

        fn step(&mut self, input: Input) {
            for effect in self.node.step(self.now, input) {
                match effect {
                    Effect::Call(ticket, call) => self.calls.push((ticket, call)),
                    Effect::Beaten(beaten) => self.beats.push(*beaten),
                    Effect::Note(Note::BeatFailed { wait, .. }) => self.waits.push(wait),
                    Effect::OpenPresence(nonce) => self.step(Input::PresenceUp(nonce)),
                    _ => {}
                }
            }
        }

        /// Answers whatever is asked, a tick with `identity`, or not at all.
        fn answer(&mut self, took: Duration, identity: Option<Identity>) {
            let sent = self.now;
            self.now = self.now + took;
            for (ticket, call) in std::mem::take(&mut self.calls) {
                let reply = match (call, identity) {
                    (_, None) => Err(Fault::Unavailable("gone".to_owned())),
                    (Call::Join(_), _) => Ok(self.joined()),
                    (Call::Tick(_), Some(identity)) => Ok(self.ticked(identity)),
                    _ => continue,
                };
                let outcome = reply.map(|reply| (reply, ServerId("r".to_owned())));
                self.step(Input::Answered { ticket, sent, outcome });
            }
        }

        fn at(&self) -> ServerTime {
            ServerTime(crate::cluster::time::millis(self.now.0))
        }

        fn joined(&self) -> Reply {
            Reply::Join(Box::new(JoinReply::Joined {
                now: self.at(),
                incarnation: Incarnation(self.instance),
                joined_at: self.at(),
                cursor: MessageSeq(0),
                aliases: Vec::new(),
                data: data(self.timing),
                registered: true,
                stood: None,
            }))
        }

        fn ticked(&self, identity: Identity) -> Reply {
            Reply::Tick(Box::new(TickReply {
                identity,
                now: self.at(),
                data: data(self.timing),
                lease: LeaseNews::None,
                leader: None,
                delta: Delta::default(),
                beats: Vec::new(),
                due: Duration::from_secs(3600),
                alive: 1,
                outdated: false,
                full: false,
            }))
        }

        fn tick(&self) -> &Tick {
            let tick = self.calls.iter().find_map(|(_, call)| match call {
                Call::Tick(tick) => Some(&**tick),
                _ => None,
            });
            tick.expect("a tick is under way")
        }

        fn wait(&mut self, time: Duration) {
            self.now = self.now + time;
            self.step(Input::Wake);
        }

        fn member(former: Option<Former>) -> Self {
            let mut bench = Self::new(former);
            bench.step(Input::Wake);
            bench.answer(Duration::ZERO, Some(Identity::Ok));
            bench
        }

        fn numbers(&self) -> Vec<u64> {
            self.beats.iter().map(|beat| beat.number).collect()
        }

        fn record(&mut self, number: u64) {
            let beat = self.beats.last().expect("a beat").clone();
            self.step(Input::Record(Box::new(Sample {
                node_id: beat.instance.node_id,
                incarnation: beat.instance.incarnation,
                number,
                at: beat.at,
                leads: false,
                term: beat.term,
                leader_id: None,
                round_trip: beat.round_trip,
                attempts: beat.attempts,
                delay: beat.delay,
                lag: 0,
                memory: 0,
                peers: None,
                version: String::new(),
                interval: beat.interval,
            })));
        }
    }

    fn data(timing: Timing) -> DataSet {
        DataSet {
            epoch: "e".to_owned(),
            numbers: Numbers::default(),
            event_start: EventSeq(0),
            message_start: MessageSeq(0),
            timing: Some(timing),
            settings: None,
        }
    }

    #[test]
    fn a_retry_waits_no_longer_than_one_interval() {
        for (interval, wait) in [(250, 250), (10_000, 1000)] {
            let interval = Duration::from_millis(interval);
            let mut bench = Bench::with(None, Timing { heartbeat_interval: interval, ..Timing::default() });
            bench.step(Input::Wake);
            bench.answer(Duration::ZERO, Some(Identity::Ok));
            bench.answer(Duration::ZERO, Some(Identity::Ok));
            bench.wait(interval);
            bench.answer(Duration::from_millis(100), None);
            assert_eq!(bench.waits, [Duration::from_millis(wait)], "of an interval of {interval:?}");
        }
    }

    #[test]
    fn a_beat_that_failed_has_no_number_and_counts_as_delay_of_the_one_that_succeeds() {
        let mut bench = Bench::member(None);
        bench.answer(Duration::from_millis(3), Some(Identity::Ok));
        assert_eq!(bench.numbers(), [1]);
        assert_eq!(bench.beats[0].delay, Duration::from_millis(3));
        bench.wait(INTERVAL - Duration::from_millis(3));
        bench.answer(Duration::from_secs(2), None);
        bench.wait(Duration::from_secs(1));
        bench.answer(Duration::from_millis(5), Some(Identity::Ok));
        let beat = &bench.beats[1];
        assert_eq!((beat.number, beat.attempts, beat.round_trip), (2, 2, Duration::from_millis(5)));
        assert_eq!(beat.delay, Duration::from_millis(3_005));
        assert_eq!(beat.interval, INTERVAL);
    }

    #[test]
    fn beats_on_request_are_beats_and_unknown_ones_are_none() {
        let mut bench = Bench::member(None);
        bench.answer(Duration::ZERO, Some(Identity::Ok));
        bench.step(Input::Asked(Ticket(1 << 62), Request::Beat));
        bench.answer(Duration::ZERO, Some(Identity::Ok));
        assert_eq!(bench.numbers(), [1, 2]);
        bench.wait(INTERVAL);
        bench.answer(Duration::ZERO, Some(Identity::Unknown));
        assert_eq!(bench.numbers(), [1, 2]);
        // It comes back in the same life, and goes on counting.
        bench.wait(Duration::from_secs(1));
        bench.answer(Duration::ZERO, Some(Identity::Ok));
        bench.answer(Duration::ZERO, Some(Identity::Ok));
        assert_eq!(bench.numbers(), [1, 2, 3]);
    }

    #[test]
    fn a_life_goes_on_where_a_one_shot_process_stopped_and_another_one_begins_anew() {
        let former = |incarnation| Former {
            process: Nonce::new("f").expect("a nonce"),
            incarnation: Incarnation(incarnation),
            beats: 5,
        };
        for (incarnation, first) in [(7, 6), (8, 1)] {
            let mut bench = Bench::member(Some(former(incarnation)));
            bench.answer(Duration::ZERO, Some(Identity::Ok));
            assert_eq!(bench.numbers(), [first]);
        }
    }

    #[test]
    fn samples_go_when_the_tick_that_carried_them_was_answered() {
        let mut bench = Bench::member(None);
        bench.answer(Duration::ZERO, Some(Identity::Ok));
        for number in 1..=20 {
            bench.record(number);
        }
        assert_eq!(bench.node.unrecorded().len(), CARRIED);
        bench.wait(INTERVAL);
        let carried: Vec<u64> = bench.tick().samples.iter().map(|sample| sample.number).collect();
        assert_eq!(carried, (5..=20).collect::<Vec<_>>());
        bench.answer(Duration::ZERO, None);
        assert_eq!(bench.node.unrecorded().len(), CARRIED, "nobody knows whether they are recorded");
        bench.wait(Duration::from_secs(1));
        bench.record(21);
        bench.answer(Duration::ZERO, Some(Identity::Ok));
        let left: Vec<u64> = bench.node.unrecorded().iter().map(|sample| sample.number).collect();
        assert_eq!(left, [21]);
        let recorded: Vec<u64> = bench.beats.iter().map(|beat| beat.recorded).collect();
        assert_eq!(recorded, [0, 16], "told once, by the beat that was answered");
    }
}
