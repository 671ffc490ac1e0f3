//! Schedules: tasks that come again by the clock.
//!
//! 1. Every bound is checked here, also the cron expression and the time zone; the error names the parameter and what is allowed.
//!
//! Not here: when a slot has come (`crate::engine::schedules`).

use super::lease::between;
use super::task::{Requires, SubmitParams};
use crate::cluster::protocol;
use crate::cluster::schedule::{Definition, Recurrence};
use crate::cluster::task::{BATCH_MAX, ScheduleId};
use crate::cluster::time::{ServerTime, millis};
use crate::engine::node::handle;
use crate::rpc::errors::{ErrorKind, RpcError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::time::Duration;

pub use crate::cluster::schedule::Missed;

/// The default of `limit` of a list.
const DEFAULT_LIST: u64 = 100;

/// The parameters of `distributed.schedule_task`, in the order of their positions.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScheduleParams {
    /// An id of your choice for the schedule, 1 to 100 printable characters without spaces. A schedule with this id is replaced.
    #[schemars(length(min = 1, max = 100))]
    pub id: String,
    /// The kind of its tasks, 1 to 128 printable characters without spaces. Workers claim tasks by kind.
    #[schemars(length(min = 1, max = 128))]
    pub kind: String,
    /// The input for the worker: any JSON value, at most 1 MiB.
    #[schemars(with = "serde_json::Value")]
    pub payload: Box<RawValue>,
    /// When: a cron expression of five fields (minute, hour, day of the month, month, day of the week), or of six with seconds
    /// first. Either this or `every_ms`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub cron: Option<String>,
    /// The time zone of `cron`: a name of the IANA database, such as `Europe/Berlin`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64), extend("default" = "UTC"))]
    pub tz: Option<String>,
    /// When: every so many milliseconds, at most 366 days. Either this or `cron`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 100, max = 31_622_400_000_u64))]
    pub every_ms: Option<u64>,
    /// What becomes of times that passed by more than a minute while no leader could submit their tasks: `skip` leaves them
    /// out, `once` submits one task for the last of them, `all` one for each.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = "skip"))]
    pub missed: Option<Missed>,
    /// The requirements on the node that gets a task. Default: any node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requires: Option<Requires>,
    /// Tasks with a higher priority are claimed first; with equal priority, the older task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = -1_000, max = 1_000), extend("default" = 0))]
    pub priority: Option<i64>,
    /// How long after its time a task becomes ready, in milliseconds, at most 365 days.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 31_536_000_000_u64), extend("default" = 0))]
    pub delay_ms: Option<u64>,
    /// The maximum number of attempts; after the last failed attempt a task is dead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000), extend("default" = 3))]
    pub max_attempts: Option<u64>,
    /// How long one attempt may take without an extension, in milliseconds, at most 7 days.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 100, max = 604_800_000), extend("default" = 30_000))]
    pub timeout_ms: Option<u64>,
    /// A name that tasks share of which only so many may run at once, for example so that runs do not overlap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub concurrency_key: Option<String>,
    /// How many tasks with this `concurrency_key` may run at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_000), extend("default" = 1))]
    pub max_concurrent: Option<u64>,
}

/// The result of `distributed.schedule_task` and `distributed.pause_schedule`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ScheduleResult {
    /// The id of the schedule.
    pub schedule_id: String,
    /// When its next task comes, in milliseconds of the Redis server's clock; null: it is paused, or no time is left.
    pub next_at_ms: Option<u64>,
    /// Whether it is paused.
    pub paused: bool,
    /// Whether a schedule with this id existed before.
    pub replaced: bool,
}

/// The parameters of `distributed.list_schedules`, in the order of their positions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListSchedulesParams {
    /// Only the schedule with this id, with its payload.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 100))]
    pub id: Option<String>,
    /// The maximum number of schedules; those whose time comes first are returned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000), extend("default" = 100))]
    pub limit: Option<u64>,
}

/// A schedule in a list.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ListedSchedule {
    /// The id of the schedule.
    pub schedule_id: String,
    /// The kind of its tasks.
    pub kind: String,
    /// The cron expression; null: it has a period.
    pub cron: Option<String>,
    /// The time zone of the expression; null: it has a period.
    pub tz: Option<String>,
    /// The period in milliseconds; null: it has a cron expression.
    pub every_ms: Option<u64>,
    /// What becomes of missed times.
    pub missed: Missed,
    /// Whether it is paused.
    pub paused: bool,
    /// When its next task comes, in milliseconds of the Redis server's clock; null: it is paused, or no time is left.
    pub next_at_ms: Option<u64>,
    /// The last time that got a task, in milliseconds of the Redis server's clock; null: none yet.
    pub last_at_ms: Option<u64>,
    /// The id of that task; null: none yet.
    pub last_task_id: Option<String>,
    /// How many tasks it has submitted.
    pub runs: u64,
    /// The requirements on the node that gets a task.
    pub requires: Requires,
    /// The priority of its tasks.
    pub priority: i64,
    /// How long after its time a task becomes ready, in milliseconds.
    pub delay_ms: u64,
    /// The maximum number of attempts of a task.
    pub max_attempts: u64,
    /// How long one attempt may take without an extension, in milliseconds.
    pub timeout_ms: u64,
    /// The name of the tasks of which only so many may run at once; null: any number may.
    pub concurrency_key: Option<String>,
    /// How many of them may run at once; null: any number.
    pub max_concurrent: Option<u64>,
    /// The payload of its tasks, where a single schedule was asked for.
    #[schemars(with = "Option<serde_json::Value>")]
    pub payload: Option<Box<RawValue>>,
}

