//! The only place that reads a clock.
//!
//! 1. Differences are taken on CLOCK_BOOTTIME, which goes on while the host is suspended, unlike `Instant`.
//!
//! Not here: what the times mean (`crate::cluster::time`).

use crate::cluster::time::Moment;
use rustix::time::{ClockId, clock_gettime};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// This host's time since boot, suspend included.
#[must_use]
pub fn now() -> Moment {
    let time = clock_gettime(ClockId::Boottime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanos = u32::try_from(time.tv_nsec).unwrap_or(0);
    Moment(Duration::new(seconds, nanos))
}

/// The wall clock, for the stamps of log lines only; no decision rests on it.
#[must_use]
pub fn wall() -> std::time::SystemTime {
    #[allow(clippy::disallowed_methods)]
    std::time::SystemTime::now()
}

/// The processor time that this process has used.
#[must_use]
pub fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// Limits a log line that a loop may repeat: logged at once, then at most once a minute with the number of suppressed ones.
///
/// `burst` lines pass in a minute; after the first suppressed line, a single one passes in each minute, until a minute has no more
/// than that.
#[derive(Debug)]
pub struct Seldom(Mutex<Repeats>);

#[derive(Debug)]
struct Repeats {
    burst: u32,
    began: Option<Moment>,
    said: u32,
    unsaid: u64,
}

const MINUTE: Duration = Duration::from_mins(1);

impl Repeats {
    fn due(&mut self, now: Moment) -> Option<u64> {
        if self.began.is_none_or(|began| now.since(began) >= MINUTE) {
            self.began = Some(now);
            self.said = 0;
        }
        let room = if self.unsaid > 0 { 1 } else { self.burst };
        if self.said >= room {
            self.unsaid += 1;
            return None;
        }
        self.said += 1;
        Some(std::mem::take(&mut self.unsaid))
    }
}

impl Seldom {
    /// A line that may come `burst` times a minute.
    #[must_use]
    pub const fn new(burst: u32) -> Self {
        Self(Mutex::new(Repeats { burst, began: None, said: 0, unsaid: 0 }))
    }

    /// How often it was left unsaid since it was said the last time; `None`: leave it unsaid now.
    pub fn due(&self) -> Option<u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).due(now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_repeats_is_said_at_once_and_then_once_a_minute_with_its_number() {
        let mut line = Repeats { burst: 1, began: None, said: 0, unsaid: 0 };
        let at = |ms: u64| Moment(Duration::from_millis(ms));
        let said: Vec<Option<u64>> = (0..7).map(|n| line.due(at(1_000 + n * 25_000))).collect();
        assert_eq!(said, [Some(0), None, None, Some(2), None, None, Some(2)]);
    }

    #[test]
    fn a_burst_passes_and_a_flood_does_not() {
        let mut line = Repeats { burst: 3, began: None, said: 0, unsaid: 0 };
        let mut passed = |from: u64, count: u64| {
            (0..count).filter(|n| line.due(Moment(Duration::from_millis(from * 1_000 + n))).is_some()).count()
        };
        assert_eq!(passed(1, 3), 3);
        assert_eq!(passed(62, 50), 3);
        assert_eq!(passed(123, 50), 3, "one with the number, and it is a burst again");
        assert_eq!(passed(184, 2), 2);
    }
}
