//! The subcommands of `config`.
//!
//! Not here: what they do (`config_check.rs`, `config_push.rs`).

use crate::cli::options::Form;
use clap::Subcommand;

/// The text behind the subcommands in `config --help`.
pub(in crate::cli) const CONFIG_HELP: &str = "\
Examples:
  clawster config check                every value with its source; secrets are masked
  clawster config push --dry-run       what would change for all nodes";

/// The subcommands of `config`.
#[derive(Debug, Subcommand)]
pub enum ConfigAction {
    /// Check the configuration and show every value with its source; secrets are masked
    #[command(after_help = "Examples:\n  clawster config check\n  clawster config check --config ./config --json")]
    Check {
        /// Output format.
        #[command(flatten)]
        form: Form,
    },
    /// Make this host's heartbeat, lease, grace and mode the settings of the whole cluster
    #[command(after_help = "Examples:\n  clawster config push --dry-run\n  clawster config push --json")]
    Push {
        /// Show what would change without changing it
        #[arg(long)]
        dry_run: bool,
        /// Output format.
        #[command(flatten)]
        form: Form,
    },
}
