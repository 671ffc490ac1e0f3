//! Sending and receiving messages.
//!
//! 1. A payload is carried as the JSON text that came in, so that numbers and the order of members stay as they are.
//! 2. An object with both `id` and `payload` is a named message; its other members are checked, and unknown ones are
//!    refused. Any other JSON value is itself the payload.
//!
//! Not here: the size of a message and whether `to` names members (`crate::engine` checks both).

use crate::cluster::ids::MessageSeq;
use crate::cluster::messages::message;
use crate::cluster::settings::MAX_SYNC_LIMIT;
use crate::engine::node::handle;
use crate::rpc::errors::RpcError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::time::Duration;

/// The longest `id` of a message, in bytes.
pub const MAX_ID_BYTES: usize = 256;
/// The longest `topic` of a message, in bytes.
pub const MAX_TOPIC_BYTES: usize = 256;
/// The longest `wait_ms`: one hour.
pub const MAX_WAIT: Duration = Duration::from_secs(3_600);

/// The parameters of `distributed.sync_messages`, in the order of their positions.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SyncParams {
    /// The messages to send, in this order: any JSON values, or named messages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Vec<Message>>", length(max = 100_000))]
    pub messages: Option<Vec<Box<RawValue>>>,
    /// The maximum number of messages to receive. Default: the configured batch size. 0: receive none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 100_000))]
    pub limit: Option<u64>,
    /// How long to wait for a message to receive, in milliseconds, at most one hour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 3_600_000), extend("default" = 0))]
    pub wait_ms: Option<u64>,
    /// Whether received messages count as acknowledged once the answer has been written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = true))]
    pub auto_ack: Option<bool>,
    /// First acknowledge everything up to this cursor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^[0-9]{1,16}-0$"))]
    pub ack: Option<String>,
}

/// A message to send: a named message, or any JSON value, which is then the payload.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Message {
    /// A message with an id.
    Named(NamedMessage),
    /// A payload without an id.
    Payload(serde_json::Value),
}

/// A message with an id.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NamedMessage {
    /// The id of the message. The same id from the same sender within 24 hours is a duplicate and is not sent again.
    #[schemars(length(min = 1, max = 256))]
    pub id: String,
    /// The topic; free text for the receivers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub topic: Option<String>,
    /// The ids of the members to send to. Default: all others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Vec<String>>,
    /// The content: any JSON value.
    #[schemars(with = "serde_json::Value")]
    pub payload: Box<RawValue>,
}

/// The keys of an object that decide whether it is a named message, read without its values.
#[derive(Default)]
struct Names {
    id: bool,
    payload: bool,
}

impl<'de> Deserialize<'de> for Names {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Names;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Names, A::Error> {
                let mut names = Names::default();
                while let Some((key, serde::de::IgnoredAny)) = map.next_entry::<std::borrow::Cow<'de, str>, _>()? {
                    names.id |= key == "id";
                    names.payload |= key == "payload";
                }
                Ok(names)
            }
        }
        deserializer.deserialize_map(Visitor)
    }
}

fn draft(index: usize, raw: Box<RawValue>) -> Result<handle::Draft, RpcError> {
    // Most payloads are told from named messages without reading them once more.
    let has_payload = raw.get().contains("\"payload\"") || raw.get().contains('\\');
    let is_object = raw.get().starts_with('{') && has_payload;
    // An object with a key that cannot be read (a lone surrogate) is not a named message; it is sent as a payload.
    let names: Names = if is_object { serde_json::from_str(raw.get()).unwrap_or_default() } else { Names::default() };
    if !(names.id && names.payload) {
        return Ok(handle::Draft { id: None, topic: None, to: None, payload: raw });
    }
    let refuse = |text: String| RpcError::parameter(&format!("messages[{index}]"), text);
    let message: NamedMessage =
        serde_json::from_str(raw.get()).map_err(|e| refuse(crate::rpc::params::plain_text(&e.to_string())))?;
    if message.id.is_empty() || message.id.len() > MAX_ID_BYTES {
        return Err(refuse(format!("id has {} bytes, 1 to {MAX_ID_BYTES} are allowed", message.id.len())));
    }
    if message.topic.as_ref().is_some_and(|topic| topic.len() > MAX_TOPIC_BYTES) {
        return Err(refuse(format!("topic is longer than {MAX_TOPIC_BYTES} bytes")));
    }
    if message.to.as_ref().is_some_and(Vec::is_empty) {
        return Err(refuse("to is empty; name the members it is for, or leave it out for all others".to_owned()));
    }
    Ok(handle::Draft { id: Some(message.id), topic: message.topic, to: message.to, payload: message.payload })
}

