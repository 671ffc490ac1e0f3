//! The arguments of `join`.
//!
//! Not here: what it does (`mod.rs`).

use crate::cli::options::{Form, label};
use clap::Args;

/// What a join may say.
#[derive(Debug, Args)]
pub struct JoinArguments {
    /// The id to join under; another one than the member's renames it
    pub id: Option<String>,
    /// A name for people
    #[arg(long)]
    pub name: Option<String>,
    /// Where the gateway can be reached
    #[arg(long)]
    pub endpoint: Option<String>,
    /// What the node can do; may be repeated
    #[arg(long = "capability", value_name = "TEXT")]
    pub capabilities: Vec<String>,
    /// A label; may be repeated
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = label)]
    pub labels: Vec<(String, String)>,
    /// Take the id even from a live process
    #[arg(long)]
    pub force: bool,
    /// How to answer.
    #[command(flatten)]
    pub form: Form,
}
