//! The arguments of `run` and of its two hidden commands.
//!
//! Not here: what they do (`mod.rs`).

use crate::cli::options::duration;
use clap::{Args, ValueHint};
use std::ffi::OsString;
use std::time::Duration;

/// The text behind the options in `run --help`.
pub(in crate::cli) const RUN_HELP: &str = "\
Only one host runs the command at a time. The others wait in a queue; the next one starts the command only after the old one \
has certainly stopped. CLAWSTER_LEASE_TOKEN contains the fencing token, which rises with every grant, CLAWSTER_LEASE_NAME the \
lease's name. If the lease is lost, the command and its child processes get SIGTERM, then SIGKILL. When the command ends, the \
lease is released and `run` exits with its exit code (128 + n for signal n). Without --no-wait or --wait it waits for ever. \
No node has to run. Without a configured Redis the lease excludes only processes of this host; `run` says so, and with \
--require-shared it refuses. Services and cron jobs see no variables of your shell: give them REDIS_HOST, or redis.host in \
config.json.

Examples:
  clawster run --lease telegram-bot -- openclaw gateway run
  clawster run --lease telegram-bot --require-shared -- openclaw gateway run
  clawster run --lease reports --no-wait -- ./reports.sh         exit code 4 if another host holds it
  clawster run --lease feed --ttl 10s --stop-timeout 30s -- ./feed";

/// The arguments of `run`.
#[derive(Debug, Args)]
pub struct RunArguments {
    /// The lease's name
    #[arg(long, value_name = "NAME")]
    pub lease: String,
    /// How long the lease lasts if this host freezes; at least leader.presence_grace
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "30s")]
    pub ttl: Duration,
    /// How long to wait for the lease, such as 500ms, 30s, 2m [default: for ever]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub wait: Option<Duration>,
    /// Do not wait: exit with code 4 if another host holds the lease
    #[arg(long, conflicts_with = "wait")]
    pub no_wait: bool,
    /// How long the command may take to stop after SIGTERM before it is killed
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "10s")]
    pub stop_timeout: Duration,
    /// Exit when the lease is lost, instead of waiting for it again
    #[arg(long)]
    pub exit_when_lost: bool,
    /// Exit with code 4 if the Redis is this host's own, so that the lease would exclude no other host
    #[arg(long)]
    pub require_shared: bool,
    /// Print only errors
    #[arg(long, short, conflicts_with = "json")]
    pub quiet: bool,
    /// Report events as JSON on standard error, one object per line
    #[arg(long)]
    pub json: bool,
    /// The command to run, with its arguments
    #[arg(last = true, required = true, value_name = "CMD", value_hint = ValueHint::CommandWithArguments)]
    pub command: Vec<OsString>,
}

/// The arguments of the hidden `launch-command`: the process that becomes a command.
#[derive(Debug, Args)]
pub struct LaunchArguments {
    /// The process id of the guardian that starts this process; when the guardian dies, this process dies too
    pub guardian: i32,
    /// The command and its arguments
    #[arg(last = true, required = true)]
    pub command: Vec<OsString>,
}

/// The arguments of the hidden `guard-command`: the process that guards a command.
#[derive(Debug, Args)]
pub struct GuardArguments {
    /// How long the command may take to stop after SIGTERM, in milliseconds
    pub stop_timeout: u64,
    /// The process group of the process that runs the command
    pub home: i32,
    /// The command and its arguments
    #[arg(last = true, required = true)]
    pub command: Vec<OsString>,
}