impl TryFrom<SyncParams> for handle::SyncRequest {
    type Error = RpcError;

    fn try_from(params: SyncParams) -> Result<Self, RpcError> {
        let SyncParams { messages, limit, wait_ms, auto_ack, ack } = params;
        let messages = messages.unwrap_or_default();
        if messages.len() > MAX_SYNC_LIMIT {
            let text = format!("{} messages were given, at most {MAX_SYNC_LIMIT} are allowed", messages.len());
            return Err(RpcError::parameter("messages", text));
        }
        let limit = limit.map(|limit| usize::try_from(limit).unwrap_or(usize::MAX));
        if limit.is_some_and(|limit| limit > MAX_SYNC_LIMIT) {
            return Err(RpcError::parameter("limit", format!("0 to {MAX_SYNC_LIMIT} is allowed")));
        }
        let wait = Duration::from_millis(wait_ms.unwrap_or(0));
        if wait > MAX_WAIT {
            return Err(RpcError::parameter("wait_ms", format!("0 to {} is allowed", MAX_WAIT.as_millis())));
        }
        let ack = match ack {
            Some(text) => Some(MessageSeq::from_entry_id(&text).ok_or_else(|| {
                RpcError::parameter("ack", "it is not a cursor; pass the `cursor` of an earlier answer, like \"42-0\"")
            })?),
            None => None,
        };
        let messages = messages.into_iter().enumerate().map(|(index, raw)| draft(index, raw)).collect::<Result<_, _>>();
        Ok(Self { messages: messages?, limit, wait, auto_ack: auto_ack.unwrap_or(true), ack })
    }
}

/// A received message.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Received {
    /// The position of the message in the total order, as `<seq>-0`.
    pub entry_id: String,
    /// The id that the sender gave the message.
    pub id: String,
    /// The node id of the sender.
    pub from: String,
    /// The topic; null: the sender gave none.
    pub topic: Option<String>,
    /// The ids of the members that it was sent to; null: all others.
    pub to: Option<Vec<String>>,
    /// The content.
    #[schemars(with = "serde_json::Value")]
    pub payload: Box<RawValue>,
    /// When the message entered the stream, in milliseconds of the Redis server's clock.
    pub sent_at_ms: u64,
}

impl From<message::Received> for Received {
    fn from(received: message::Received) -> Self {
        let message::Received { seq, from, sent_at, message } = received;
        let payload = RawValue::from_string(message.payload().to_owned());
        Self {
            entry_id: seq.entry_id(),
            id: message.id(),
            from: from.into(),
            topic: message.topic(),
            to: message.to().map(|to| to.iter().cloned().map(String::from).collect()),
            // It was JSON when it came from the stream.
            payload: payload.unwrap_or_else(|_| RawValue::NULL.to_owned()),
            sent_at_ms: sent_at.0,
        }
    }
}

/// Messages that were trimmed or lost before this node read them. Both ends are included.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Gap {
    /// The first missed position, as `<seq>-0`.
    pub from: String,
    /// The last missed position, as `<seq>-0`.
    pub to: String,
    /// The number of missed positions; null: unknown.
    pub count: Option<u64>,
}

impl From<message::Gap> for Gap {
    fn from(gap: message::Gap) -> Self {
        Self { from: gap.from.entry_id(), to: gap.to.entry_id(), count: gap.count }
    }
}

/// The result of `distributed.sync_messages`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct SyncResult {
    /// How many of the given messages are in the stream now.
    pub published: u64,
    /// How many of the given messages are duplicates, which were not sent again.
    pub duplicates: u64,
    /// How many of the given messages wait in the outbox.
    pub queued: u64,
    /// For each given message its position as `<seq>-0`; null: not known yet.
    pub entry_ids: Vec<Option<String>>,
    /// The received messages.
    pub received: Vec<Received>,
    /// The cursor to pass as `ack` to acknowledge everything received.
    pub cursor: String,
    /// Whether more messages wait.
    pub more: bool,
    /// The messages that were lost before this node read them; repeated until acknowledged.
    pub gap: Option<Gap>,
}

impl From<handle::Synced> for SyncResult {
    fn from(synced: handle::Synced) -> Self {
        let count = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
        Self {
            published: count(synced.published),
            duplicates: count(synced.duplicates),
            queued: count(synced.queued),
            entry_ids: synced.entries.into_iter().map(|seq| seq.map(MessageSeq::entry_id)).collect(),
            received: synced.received.into_iter().map(Received::from).collect(),
            cursor: synced.cursor.entry_id(),
            more: synced.more,
            gap: synced.gap.map(Gap::from),
        }
    }
}
