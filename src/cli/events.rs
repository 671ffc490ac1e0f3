//! `events`: shows the cluster's events.
//!
//! 1. Without `--follow` the command ends 250 ms after the last event, or after 10 s in all. It waits up to 2 s for the first
//!    event, because the node may have to fetch it from a slow Redis.
//!
//! Not here: the list of events (`crate::rpc::wire::event`).

use super::Session;
use super::options::Form;
use super::outcome::{Failure, Outcome};
use super::signals::interrupted;
use super::terminal::{Output, Tint, clean, reader_gone, time_of_day};
use crate::cli::node_access::attach::{ANSWER, answer, require};
use crate::clock;
use crate::rpc::client::Notification;
use crate::rpc::wire::subscription::SubscribeParams;
use serde_json::Value;
use std::time::Duration;

/// Without `--follow`: how long no event may arrive before the command ends.
const IDLE_TIMEOUT: Duration = Duration::from_millis(250);
/// Without `--follow`: how long the first event may take.
const FIRST_TIMEOUT: Duration = Duration::from_secs(2);
/// Without `--follow`: how long the command runs at most.
const TOTAL_TIMEOUT: Duration = Duration::from_secs(10);

/// Which events to show.
#[derive(Debug, Clone, Default)]
pub(super) struct EventFilter {
    /// Keep showing new events until interrupted.
    pub(super) follow: bool,
    /// Only events after this event id.
    pub(super) after: Option<String>,
    /// Messages as well.
    pub(super) messages: bool,
}

/// Runs `events`.
///
/// # Errors
/// See [`Failure`]. Under `--follow` the end of the node is an error, too.
pub(super) async fn run(session: &mut Session<'_>, request: EventFilter, form: Form) -> Outcome {
    let (client, _) = require(session.global, session.environment).await?;
    let mut names = vec!["cluster.*".to_owned()];
    if request.messages {
        names.push("cluster.message".to_owned());
    }
    // From the very first event: those that were trimmed come as one gap.
    let after = request.after.or_else(|| (!request.follow).then(|| "0-0".to_owned()));
    let (_, mut feed) = answer(ANSWER, client.subscribe(SubscribeParams { events: Some(names), after })).await?;
    let begun = clock::now();
    let mut timeout = FIRST_TIMEOUT;
    let unread = reader_gone();
    tokio::pin!(unread);
    loop {
        let next = if request.follow {
            tokio::select! {
                next = feed.recv() => next,
                asked = interrupted() => return asked,
                () = &mut unread => return Ok(()),
            }
        } else {
            match tokio::time::timeout(timeout, feed.recv()).await {
                Ok(next) => next,
                Err(_) => return Ok(()),
            }
        };
        let Some(event) = next else {
            return Err(Failure::Failed("the node stopped; events cannot be followed".to_owned()));
        };
        show(&mut session.output, &event, form)?;
        timeout = IDLE_TIMEOUT;
        if !request.follow && clock::now().since(begun) > TOTAL_TIMEOUT {
            return Ok(());
        }
    }
}

fn show(output: &mut Output<'_>, event: &Notification, form: Form) -> std::io::Result<()> {
    if form.json {
        return output.json_line(&event.result);
    }
    let (tint, text) = describe(&event.result);
    let at = event.result.get("at_ms").and_then(Value::as_u64).map_or_else(|| "-".to_owned(), time_of_day);
    let at = output.paint(Tint::Dim, &at);
    let seq = event.result.get("seq").and_then(Value::as_u64).map_or_else(|| "-".to_owned(), |seq| seq.to_string());
    let text = output.paint(tint, &text);
    output.line(format!("{at} {seq:>6}  {text}"))?;
    // Flushes: each event is shown when it happens, also into a pipe.
    output.raw(b"")
}

