//! The Redis server's clock as this node observes it with its own clock, which does not jump and continues while the host
//! is suspended.
//!
//! 1. Only a certain jump counts: more time passed on the server than between sending the earlier call and the answer to
//!    the later one.

use crate::cluster::protocol::{ClockSeen, JUMP};
use crate::cluster::time::{Moment, ServerTime, millis};
use std::time::Duration;

/// The maximum number of jumps that are remembered.
const REMEMBERED: usize = 8;

/// See the head of this file.
#[derive(Debug, Default)]
pub(super) struct Wall {
    /// The latest server time, and when the call that returned it was sent.
    last: Option<(ServerTime, Moment)>,
    jumps: Vec<(ServerTime, Duration)>,
}

impl Wall {
    /// Takes the server's time from an answer; returns by how much that clock jumped forward since the previous one.
    pub(super) fn observe(&mut self, at: ServerTime, sent: Moment, answered: Moment) -> Option<Duration> {
        let jump = self.last.and_then(|(known, since)| {
            let most = known.0.saturating_add(millis(answered.since(since)));
            let by = Duration::from_millis(at.0.saturating_sub(most));
            (by > JUMP).then_some(by)
        });
        self.last = Some((at, sent));
        if let Some(by) = jump {
            self.jumps.push((at, by));
            let old = self.jumps.len().saturating_sub(REMEMBERED);
            self.jumps.drain(..old);
        }
        jump
    }

    /// What a call made now can say about the clock; nothing before the first answer.
    pub(super) fn seen(&self, now: Moment) -> Option<ClockSeen> {
        let (at, since) = self.last?;
        let expected = ServerTime(at.0.saturating_add(millis(now.since(since))));
        Some(ClockSeen { expected, jumps: self.jumps.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: u64) -> Moment {
        Moment(Duration::from_secs(secs))
    }

    #[test]
    fn a_jump_is_what_passed_on_the_server_and_not_here() {
        let mut wall = Wall::default();
        assert_eq!(wall.seen(at(0)), None);
        assert_eq!(wall.observe(ServerTime(1_000_000), at(10), at(10)), None);
        assert_eq!(wall.observe(ServerTime(29_000_000), at(28_010), at(28_010)), None, "a night");
        assert_eq!(wall.observe(ServerTime(29_060_000), at(28_011), at(28_071)), None, "an answer that took a minute");
        assert_eq!(wall.observe(ServerTime(32_670_000), at(28_075), at(28_075)), Some(Duration::from_secs(3_546)));
        let seen = wall.seen(at(28_085)).unwrap();
        assert_eq!((seen.expected, seen.jumps.len()), (ServerTime(32_680_000), 1));
        assert_eq!(wall.observe(ServerTime(5), at(28_086), at(28_086)), None, "a jump back ends nothing early");
    }
}
