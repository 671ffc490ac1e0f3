//! The arguments of `send` and `recv`.
//!
//! Not here: what they do (`mod.rs`).

use crate::cli::options::{Form, duration};
use clap::Args;
use std::time::Duration;

/// The arguments of `send`.
#[derive(Debug, Args)]
pub struct SendArguments {
    /// The message; `-` or no message: read standard input
    pub message: Option<String>,
    /// The message's topic, free text
    #[arg(long)]
    pub topic: Option<String>,
    /// A member to send it to; may be repeated [default: all other members]
    #[arg(long, value_name = "ID")]
    pub to: Vec<String>,
    /// Your message id; a repeated id within 24 h is a duplicate and not sent again
    #[arg(long, value_name = "ID")]
    pub id: Option<String>,
    /// Send the message as a string even if it is valid JSON
    #[arg(long)]
    pub text: bool,
    /// Output format.
    #[command(flatten)]
    pub form: Form,
}

/// The arguments of `recv`.
#[derive(Debug, Args)]
pub struct RecvArguments {
    /// Maximum number of messages; 0: none
    #[arg(long, value_name = "N")]
    pub limit: Option<u64>,
    /// How long to wait for the first message, such as 500ms, 30s, 2m
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub wait: Option<Duration>,
    /// Do not acknowledge the messages: they are delivered again
    #[arg(long)]
    pub no_ack: bool,
    /// First acknowledge all messages up to this cursor
    #[arg(long, value_name = "CURSOR")]
    pub ack: Option<String>,
    /// Output format.
    #[command(flatten)]
    pub form: Form,
}
