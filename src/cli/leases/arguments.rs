//! The arguments of `lease`.
//!
//! Not here: what it does (`mod.rs`).

use crate::cli::options::{Form, duration};
use clap::Subcommand;
use std::time::Duration;

/// The text behind the subcommands in `lease --help`.
pub(in crate::cli) const LEASE_HELP: &str = "\
Examples:
  TOKEN=$(clawster lease acquire deploy --ttl 5m --wait 1m --quiet)
  clawster lease check deploy $TOKEN && ./deploy
  clawster lease release deploy $TOKEN
  clawster run --lease deploy -- ./deploy          all of it, and the command stops when the lease is lost";

/// The subcommands of `lease`.
#[derive(Debug, Subcommand)]
pub enum LeaseAction {
    /// Acquire a lease for the running node
    #[command(after_help = "\
The running node holds the lease: it expires after its TTL unless renewed, and at once when the node's process dies. \
Prints the token, which the other lease commands need. Exit code 4 if another holder has it.

Examples:
  clawster lease acquire nightly-backup --ttl 10m
  TOKEN=$(clawster lease acquire deploy --ttl 5m --wait 1m --quiet) && ./deploy --fence $TOKEN")]
    Acquire {
        /// The lease's name
        name: String,
        /// How long the lease lasts without a renewal, such as 500ms, 30s, 2m
        #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "30s")]
        ttl: Duration,
        /// Wait in the queue for the lease, at most this long
        #[arg(long, value_name = "DURATION", value_parser = duration)]
        wait: Option<Duration>,
        /// Your id for this call; a repeated call with it returns the first grant again
        #[arg(long, value_name = "ID")]
        request_id: Option<String>,
        /// Print only the token
        #[arg(long, short, conflicts_with = "json")]
        quiet: bool,
        /// Output format.
        #[command(flatten)]
        form: Form,
    },
    /// List the leases that are held, and who holds them
    #[command(
        after_help = "Examples:\n  clawster lease list\n  clawster lease list --json | jq '.leases[] | select(.waiting > 0)'"
    )]
    List {
        /// The maximum number of leases
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=1000))]
        limit: u64,
        /// Output format.
        #[command(flatten)]
        form: Form,
    },
    /// Renew a lease
    #[command(after_help = "Examples:\n  clawster lease renew deploy 184467 --ttl 5m")]
    Renew {
        /// The lease's name
        name: String,
        /// The token from `lease acquire`
        token: u64,
        /// The new TTL, from now on [default: unchanged]
        #[arg(long, value_name = "DURATION", value_parser = duration)]
        ttl: Option<Duration>,
        /// Output format.
        #[command(flatten)]
        form: Form,
    },
    /// Release a lease
    #[command(after_help = "Examples:\n  clawster lease release deploy 184467")]
    Release {
        /// The lease's name
        name: String,
        /// The token from `lease acquire`
        token: u64,
        /// Output format.
        #[command(flatten)]
        form: Form,
    },
    /// Check whether a token still holds its lease; exit code 4 if not
    #[command(after_help = "\
Examples:
  clawster lease check deploy 184467 && ./write-the-result")]
    Check {
        /// The lease's name
        name: String,
        /// The token from `lease acquire`
        token: u64,
        /// Output format.
        #[command(flatten)]
        form: Form,
    },
}
