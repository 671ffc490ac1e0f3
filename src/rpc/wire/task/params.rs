//! The parameters of the task methods.
//!
//! 1. Every bound is checked here; the error names the parameter and the allowed values.
//!
//! Not here: the results (`results.rs`).

use crate::cluster::ids::{NodeId, TaskToken};
use crate::cluster::task::{
    AFTER_MAX, ATTEMPTS_MAX, BATCH_MAX, CONCURRENCY_MAX, Concurrency, ConcurrencyKey, DELAY_MAX, Priority,
    REQUIREMENTS_MAX, Requirements, TIMEOUT_MAX, TIMEOUT_MIN, TaskId, TaskKind, TaskState,
};
use crate::cluster::time::millis;
use crate::engine::agents::RESERVED_KINDS;
use crate::engine::node::handle;
use crate::rpc::errors::RpcError;
use crate::rpc::wire::lease::{between, wait};
use crate::rpc::wire::membership::{check_count, check_tag, check_text};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// The defaults of `max_attempts` and `timeout_ms`.
const DEFAULTS: (u64, u64) = (3, 30_000);
/// The maximum number of kinds of one claim.
const MAX_KINDS: usize = 100;
/// The default of `limit` of a list.
const DEFAULT_LIST: u64 = 100;

/// The requirements on a node; it must meet all of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Requires {
    /// Capabilities that the node must have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub capabilities: Option<Vec<String>>,
    /// Labels that the node must have, with these values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<BTreeMap<String, String>>,
    /// The id of the only node that may get the task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,63}$"))]
    pub node_id: Option<String>,
}

/// The parameters of `distributed.submit_task`, in the order of their positions.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SubmitParams {
    /// An id of your choice, 1 to 128 printable characters without spaces. Submitting the same id again is a duplicate.
    /// Default: a generated id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub id: Option<String>,
    /// The kind of work, 1 to 128 printable characters without spaces. Workers claim tasks by kind.
    #[schemars(length(min = 1, max = 128))]
    pub kind: String,
    /// The input for the worker: any JSON value, at most 1 MiB.
    #[schemars(with = "serde_json::Value")]
    pub payload: Box<RawValue>,
    /// The requirements on the node that gets the task. Default: any node.
    #[serde(default, deserialize_with = "requires_object", skip_serializing_if = "Option::is_none")]
    pub requires: Option<Requires>,
    /// Tasks with a higher priority are claimed first; with equal priority, the older task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = -1_000, max = 1_000), extend("default" = 0))]
    pub priority: Option<i64>,
    /// How long to wait before the task becomes ready, in milliseconds, at most 365 days.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 31_536_000_000_u64), extend("default" = 0))]
    pub delay_ms: Option<u64>,
    /// The maximum number of attempts; after the last failed attempt the task is dead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000), extend("default" = 3))]
    pub max_attempts: Option<u64>,
    /// How long one attempt may take without an extension, in milliseconds, at most 7 days.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 100, max = 604_800_000), extend("default" = 30_000))]
    pub timeout_ms: Option<u64>,
    /// The ids of tasks that must be done first, at most 100; they must exist. If one of them fails, is cancelled or dies,
    /// this task fails. `delay_ms` counts from the moment at which all are done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 100))]
    pub after: Option<Vec<String>>,
    /// A name that tasks share of which only so many may run at once in the cluster, 1 to 128 printable characters without
    /// spaces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub concurrency_key: Option<String>,
    /// How many tasks with this `concurrency_key` may run at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_000), extend("default" = 1))]
    pub max_concurrent: Option<u64>,
}

/// The parameters of `distributed.claim_tasks`, in the order of their positions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClaimParams {
    /// The kinds to claim. Default: any kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 100))]
    pub kinds: Option<Vec<String>>,
    /// The maximum number of tasks to claim.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000), extend("default" = 1))]
    pub limit: Option<u64>,
    /// How long to wait for the first task, in milliseconds, at most one hour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 3_600_000), extend("default" = 0))]
    pub wait_ms: Option<u64>,
}

