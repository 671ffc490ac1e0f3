//! `send` and `recv`: the node's messages.
//!
//! 1. Both act as the running node and share its outbox and its cursor.
//! 2. A payload is passed on as it was written; numbers keep all their digits. Only characters that could control a terminal are
//!    escaped for display, which does not change the JSON value.
//!
//! Not here: delivery (`crate::engine`).

pub(super) mod arguments;

use super::Session;
use super::outcome::{Failure, Outcome};
use super::terminal::{Tint, clean, escape_json, time_of_day};
use crate::cli::node_access::attach::{ANSWER, answer, require};
use crate::cli::node_access::direct;
use crate::cluster::settings::MAX_MESSAGE_BYTES;
use crate::rpc::client::Client;
use crate::rpc::wire::sync::SyncResult;
use arguments::{RecvArguments, SendArguments};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use std::io::{IsTerminal, Read};
use std::time::Duration;

const METHOD: &str = "distributed.sync_messages";

#[derive(Serialize)]
struct Named<'a> {
    id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    topic: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<&'a [String]>,
    payload: &'a RawValue,
}

#[derive(Serialize, Default)]
struct Params<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    messages: Option<[Named<'a>; 1]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    wait_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    auto_ack: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ack: Option<&'a str>,
}

/// Runs `send`.
///
/// # Errors
/// See [`Failure`].
pub(super) async fn send(session: &mut Session<'_>, arguments: SendArguments) -> Outcome {
    let SendArguments { message, topic, to, id, text, form } = arguments;
    let (client, _) = require(session.global, session.environment).await?;
    let content = match message.as_deref() {
        Some("-") => read_input()?,
        None if std::io::stdin().is_terminal() => {
            return Err(Failure::Usage("no message given; pass one as an argument or on standard input".to_owned()));
        }
        None => read_input()?,
        Some(message) => message.to_owned(),
    };
    let payload = payload(&content, text)?;
    // Always wrapped with an id: an object that happens to have `id` and `payload` is then sent unchanged.
    let id = match id {
        Some(id) => id,
        None => direct::random()?.to_string(),
    };
    let to = (!to.is_empty()).then_some(to);
    let named = Named { id: &id, topic: topic.as_deref(), to: to.as_deref(), payload: &payload };
    let params = Params { messages: Some([named]), limit: Some(0), ..Params::default() };
    let result: SyncResult = answer(ANSWER, client.call(METHOD, params)).await?;
    let place = result.entry_ids.first().and_then(Option::as_deref);
    let text = match place {
        _ if result.duplicates > 0 => format!("Duplicate: {id} was sent before and is not sent again."),
        _ if result.queued > 0 => {
            format!("Queued {id}: Redis does not answer; the node sends it when Redis answers again.")
        }
        Some(place) => format!("Sent {id} as entry {place}."),
        None => format!("Sent {id}."),
    };
    Ok(session.output.result(form.json, &result, text)?)
}

/// Runs `recv`.
///
/// # Errors
/// See [`Failure`].
pub(super) async fn recv(session: &mut Session<'_>, arguments: RecvArguments) -> Outcome {
    let RecvArguments { limit, wait, no_ack, ack, form } = arguments;
    let (client, _) = require(session.global, session.environment).await?;
    let within = ANSWER.saturating_add(wait.unwrap_or_default());
    let wait_ms = wait.map(|wait: Duration| crate::cluster::time::millis(wait));
    let params = Params { limit, wait_ms, auto_ack: no_ack.then_some(false), ack: ack.as_deref(), ..Params::default() };
    if form.json {
        let result: Box<RawValue> = answer(within, client.call(METHOD, params)).await?;
        return Ok(session.output.line(escape_json(result.get()))?);
    }
    let result: SyncResult = answer(within, client.call(METHOD, params)).await?;
    print_received(session, &result, no_ack)
}

