//! The arguments of `once`.
//!
//! Not here: what it does (`mod.rs`).

use crate::cli::options::days;
use clap::{Args, ValueHint};
use std::ffi::OsString;
use std::time::Duration;

/// The text behind the options in `once --help`.
pub(in crate::cli) const ONCE_HELP: &str = "\
The first host runs the command. Until the TTL has passed, the other hosts print which one did and exit with 0. A time pattern \
in the key makes all hosts agree on the window, by the Redis server's clock: %Y-%m-%d a day, %Y-%m-%dT%H an hour, %G-W%V a \
week, %% a percent sign. If Redis cannot be reached, nothing runs and the exit code is 3. \
Without a configured Redis the key excludes only processes of this host; `once` says so, and with --require-shared it refuses. \
Cron sees no variables of your shell: put REDIS_HOST=… at the top of the crontab, or redis.host into config.json.

Examples:
  clawster once --key nightly-report-%Y-%m-%d --ttl 24h -- ./report.sh
  0 * * * *  clawster once --key sweep-%Y-%m-%dT%H --ttl 2h --require-shared --quiet -- ./sweep    (in a crontab: write \\% for %)";

/// The arguments of `once`.
#[derive(Debug, Args)]
pub struct OnceArguments {
    /// The key to run once; strftime patterns such as %Y, %m, %d, %H, %M, %j, %G, %V are the Redis server's time in UTC
    #[arg(long, value_name = "KEY")]
    pub key: String,
    /// How long the key counts as done, such as 10m, 24h, 7d
    #[arg(long, value_name = "DURATION", value_parser = ttl)]
    pub ttl: Duration,
    /// Exit with code 4 if the Redis is this host's own, so that the key would exclude no other host
    #[arg(long)]
    pub require_shared: bool,
    /// Print only errors
    #[arg(long, short, conflicts_with = "json")]
    pub quiet: bool,
    /// Report which host runs it as one JSON object on standard error
    #[arg(long)]
    pub json: bool,
    /// The command to run, with its arguments
    #[arg(last = true, required = true, value_name = "CMD", value_hint = ValueHint::CommandWithArguments)]
    pub command: Vec<OsString>,
}

/// Parses the TTL: up to 30 days.
fn ttl(text: &str) -> Result<Duration, String> {
    days(text, 30)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_is_the_longest() {
        assert_eq!(ttl("7d"), Ok(Duration::from_hours(168)));
        assert_eq!(ttl("10m"), Ok(Duration::from_mins(10)));
        for bad in ["31d", "1.5d", "-1d", "d", "25h", "24"] {
            assert!(ttl(bad).is_err(), "{bad:?} was taken");
        }
    }
}
