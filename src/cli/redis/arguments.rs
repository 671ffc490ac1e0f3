//! The arguments of `redis`.
//!
//! Not here: what the subcommands do (`export.rs`, `import.rs`).

use crate::cli::options::Form;
use clap::{Subcommand, ValueHint};
use std::path::PathBuf;

/// The text behind the subcommands in `redis --help`.
pub(in crate::cli) const REDIS_HELP: &str = "\
Moves a cluster to another Redis, such as from a host's private Redis to a shared one before a second host joins.

Examples:
  clawster redis export cluster.export                       with all nodes stopped
  REDIS_HOST=redis.example clawster redis import cluster.export";

/// The subcommands of `redis`.
#[derive(Debug, Subcommand)]
pub enum RedisAction {
    /// Write all of the cluster's data from the configured Redis into a file
    #[command(after_help = "\
Stop all nodes of the cluster first: what they change after the export is lost.
A private Redis that does not run is started for the export, and stopped after it.
The file holds messages and tasks; only this user can read it. An existing file is not replaced.

Examples:
  clawster redis export cluster.export
  clawster redis export /backup/cluster.export --json | jq .keys")]
    Export {
        /// The file to create
        #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
        file: PathBuf,
        /// Export while nodes run; their later changes are missing, and keys may be from different moments
        #[arg(long)]
        force: bool,
        /// Output format.
        #[command(flatten)]
        form: Form,
    },
    /// Write the data of an export into the configured Redis
    #[command(after_help = "\
Configure the new Redis first (REDIS_HOST, or redis.host in config.json).
The whole file is checked before anything is written. A Redis that has data of the cluster is refused.
If the import fails, it removes what it wrote.

Examples:
  REDIS_HOST=redis.example clawster redis import cluster.export
  clawster redis import cluster.export --json | jq .keys")]
    Import {
        /// The file that `clawster redis export` wrote
        #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
        file: PathBuf,
        /// Output format.
        #[command(flatten)]
        form: Form,
    },
}
