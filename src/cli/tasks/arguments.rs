//! The arguments of `tasks`.
//!
//! Not here: what it does (`mod.rs`).

use crate::cli::options::{Form, duration, label};
use clap::{Args, Subcommand};
use std::time::Duration;

/// The text behind the subcommands in `tasks --help`.
pub(in crate::cli) const TASKS_HELP: &str = "\
Examples:
  clawster tasks submit mail '{\"to\": \"ada\"}' --id welcome-42
  clawster tasks get welcome-42
  clawster tasks list --state waiting
  clawster work --kind mail -- ./send-mail         run a command for each task";

/// The subcommands of `tasks`.
#[derive(Debug, Subcommand)]
pub enum TasksAction {
    /// Submit a task for any node to run
    #[command(after_help = "\
A payload that is valid JSON is sent as JSON, anything else as a string; what begins like JSON and is not is refused.

Examples:
  clawster tasks submit thumbnail '{\"file\": \"a.png\"}'
  clawster tasks submit mail --id welcome-42 --priority 5 --delay 10m < mail.json
  clawster tasks submit train --capability gpu --label zone=eu '{}'
  clawster tasks submit report --after fetch-1 --after fetch-2 '{}'         once both are done
  clawster tasks submit crawl --concurrency-key example.org --max-concurrent 2 '{}'")]
    Submit(Box<SubmitArguments>),
    /// Show a task with its payload and result
    #[command(after_help = "Example:\n  clawster tasks get welcome-42 --json | jq .result")]
    Get {
        /// The task's id
        task_id: String,
        /// Output format.
        #[command(flatten)]
        form: Form,
    },
    /// List tasks, newest first
    #[command(after_help = "\
Examples:
  clawster tasks list
  clawster tasks list --state dead --kind mail --json | jq -r '.tasks[].task_id'")]
    List {
        /// Only tasks in this state: waiting, delayed, running, done, failed or dead
        #[arg(long, value_name = "STATE")]
        state: Option<String>,
        /// Only tasks of this kind
        #[arg(long, value_name = "KIND")]
        kind: Option<String>,
        /// Maximum number of tasks
        #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=1_000))]
        limit: u64,
        /// Output format.
        #[command(flatten)]
        form: Form,
    },
    /// Cancel a task that has not ended
    #[command(after_help = "Example:\n  clawster tasks cancel welcome-42")]
    Cancel {
        /// The task's id
        task_id: String,
        /// Output format.
        #[command(flatten)]
        form: Form,
    },
    /// Retry a dead or failed task
    #[command(after_help = "\
Examples:
  clawster tasks redrive welcome-42
  clawster tasks list --state dead --json | jq -r '.tasks[].task_id' | xargs -n1 clawster tasks redrive")]
    Redrive {
        /// The task's id
        task_id: String,
        /// Output format.
        #[command(flatten)]
        form: Form,
    },
    /// Claim tasks by hand; `clawster work` claims, extends and completes them for you
    #[command(after_help = "\
Exit code 4 if no task was available in time.

Examples:
  clawster tasks claim --kind mail --wait 30s --json")]
    Claim {
        /// Only tasks of this kind; may be repeated
        #[arg(long = "kind", value_name = "KIND")]
        kinds: Vec<String>,
        /// Maximum number of tasks
        #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=1_000))]
        limit: u64,
        /// How long to wait for the first task, such as 500ms, 30s, 2m
        #[arg(long, value_name = "DURATION", value_parser = duration)]
        wait: Option<Duration>,
        /// Output format.
        #[command(flatten)]
        form: Form,
    },
    /// Report a claimed task as done
    #[command(after_help = "Example:\n  clawster tasks complete welcome-42 184467 '{\"sent\": true}'")]
    Complete {
        /// The task's id
        task_id: String,
        /// The token from `tasks claim`
        token: u64,
        /// The task's result: JSON, or any text
        result: Option<String>,
        /// Output format.
        #[command(flatten)]
        form: Form,
    },
    /// Report a claimed task as failed
    #[command(after_help = "Example:\n  clawster tasks fail welcome-42 184467 'no such address' --no-retry")]
    Fail {
        /// The task's id
        task_id: String,
        /// The token from `tasks claim`
        token: u64,
        /// The reason, shown by `tasks get`
        error: String,
        /// Do not retry the task
        #[arg(long)]
        no_retry: bool,
        /// Output format.
        #[command(flatten)]
        form: Form,
    },
}

/// The arguments of `tasks submit`.
#[derive(Debug, Args)]
pub struct SubmitArguments {
    /// The kind of task; workers choose tasks by it
    pub kind: String,
    /// The payload for the worker; `-` or no payload: read standard input
    pub payload: Option<String>,
    /// Your task id; submitting the same id again is a duplicate and changes nothing
    #[arg(long, value_name = "ID")]
    pub id: Option<String>,
    /// Send the payload as a string even if it is valid JSON
    #[arg(long)]
    pub text: bool,
    /// -1000 to 1000; higher priorities run first [default: 0]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub priority: Option<i64>,
    /// Do not run the task before this much time has passed
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub delay: Option<Duration>,
    /// Maximum number of attempts [default: 3]
    #[arg(long, value_name = "N")]
    pub attempts: Option<u64>,
    /// How long an attempt may take without an extension [default: 30s]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub timeout: Option<Duration>,
    /// A task that must be done first; may be repeated. If it fails, this one fails
    #[arg(long = "after", value_name = "ID")]
    pub after: Vec<String>,
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
    /// The only node that may run the task
    #[arg(long = "on", value_name = "NODE")]
    pub on: Option<String>,
    /// Output format.
    #[command(flatten)]
    pub form: Form,
}
