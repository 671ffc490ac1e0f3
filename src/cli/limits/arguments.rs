//! The arguments of `permits` and `slots`.
//!
//! Not here: what they do (`mod.rs`).

use crate::cli::options::{Form, duration};
use clap::Subcommand;
use std::time::Duration;

/// The subcommands of `permits`.
#[derive(Debug, Subcommand)]
pub enum PermitsAction {
    /// Take permits of a rate that all nodes share
    #[command(after_help = "\
A token bucket: it holds up to --burst permits, and --rate permits come back every --per. All callers of a name share it and \
should pass the same limits. Exit code 4 if there are not enough permits, at once if they cannot be there within --wait.

Examples:
  clawster permits take model-api --rate 60 --per 1m --burst 10 --wait 30s && ./ask-the-model
  clawster permits take mail --rate 1 --per 1s --burst 1 --json | jq .retry_after_ms")]
    Take {
        /// The limit's name
        name: String,
        /// How many permits come back every --per
        #[arg(long, value_name = "N")]
        rate: u64,
        /// The time that --rate refers to, such as 1s, 1m, 1h
        #[arg(long, value_name = "DURATION", value_parser = duration)]
        per: Duration,
        /// How many permits the bucket holds [default: as many as --rate]
        #[arg(long, value_name = "N")]
        burst: Option<u64>,
        /// How many permits to take
        #[arg(long, value_name = "N", default_value_t = 1)]
        permits: u64,
        /// Wait for the permits, at most this long
        #[arg(long, value_name = "DURATION", value_parser = duration)]
        wait: Option<Duration>,
        /// Your id for this call; a repeated call with it takes no more permits
        #[arg(long, value_name = "ID")]
        request_id: Option<String>,
        /// Output format.
        #[command(flatten)]
        form: Form,
    },
}

/// The subcommands of `slots`.
#[derive(Debug, Subcommand)]
pub enum SlotsAction {
    /// Acquire one of several slots for the running node
    #[command(after_help = "\
The running node holds the slot: it expires after its TTL unless renewed, and at once when the node's process dies. \
Prints the token, which the other slots commands need. Exit code 4 if all slots are in use.

Examples:
  clawster slots acquire transcode --slots 3 --ttl 10m
  TOKEN=$(clawster slots acquire gpu --slots 2 --ttl 1h --wait 10m --quiet) && ./train; clawster slots release gpu $TOKEN")]
    Acquire {
        /// The semaphore's name
        name: String,
        /// How many may hold a slot at once
        #[arg(long, value_name = "N")]
        slots: u64,
        /// How long the slot lasts without a renewal, such as 500ms, 30s, 2m
        #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "30s")]
        ttl: Duration,
        /// Wait in the queue for a slot, at most this long
        #[arg(long, value_name = "DURATION", value_parser = duration)]
        wait: Option<Duration>,
        /// Your id for this call; a repeated call with it returns the first slot again
        #[arg(long, value_name = "ID")]
        request_id: Option<String>,
        /// Print only the token
        #[arg(long, short, conflicts_with = "json")]
        quiet: bool,
        /// Output format.
        #[command(flatten)]
        form: Form,
    },
    /// Renew a slot
    #[command(after_help = "Examples:\n  clawster slots renew gpu 184467 --ttl 1h")]
    Renew {
        /// The semaphore's name
        name: String,
        /// The token from `slots acquire`
        token: u64,
        /// The new TTL, from now on [default: unchanged]
        #[arg(long, value_name = "DURATION", value_parser = duration)]
        ttl: Option<Duration>,
        /// Output format.
        #[command(flatten)]
        form: Form,
    },
    /// Release a slot
    #[command(after_help = "Examples:\n  clawster slots release gpu 184467")]
    Release {
        /// The semaphore's name
        name: String,
        /// The token from `slots acquire`
        token: u64,
        /// Output format.
        #[command(flatten)]
        form: Form,
    },
}
