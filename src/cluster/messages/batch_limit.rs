//! How much one read or write of messages carries: less after a failure, more again slowly.
//!
//! 1. It never goes below one entry, so that whatever a server or a link lets through passes in the end.
//! 2. The time for a single entry doubles while it does not come, so that a slow link is no reason to ask for ever.
//! 3. After each failure it takes twice as many good turns to try more again, so that a limit is met seldom.
//!
//! Not here: the reading (`crate::engine::stream_reader`) and the sending (`crate::engine::messages::publisher`).

use std::time::Duration;

/// How many entries one turn carries at most.
const MAX_ENTRIES: usize = 16;
/// The time for an answer, before it was ever too short.
const DEADLINE: Duration = Duration::from_secs(2);
/// How often that time doubles at most: up to 64 s.
const MOST_PATIENCE: u32 = 5;
/// How many good turns it takes to try one entry more: the first time, and at most.
const TRIALS: (u32, u32) = (4, 256);

/// See the module's text.
#[derive(Debug)]
pub struct Appetite {
    count: usize,
    patience: u32,
    good: u32,
    trials: u32,
    failures: u32,
}

impl Default for Appetite {
    fn default() -> Self {
        Self { count: MAX_ENTRIES, patience: 0, good: 0, trials: TRIALS.0, failures: 0 }
    }
}

impl Appetite {
    /// How many entries the next turn carries.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }

    /// How long its answer may take.
    #[must_use]
    pub fn deadline(&self) -> Duration {
        DEADLINE * 2_u32.pow(self.patience)
    }

    /// A turn failed: the next one carries less, or may take longer.
    pub fn failed(&mut self) {
        if self.count > 1 {
            self.count = (self.count / 4).max(1);
        } else {
            self.patience = (self.patience + 1).min(MOST_PATIENCE);
        }
        self.good = 0;
        self.trials = (self.trials * 2).min(TRIALS.1);
        self.failures = self.failures.saturating_add(1);
    }

    /// A turn with `entries` in it went well; returns how many failed before it.
    pub fn fed(&mut self, entries: usize) -> u32 {
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
    fn turns(appetite: &mut Appetite, most: usize, time: Duration) -> usize {
        for turn in 1..100 {
            let count = appetite.count();
            if count <= most && time * u32::try_from(count).unwrap() <= appetite.deadline() {
                appetite.fed(count);
                return turn;
            }
            appetite.failed();
        }
        panic!("never")
    }

    #[test]
    fn whatever_one_entry_can_pass_passes_within_a_few_turns() {
        for most in [1, 3, 4, 15, 16] {
            for seconds in [0, 1, 3, 30, 60] {
                let mut appetite = Appetite::default();
                let took = turns(&mut appetite, most, Duration::from_secs(seconds));
                assert!(took <= 8, "{took} turns for {most} entries of {seconds} s");
                assert_eq!(turns(&mut appetite, most, Duration::from_secs(seconds)), 1, "and the next one at once");
            }
        }
    }

    #[test]
    fn a_limit_is_met_seldom_and_more_is_tried_when_it_is_gone() {
        let mut appetite = Appetite::default();
        let mut failures = 0;
        for _ in 0..1000 {
            if appetite.count() > 8 {
                appetite.failed();
                failures += 1;
            } else {
                appetite.fed(appetite.count());
            }
        }
        assert!(failures < 12, "{failures} of 1,000 turns met the limit");
        (0..10_000).for_each(|_| {
            appetite.fed(appetite.count());
        });
        assert_eq!(appetite.count(), MAX_ENTRIES);
    }

    #[test]
    fn a_turn_that_went_well_tells_how_many_failed_before() {
        let mut appetite = Appetite::default();
        appetite.failed();
        appetite.failed();
        assert_eq!((appetite.fed(1), appetite.fed(1)), (2, 0));
    }
}
