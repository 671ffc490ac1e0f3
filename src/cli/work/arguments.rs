//! The arguments of `work`.
//!
//! Not here: what it does (`mod.rs`).

use crate::cli::options::Form;
use clap::Args;

/// The help of `work`, behind its options.
pub(in crate::cli) const WORK_HELP: &str = "\
Claims tasks through the running node and runs CMD once for each. CMD gets the payload (JSON) on standard input, and
CLAWSTER_TASK_ID, CLAWSTER_TASK_KIND and CLAWSTER_TASK_ATTEMPT in its environment. Its exit code decides:
  0      done; what it wrote to standard output (at most 1 MiB) is the result: JSON when it is JSON, else a string
  65     failed for good, not tried again
  other  failed, tried again after a pause; the last lines of standard error say why
While CMD runs its task is extended. When the task is another's by then, CMD is killed. SIGTERM or Ctrl-C: what runs is
finished, nothing more is claimed; a second one kills what runs.

Examples:
  clawster work --kind thumbnail -- ./make-thumbnail
  clawster work --kind mail --jobs 4 -- sh -c 'jq -r .text | sendmail \"$TO\"'
  clawster work --kind report --once -- ./report        ends when no task waits any more";

/// How to work.
#[derive(Debug, Args)]
pub struct WorkArguments {
    /// The kind of tasks; may be repeated
    #[arg(long = "kind", value_name = "KIND", required = true)]
    pub kinds: Vec<String>,
    /// How many commands run at a time
    #[arg(long, short, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub jobs: u16,
    /// End when no task waits any more
    #[arg(long)]
    pub once: bool,
    /// Print one JSON object a line for each task that ends
    #[command(flatten)]
    pub form: Form,
    /// The command and its arguments
    #[arg(last = true, required = true, value_name = "CMD")]
    pub command: Vec<String>,
}
