//! The arguments of `schedule`.
//!
//! Not here: what it does (`mod.rs`).

use crate::cli::options::{Form, duration, label};
use clap::{Args, Subcommand};
use std::time::Duration;

/// The subcommands of `schedule`.
#[derive(Debug, Subcommand)]
pub enum ScheduleAction {
    /// Store a schedule, or replace the one with its id
    #[command(after_help = "\
Each time gets one task in the cluster, whichever node leads, with the id ID@TIME. Workers claim it like any other task. \
A payload that is valid JSON is sent as JSON, anything else as a string; what begins like JSON and is not is refused.

Examples:
  clawster schedule set nightly report '{}' --cron '30 3 * * *' --tz Europe/Berlin
  clawster schedule set poll fetch '{\"url\": \"https://example.net/feed\"}' --every 5m --concurrency-key poll
  clawster schedule set backup backup '{}' --cron '0 2 * * *' --missed once --timeout 2h")]
    Set(Box<SetArguments>),
    /// List schedules, by their next time
    #[command(after_help = "\
Examples:
  clawster schedule list
  clawster schedule list --json | jq -r '.schedules[] | select(.paused) | .schedule_id'")]
    List {
        /// Maximum number of schedules
        #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=1_000))]
        limit: u64,
        /// Output format.
        #[command(flatten)]
        form: Form,
    },
    /// Show a schedule with its payload
    #[command(after_help = "Example:\n  clawster schedule get nightly --json | jq .next_at_ms")]
    Get {
        /// The schedule's id
        id: String,
        /// Output format.
        #[command(flatten)]
        form: Form,
    },
    /// Pause a schedule: it submits no tasks until `schedule resume`
    #[command(after_help = "Example:\n  clawster schedule pause nightly")]
    Pause {
        /// The schedule's id
        id: String,
        /// Output format.
        #[command(flatten)]
        form: Form,
    },
    /// Let a paused schedule go on with its next time
    #[command(after_help = "Example:\n  clawster schedule resume nightly")]
    Resume {
        /// The schedule's id
        id: String,
        /// Output format.
        #[command(flatten)]
        form: Form,
    },
    /// Delete a schedule; the tasks that it has submitted stay
    #[command(visible_alias = "remove", alias = "rm", after_help = "Example:\n  clawster schedule delete nightly")]
    Delete {
        /// The schedule's id
        id: String,
        /// Output format.
        #[command(flatten)]
        form: Form,
    },
}

/// The arguments of `schedule set`.
#[derive(Debug, Args)]
pub struct SetArguments {
    /// Your id for the schedule
    pub id: String,
    /// The kind of its tasks; workers choose tasks by it
    pub kind: String,
    /// The payload for the worker; `-` or no payload: read standard input
    pub payload: Option<String>,
    /// When: minute, hour, day of the month, month, day of the week; six fields begin with seconds
    #[arg(long, value_name = "EXPRESSION", required_unless_present = "every", conflicts_with = "every")]
    pub cron: Option<String>,
    /// The time zone of --cron, such as Europe/Berlin [default: UTC]
    #[arg(long, value_name = "ZONE", requires = "cron")]
    pub tz: Option<String>,
    /// When: every so often, such as 30s, 5m, 1h
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub every: Option<Duration>,
    /// What becomes of times that passed while no leader was there: skip, once or all [default: skip]
    #[arg(long, value_name = "POLICY")]
    pub missed: Option<String>,
    /// Send the payload as a string even if it is valid JSON
    #[arg(long)]
    pub text: bool,
    /// -1000 to 1000; higher priorities run first [default: 0]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub priority: Option<i64>,
    /// Maximum number of attempts [default: 3]
    #[arg(long, value_name = "N")]
    pub attempts: Option<u64>,
    /// How long an attempt may take without an extension [default: 30s]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub timeout: Option<Duration>,
    /// A name that tasks share of which only so many may run at once
    #[arg(long, value_name = "KEY")]
    pub concurrency_key: Option<String>,
    /// How many tasks with this --concurrency-key may run at once [default: 1]
    #[arg(long, value_name = "N", requires = "concurrency_key")]
    pub max_concurrent: Option<u64>,
    /// A capability the node must have; may be repeated
    #[arg(long = "capability", value_name = "TEXT")]
    pub capabilities: Vec<String>,
    /// A label the node must have; may be repeated
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = label)]
    pub labels: Vec<(String, String)>,
    /// The only node that may run the tasks
    #[arg(long = "on", value_name = "NODE")]
    pub on: Option<String>,
    /// Output format.
    #[command(flatten)]
    pub form: Form,
}
