//! Copies of chat transcripts.
//!
//! 1. An item is carried as the JSON text that came in, without the spaces between its parts: numbers and the order of members stay as they are.
//!
//! Not here: the maximum size of an item (`crate::engine` checks it).

use super::lease::between;
use crate::cluster::protocol::{ReadTranscript, TRANSCRIPT_ITEMS, TranscriptItem};
use crate::engine::node::handle::{AppendRequest, Appended, Excerpt};
use crate::rpc::errors::{ErrorKind, RpcError};
use crate::rpc::wire::membership::check_text;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::time::Duration;

/// The longest key of a session in bytes.
const MAX_SESSION_BYTES: usize = 512;
/// The longest position in bytes.
const MAX_POSITION_BYTES: usize = 128;
/// The default of `keep_items` and of `limit`.
const DEFAULT_ITEMS: u64 = 200;
/// The default of `keep_ms`, and its bounds.
const KEEP_MS: (u64, (u64, u64)) = (604_800_000, (60_000, 2_592_000_000));

/// The parameters of `cluster.append_transcript`, in the order of their positions.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AppendTranscriptParams {
    /// The key of the session, 1 to 512 bytes without control characters, such as `agent:main:telegram:direct:123`.
    #[schemars(length(min = 1, max = 512))]
    pub session: String,
    /// The items, oldest first: JSON objects of at most 64 KiB each, whose members mean nothing to the cluster.
    #[schemars(with = "Vec<serde_json::Map<String, serde_json::Value>>", length(max = 100))]
    pub items: Vec<Box<RawValue>>,
    /// How many items the copy keeps; the oldest go first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000), extend("default" = 200))]
    pub keep_items: Option<u64>,
    /// The copy expires this long after this call, in milliseconds: one minute to 30 days. The default is 7 days.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 60_000, max = 2_592_000_000_u64), extend("default" = 604_800_000))]
    pub keep_ms: Option<u64>,
    /// Whether everything that the copy held is removed first. Without items this erases the copy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = false))]
    pub restart: Option<bool>,
}

/// The result of `cluster.append_transcript`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AppendTranscriptResult {
    /// The position of the newest item of the copy; null: it is empty.
    pub position: Option<String>,
    /// How many items the copy holds now.
    pub kept: u64,
}

/// The parameters of `cluster.read_transcript`, in the order of their positions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReadTranscriptParams {
    /// The key of the session, as in append_transcript.
    #[schemars(length(min = 1, max = 512))]
    pub session: String,
    /// Only items behind this `position` of an earlier answer. Default: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub after: Option<String>,
    /// The maximum number of items.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000), extend("default" = 200))]
    pub limit: Option<u64>,
}

/// The result of `cluster.read_transcript`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ReadTranscriptResult {
    /// The items, oldest first.
    pub items: Vec<KeptItem>,
    /// Whether the items begin with the oldest of the copy: `after` was not given, or the copy does not hold that item any more.
    pub from_start: bool,
    /// Whether there are more items behind these: `limit` was reached, or about 2 MiB.
    pub more: bool,
}

/// An item of the copy of a transcript.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct KeptItem {
    /// Its position: opaque, and only good for `after`.
    pub position: String,
    /// The node that appended it.
    pub node_id: String,
    /// The object that was appended.
    #[schemars(with = "serde_json::Map<String, serde_json::Value>")]
    pub item: Box<RawValue>,
}

fn session(text: String) -> Result<String, RpcError> {
    if text.is_empty() {
        return Err(RpcError::parameter("session", format!("it is empty; use 1 to {MAX_SESSION_BYTES} bytes")));
    }
    check_text("session", "it", &text, MAX_SESSION_BYTES)?;
    Ok(text)
}

fn count(parameter: &str, count: Option<u64>) -> Result<u32, RpcError> {
    let count = count.unwrap_or(DEFAULT_ITEMS);
    between(parameter, count, (1, TRANSCRIPT_ITEMS.1))?;
    Ok(u32::try_from(count).unwrap_or(u32::MAX))
}

/// The text of a JSON value without the white space between its parts.
fn compact(json: &str) -> String {
    let (mut quoted, mut escaped) = (false, false);
    let significant = |c: &char| {
        let kept = quoted || !c.is_ascii_whitespace();
        quoted ^= *c == '"' && !escaped;
        escaped = quoted && *c == '\\' && !escaped;
        kept
    };
    json.chars().filter(significant).collect()
}

fn item((at, item): (usize, Box<RawValue>)) -> Result<String, RpcError> {
    let text = compact(item.get());
    if text.starts_with('{') {
        return Ok(text);
    }
    Err(RpcError::parameter("items", format!("the one at index {at} is not an object")))
}

impl TryFrom<AppendTranscriptParams> for AppendRequest {
    type Error = RpcError;

    fn try_from(params: AppendTranscriptParams) -> Result<Self, RpcError> {
        let AppendTranscriptParams { session: key, items, keep_items, keep_ms, restart } = params;
        let (session, keep_items) = (session(key)?, count("keep_items", keep_items)?);
        let keep_ms = keep_ms.unwrap_or(KEEP_MS.0);
        between("keep_ms", keep_ms, KEEP_MS.1)?;
        let (given, most) = (items.len(), TRANSCRIPT_ITEMS.0);
        if u64::try_from(given).unwrap_or(u64::MAX) > most {
            return Err(RpcError::parameter("items", format!("{given} were given, at most {most} are allowed")));
        }
        let items = items.into_iter().enumerate().map(item).collect::<Result<_, _>>()?;
        let (keep_for, restart) = (Duration::from_millis(keep_ms), restart.unwrap_or(false));
        Ok(Self { session, items, keep_items, keep_for, restart })
    }
}

impl TryFrom<ReadTranscriptParams> for ReadTranscript {
    type Error = RpcError;

    fn try_from(params: ReadTranscriptParams) -> Result<Self, RpcError> {
        let (session, limit) = (session(params.session)?, count("limit", params.limit)?);
        if let Some(after) = &params.after {
            check_text("after", "it", after, MAX_POSITION_BYTES)?;
        }
        Ok(Self { session, after: params.after.filter(|after| !after.is_empty()), limit })
    }
}

impl From<Appended> for AppendTranscriptResult {
    fn from(appended: Appended) -> Self {
        let Appended { position, kept } = appended;
        Self { position, kept }
    }
}

impl TryFrom<Excerpt> for ReadTranscriptResult {
    type Error = RpcError;

    fn try_from(excerpt: Excerpt) -> Result<Self, RpcError> {
        let Excerpt { items, from_start, more } = excerpt;
        let kept = |TranscriptItem { position, node_id, item }| {
            let item =
                RawValue::from_string(item).map_err(|why| RpcError::new(ErrorKind::InternalError, why.to_string()))?;
            Ok(KeptItem { position, node_id: node_id.into(), item })
        };
        let items = items.into_iter().map(kept).collect::<Result<_, RpcError>>()?;
        Ok(Self { items, from_start, more })
    }
}

#[cfg(test)]
mod tests {
    use super::compact;

    #[test]
    fn only_the_space_between_the_parts_of_a_value_is_removed() {
        for (given, compacted) in [
            ("{ \"a\" : [ 1 , 1.10 ] }", r#"{"a":[1,1.10]}"#),
            (r#"{"a b": "c \" d \\" , "e" : " "}"#, r#"{"a b":"c \" d \\","e":" "}"#),
            ("{\n\t\"a\": \"\u{a0}\" }", "{\"a\":\"\u{a0}\"}"),
            ("{}", "{}"),
        ] {
            assert_eq!(compact(given), compacted);
        }
    }
}
