//! The keys of the task queue: `tasks.*` of config.json.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `tasks.*`
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct TasksKeys {
    /// How many bytes of tasks Redis may hold before this node refuses to submit more; never more than a quarter of Redis' maxmemory.
    /// To make room, the oldest done and failed tasks are removed first. 1 MiB to 1 TiB.
    #[schemars(range(min = 1_048_576, max = 1_099_511_627_776_u64))]
    pub(crate) max_bytes: u64,
}

impl Default for TasksKeys {
    fn default() -> Self {
        Self { max_bytes: 256 << 20 }
    }
}
