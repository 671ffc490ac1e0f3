//! The arguments of `run` and of its two hidden commands.
//!
//! Not here: what they do (`mod.rs`).

use crate::cli::options::duration;
use clap::{Args, ValueHint};
use std::ffi::OsString;
use std::time::Duration;

/// The help of `run`.
pub(in crate::cli) const RUN_HELP: &str = "\
One host at a time: the others wait in line, and the next one starts the command once the old one is gone for certain.
CLAWSTER_LEASE_TOKEN holds the fencing token, which rises with every grant; CLAWSTER_LEASE_NAME the name. When the lease
is lost, the command gets SIGTERM, then SIGKILL, with all its children. When it ends, the lease is released, and its exit
code is this one's (128 + n for signal n). Without --no-wait or --wait it waits for ever. No node has to run.

Examples:
  clawster run --lease telegram-bot -- openclaw gateway run
  clawster run --lease reports --no-wait -- ./reports.sh         exit code 4 when another host has it
  clawster run --lease feed --ttl 10s --stop-timeout 30s -- ./feed";

/// What to run under a lease.
#[derive(Debug, Args)]
pub struct RunArguments {
    /// The lease
    #[arg(long, value_name = "NAME")]
    pub lease: String,
    /// How long the lease lasts when this host freezes; at least as long as leader.presence_grace
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "30s")]
    pub ttl: Duration,
    /// Wait so long for the lease, as in 500ms, 30s, 2m; for ever without this
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub wait: Option<Duration>,
    /// Do not wait when another one holds it: exit code 4
    #[arg(long, conflicts_with = "wait")]
    pub no_wait: bool,
    /// How long the command may take to end before it is killed
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "10s")]
    pub stop_timeout: Duration,
    /// End with the command when the lease is lost, instead of waiting for it again
    #[arg(long)]
    pub exit_when_lost: bool,
    /// Say nothing but what went wrong
    #[arg(long, short, conflicts_with = "json")]
    pub quiet: bool,
    /// Say what happens as JSON, one object a line, on standard error
    #[arg(long)]
    pub json: bool,
    /// The command and its arguments
    #[arg(last = true, required = true, value_name = "CMD", value_hint = ValueHint::CommandWithArguments)]
    pub command: Vec<OsString>,
}

/// The process that becomes a command.
#[derive(Debug, Args)]
pub struct LaunchArguments {
    /// The id of the process that starts it, and whose end is its own
    pub guardian: i32,
    /// The command and its arguments
    #[arg(last = true, required = true)]
    pub command: Vec<OsString>,
}

/// The process that guards a command.
#[derive(Debug, Args)]
pub struct GuardArguments {
    /// How long the command may take to end, in milliseconds
    pub patience: u64,
    /// The process group of whoever runs the command
    pub home: i32,
    /// The command and its arguments
    #[arg(last = true, required = true)]
    pub command: Vec<OsString>,
}
