//! Formats durations, times, fractions and reasons for people, in the table and the picture.
//!
//! 1. A fraction is never rounded up: 100 % means that nothing was missing.
//!
//! Not here: ages and colours (`crate::cli::terminal`).

use crate::cli::terminal::utc;
use crate::cluster::event::ElectedReason;
use crate::cluster::history::report::{Failover, Gone, Vacancy};
use crate::cluster::time::ServerTime;
use std::time::Duration;

/// Formats a time with a `strftime` pattern, in UTC.
pub(super) fn time(at: ServerTime, pattern: &str) -> String {
    jiff::fmt::strtime::format(pattern, &utc(at.0)).unwrap_or_default()
}

// Not jiff's printer, which prints every unit and no space before it.
/// A duration in its two largest units: `350 ms`, `4.2 s`, `58 s`, `1 min 3 s`, `2 h 5 min`, `3 d 4 h`.
pub(super) fn lasting(duration: Duration) -> String {
    let (millis, seconds) = (duration.as_millis(), duration.as_secs());
    let two = |large: u64, unit: &str, small: u64, less: &str| match small {
        0 => format!("{large} {unit}"),
        _ => format!("{large} {unit} {small} {less}"),
    };
    match seconds {
        0 => format!("{millis} ms"),
        1..10 if duration.subsec_millis() >= 100 => format!("{}.{} s", seconds, duration.subsec_millis() / 100),
        1..10 => format!("{seconds} s"),
        10..60 => format!("{seconds} s"),
        60..3_600 => two(seconds / 60, "min", seconds % 60, "s"),
        3_600..86_400 => two(seconds / 3_600, "h", seconds / 60 % 60, "min"),
        _ => two(seconds / 86_400, "d", seconds / 3_600 % 24, "h"),
    }
}

/// The length of a window: `90 min`, `24 h`, `7 d`.
pub(super) fn window(length: Duration) -> String {
    let hours = length.as_secs() / 3_600;
    match length.as_secs() % 3_600 {
        0 if (1..=48).contains(&hours) => format!("{hours} h"),
        _ if length < Duration::from_hours(2) && length.as_secs().is_multiple_of(60) => {
            format!("{} min", length.as_secs() / 60)
        }
        _ => lasting(length),
    }
}

/// A delay: `4.2 ms`, `17 ms`, from 1 s on as [`lasting`].
pub(super) fn delay(duration: Duration) -> String {
    match duration.as_micros() {
        0..10_000 => format!("{:.1} ms", duration.as_secs_f64() * 1_000.0),
        10_000..1_000_000 => format!("{} ms", duration.as_millis()),
        _ => lasting(duration),
    }
}

/// A fraction (0 to 1) in per cent, rounded down; `-` for `None`.
pub(super) fn share(share: Option<f64>) -> String {
    let Some(share) = share else { return "-".to_owned() };
    if share >= 1.0 {
        return "100 %".to_owned();
    }
    format!("{:.2} %", (share * 10_000.0).floor() / 100.0)
}

/// Why a node was gone.
pub(super) fn gone(reason: Gone) -> &'static str {
    match reason {
        Gone::Left => "left",
        Gone::HeartbeatTimeout => "heartbeat timeout",
        Gone::ProcessDied => "process died",
        Gone::Replaced => "replaced",
        Gone::Silent => "silent",
        Gone::Unknown => "reason not recorded",
    }
}

/// Why a leader was elected.
pub(super) fn elected(reason: ElectedReason) -> &'static str {
    match reason {
        ElectedReason::Vacant => "no leader",
        ElectedReason::Expired => "lease expired",
        ElectedReason::ProcessDied => "process died",
        ElectedReason::Handover => "handover",
        ElectedReason::Resigned => "resigned",
        ElectedReason::Other => "other",
    }
}

/// How long there was no leader.
pub(super) fn vacancy(change: &Failover) -> String {
    match change.vacancy() {
        Vacancy::Exactly(duration) => lasting(duration),
        Vacancy::AtMost(duration) => format!("at most {}", lasting(duration)),
        Vacancy::Unknown => "not recorded".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_two_units_at_most() {
        let of = |millis| lasting(Duration::from_millis(millis));
        assert_eq!([of(350), of(4_250), of(58_900)], ["350 ms", "4.2 s", "58 s"]);
        assert_eq!([of(63_000), of(3_600_000), of(7_500_000)], ["1 min 3 s", "1 h", "2 h 5 min"]);
        assert_eq!([of(3 * 86_400_000 + 4 * 3_600_000), of(8_040)], ["3 d 4 h", "8 s"]);
        let window = |seconds| window(Duration::from_secs(seconds));
        assert_eq!([window(86_400), window(5_400), window(7 * 86_400), window(40)], ["24 h", "90 min", "7 d", "40 s"]);
        assert_eq!([delay(Duration::from_micros(4_240)), delay(Duration::from_millis(17))], ["4.2 ms", "17 ms"]);
    }

    #[test]
    fn a_share_is_never_rounded_up() {
        let of = |value| share(Some(value));
        assert_eq!(
            [of(1.0), of(0.999_999), of(0.5), share(None)],
            ["100 %", "99.99 %", "50.00 %", "-".to_owned().as_str()]
        );
    }

    #[test]
    fn times_are_utc() {
        assert_eq!(time(ServerTime(1_700_000_000_000), "%Y-%m-%d %H:%M:%S"), "2023-11-14 22:13:20");
    }
}
