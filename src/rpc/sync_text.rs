//! The result of `distributed.sync_messages` as JSON, put together from slices of what came from the stream.
//!
//! 1. The text is one of [`SyncResult`](super::wire::sync::SyncResult): what that type would give, with ids, topics and payloads as their
//!    senders wrote them.
//!
//! Not here: what is received (`crate::engine`).

use super::errors::RpcError;
use super::outgoing::{Written, checked};
use super::wire::sync::Gap;
use crate::cluster::ids::MessageSeq;
use crate::cluster::messages::message::Received;
use crate::engine::node::handle::Synced;
use serde::Serialize;

/// The bytes of a received message beside its own texts and its sender's id, with names, position and time.
const FRAME_BYTES: usize = 130;
/// The bytes of a position, with quotes and a comma.
const POSITION_BYTES: usize = 21;

/// Writes a result.
///
/// # Errors
/// `internal_error` when it cannot be written, which is a defect.
pub(crate) fn write(method: &'static str, synced: &Synced) -> Result<Written, RpcError> {
    let received = synced.received.iter().map(|one| one.message.bytes() + one.from.as_str().len() + FRAME_BYTES);
    let bytes = received.sum::<usize>() + synced.entries.len() * POSITION_BYTES + 256;
    checked(method, Written::by(bytes, |text| result(text, synced)))
}

fn result(text: &mut Vec<u8>, synced: &Synced) -> serde_json::Result<()> {
    member(text, "{\"published\":", &synced.published)?;
    member(text, ",\"duplicates\":", &synced.duplicates)?;
    member(text, ",\"queued\":", &synced.queued)?;
    text.extend_from_slice(b",\"entry_ids\":[");
    list(text, &synced.entries, |text, entry| match entry {
        Some(seq) => position(text, *seq),
        None => value(text, &()),
    })?;
    text.extend_from_slice(b"],\"received\":[");
    list(text, &synced.received, message)?;
    text.extend_from_slice(b"],\"cursor\":");
    position(text, synced.cursor)?;
    member(text, ",\"more\":", &synced.more)?;
    member(text, ",\"gap\":", &synced.gap.map(Gap::from))?;
    text.push(b'}');
    Ok(())
}

fn message(text: &mut Vec<u8>, received: &Received) -> serde_json::Result<()> {
    let Received { seq, from, sent_at, message } = received;
    text.extend_from_slice(b"{\"entry_id\":");
    position(text, *seq)?;
    for (name, part) in [
        (",\"id\":", message.id_json()),
        // The characters of a node id need no escape.
        (",\"from\":\"", from.as_str()),
        ("\",\"topic\":", message.topic_json().unwrap_or("null")),
    ] {
        text.extend_from_slice(name.as_bytes());
        text.extend_from_slice(part.as_bytes());
    }
    match message.to() {
        Some(to) => member(text, ",\"to\":", to)?,
        None => text.extend_from_slice(b",\"to\":null"),
    }
    text.extend_from_slice(b",\"payload\":");
    text.extend_from_slice(message.payload().as_bytes());
    member(text, ",\"sent_at_ms\":", &sent_at.0)?;
    text.push(b'}');
    Ok(())
}

/// The items of a list, without its brackets.
fn list<T>(
    text: &mut Vec<u8>,
    items: &[T],
    write: impl Fn(&mut Vec<u8>, &T) -> serde_json::Result<()>,
) -> serde_json::Result<()> {
    for (at, item) in items.iter().enumerate() {
        if at > 0 {
            text.push(b',');
        }
        write(text, item)?;
    }
    Ok(())
}

/// A position, as [`MessageSeq::entry_id`] writes it.
fn position(text: &mut Vec<u8>, seq: MessageSeq) -> serde_json::Result<()> {
    text.push(b'"');
    value(text, &seq.0)?;
    text.extend_from_slice(b"-0\"");
    Ok(())
}

fn member<T: Serialize + ?Sized>(text: &mut Vec<u8>, name: &str, of: &T) -> serde_json::Result<()> {
    text.extend_from_slice(name.as_bytes());
    value(text, of)
}

fn value<T: Serialize + ?Sized>(text: &mut Vec<u8>, of: &T) -> serde_json::Result<()> {
    serde_json::to_writer(text, of)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::ids::NodeId;
    use crate::cluster::messages::content::Content;
    use crate::cluster::messages::message;
    use crate::cluster::time::ServerTime;
    use crate::rpc::outgoing::Outcome;
    use crate::rpc::wire::sync::SyncResult;
    use std::sync::Arc;

    fn spliced(synced: &Synced) -> String {
        let outcome = Outcome::result(write("sync", synced).map_err(|error| error.message).unwrap(), Vec::new());
        outcome.tail.strip_prefix("\"result\":").and_then(|tail| tail.strip_suffix('}')).unwrap().to_owned()
    }

    #[test]
    fn the_text_is_the_one_of_the_type() {
        assert_eq!(spliced(&Synced::default()), serde_json::to_string(&SyncResult::from(Synced::default())).unwrap());
        let text =
            r#"[{"id":"1","payload":{"a":[1.50,"é"]}},{"id":"\"2\"","topic":"t\u0001","to":["a","b"],"payload":null}]"#;
        let content = Content::read(&Arc::new(text.to_owned())).unwrap();
        let received = |(seq, message)| message::Received {
            seq: MessageSeq(seq),
            from: NodeId::new("node-1").unwrap(),
            sent_at: ServerTime(1_700_000_000_123),
            message,
        };
        let synced = || Synced {
            published: 2,
            duplicates: 1,
            queued: 3,
            entries: vec![Some(MessageSeq(1 << 53)), None, Some(MessageSeq(0))],
            received: (7..).zip(content.clone()).map(received).collect(),
            cursor: MessageSeq(9),
            more: true,
            gap: Some(message::Gap { from: MessageSeq(3), to: MessageSeq(6), count: None }),
            delivery: None,
        };
        assert_eq!(spliced(&synced()), serde_json::to_string(&SyncResult::from(synced())).unwrap());
    }
}
