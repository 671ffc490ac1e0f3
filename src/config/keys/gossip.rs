//! The keys of gossip: `gossip.*` of config.json and of secrets.json.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `gossip.*` of config.json
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct GossipKeys {
    /// The UDP address (ip:port) at which this node gossips with the others, or "off". Needs gossip.key in secrets.json. Nodes of several hosts need an address that the other hosts reach.
    #[schemars(length(min = 1, max = 100))]
    pub(crate) listen: String,
    /// Addresses (host:port) of other nodes, beside those that Redis has named. Without a port: that of gossip.listen.
    #[schemars(length(max = 100), inner(length(min = 1, max = 300)))]
    pub(crate) seeds: Vec<String>,
}

impl Default for GossipKeys {
    fn default() -> Self {
        Self { listen: "off".to_owned(), seeds: Vec::new() }
    }
}

/// `gossip.*` of secrets.json
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct GossipSecrets {
    /// The key that all nodes of the cluster share, 16 to 256 characters; make one with `openssl rand -base64 32`.
    #[schemars(length(max = 256), extend("writeOnly" = true))]
    pub(crate) key: Option<String>,
    /// The key before this one, while nodes still use it.
    #[schemars(length(max = 256), extend("writeOnly" = true))]
    pub(crate) previous_key: Option<String>,
}
