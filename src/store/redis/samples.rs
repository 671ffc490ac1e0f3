//! Heartbeats as entries of the nodes' history streams.
//!
//! 1. An entry's id is `<at>-<number>`; its content is one string of values separated by spaces, so that a day of many nodes is read
//!    quickly: one field per value would make a reply with twelve times as many parts.
//! 2. A stream's content is never trusted: an entry that is not a valid sample is skipped.
//!
//! Not here: reading the streams (`history.rs`), their limits (`scripts/shared/samples.lua`).

use super::arguments::Arguments;
use super::fields::Malformed;
use crate::cluster::history::Sample;
use crate::cluster::ids::{Incarnation, NodeId, Term};
use crate::cluster::time::ServerTime;
use std::time::Duration;

/// The approximate maximum number of entries in one stream.
const MAX_STREAM_ENTRIES: u64 = 10_000;
/// The text for "no leader"; it is not a valid node id.
const NOBODY: &str = "-";

/// How long a node's heartbeats are kept in Redis; zero: not at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Recent(pub(super) Duration);

impl Default for Recent {
    fn default() -> Self {
        Self(Duration::from_hours(24))
    }
}

impl Recent {
    /// Adds the arguments of `keep_samples`.
    pub(super) fn put(self, arguments: &mut Arguments, samples: &[Sample]) {
        arguments.put("history_window", &self.0);
        arguments.put("history_entries", &self.entries(samples));
        let samples = samples
            .iter()
            .map(|sample| [sample.node_id.to_string(), format!("{}-{}", sample.at.0, sample.number), text(sample)]);
        arguments.list("samples", &["sampled_node", "sample_id", "sample"], samples);
    }

    /// The maximum number of entries in the stream of these samples.
    fn entries(self, samples: &[Sample]) -> u64 {
        let least = samples.iter().map(|sample| sample.interval).min().unwrap_or(Duration::ZERO);
        let fitting = self.0.as_micros().div_ceil(least.as_micros().max(1));
        u64::try_from(fitting).unwrap_or(MAX_STREAM_ENTRIES).clamp(1, MAX_STREAM_ENTRIES)
    }
}

/// What comes before the number of peers, behind the version, where older versions of this program read it as a part of the version.
const PEERS: &str = " peers=";

/// Incarnation, leads, term, leader, round trip (µs), attempts, delay (µs), lag, memory, interval (µs), version, peers.
fn text(sample: &Sample) -> String {
    let peers = sample.peers.map(|peers| format!("{PEERS}{peers}")).unwrap_or_default();
    format!(
        "{} {} {} {} {} {} {} {} {} {} {}{peers}",
        sample.incarnation,
        u8::from(sample.leads),
        sample.term,
        sample.leader_id.as_ref().map_or(NOBODY, NodeId::as_str),
        sample.round_trip.as_micros(),
        sample.attempts,
        sample.delay.as_micros(),
        sample.lag,
        sample.memory,
        sample.interval.as_micros(),
        sample.version,
    )
}

/// The sample of an entry in the stream of `node`.
pub(super) fn read(node: &NodeId, id: &str, text: &str) -> Result<Sample, Malformed> {
    let odd = || Malformed("it is not a valid heartbeat sample".to_owned());
    let (at, number) = id.split_once('-').ok_or_else(odd)?;
    let mut parts = text.splitn(11, ' ');
    let mut word = || parts.next().ok_or_else(odd);
    let whole = |word: &str| word.parse::<u64>().map_err(|_| odd());
    let micros = |word: &str| whole(word).map(Duration::from_micros);
    let mut sample = Sample {
        node_id: node.clone(),
        at: ServerTime(whole(at)?),
        number: whole(number)?,
        incarnation: Incarnation(whole(word()?)?),
        leads: word()? == "1",
        term: Term(whole(word()?)?),
        leader_id: match word()? {
            NOBODY => None,
            id => Some(NodeId::new(id).map_err(|_| odd())?),
        },
        round_trip: micros(word()?)?,
        attempts: word()?.parse().map_err(|_| odd())?,
        delay: micros(word()?)?,
        lag: whole(word()?)?,
        memory: whole(word()?)?,
        interval: micros(word()?)?,
        peers: None,
        version: word()?.to_owned(),
    };
    if let Some((version, peers)) = sample.version.rsplit_once(PEERS) {
        (sample.peers, sample.version) = (Some(whole(peers)?), version.to_owned());
    }
    Ok(sample)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_sample_is_refused() {
        let node = NodeId::new("a").expect("an id");
        let good = "7 1 3 a 1500 1 2500 0 4096 10000000 1.0 beta";
        let sample = read(&node, "1000-4", good).expect("a sample");
        assert_eq!((sample.version.as_str(), sample.number, sample.at), ("1.0 beta", 4, ServerTime(1000)));
        assert_eq!(text(&sample), good);
        let gossips = format!("{good} peers=4");
        let sample = read(&node, "1000-4", &gossips).expect("a sample");
        assert_eq!((sample.version.as_str(), sample.peers), ("1.0 beta", Some(4)));
        assert_eq!(text(&sample), gossips);
        for (id, text) in [
            ("1000", good),
            ("x-4", good),
            ("1000--4", good),
            ("1000-4", ""),
            ("1000-4", "7 1 3 a 1500 1 2500 0 4096 10000000"),
            ("1000-4", "7 1 3 .. 1500 1 2500 0 4096 10000000 1.0"),
            ("1000-4", "7 1 3 a 1500 -1 2500 0 4096 10000000 1.0"),
            ("1000-4", "7 1 3 a 1500 1 2500 0 4096 10000000 1.0 peers=x"),
            ("1000-4", "7 1 3 a 99999999999999999999 1 2500 0 4096 10000000 1.0"),
        ] {
            assert!(read(&node, id, text).is_err(), "{id} {text}");
        }
    }

    #[test]
    fn a_stream_holds_as_many_entries_as_its_window_has_heartbeats() {
        let node = NodeId::new("a").expect("an id");
        let mut sample = read(&node, "1000-4", "7 1 3 a 1 1 2 0 4096 10000000 1.0").expect("a sample");
        let most =
            |recent: u64, sample: &Sample| Recent(Duration::from_hours(recent)).entries(std::slice::from_ref(sample));
        assert_eq!(most(24, &sample), 8640);
        assert_eq!(most(168, &sample), 10000);
        sample.interval = Duration::from_hours(100);
        assert_eq!(most(1, &sample), 1);
        sample.interval = Duration::ZERO;
        assert_eq!(most(1, &sample), 10000);
    }
}