/// The parameters of `distributed.extend_task`, in the order of their positions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenParams {
    /// The id of the task.
    pub task_id: String,
    /// The token that the task was claimed with.
    pub token: u64,
}

/// The parameters of `distributed.complete_task`, in the order of their positions.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CompleteParams {
    /// The id of the task.
    pub task_id: String,
    /// The token that the task was claimed with.
    pub token: u64,
    /// The result of the task: any JSON value, at most 1 MiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<serde_json::Value>")]
    pub result: Option<Box<RawValue>>,
}

/// The parameters of `distributed.fail_task`, in the order of their positions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FailParams {
    /// The id of the task.
    pub task_id: String,
    /// The token that the task was claimed with.
    pub token: u64,
    /// Why the task failed; text beyond 4 KiB is cut off.
    pub error: String,
    /// Whether to retry the task after a pause, if it has attempts left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = true))]
    pub retry: Option<bool>,
}

/// The parameters of `distributed.get_task`, `distributed.cancel_task` and `distributed.redrive_task`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TaskIdParams {
    /// The id of the task.
    pub task_id: String,
}

/// The parameters of `distributed.list_tasks`, in the order of their positions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListParams {
    /// Only tasks in this state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<TaskState>,
    /// The maximum number of tasks; the newest are returned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000), extend("default" = 100))]
    pub limit: Option<u64>,
    /// Only tasks of this kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub kind: Option<String>,
}

/// Takes only an object: from a list, serde would fill the fields by position.
fn requires_object<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Requires>, D::Error> {
    let object = Option::<serde_json::Map<String, serde_json::Value>>::deserialize(deserializer)?;
    object.map(|object| Requires::deserialize(object).map_err(serde::de::Error::custom)).transpose()
}

fn task_id(parameter: &str, text: String) -> Result<TaskId, RpcError> {
    TaskId::new(text).map_err(|why| RpcError::parameter(parameter, why))
}

fn kind(parameter: &str, text: String) -> Result<TaskKind, RpcError> {
    TaskKind::new(text).map_err(|why| RpcError::parameter(parameter, why))
}

/// A kind that clients may submit and claim.
fn open_kind(parameter: &str, text: String) -> Result<TaskKind, RpcError> {
    if text.starts_with(RESERVED_KINDS) {
        let problem = format!("kinds that begin with {RESERVED_KINDS} are the node's own; choose another one");
        return Err(RpcError::parameter(parameter, problem));
    }
    kind(parameter, text)
}

