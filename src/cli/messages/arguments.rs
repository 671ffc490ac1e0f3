//! The arguments of `send` and `recv`.
//!
//! Not here: what they do (`mod.rs`).

use crate::cli::options::{Form, duration};
use clap::Args;
use std::time::Duration;

/// What to send.
#[derive(Debug, Args)]
pub struct SendArguments {
    /// The message; `-` or nothing: standard input
    pub message: Option<String>,
    /// Free text to sort by
    #[arg(long)]
    pub topic: Option<String>,
    /// A member that it is for; may be repeated; without it all others
    #[arg(long, value_name = "ID")]
    pub to: Vec<String>,
    /// Your id for it: the same id is sent once a day only
    #[arg(long, value_name = "ID")]
    pub id: Option<String>,
    /// Send it as a string even when it is JSON
    #[arg(long)]
    pub text: bool,
    /// How to answer.
    #[command(flatten)]
    pub form: Form,
}

/// What to receive.
#[derive(Debug, Args)]
pub struct RecvArguments {
    /// At most this many messages; 0: none
    #[arg(long, value_name = "N")]
    pub limit: Option<u64>,
    /// Wait so long for the first one, as in 500ms, 30s, 2m
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub wait: Option<Duration>,
    /// Do not acknowledge: they come again
    #[arg(long)]
    pub no_ack: bool,
    /// First acknowledge everything up to this cursor
    #[arg(long, value_name = "CURSOR")]
    pub ack: Option<String>,
    /// How to answer.
    #[command(flatten)]
    pub form: Form,
}
