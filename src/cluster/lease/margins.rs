//! The safety margins between a holder that stops and a successor that takes over; they are defined only here.
//!
//! A holder acts on its lease for a time that it measures on its own clock; a successor waits for a time on its own clock.
//! Neither knows how fast the other's clock runs. Both are safe as long as the *rate* of each clock is within
//! [`CLOCK_DRIFT`] of real time; the values of the clocks do not matter.
//!
//! 1. A holder's last confirmed call was sent at some moment, and the server received it then or later. On a clock that
//!    runs slow by the drift, [`acting_time`] of a promise `p` lasts `p × (1 − drift) / (1 − drift) = p` of real time: the
//!    holder has stopped `p` after it sent that call.
//! 2. A candidate first sees the unchanged record (or the absent presence) after the server received that call. On a clock
//!    that runs fast by the drift, [`takeover_wait`] of the same promise lasts `p × (1 + drift) / (1 + drift) = p`: no
//!    successor takes over before `p` has passed since.
//! 3. So the two never overlap, whichever clock is the fast one. A lease also loses [`LEASE_SAFETY`], for the time between
//!    the decision to act and the act itself.
//!
//! Not here: what a holder promises (`crate::cluster::settings`), what counts as unchanged or absent (`election.rs`, `holder/wait.rs`).

use std::time::Duration;

/// The largest difference between the rate of a node's clock and real time, as a fraction. Quartz drifts by less than a
/// thousandth of this; the rest is for virtual machines whose host slows their clock down. A larger value makes takeovers
/// slower and leases shorter.
pub const CLOCK_DRIFT: f64 = 0.05;

/// What a holder subtracts from its lease in addition to the drift.
pub const LEASE_SAFETY: Duration = Duration::from_millis(50);

/// How long a successor waits, on its own clock, since it first observed its condition. `promised`: the holder's grace or
/// lease, from its record.
#[must_use]
pub fn takeover_wait(promised: Duration) -> Duration {
    promised.mul_f64(1.0 + CLOCK_DRIFT)
}

/// How long a holder may act, on its own clock, since it sent its last confirmed call.
#[must_use]
pub fn acting_time(promised: Duration) -> Duration {
    promised.mul_f64(1.0 - CLOCK_DRIFT)
}

/// The same for a lease: [`acting_time`] less [`LEASE_SAFETY`].
#[must_use]
pub fn lease_time(lease: Duration) -> Duration {
    acting_time(lease).saturating_sub(LEASE_SAFETY)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// How far apart rounding may bring two times.
    const ROUNDING: Duration = Duration::from_nanos(2);

    #[test]
    fn both_sides_meet_exactly_at_the_promise_when_their_clocks_are_at_the_bound() {
        // Spelled as numbers: a change of one side alone, or of the drift for one of them, fails here.
        for promised in [100, 1_000, 3_000, 30_000, 3_600_000].map(Duration::from_millis) {
            let slow_holder = acting_time(promised).div_f64(0.95);
            let fast_candidate = takeover_wait(promised).div_f64(1.05);
            assert!(
                slow_holder.abs_diff(promised) <= ROUNDING,
                "a slow holder acts for {slow_holder:?} of {promised:?}"
            );
            assert!(
                fast_candidate.abs_diff(promised) <= ROUNDING,
                "a fast candidate waits {fast_candidate:?} of {promised:?}"
            );
            let lease = lease_time(promised) + Duration::from_millis(50);
            assert!(
                lease.abs_diff(promised.mul_f64(0.95)) <= ROUNDING,
                "a lease of {promised:?} is used for {lease:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn a_holder_has_stopped_before_anybody_may_follow(
            promised in 1_u64..100_000_000,
            holder in 0.95_f64..1.05,
            candidate in 0.95_f64..1.05,
            seen_late in 0_u64..10_000,
        ) {
            let promised = Duration::from_micros(promised);
            // In real time since the holder sent its last confirmed call; the candidate cannot have seen its effect before.
            let stops = acting_time(promised).div_f64(holder);
            let follows = Duration::from_micros(seen_late) + takeover_wait(promised).div_f64(candidate);
            prop_assert!(stops <= follows + ROUNDING, "{stops:?} {follows:?}");
            prop_assert!(lease_time(promised) <= acting_time(promised));
        }
    }
}
