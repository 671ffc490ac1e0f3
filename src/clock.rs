//! The only place that reads a clock.
//!
//! 1. Differences are taken on CLOCK_BOOTTIME, which goes on while the host is suspended, unlike `Instant`.
//!
//! Not here: what the times mean (`crate::cluster::time`).

use crate::cluster::time::Moment;
use rustix::time::{ClockId, clock_gettime};
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