/// Narrows a number whose bound was checked before.
fn small(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

impl TryFrom<Requires> for Requirements {
    type Error = RpcError;

    fn try_from(requires: Requires) -> Result<Self, RpcError> {
        let Requires { capabilities, labels, node_id } = requires;
        let (capabilities, labels) = (capabilities.unwrap_or_default(), labels.unwrap_or_default());
        check_count("requires", capabilities.len().max(labels.len()))?;
        capabilities.iter().try_for_each(|text| check_tag("requires", "a capability", text))?;
        labels.keys().try_for_each(|key| check_tag("requires", "a label's key", key))?;
        labels.values().try_for_each(|value| check_text("requires", "a label's value", value, 256))?;
        let node_id = node_id.map(NodeId::new).transpose().map_err(|why| RpcError::parameter("requires", why))?;
        let requirements = Self { capabilities: capabilities.into_iter().collect(), labels, node_id };
        if requirements.canonical().len() > REQUIREMENTS_MAX {
            let problem = format!("it has more than {REQUIREMENTS_MAX} bytes; require less");
            return Err(RpcError::parameter("requires", problem));
        }
        Ok(requirements)
    }
}

impl TryFrom<SubmitParams> for handle::TaskDraft {
    type Error = RpcError;

    fn try_from(params: SubmitParams) -> Result<Self, RpcError> {
        let SubmitParams { id, kind: sort, payload, requires, priority, delay_ms, max_attempts, timeout_ms, .. } =
            params;
        let (delay_ms, max_attempts) = (delay_ms.unwrap_or(0), max_attempts.unwrap_or(DEFAULTS.0));
        let timeout_ms = timeout_ms.unwrap_or(DEFAULTS.1);
        between("delay_ms", delay_ms, (0, millis(DELAY_MAX)))?;
        between("max_attempts", max_attempts, (1, u64::from(ATTEMPTS_MAX)))?;
        between("timeout_ms", timeout_ms, (millis(TIMEOUT_MIN), millis(TIMEOUT_MAX)))?;
        let priority = Priority::new(priority.unwrap_or(0)).map_err(|why| RpcError::parameter("priority", why))?;
        Ok(Self {
            id: id.map(|id| task_id("id", id)).transpose()?,
            kind: open_kind("kind", sort)?,
            payload,
            requires: requires.unwrap_or_default().try_into()?,
            priority,
            delay: Duration::from_millis(delay_ms),
            max_attempts: small(max_attempts),
            timeout: Duration::from_millis(timeout_ms),
            after: after(params.after)?,
            concurrency: concurrency(params.concurrency_key, params.max_concurrent)?,
        })
    }
}

/// The tasks that must be done first, each once.
fn after(ids: Option<Vec<String>>) -> Result<Vec<TaskId>, RpcError> {
    let ids = ids.unwrap_or_default();
    if ids.len() > AFTER_MAX {
        let problem =
            format!("{} ids were given, at most {AFTER_MAX} are allowed; let tasks wait in stages", ids.len());
        return Err(RpcError::parameter("after", problem));
    }
    let ids = ids.into_iter().map(|id| task_id("after", id)).collect::<Result<BTreeSet<_>, _>>()?;
    Ok(ids.into_iter().collect())
}

/// How many tasks with one key may run at once.
pub(super) fn concurrency(key: Option<String>, max: Option<u64>) -> Result<Option<Concurrency>, RpcError> {
    let Some(key) = key else {
        let alone =
            max.map(|_| RpcError::parameter("max_concurrent", "it needs concurrency_key; give both, or neither"));
        return alone.map_or(Ok(None), Err);
    };
    let key = ConcurrencyKey::new(key).map_err(|why| RpcError::parameter("concurrency_key", why))?;
    let max = max.unwrap_or(1);
    between("max_concurrent", max, (1, u64::from(CONCURRENCY_MAX)))?;
    Ok(Some(Concurrency { key, max: small(max) }))
}

impl TryFrom<ClaimParams> for handle::ClaimRequest {
    type Error = RpcError;

    fn try_from(params: ClaimParams) -> Result<Self, RpcError> {
        let ClaimParams { kinds, limit, wait_ms } = params;
        if kinds.as_ref().is_some_and(|kinds| kinds.is_empty() || kinds.len() > MAX_KINDS) {
            let problem = format!("name 1 to {MAX_KINDS} kinds, or leave it out for any");
            return Err(RpcError::parameter("kinds", problem));
        }
        let limit = limit.unwrap_or(1);
        between("limit", limit, (1, u64::from(BATCH_MAX)))?;
        let kinds =
            kinds.unwrap_or_default().into_iter().map(|text| open_kind("kinds", text)).collect::<Result<_, _>>()?;
        Ok(Self { kinds, limit: small(limit), wait: wait(wait_ms)? })
    }
}

impl TryFrom<TokenParams> for handle::HeldTask {
    type Error = RpcError;

    fn try_from(TokenParams { task_id: id, token }: TokenParams) -> Result<Self, RpcError> {
        Ok(Self { id: task_id("task_id", id)?, token: TaskToken(token) })
    }
}

impl TryFrom<TaskIdParams> for TaskId {
    type Error = RpcError;

    fn try_from(params: TaskIdParams) -> Result<Self, RpcError> {
        task_id("task_id", params.task_id)
    }
}

impl TryFrom<ListParams> for handle::TaskQuery {
    type Error = RpcError;

    fn try_from(params: ListParams) -> Result<Self, RpcError> {
        let ListParams { state, limit, kind: sort } = params;
        let limit = limit.unwrap_or(DEFAULT_LIST);
        between("limit", limit, (1, u64::from(BATCH_MAX)))?;
        let kind = sort.map(|text| kind("kind", text)).transpose()?;
        Ok(Self { state, kind, limit: small(limit) })
    }
}
