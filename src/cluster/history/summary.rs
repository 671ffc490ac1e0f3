//! A summary of the heartbeats of one incarnation of a node within ten minutes.
//!
//! 1. A summary is a function of its samples: it is written repeatedly while it grows, and the last one counts, so that a
//!    repeated write changes nothing.
//! 2. Samples are added in the order of their numbers; a sample that was already added is ignored.
//! 3. One day of a node is at most 144 summaries per incarnation, however often it sends heartbeats.
//!
//! Not here: the meaning of availability or a flap (`report/`).

use super::{Histogram, Sample};
use crate::cluster::ids::{Incarnation, NodeId, Term};
use crate::cluster::time::ServerTime;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The time that one summary covers, counted from the Unix epoch.
pub const SPAN: Duration = Duration::from_mins(10);

/// The maximum number of gaps and of terms that a summary keeps; further ones are included only in its other figures.
pub const MOST_SPANS: usize = 64;

/// A span of time, both ends included.
pub type Between = (ServerTime, ServerTime);

/// A summary; see the head of this file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// The node.
    pub node_id: NodeId,
    /// The incarnation of the node.
    pub incarnation: Incarnation,
    /// The start of its ten minutes.
    pub from: ServerTime,
    /// The time of its first heartbeat.
    pub first_at: ServerTime,
    /// The time of its last heartbeat.
    pub last_at: ServerTime,
    /// The number of its last heartbeat.
    pub last_number: u64,
    /// The number of heartbeats.
    pub beats: u64,
    /// The number of heartbeats that needed more than one attempt.
    pub retried: u64,
    /// The delays between when heartbeats were due and when they were answered.
    pub delays: Histogram,
    /// The longest delay.
    pub longest_delay: Duration,
    /// The round trips of heartbeats.
    pub round_trips: Histogram,
    /// The spans of one and a half intervals or more between two heartbeats, also since the last heartbeat of the previous
    /// summary.
    pub gaps: Vec<Between>,
    /// The terms in which the node led, and when.
    pub reigns: Vec<(Term, ServerTime, ServerTime)>,
    /// The heartbeat interval at the end.
    pub interval: Duration,
    /// The version of clawster that the node ran at the end.
    pub version: String,
}

impl Summary {
    /// The summary of a first sample. `previous` is the time of the previous heartbeat of the same incarnation, if any.
    #[must_use]
    pub fn of(sample: &Sample, previous: Option<ServerTime>) -> Self {
        let mut summary = Self {
            node_id: sample.node_id.clone(),
            incarnation: sample.incarnation,
            from: beginning(sample.at),
            first_at: sample.at,
            last_at: previous.unwrap_or(sample.at),
            last_number: 0,
            beats: 0,
            retried: 0,
            delays: Histogram::default(),
            longest_delay: Duration::ZERO,
            round_trips: Histogram::default(),
            gaps: Vec::new(),
            reigns: Vec::new(),
            interval: sample.interval,
            version: sample.version.clone(),
        };
        summary.take(sample);
        summary
    }

    /// Adds a sample. False: it belongs to another summary, and nothing changed.
    pub fn add(&mut self, sample: &Sample) -> bool {
        let same = sample.node_id == self.node_id && sample.incarnation == self.incarnation;
        if !same || beginning(sample.at) != self.from {
            return false;
        }
        if sample.number > self.last_number {
            self.take(sample);
        }
        true
    }

    fn take(&mut self, sample: &Sample) {
        if sample.at.since(self.last_at) >= sample.interval.mul_f64(1.5) && self.gaps.len() < MOST_SPANS {
            self.gaps.push((self.last_at, sample.at));
        }
        self.last_at = self.last_at.max(sample.at);
        self.last_number = sample.number;
        self.beats += 1;
        self.retried += u64::from(sample.attempts > 1);
        self.delays.add(sample.delay);
        self.longest_delay = self.longest_delay.max(sample.delay);
        self.round_trips.add(sample.round_trip);
        self.interval = sample.interval;
        self.version.clone_from(&sample.version);
        if sample.leads {
            let room = self.reigns.len() < MOST_SPANS;
            match self.reigns.last_mut() {
                Some((term, _, end)) if *term == sample.term => *end = self.last_at,
                _ if room => self.reigns.push((sample.term, sample.at, sample.at)),
                _ => {}
            }
        }
    }

    /// The summaries of ordered samples, for a store that has no summaries of its own.
    #[must_use]
    pub fn of_all(samples: &[Sample]) -> Vec<Self> {
        let mut lives: std::collections::BTreeMap<(&NodeId, Incarnation), Vec<Self>> =
            std::collections::BTreeMap::new();
        for sample in samples {
            let instance = lives.entry((&sample.node_id, sample.incarnation)).or_default();
            if instance.last_mut().is_some_and(|summary| summary.add(sample)) {
                continue;
            }
            let previous = instance.last().map(|summary| summary.last_at);
            instance.push(Self::of(sample, previous));
        }
        lives.into_values().flatten().collect()
    }
}

/// The start of the summary that a time belongs to.
fn beginning(at: ServerTime) -> ServerTime {
    let span = crate::cluster::time::millis(SPAN);
    ServerTime(at.0 - at.0 % span)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(number: u64, at: u64) -> Sample {
        Sample {
            node_id: NodeId::new("a").expect("an id"),
            incarnation: Incarnation(7),
            number,
            at: ServerTime(at),
            leads: number.is_multiple_of(2),
            term: Term(3),
            leader_id: None,
            round_trip: Duration::from_millis(1),
            attempts: u32::from(number == 3) + 1,
            delay: Duration::from_millis(number),
            lag: 0,
            memory: 0,
            peers: None,
            version: "1".to_owned(),
            interval: Duration::from_secs(10),
        }
    }

    #[test]
    fn a_repeated_sample_changes_nothing_and_a_late_one_is_a_gap() {
        let mut summary = Summary::of(&sample(1, 1_000), None);
        assert!(summary.add(&sample(2, 11_000)));
        let before = summary.clone();
        assert!(summary.add(&sample(2, 11_000)));
        assert_eq!(summary, before);
        assert!(summary.add(&sample(3, 40_000)) && summary.add(&sample(4, 50_000)));
        assert_eq!(summary.gaps, [(ServerTime(11_000), ServerTime(40_000))]);
        assert_eq!((summary.beats, summary.retried, summary.longest_delay), (4, 1, Duration::from_millis(4)));
        assert_eq!(summary.reigns, [(Term(3), ServerTime(11_000), ServerTime(50_000))]);
        assert!(!summary.add(&sample(5, 600_000)), "another ten minutes");
    }

    #[test]
    fn a_gap_across_two_summaries_is_in_the_second() {
        let all = Summary::of_all(&[sample(1, 590_000), sample(2, 630_000)]);
        assert_eq!(all.len(), 2);
        assert_eq!((all[0].gaps.len(), all[1].from), (0, ServerTime(600_000)));
        assert_eq!(all[1].gaps, [(ServerTime(590_000), ServerTime(630_000))]);
        assert_eq!((all[1].first_at, all[1].last_at), (ServerTime(630_000), ServerTime(630_000)));
    }
}
