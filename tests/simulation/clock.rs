//! Time as it is, and as each host reads it.
//!
//! 1. The simulation's time is true; hosts read clocks of other values and rates, the server one that jumps.

use clawster::cluster::time::Moment;
use std::time::Duration;

/// True time in microseconds since the simulation began.
pub(crate) type Time = u64;

/// One second of true time.
pub(crate) const SECOND: Time = 1_000_000;
/// One millisecond of true time.
pub(crate) const MS: Time = 1_000;

/// A duration as true time.
pub(crate) fn micros(duration: Duration) -> Time {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// A host's boot-time clock.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    /// What it showed when the simulation began, in microseconds.
    pub(crate) offset: u64,
    /// How many microseconds it counts in a true second: a million give or take 5 %.
    pub(crate) rate: u64,
}

impl Clock {
    pub(crate) fn read(&self, at: Time) -> Moment {
        Moment(Duration::from_micros(self.offset + at * self.rate / SECOND))
    }

    /// The first instant at which the clock shows at least `moment`.
    pub(crate) fn when(&self, moment: Moment) -> Time {
        let shown = u64::try_from(moment.0.as_nanos().div_ceil(1000)).unwrap_or(u64::MAX);
        (shown.saturating_sub(self.offset) * SECOND).div_ceil(self.rate)
    }
}
