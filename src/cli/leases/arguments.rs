//! The arguments of `lease`.
//!
//! Not here: what it does (`mod.rs`).

use crate::cli::options::{Form, duration};
use clap::Subcommand;
use std::time::Duration;

/// What can be done with a lease.
#[derive(Debug, Subcommand)]
pub enum LeaseAction {
    /// Take a lease under the running node's id
    #[command(after_help = "\
The lease is the running node's: it ends after its TTL unless it is renewed, and at once when the node's process dies.
Prints the token, which every other lease command needs. Exit code 4 when another one holds it.

Examples:
  clawster lease acquire nightly-backup --ttl 10m
  TOKEN=$(clawster lease acquire deploy --ttl 5m --wait 1m --quiet) && ./deploy --fence $TOKEN")]
    Acquire {
        /// The lease
        name: String,
        /// How long it holds without a renewal, as in 500ms, 30s, 2m
        #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "30s")]
        ttl: Duration,
        /// Wait in the queue for it, at most so long
        #[arg(long, value_name = "DURATION", value_parser = duration)]
        wait: Option<Duration>,
        /// Your name for this call: repeated, it gets the first grant again
        #[arg(long, value_name = "ID")]
        request_id: Option<String>,
        /// Print the token and nothing else
        #[arg(long, short, conflicts_with = "json")]
        quiet: bool,
        /// How to answer.
        #[command(flatten)]
        form: Form,
    },
    /// Hold a lease for longer
    #[command(after_help = "Examples:\n  clawster lease renew deploy 184467 --ttl 5m")]
    Renew {
        /// The lease
        name: String,
        /// The token that it was granted with
        token: u64,
        /// How long it holds from now on; as long as before when absent
        #[arg(long, value_name = "DURATION", value_parser = duration)]
        ttl: Option<Duration>,
        /// How to answer.
        #[command(flatten)]
        form: Form,
    },
    /// Give a lease back
    #[command(after_help = "Examples:\n  clawster lease release deploy 184467")]
    Release {
        /// The lease
        name: String,
        /// The token that it was granted with
        token: u64,
        /// How to answer.
        #[command(flatten)]
        form: Form,
    },
    /// Ask whether a token still holds its lease; exit code 4 when not
    #[command(after_help = "\
Examples:
  clawster lease check deploy 184467 && ./write-the-result")]
    Check {
        /// The lease
        name: String,
        /// The token that it was granted with
        token: u64,
        /// How to answer.
        #[command(flatten)]
        form: Form,
    },
}
