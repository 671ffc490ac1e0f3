//! The keys of questions between agents: `agents.*` of config.json.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `agents.*`
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct AgentsKeys {
    /// Whether clients of this node may ask and tell the agents of other gateways something.
    pub(crate) ask: bool,
    /// The ids of the nodes whose questions and messages this gateway's agent gets, or "*" for every member. Empty: it gets none.
    #[schemars(length(max = 1000), inner(length(min = 1, max = 64)))]
    pub(crate) accept_from: Vec<String>,
    /// The ids of those nodes, or "*", whose questions may use the tools of this gateway's agent, with its owner's authority. Empty: none.
    #[schemars(length(max = 1000), inner(length(min = 1, max = 64)))]
    pub(crate) tools_for: Vec<String>,
    /// The longest question or message in bytes that this node sends or accepts; 1 byte to 256 KiB.
    #[schemars(range(min = 1, max = 262_144))]
    pub(crate) max_bytes: u32,
}

impl Default for AgentsKeys {
    fn default() -> Self {
        Self { ask: false, accept_from: Vec::new(), tools_for: Vec::new(), max_bytes: 16 << 10 }
    }
}
