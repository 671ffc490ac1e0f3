//! The parameters of the tasks' methods.
//!
//! 1. Every bound is checked here; the error names the parameter and what is allowed.
//!
//! Not here: what is answered (`results.rs`).

use super::results::TaskState;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// The most tasks of one claim.
pub const MAX_CLAIM: u64 = 1_000;
/// The most tasks of one list.
pub const MAX_LIST: u64 = 1_000;

/// What a node must be or have to get a task; all of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Requires {
    /// What the node must be able to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub capabilities: Option<Vec<String>>,
    /// Labels that the node must have, with these values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<BTreeMap<String, String>>,
    /// The only node that may get it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,63}$"))]
    pub node_id: Option<String>,
}

/// The parameters of `distributed.submit_task`, in the order of their positions.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SubmitParams {
    /// Your id for it, 1 to 128 printable characters without blanks: submitted again, it is a duplicate. Generated when
    /// absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub id: Option<String>,
    /// What kind of work it is, 1 to 128 printable characters without blanks: workers claim by kind.
    #[schemars(length(min = 1, max = 128))]
    pub kind: String,
    /// What the worker gets: any JSON value, at most 1 MiB.
    #[schemars(with = "serde_json::Value")]
    pub payload: Box<RawValue>,
    /// What a node must be or have to get it; any node when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requires: Option<Requires>,
    /// Higher ones first; among equals the older one first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = -1_000, max = 1_000), extend("default" = 0))]
    pub priority: Option<i64>,
    /// Not before so many milliseconds from now, at most 30 days.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 2_592_000_000_u64), extend("default" = 0))]
    pub delay_ms: Option<u64>,
    /// How often it is tried before it is dead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000), extend("default" = 3))]
    pub max_attempts: Option<u64>,
    /// How long one attempt may take without an extension, in milliseconds, at most a day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 100, max = 86_400_000), extend("default" = 30_000))]
    pub timeout_ms: Option<u64>,
}

/// The parameters of `distributed.claim_tasks`, in the order of their positions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClaimParams {
    /// Which kinds; any when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 100))]
    pub kinds: Option<Vec<String>>,
    /// How many at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000), extend("default" = 1))]
    pub limit: Option<u64>,
    /// How long to wait for the first one, in milliseconds, at most an hour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 3_600_000), extend("default" = 0))]
    pub wait_ms: Option<u64>,
}

/// The parameters of `distributed.extend_task`, in the order of their positions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenParams {
    /// The task.
    pub task_id: String,
    /// The token that it was claimed with.
    pub token: u64,
}

/// The parameters of `distributed.complete_task`, in the order of their positions.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CompleteParams {
    /// The task.
    pub task_id: String,
    /// The token that it was claimed with.
    pub token: u64,
    /// What came of it: any JSON value, at most 1 MiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<serde_json::Value>")]
    pub result: Option<Box<RawValue>>,
}

/// The parameters of `distributed.fail_task`, in the order of their positions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FailParams {
    /// The task.
    pub task_id: String,
    /// The token that it was claimed with.
    pub token: u64,
    /// Why it failed, at most 64 KiB.
    #[schemars(length(max = 65_536))]
    pub error: String,
    /// Whether it is tried again, after a pause, as long as attempts are left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = true))]
    pub retry: Option<bool>,
}

/// The parameters of `distributed.get_task`, `distributed.cancel_task` and `distributed.redrive_task`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TaskIdParams {
    /// The task.
    pub task_id: String,
}

/// The parameters of `distributed.list_tasks`, in the order of their positions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListParams {
    /// Only those in this state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<TaskState>,
    /// How many at most, the newest first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000), extend("default" = 100))]
    pub limit: Option<u64>,
    /// Only those of this kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub kind: Option<String>,
}