fn print_received(session: &mut Session<'_>, result: &SyncResult, no_ack: bool) -> Outcome {
    let output = &mut session.output;
    if let Some(gap) = &result.gap {
        let count = gap.count.map_or("an unknown number of".to_owned(), |count| count.to_string());
        let text =
            format!("Gap: {count} messages from {} to {} were lost before this node read them.", gap.from, gap.to);
        let text = output.paint(Tint::Yellow, &text);
        output.line(text)?;
    }
    for message in &result.received {
        let topic = message.topic.as_ref().map_or(String::new(), |topic| format!(" [{}]", clean(topic, 64)));
        let head = format!("{} {}{topic}", time_of_day(message.sent_at_ms), clean(&message.from, 64));
        let head = output.paint(Tint::Dim, &head);
        output.line(format!("{head} {}", escape_json(message.payload.get())))?;
    }
    if result.received.is_empty() && result.gap.is_none() {
        output.line("No messages.")?;
    } else if no_ack {
        output.line(format!("Not acknowledged; acknowledge with: clawster recv --limit 0 --ack {}", result.cursor))?;
    } else {
        output.line("Acknowledged: other clients of this node do not receive them; use --no-ack to look only.")?;
    }
    if result.more {
        output.line("More messages are waiting; run recv again.")?;
    }
    Ok(())
}

/// Sends a text as a message; the demo uses it, too.
///
/// # Errors
/// See [`Failure`].
pub(super) async fn send_text(client: &Client, text: &str) -> Result<SyncResult, Failure> {
    let payload = payload(text, true)?;
    let id = direct::random()?.to_string();
    let named = Named { id: &id, topic: None, to: None, payload: &payload };
    let params = Params { messages: Some([named]), limit: Some(0), ..Params::default() };
    answer(ANSWER, client.call(METHOD, params)).await
}

/// Turns a user's text into a payload: valid JSON unchanged, anything else (or with `text`, everything) as a string.
pub(super) fn payload(content: &str, text: bool) -> Result<Box<RawValue>, Failure> {
    // Some shells put a byte order mark before what they pipe.
    let content = content.trim_start_matches('\u{feff}');
    let trimmed = content.trim();
    if !text && let Ok(json) = RawValue::from_string(trimmed.to_owned()) {
        return Ok(json);
    }
    if !text
        && trimmed.starts_with(['{', '[', '"'])
        && let Err(error) = serde_json::from_str::<serde::de::IgnoredAny>(trimmed)
    {
        let problem = format!(
            "the payload begins like JSON and is not valid JSON: {error}; correct it, or quote it as a JSON string (where there is --text, that does it)"
        );
        return Err(Failure::Usage(problem));
    }
    to_raw_value(content.trim_end_matches(['\r', '\n'])).map_err(|error| Failure::Failed(error.to_string()))
}

/// Reads a payload from standard input.
pub(super) fn read_input() -> Result<String, Failure> {
    let limit = u64::try_from(MAX_MESSAGE_BYTES).unwrap_or(u64::MAX);
    let mut bytes = Vec::new();
    let read = std::io::stdin().lock().take(limit + 1).read_to_end(&mut bytes);
    read.map_err(|error| Failure::Failed(format!("cannot read standard input: {error}")))?;
    if bytes.len() > MAX_MESSAGE_BYTES {
        return Err(Failure::Usage(format!(
            "the input on standard input is larger than {MAX_MESSAGE_BYTES} bytes; send a reference to the content instead"
        )));
    }
    String::from_utf8(bytes).map_err(|_| Failure::Usage("the input on standard input is not valid UTF-8".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_stays_json_and_the_rest_is_a_string() {
        let as_sent = |content: &str, text| payload(content, text).expect("a payload").get().to_owned();
        assert_eq!(as_sent(" {\"a\": 1.10}\n", false), "{\"a\": 1.10}");
        assert_eq!(as_sent("18446744073709551617", false), "18446744073709551617");
        assert_eq!(as_sent("hello \"you\"\n", false), r#""hello \"you\"""#);
        assert_eq!(as_sent("\u{feff}[1]\r\n", false), "[1]");
        assert_eq!(as_sent("42", true), "\"42\"");
        assert_eq!(as_sent("", false), "\"\"");
        assert_eq!(as_sent("{oops", true), "\"{oops\"");
        for mistyped in ["{\"a\": 1,}", "[1, 2", "{a: 1}", "\"open"] {
            let Err(Failure::Usage(text)) = payload(mistyped, false) else { panic!("{mistyped} was taken") };
            assert!(text.contains("not valid JSON"), "{text}");
        }
    }
}
