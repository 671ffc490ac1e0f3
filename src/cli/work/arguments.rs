//! The arguments of `work`.
//!
//! Not here: what it does (`mod.rs`).

use crate::cli::options::Form;
use clap::Args;

/// The text behind the options in `work --help`.
pub(in crate::cli) const WORK_HELP: &str = "\
Claims tasks through the running node and runs CMD once for each. CMD gets the payload (JSON) on standard input, and \
CLAWSTER_TASK_ID, CLAWSTER_TASK_KIND and CLAWSTER_TASK_ATTEMPT in its environment. Its exit code decides:
  0      done; its standard output (at most 1 MiB) is the result: as JSON if it is valid JSON, else as a string
  65     failed permanently, no retry
  other  failed, retried after a pause; the last lines of standard error are the reason
The task is extended while CMD runs. If the node loses the task, CMD is killed. On SIGTERM or Ctrl-C no new task is claimed and \
running commands finish; a second signal kills them.

Examples:
  clawster work --kind thumbnail -- ./make-thumbnail
  clawster work --kind mail --jobs 4 -- sh -c 'jq -r .text | sendmail \"$TO\"'
  clawster work --kind report --once -- ./report        exit when no task is waiting";

/// The arguments of `work`.
#[derive(Debug, Args)]
pub struct WorkArguments {
    /// The kind of task to claim; may be repeated
    #[arg(long = "kind", value_name = "KIND", required = true)]
    pub kinds: Vec<String>,
    /// Number of commands that run at the same time
    #[arg(long, short, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub jobs: u16,
    /// Exit when no task is waiting
    #[arg(long)]
    pub once: bool,
    /// Output format; with --json one object per line for each task that ends.
    #[command(flatten)]
    pub form: Form,
    /// The command to run, with its arguments
    #[arg(last = true, required = true, value_name = "CMD")]
    pub command: Vec<String>,
}