/// Describes an event in one line for people, with its colour.
#[must_use]
pub(super) fn describe(event: &Value) -> (Tint, String) {
    let text = |key: &str| match event.get(key) {
        Some(Value::String(text)) => clean(text, 64),
        Some(Value::Null) | None => "-".to_owned(),
        Some(other) => clean(&other.to_string(), 64),
    };
    let reason = || text("reason").replace('_', " ");
    let name = event.get("event").and_then(Value::as_str).unwrap_or("?");
    match name.strip_prefix("cluster.").unwrap_or(name) {
        "node_joined" if event.get("rejoined") == Some(&Value::Bool(true)) => {
            (Tint::Green, format!("{} rejoined (incarnation {})", text("node_id"), text("incarnation")))
        }
        "node_joined" => (Tint::Green, format!("{} joined (incarnation {})", text("node_id"), text("incarnation"))),
        "node_left" => (Tint::Red, format!("{} is gone: {}", text("node_id"), reason())),
        "leader_elected" => {
            let before = match event.get("previous_leader_id").and_then(Value::as_str) {
                Some(previous) => format!(" after {}", clean(previous, 64)),
                None => String::new(),
            };
            (Tint::Bold, format!("{} became leader{before}: {} (term {})", text("leader_id"), reason(), text("term")))
        }
        "leader_lost" => {
            (Tint::Yellow, format!("{} lost leadership: {} (term {})", text("leader_id"), reason(), text("term")))
        }
        "task_available" => (Tint::Dim, format!("task {} ({}) can be claimed", text("task_id"), text("kind"))),
        "task_dead" => (
            Tint::Red,
            format!("task {} ({}) is dead; last attempt on {}", text("task_id"), text("kind"), text("node_id")),
        ),
        "sync_complete" => {
            let (first, last) = (text("first_entry_id"), text("last_entry_id"));
            (Tint::Dim, format!("{} {} messages ({first} to {last})", text("direction"), text("count")))
        }
        "message" => {
            // The message's fields are either among the event's own or in a field `message`.
            let inner = event.get("message").filter(|inner| inner.is_object()).unwrap_or(event);
            let from = inner.get("from").and_then(Value::as_str).unwrap_or("-");
            let payload = inner.get("payload").map(ToString::to_string).unwrap_or_default();
            (Tint::Plain, format!("message from {}: {}", clean(from, 64), clean(&payload, 200)))
        }
        "degraded" => (Tint::Red, "Redis stopped answering".to_owned()),
        "recovered" => (Tint::Green, "Redis answers again".to_owned()),
        "redis_failover" => {
            (Tint::Yellow, format!("the primary of Redis is {} now, after {}", text("to"), text("from")))
        }
        "peer_reachable" => (Tint::Green, format!("{} answers by gossip", text("node_id"))),
        "peer_unreachable" if event.get("reason").and_then(Value::as_str) == Some("left") => {
            (Tint::Dim, format!("{} said by gossip that it leaves", text("node_id")))
        }
        "peer_unreachable" => (Tint::Red, format!("{} does not answer by gossip", text("node_id"))),
        "note" => {
            let payload = event.get("payload").map(ToString::to_string).unwrap_or_default();
            (Tint::Yellow, format!("note from {} ({}): {}", text("from"), text("topic"), clean(&payload, 200)))
        }
        "gap" => {
            (Tint::Yellow, format!("events {} to {} are missing: trimmed or lost", text("from_seq"), text("to_seq")))
        }
        other => (Tint::Plain, clean(other, 64)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn shown(event: Value) -> String {
        let mut text = Vec::new();
        let event = Notification { method: "x".to_owned(), result: event };
        show(&mut Output::plain(&mut text), &event, Form::default()).expect("writes");
        String::from_utf8(text).expect("text")
    }

    #[test]
    fn events_are_shown_in_words() {
        let elected = json!({"event": "cluster.leader_elected", "seq": 9, "at_ms": 3_723_004, "node_id": "b",
            "leader_id": "b", "term": 4, "previous_leader_id": "a", "reason": "process_died"});
        assert_eq!(shown(elected), "01:02:03.004      9  b became leader after a: process died (term 4)\n");
        let joined = json!({"event": "cluster.node_joined", "seq": 1, "at_ms": 0, "node_id": "a\u{1b}[1m",
            "incarnation": 2, "rejoined": false, "name": "x"});
        assert_eq!(shown(joined), "00:00:00.000      1  a\u{fffd}[1m joined (incarnation 2)\n");
        let gap = json!({"event": "cluster.gap", "seq": null, "at_ms": 0, "from_seq": 1, "to_seq": 5});
        assert_eq!(shown(gap), "00:00:00.000      -  events 1 to 5 are missing: trimmed or lost\n");
        assert!(shown(json!({"event": 3})).contains('?'));
    }
}
