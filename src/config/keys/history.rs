//! The keys of the history: `mongodb.*` and `history.*` of config.json.
//!
//! Not here: `mongodb.uri`, which is a key of secrets.json (`keys.rs`).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `mongodb.*` of config.json
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct MongoKeys {
    /// Name of the database.
    #[schemars(length(min = 1, max = 63))]
    pub(crate) db: String,
    /// Name of the collection.
    #[schemars(length(min = 1, max = 120))]
    pub(crate) collection: String,
    /// Days after which a recorded heartbeat is deleted.
    #[schemars(range(min = 1, max = 36_500))]
    pub(crate) retention_days: u32,
}

impl Default for MongoKeys {
    fn default() -> Self {
        Self { db: "openclaw".to_owned(), collection: "heartbeat".to_owned(), retention_days: 30 }
    }
}

/// `history.*`
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct HistoryKeys {
    /// Hours for which Redis keeps each node's heartbeats, at most 10,000 of them; 0: none. Has no effect if `mongodb.uri` is set.
    #[schemars(range(min = 0, max = 168))]
    pub(crate) recent_hours: u32,
}

impl Default for HistoryKeys {
    fn default() -> Self {
        Self { recent_hours: 24 }
    }
}
