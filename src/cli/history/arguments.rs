//! The arguments of `history`.
//!
//! Not here: what it does (`mod.rs`).

use crate::cli::options::{Form, days};
use clap::{Args, ValueHint};
use std::path::PathBuf;
use std::time::Duration;

/// The text behind the options in `history --help`.
pub(in crate::cli) const HISTORY_HELP: &str = "\
Reads the history directly, with or without a running node: from MongoDB if it is configured, else what Redis keeps \
(history.recent_hours, 24 by default). AVAILABLE is the fraction of the window, since the node first joined in it, during \
which it was online; time after a clean leave is not counted. A flap is a node that disappeared without leaving and came back \
within five minutes. Times are the Redis server's, in UTC. Exit code 3 if the history is in Redis and Redis cannot be \
reached, 1 if it is in MongoDB and MongoDB cannot be reached.

Examples:
  clawster history                               the last day, as a table
  clawster history --since 90m --of gateway-2    one node
  clawster history --since 7d --svg week.svg     a picture: leadership, outages and failovers on a timeline
  clawster history --svg - > now.svg             the same to standard output
  clawster history --beats 50                    the newest 50 heartbeats
  clawster history --json | jq '.report.failovers[] | select(.planned | not)'";

/// The arguments of `history`.
#[derive(Debug, Args)]
pub struct HistoryArguments {
    /// How far to look back, such as 30m, 24h, 7d
    #[arg(long, value_name = "DURATION", value_parser = window, default_value = "24h")]
    pub since: Duration,
    /// Only this node
    #[arg(long, value_name = "NODE")]
    pub of: Option<String>,
    /// Write a timeline as SVG to this file; `-` is standard output
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub svg: Option<PathBuf>,
    /// List the newest N heartbeats; 20 without a number
    #[arg(long, value_name = "N", num_args = 0..=1, default_missing_value = "20", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub beats: Option<u32>,
    /// Output format.
    #[command(flatten)]
    pub form: Form,
}

/// Parses what [`days`] parses, and more hours; 1 s to 3650 days.
fn window(text: &str) -> Result<Duration, String> {
    let length = match text.strip_suffix('h').map(str::parse::<u64>) {
        Some(Ok(hours @ 0..=87_600)) => Duration::from_hours(hours),
        _ => days(text, 3_650)?,
    };
    if length < Duration::from_secs(1) { Err("the minimum is 1s".to_owned()) } else { Ok(length) }
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
        assert_eq!(window("30s"), Ok(Duration::from_secs(30)));
        for bad in ["0", "30", "500ms", "-1d", "d", "1.5d", "4000d", "x", ""] {
            assert!(window(bad).is_err(), "{bad:?} was taken");
        }
    }
}
