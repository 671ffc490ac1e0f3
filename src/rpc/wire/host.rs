//! The watch over the gateway's own process.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The parameters of `cluster.watch_host`, in the order of their positions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WatchHostParams {
    /// The next call with this name must come within this time, in milliseconds. Null: end the watch for this name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1_000, max = 3_600_000))]
    pub within_ms: Option<u64>,
    /// What the gateway holds, such as an account of a channel; at most 1,000 names of up to 256 bytes. Each has a deadline of its
    /// own, and the earliest one counts. Default: the empty name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub name: Option<String>,
}

/// The result of `cluster.watch_host`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WatchHostResult {
    /// Whether the gateway's process is watched now.
    pub watching: bool,
}
