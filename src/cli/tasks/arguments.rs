//! The arguments of `tasks`.
//!
//! Not here: what it does (`mod.rs`).

use crate::cli::options::{Form, duration, label};
use clap::{Args, Subcommand};
use std::time::Duration;

/// What can be done with tasks.
#[derive(Debug, Subcommand)]
pub enum TasksAction {
    /// Put a task up for any node to do
    #[command(after_help = "\
A payload that is JSON is sent as JSON, anything else as a string.

Examples:
  clawster tasks submit thumbnail '{\"file\": \"a.png\"}'
  clawster tasks submit mail --id welcome-42 --priority 5 --delay 10m < mail.json
  clawster tasks submit train --capability gpu --label zone=eu '{}'")]
    Submit(SubmitArguments),
    /// Show a task with its payload and result
    #[command(after_help = "Example:\n  clawster tasks get welcome-42 --json | jq .result")]
    Get {
        /// The task
        task_id: String,
        /// How to answer.
        #[command(flatten)]
        form: Form,
    },
    /// List tasks, the newest first
    #[command(after_help = "\
Examples:
  clawster tasks list
  clawster tasks list --state dead --kind mail --json | jq -r '.tasks[].task_id'")]
    List {
        /// Only those in this state: waiting, delayed, running, done, failed or dead
        #[arg(long, value_name = "STATE")]
        state: Option<String>,
        /// Only those of this kind
        #[arg(long, value_name = "KIND")]
        kind: Option<String>,
        /// At most this many
        #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=1_000))]
        limit: u64,
        /// How to answer.
        #[command(flatten)]
        form: Form,
    },
    /// Take a task back that has not ended
    #[command(after_help = "Example:\n  clawster tasks cancel welcome-42")]
    Cancel {
        /// The task
        task_id: String,
        /// How to answer.
        #[command(flatten)]
        form: Form,
    },
    /// Try a dead or failed task again
    #[command(after_help = "\
Examples:
  clawster tasks redrive welcome-42
  clawster tasks list --state dead --json | jq -r '.tasks[].task_id' | xargs -n1 clawster tasks redrive")]
    Redrive {
        /// The task
        task_id: String,
        /// How to answer.
        #[command(flatten)]
        form: Form,
    },
    /// Take tasks to do; `clawster work` does this and the rest by itself
    #[command(after_help = "\
Exit code 4 when there is none in time.

Examples:
  clawster tasks claim --kind mail --wait 30s --json")]
    Claim {
        /// Only of this kind; may be repeated
        #[arg(long = "kind", value_name = "KIND")]
        kinds: Vec<String>,
        /// At most this many
        #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=1_000))]
        limit: u64,
        /// Wait so long for the first one, as in 500ms, 30s, 2m
        #[arg(long, value_name = "DURATION", value_parser = duration)]
        wait: Option<Duration>,
        /// How to answer.
        #[command(flatten)]
        form: Form,
    },
    /// Say that a claimed task is done
    #[command(after_help = "Example:\n  clawster tasks complete welcome-42 184467 '{\"sent\": true}'")]
    Complete {
        /// The task
        task_id: String,
        /// The token that it was claimed with
        token: u64,
        /// What came of it: JSON, or any text
        result: Option<String>,
        /// How to answer.
        #[command(flatten)]
        form: Form,
    },
    /// Say that a claimed task went wrong
    #[command(after_help = "Example:\n  clawster tasks fail welcome-42 184467 'no such address' --no-retry")]
    Fail {
        /// The task
        task_id: String,
        /// The token that it was claimed with
        token: u64,
        /// Why
        error: String,
        /// Do not try it again
        #[arg(long)]
        no_retry: bool,
        /// How to answer.
        #[command(flatten)]
        form: Form,
    },
}

/// What to put up.
#[derive(Debug, Args)]
pub struct SubmitArguments {
    /// What kind of work it is
    pub kind: String,
    /// What the worker gets; `-` or nothing: standard input
    pub payload: Option<String>,
    /// Your id for it: submitted again, it is a duplicate
    #[arg(long, value_name = "ID")]
    pub id: Option<String>,
    /// Send the payload as a string even when it is JSON
    #[arg(long)]
    pub text: bool,
    /// Higher ones first, -1000 to 1000
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub priority: Option<i64>,
    /// Not before so long from now
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub delay: Option<Duration>,
    /// How often it is tried
    #[arg(long, value_name = "N")]
    pub attempts: Option<u64>,
    /// How long one try may take without an extension
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub timeout: Option<Duration>,
    /// What the node must be able to do; may be repeated
    #[arg(long = "capability", value_name = "TEXT")]
    pub capabilities: Vec<String>,
    /// A label that the node must have; may be repeated
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = label)]
    pub labels: Vec<(String, String)>,
    /// The only node that may get it
    #[arg(long = "on", value_name = "NODE")]
    pub on: Option<String>,
    /// How to answer.
    #[command(flatten)]
    pub form: Form,
}
