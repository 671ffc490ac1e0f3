//! The arguments of `once`.
//!
//! Not here: what it does (`mod.rs`).

use crate::cli::options::duration;
use clap::{Args, ValueHint};
use std::ffi::OsString;
use std::time::Duration;

/// The help of `once`.
pub(in crate::cli) const ONCE_HELP: &str = "\
The first host runs the command; the others say who did, and exit with 0 until the TTL has passed. A time pattern in the
key makes all hosts agree on the window, by the clock of the Redis server: %Y-%m-%d a day, %Y-%m-%dT%H an hour, %G-W%V a
week, %% a percent sign. Exit code 3, and no run, when Redis cannot be reached.

Examples:
  clawster once --key nightly-report-%Y-%m-%d --ttl 24h -- ./report.sh
  0 * * * *  clawster once --key sweep-%Y-%m-%dT%H --ttl 2h --quiet -- ./sweep    (in a crontab: write \\% for %)";

/// What to run once in the cluster.
#[derive(Debug, Args)]
pub struct OnceArguments {
    /// What runs once; %Y, %m, %d, %H, %M, %j, %G, %V and their like are the Redis server's time in UTC
    #[arg(long, value_name = "KEY")]
    pub key: String,
    /// How long it counts as done, as in 10m, 24h, 7d
    #[arg(long, value_name = "DURATION", value_parser = days)]
    pub ttl: Duration,
    /// Say nothing but what went wrong
    #[arg(long, short, conflicts_with = "json")]
    pub quiet: bool,
    /// Say who does it as JSON, one object, on standard error
    #[arg(long)]
    pub json: bool,
    /// The command and its arguments
    #[arg(last = true, required = true, value_name = "CMD", value_hint = ValueHint::CommandWithArguments)]
    pub command: Vec<OsString>,
}

/// Reads what [`duration`] reads, and days up to 30.
fn days(text: &str) -> Result<Duration, String> {
    let Some(number) = text.strip_suffix('d') else { return duration(text) };
    match number.parse::<u64>() {
        Ok(days @ 0..=30) => Ok(Duration::from_hours(24 * days)),
        _ => Err("write days as in 7d; at most 30d are allowed".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_is_the_longest() {
        assert_eq!(days("7d"), Ok(Duration::from_hours(168)));
        assert_eq!(days("10m"), Ok(Duration::from_mins(10)));
        for bad in ["31d", "1.5d", "-1d", "d", "25h"] {
            assert!(days(bad).is_err(), "{bad:?} was taken");
        }
    }
}
