//! Brings events into the cluster's order, with times that never go back, and finds what is missing.
//!
//! 1. The sequence numbers of events determine their order, even across data sets: a new data set begins above all numbers
//!    seen.
//! 2. If the server's clock was set back, times from before that are lowered to be no later than the times after it: the
//!    later setting of the clock is trusted.
//!
//! Not here: the meaning of events.

use super::{Between, Window};
use crate::cluster::event::ClusterEvent;
use crate::cluster::time::ServerTime;
use std::time::Duration;

/// The minimum by which the sequence numbers of a new data set exceed those of the old one.
const LIFT: u64 = 1_000_000;

/// Ordered events; see the head of this file.
pub(super) struct Ordered {
    pub(super) events: Vec<ClusterEvent>,
    /// See [`super::Report::unrecorded`].
    pub(super) unrecorded: Vec<Between>,
    /// See [`super::Report::data_lost`].
    pub(super) data_lost: Vec<ServerTime>,
    /// See [`super::Report::set_back`].
    pub(super) set_back: Duration,
}

/// Orders events.
pub(super) fn ordered(window: Window, events: &[ClusterEvent]) -> Ordered {
    let mut events = events.to_vec();
    events.sort_by_key(|event| (event.seq, event.at));
    events.dedup_by_key(|event| event.seq);
    let mut set_back = Duration::ZERO;
    let mut latest = window.to;
    for event in events.iter_mut().rev() {
        set_back = set_back.max(event.at.since(latest));
        latest = latest.min(event.at);
        event.at = latest;
    }
    let mut unrecorded = Vec::new();
    let first = events.first().map_or(window.to, |event| event.at);
    if first > window.from {
        unrecorded.push((window.from, first));
    }
    let mut data_lost = Vec::new();
    for pair in events.windows(2) {
        let [before, after] = pair else { continue };
        match after.seq.0 - before.seq.0 {
            1 => {}
            LIFT.. => data_lost.push(after.at),
            _ => unrecorded.extend(window.clip((before.at, after.at))),
        }
    }
    data_lost.retain(|at| window.clip((*at, *at)).is_some());
    Ordered { events, unrecorded, data_lost, set_back }
}
