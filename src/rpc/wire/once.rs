//! Once in the cluster: a key is granted to one caller until its time is over.
//!
//! 1. One key or a list of them, never both.
//!
//! Not here: who is first (`crate::store`).

use super::lease::{between, request_id};
use crate::engine::node::handle;
use crate::rpc::errors::RpcError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The longest time that a key is kept, in milliseconds: 30 days.
pub const MAX_TTL_MS: u64 = 30 * 86_400_000;
/// The longest key, in bytes.
pub const MAX_KEY_BYTES: usize = 512;
/// The most keys of one call.
pub const MAX_KEYS: usize = 10_000;

/// The parameters of `distributed.run_once`, in the order of their positions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OnceParams {
    /// What shall happen once; null with `keys`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub key: Option<String>,
    /// How long the key is taken, in milliseconds, at most 30 days.
    #[schemars(range(min = 1, max = 2_592_000_000_u64))]
    pub ttl_ms: u64,
    /// Your name for this call: repeated by this node, it is granted what it was granted before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 200))]
    pub request_id: Option<String>,
    /// Several keys at once, at most 10,000, each for itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 10_000))]
    pub keys: Option<Vec<String>>,
}

/// Who was first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Once {
    /// Whether the caller is the one.
    pub granted: bool,
    /// The node that is.
    pub by: String,
    /// Since when, in milliseconds of the Redis server's clock.
    pub at_ms: u64,
}

/// Who was first, for one key of several.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct KeyOnce {
    /// The key.
    pub key: String,
    /// Whether the caller is the one.
    pub granted: bool,
    /// The node that is.
    pub by: String,
    /// Since when, in milliseconds of the Redis server's clock.
    pub at_ms: u64,
}

/// The result for several keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Several {
    /// One for each key, in their order.
    pub results: Vec<KeyOnce>,
}

/// The result of `distributed.run_once`: of one key, or of several.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(extend("type" = "object"))]
pub enum OnceResult {
    /// With `key`.
    One(Once),
    /// With `keys`.
    Several(Several),
}

fn check(parameter: &str, key: &str) -> Result<(), RpcError> {
    if (1..=MAX_KEY_BYTES).contains(&key.len()) {
        return Ok(());
    }
    let text = format!("a key has {} bytes, 1 to {MAX_KEY_BYTES} are allowed", key.len());
    Err(RpcError::parameter(parameter, text))
}

impl OnceParams {
    /// The request, and whether it was made for one key.
    pub(crate) fn request(self) -> Result<(handle::OnceRequest, bool), RpcError> {
        let Self { key, ttl_ms, request_id: name, keys } = self;
        between("ttl_ms", ttl_ms, (1, MAX_TTL_MS))?;
        let ttl = Duration::from_millis(ttl_ms);
        let request_id = request_id(name)?;
        let (keys, one) = match (key, keys) {
            (Some(key), None) => (vec![key], true),
            (None, Some(keys)) => (keys, false),
            (Some(_), Some(_)) => return Err(RpcError::parameter("keys", "give key or keys, not both")),
            (None, None) => return Err(RpcError::parameter("key", "it is missing; give key or keys")),
        };
        if keys.is_empty() || keys.len() > MAX_KEYS {
            let text = format!("{} keys were given, 1 to {MAX_KEYS} are allowed", keys.len());
            return Err(RpcError::parameter("keys", text));
        }
        keys.iter().try_for_each(|key| check(if one { "key" } else { "keys" }, key))?;
        Ok((handle::OnceRequest { keys, ttl, request_id }, one))
    }
}

impl OnceResult {
    /// The answer for one key, or for several; `None` when one was asked for and none was answered.
    pub(crate) fn new(answers: Vec<handle::Once>, one: bool) -> Option<Self> {
        let mut results = answers.into_iter().map(|answer| KeyOnce {
            key: answer.key,
            granted: answer.granted,
            by: answer.by.into(),
            at_ms: answer.at.0,
        });
        if one {
            return results.next().map(|KeyOnce { granted, by, at_ms, .. }| Self::One(Once { granted, by, at_ms }));
        }
        Some(Self::Several(Several { results: results.collect() }))
    }
}
