//! The arguments of `nodes forget`.
//!
//! Not here: what it does (`mod.rs`).

use crate::cli::options::{Form, days};
use clap::Subcommand;
use std::time::Duration;

/// The subcommands of `nodes`.
#[derive(Debug, Subcommand)]
pub enum NodesAction {
    /// Remove members that are away, at once instead of after seven days
    #[command(after_help = "\
A removed member loses the messages that it has not read; if it joins again, it is a new member. Members that are alive stay, and the \
exit code is 4.

Examples:
  clawster nodes forget old-pod-7 old-pod-8
  clawster nodes forget --away 1h       every member that left or died more than an hour ago")]
    Forget {
        /// The members to remove
        #[arg(value_name = "NODE", required_unless_present = "away")]
        ids: Vec<String>,
        /// Every member that has been away for at least this long, such as 10m, 24h, 7d
        #[arg(long, value_name = "DURATION", value_parser = week)]
        away: Option<Duration>,
        /// Output format.
        #[command(flatten)]
        form: Form,
    },
}

/// Parses a time of at most seven days, after which a member is forgotten anyway.
fn week(text: &str) -> Result<Duration, String> {
    days(text, 7)
}
