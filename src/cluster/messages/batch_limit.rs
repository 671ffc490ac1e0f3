//! The number of entries that one read or write of messages carries: fewer after a failure, then slowly more again.
//!
//! 1. The number never falls below one, so that whatever a server or a link can carry gets through in the end.
//! 2. The time limit for a single entry doubles while the entry does not arrive, so that a slow link does not lead to
//!    endless retries.
//! 3. After each failure it takes twice as many successes to try more again, so that a limit is rarely hit.
//! 4. A reader that is behind asks for more entries while they are small; one page stays bounded even if large ones follow.
//!
//! Not here: reading (`crate::engine::stream_reader`) and sending (`crate::engine::messages::publisher`).

use std::time::Duration;

/// The maximum number of entries.
const MAX_ENTRIES: usize = 16;
/// How many times as many small entries a reader asks for: messages are up to 1 MiB, so that a page of large ones is at most 64 MiB.
const MAX_WIDTH: usize = 4;
/// The average number of bytes up to which entries are small.
const SMALL_ENTRY_BYTES: usize = 4 << 10;
/// The initial time limit for an answer.
const FIRST_TIMEOUT: Duration = Duration::from_secs(2);
/// How often the time limit doubles at most: up to 64 s.
const MAX_DOUBLINGS: u32 = 5;
/// How many successes it takes to try one entry more: at first, and at most.
const TRIALS: (u32, u32) = (4, 256);

/// The limit of one reader or writer; see the head of this file.
#[derive(Debug)]
pub struct BatchLimit {
    count: usize,
    width: usize,
    doublings: u32,
    good: u32,
    trials: u32,
    failures: u32,
}

impl Default for BatchLimit {
    fn default() -> Self {
        Self { count: MAX_ENTRIES, width: 1, doublings: 0, good: 0, trials: TRIALS.0, failures: 0 }
    }
}

impl BatchLimit {
    /// The number of entries of the next read or write.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }

    /// The number of entries of the next read.
    #[must_use]
    pub fn page(&self) -> usize {
        self.count * self.width
    }

    /// Called after a read of `entries` with `bytes` in all; returns how many attempts failed before it.
    pub fn read(&mut self, entries: usize, bytes: usize) -> u32 {
        let small = entries >= self.page() && bytes <= entries * SMALL_ENTRY_BYTES;
        self.width = if small { (self.width * 2).min(MAX_WIDTH) } else { 1 };
        self.succeeded(entries)
    }

    /// The time limit for its answer.
    #[must_use]
    pub fn deadline(&self) -> Duration {
        FIRST_TIMEOUT * 2_u32.pow(self.doublings)
    }

    /// Called after a failure: lowers the number of entries, or raises the time limit.
    pub fn failed(&mut self) {
        if self.count > 1 {
            self.count = (self.count / 4).max(1);
        } else {
            self.doublings = (self.doublings + 1).min(MAX_DOUBLINGS);
        }
        self.width = 1;
        self.good = 0;
        self.trials = (self.trials * 2).min(TRIALS.1);
        self.failures = self.failures.saturating_add(1);
    }

    /// How many attempts have failed since the last success.
    #[must_use]
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// Called after a success with `entries`; returns how many attempts failed before it.
    pub fn succeeded(&mut self, entries: usize) -> u32 {
        if entries >= self.count && self.count < MAX_ENTRIES {
            self.good += 1;
            if self.good >= self.trials {
                self.count += 1;
                self.good = 0;
            }
        }
        std::mem::take(&mut self.failures)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Turns until one that carries `count` entries passes, when a server lets through `most` and a link takes `time` for each.
    fn turns(limit: &mut BatchLimit, most: usize, time: Duration) -> usize {
        for turn in 1..100 {
            let count = limit.count();
            if count <= most && time * u32::try_from(count).unwrap() <= limit.deadline() {
                limit.succeeded(count);
                return turn;
            }
            limit.failed();
        }
        panic!("never")
    }

    #[test]
    fn whatever_one_entry_can_pass_passes_within_a_few_turns() {
        for most in [1, 3, 4, 15, 16] {
            for seconds in [0, 1, 3, 30, 60] {
                let mut limit = BatchLimit::default();
                let took = turns(&mut limit, most, Duration::from_secs(seconds));
                assert!(took <= 8, "{took} turns for {most} entries of {seconds} s");
                assert_eq!(turns(&mut limit, most, Duration::from_secs(seconds)), 1, "and the next one at once");
            }
        }
    }

    #[test]
    fn a_limit_is_met_seldom_and_more_is_tried_when_it_is_gone() {
        let mut limit = BatchLimit::default();
        let mut failures = 0;
        for _ in 0..1000 {
            if limit.count() > 8 {
                limit.failed();
                failures += 1;
            } else {
                limit.succeeded(limit.count());
            }
        }
        assert!(failures < 12, "{failures} of 1,000 turns met the limit");
        (0..10_000).for_each(|_| {
            limit.succeeded(limit.count());
        });
        assert_eq!(limit.count(), MAX_ENTRIES);
    }

    #[test]
    fn a_reader_that_is_behind_asks_for_more_while_entries_are_small() {
        let mut limit = BatchLimit::default();
        let mut pages = Vec::new();
        for (entries, bytes) in [(16, 3200), (32, 6400), (64, 12_800), (64, 64 << 20), (16, 3200), (7, 700)] {
            limit.read(entries, bytes);
            pages.push(limit.page());
        }
        assert_eq!(pages, [32, 64, 64, 16, 32, 16]);
        limit.read(16, 16);
        limit.failed();
        assert_eq!(limit.page(), 4, "after a failure it asks for fewer at once");
    }

    #[test]
    fn a_turn_that_went_well_tells_how_many_failed_before() {
        let mut limit = BatchLimit::default();
        limit.failed();
        limit.failed();
        assert_eq!(limit.failures(), 2);
        assert_eq!((limit.succeeded(1), limit.succeeded(1)), (2, 0));
    }
}