/// The result of `distributed.list_schedules`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ListSchedulesResult {
    /// The schedules, by their next time; those without one come last.
    pub schedules: Vec<ListedSchedule>,
    /// Whether there are more schedules than `limit`.
    pub more: bool,
}

/// The parameters of `distributed.pause_schedule`, in the order of their positions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PauseParams {
    /// The id of the schedule.
    pub id: String,
    /// True: it submits no tasks until it goes on. False: it goes on with its next time; those that passed meanwhile are left
    /// out.
    pub paused: bool,
}

/// The parameters of `distributed.delete_schedule`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScheduleIdParams {
    /// The id of the schedule.
    pub id: String,
}

/// The result of `distributed.delete_schedule`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DeletedSchedule {
    /// The id of the schedule.
    pub schedule_id: String,
    /// Always true: a schedule that does not exist is an error.
    pub deleted: bool,
}

/// Checks the id of a schedule.
pub(crate) fn schedule_id(text: String) -> Result<ScheduleId, RpcError> {
    ScheduleId::new(text).map_err(|why| RpcError::parameter("id", why))
}

impl TryFrom<ScheduleParams> for handle::ScheduleDraft {
    type Error = RpcError;

    fn try_from(params: ScheduleParams) -> Result<Self, RpcError> {
        let id = schedule_id(params.id)?;
        let recurrence = match (params.cron, params.every_ms) {
            (Some(expression), None) => {
                Recurrence::Cron { expression, zone: params.tz.unwrap_or_else(|| "UTC".to_owned()) }
            }
            (None, Some(_)) if params.tz.is_some() => {
                return Err(RpcError::parameter("tz", "it is for cron; leave it out with every_ms"));
            }
            (None, Some(every)) => {
                Recurrence::Every { period: Duration::from_millis(every), anchor: ServerTime::default() }
            }
            (Some(_), Some(_)) => return Err(RpcError::parameter("every_ms", "give cron or every_ms, not both")),
            (None, None) => return Err(RpcError::parameter("cron", "it is missing; give cron or every_ms")),
        };
        let options = SubmitParams {
            id: None,
            kind: params.kind,
            payload: params.payload,
            requires: params.requires,
            priority: params.priority,
            delay_ms: params.delay_ms,
            max_attempts: params.max_attempts,
            timeout_ms: params.timeout_ms,
            after: None,
            concurrency_key: params.concurrency_key,
            max_concurrent: params.max_concurrent,
        };
        let task: handle::TaskDraft = options.try_into()?;
        let definition = Definition {
            recurrence,
            missed: params.missed.unwrap_or_default(),
            kind: task.kind,
            requires: task.requires,
            priority: task.priority,
            delay: task.delay,
            max_attempts: task.max_attempts,
            timeout: task.timeout,
            concurrency: task.concurrency,
        };
        let checked = crate::engine::schedules::check(&definition);
        checked.map_err(|why| RpcError::parameter(why.parameter, why.problem))?;
        Ok(Self { id, definition, payload: task.payload })
    }
}

impl From<handle::Planned> for ScheduleResult {
    fn from(planned: handle::Planned) -> Self {
        let handle::Planned { id, next, paused, replaced } = planned;
        Self { schedule_id: id.into(), next_at_ms: next.map(|next| next.0), paused, replaced }
    }
}

impl ListSchedulesParams {
    /// The id and the limit that were asked for.
    pub(crate) fn request(self) -> Result<(Option<ScheduleId>, u32), RpcError> {
        let limit = self.limit.unwrap_or(DEFAULT_LIST);
        between("limit", limit, (1, u64::from(BATCH_MAX)))?;
        Ok((self.id.map(schedule_id).transpose()?, u32::try_from(limit).unwrap_or(BATCH_MAX)))
    }
}

impl TryFrom<protocol::Schedule> for ListedSchedule {
    type Error = RpcError;

    fn try_from(schedule: protocol::Schedule) -> Result<Self, RpcError> {
        let protocol::Schedule { id, definition, payload, next, paused, last, runs, .. } = schedule;
        let (cron, tz, every_ms) = match definition.recurrence {
            Recurrence::Cron { expression, zone } => (Some(expression), Some(zone), None),
            Recurrence::Every { period, .. } => (None, None, Some(millis(period))),
        };
        let payload = payload.map(RawValue::from_string).transpose().map_err(|_| {
            RpcError::new(
                ErrorKind::InternalError,
                "internal error: the payload of a schedule in Redis is not valid JSON",
            )
        })?;
        let (last_at, last_task) = last.unzip();
        Ok(Self {
            schedule_id: id.into(),
            kind: definition.kind.into(),
            cron,
            tz,
            every_ms,
            missed: definition.missed,
            paused,
            next_at_ms: next.map(|at| at.0),
            last_at_ms: last_at.map(|at| at.0),
            last_task_id: last_task.map(String::from),
            runs,
            requires: definition.requires.into(),
            priority: definition.priority.get(),
            delay_ms: millis(definition.delay),
            max_attempts: u64::from(definition.max_attempts),
            timeout_ms: millis(definition.timeout),
            concurrency_key: definition.concurrency.as_ref().map(|limit| limit.key.to_string()),
            max_concurrent: definition.concurrency.map(|limit| u64::from(limit.max)),
            payload,
        })
    }
}
