//! The arguments of `join`.
//!
//! Not here: what it does (`mod.rs`).

use crate::cli::options::{Form, label};
use clap::Args;

/// The arguments of `join`.
#[derive(Debug, Args)]
pub struct JoinArguments {
    /// The node id to join with; a different id renames a node that is already a member
    pub id: Option<String>,
    /// A display name
    #[arg(long)]
    pub name: Option<String>,
    /// The gateway's address, for other members to read
    #[arg(long)]
    pub endpoint: Option<String>,
    /// A capability of the node, for tasks that require it; may be repeated
    #[arg(long = "capability", value_name = "TEXT")]
    pub capabilities: Vec<String>,
    /// A label; may be repeated
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = label)]
    pub labels: Vec<(String, String)>,
    /// Take the id over even if another live process uses it
    #[arg(long)]
    pub force: bool,
    /// Output format.
    #[command(flatten)]
    pub form: Form,
}
