//! The arguments of `history`.
//!
//! Not here: what it does (`mod.rs`).

use crate::cli::options::{Form, duration};
use clap::{Args, ValueHint};
use std::path::PathBuf;
use std::time::Duration;

/// The help of `history`.
pub(in crate::cli) const HISTORY_HELP: &str = "\
Reads the store of history itself, whether a node runs here or not: MongoDB where it is configured, else what Redis keeps
(history.recent_hours, a day by default). Available is the share of the time since a node first was a member; the time after
a goodbye does not count. A flap is a node that was gone without a goodbye and back within five minutes. Times are those of
the Redis server, in UTC. Exit code 3 when Redis keeps the history and cannot be reached, 1 when MongoDB does.

Examples:
  clawster history                               the last day, as a table
  clawster history --since 90m --node gateway-2  one node
  clawster history --since 7d --svg week.svg     a picture: leadership, outages and failovers on a timeline
  clawster history --svg - > now.svg             the same to standard output
  clawster history --beats 50                    the newest heartbeats one by one
  clawster history --json | jq '.report.failovers[] | select(.planned | not)'";

/// Which history to show, and how.
#[derive(Debug, Args)]
pub struct HistoryArguments {
    /// How far back, as in 30m, 24h, 7d
    #[arg(long, value_name = "DURATION", value_parser = window, default_value = "24h")]
    pub since: Duration,
    /// Draw a timeline into this file; `-`: standard output
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub svg: Option<PathBuf>,
    /// List the newest heartbeats, 20 unless told otherwise
    #[arg(long, value_name = "N", num_args = 0..=1, default_missing_value = "20", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub beats: Option<u32>,
    /// How to answer.
    #[command(flatten)]
    pub form: Form,
}

/// Reads what [`duration`] reads, and days; 1 s to 3650 days.
fn window(text: &str) -> Result<Duration, String> {
    let length = match text.strip_suffix('d') {
        Some(days) => match days.parse::<u64>() {
            Ok(days @ 0..=3_650) => Duration::from_hours(24 * days),
            _ => return Err("write days as in 7d; at most 3650d are allowed".to_owned()),
        },
        None => match text.strip_suffix('h').map(str::parse::<u64>) {
            Some(Ok(hours @ 0..=87_600)) => Duration::from_hours(hours),
            _ => duration(text)?,
        },
    };
    if length < Duration::from_secs(1) { Err("at least 1s is needed".to_owned()) } else { Ok(length) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_seconds_to_years() {
        assert_eq!(window("24h"), Ok(Duration::from_hours(24)));
        assert_eq!(window("90m"), Ok(Duration::from_mins(90)));
        assert_eq!(window("7d"), Ok(Duration::from_hours(168)));
        assert_eq!(window("72h"), Ok(Duration::from_hours(72)));
        assert_eq!(window("30"), Ok(Duration::from_secs(30)));
        for bad in ["0", "500ms", "-1d", "d", "1.5d", "4000d", "x", ""] {
            assert!(window(bad).is_err(), "{bad:?} was taken");
        }
    }
}
