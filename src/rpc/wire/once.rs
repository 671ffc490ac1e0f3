//! Once in the cluster: a key is granted to one caller until it expires.
//!
//! 1. A call has one key or a list of keys, never both.
//!
//! Not here: who is granted a key (`crate::store`).

use super::lease::{between, request_id};
use crate::engine::node::handle;
use crate::rpc::errors::RpcError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The longest time for which a key is kept, in milliseconds: 30 days.
pub const MAX_TTL_MS: u64 = 30 * 86_400_000;
/// The longest key, in bytes.
pub const MAX_KEY_BYTES: usize = 512;
/// The maximum number of keys of one call.
pub const MAX_KEYS: usize = 10_000;

/// The parameters of `distributed.run_once`, in the order of their positions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OnceParams {
    /// The key, which names the thing to do once. Null with `keys`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub key: Option<String>,
    /// How long the key stays taken, in milliseconds, at most 30 days.
    #[schemars(range(min = 1, max = 2_592_000_000_u64))]
    pub ttl_ms: u64,
    /// An id of your choice for this call. A repeated call of this node with the same id gets its grants again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 200))]
    pub request_id: Option<String>,
    /// Several keys at once, at most 10,000. Each is granted on its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 10_000))]
    pub keys: Option<Vec<String>>,
}

/// The answer for one key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Once {
    /// Whether the key was granted to the caller.
    pub granted: bool,
    /// The node that the key was granted to.
    pub by: String,
    /// When the key was granted, in milliseconds of the Redis server's clock.
    pub at_ms: u64,
}

/// The answer for one of several keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct KeyOnce {
    /// The key.
    pub key: String,
    /// Whether the key was granted to the caller.
    pub granted: bool,
    /// The node that the key was granted to.
    pub by: String,
    /// When the key was granted, in milliseconds of the Redis server's clock.
    pub at_ms: u64,
}

/// The result for several keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Several {
    /// One answer for each key, in the order of the keys.
    pub results: Vec<KeyOnce>,
}

/// The result of `distributed.run_once`, for one key or for several.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(extend("type" = "object"))]
pub enum OnceResult {
    /// The answer to `key`.
    One(Once),
    /// The answer to `keys`.
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
    /// The request, and whether it used `key` rather than `keys`.
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
    /// The result for one key or for several; `None` when one was asked for and there is no answer.
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
