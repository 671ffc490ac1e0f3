//! `tasks.*` of config.json.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `tasks.*`
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct TasksKeys {
    /// How many bytes tasks take in Redis before this node submits no more; at most a quarter of Redis' maxmemory, whatever is set here.
    /// Done and failed tasks are forgotten first, the oldest first. 1 MiB to 1 TiB.
    #[schemars(range(min = 1_048_576, max = 1_099_511_627_776_u64))]
    pub(crate) max_bytes: u64,
}

impl Default for TasksKeys {
    fn default() -> Self {
        Self { max_bytes: 256 << 20 }
    }
}
