//! `notify`: sends a note by gossip.
//!
//! Not here: how it travels (`crate::cluster::gossip`), messages that must arrive (`messages/`).

use super::Session;
use super::messages::{payload, read_input};
use super::options::Form;
use super::outcome::{Failure, Outcome};
use crate::cli::node_access::attach::{ANSWER, answer, require};
use crate::rpc::wire::notify::NotifyResult;
use clap::Args;
use serde::Serialize;
use serde_json::value::RawValue;

/// The end of its `--help`.
pub(super) const NOTIFY_HELP: &str = "\
Best effort, at most once, in no order; nothing is stored. It arrives as the event cluster.note. Exit code 1 when gossip reaches none \
of the nodes. Messages that must arrive: clawster send.

Examples:
  clawster notify pager 'Redis is down'
  clawster notify pager '{\"level\": 3}' --to gateway-2";

/// The arguments of `notify`.
#[derive(Debug, Args)]
pub struct NotifyArguments {
    /// What the note is about, 1 to 128 bytes
    pub topic: String,
    /// The content, at most 1 KiB; `-`: read standard input [default: null]
    pub payload: Option<String>,
    /// A node to send it to; may be repeated [default: all nodes that gossip reaches]
    #[arg(long, value_name = "ID")]
    pub to: Vec<String>,
    /// Send the content as a string even if it is valid JSON
    #[arg(long)]
    pub text: bool,
    /// Output format.
    #[command(flatten)]
    pub form: Form,
}

#[derive(Serialize)]
struct Params {
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<Vec<String>>,
    topic: String,
    payload: Box<RawValue>,
}

/// Runs `notify`.
///
/// # Errors
/// See [`Failure`]; code 1 when gossip reaches none of the nodes.
pub(super) async fn run(session: &mut Session<'_>, arguments: NotifyArguments) -> Outcome {
    let NotifyArguments { topic, payload: content, to, text, form } = arguments;
    let (client, _) = require(session.global, session.environment).await?;
    let payload = match content.as_deref() {
        None => payload("null", false)?,
        Some("-") => payload(&read_input()?, text)?,
        Some(content) => payload(content, text)?,
    };
    let params = Params { to: (!to.is_empty()).then_some(to), topic, payload };
    let result: NotifyResult = answer(ANSWER, client.call("distributed.notify", params)).await?;
    let text = match result.sent_to.as_slice() {
        [] => "Sent to nobody: gossip reaches none of these nodes.".to_owned(),
        nodes => format!("Sent to {}; whether it arrived is not known.", nodes.join(", ")),
    };
    session.output.result(form.json, &result, text)?;
    if result.sent_to.is_empty() { Err(Failure::Reported(1)) } else { Ok(()) }
}
