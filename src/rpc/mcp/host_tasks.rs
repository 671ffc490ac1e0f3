//! Tool calls that wait for long, as tasks of the protocol's extension `io.modelcontextprotocol/tasks` (2026-07-28).
//!
//! 1. A task is one call of the node; asking for it again returns the same result and calls nothing.
//! 2. At most [`MOST_TASKS`] tasks are kept. One whose result the host has got is forgotten when its place is needed; one whose
//!    result the host has not got stays until its time to live is over, and a further call is refused meanwhile.
//! 3. A cancelled task ends as `cancelled` only if the node granted nothing; else it is `completed`, with what was granted.
//! 4. Nothing waits once the session has ended.
//!
//! Not here: the tasks of the cluster (`distributed.claim_tasks`), which are only one thing that a call may wait for.

use super::link::Outcome;
use super::tools::{Failure, Method};
use crate::clock;
use crate::cluster::time::{Moment, millis};
use crate::rpc::errors::{ErrorData, ErrorKind, shown};
use crate::rpc::wire::lease::MAX_WAIT_MS;
use rmcp::ErrorData as McpError;
use rmcp::model::{CallToolResult, DetailedTask, Task};
use rmcp::task_manager::{TaskContext, TaskExit, TaskManager, TaskOptions};
use serde_json::{Value, json};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The maximum number of tasks that a session keeps. Fewer than the calls that may wait at a time, so that a host which
/// forgets its tasks can still make calls that wait.
pub(super) const MOST_TASKS: usize = 24;
/// How long a result is kept, beyond the time that the call may wait.
const RESULT_KEPT: Duration = Duration::from_secs(300);
/// How often the host should ask for a task.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// One task. Dropping it ends its call.
struct Kept {
    id: String,
    /// Holds this task only: the library's manager cannot forget a single one.
    manager: TaskManager,
    began: Moment,
    /// How long it is kept at most.
    ttl: Duration,
    /// When the host got the result, as time since `began`.
    delivered: Option<Duration>,
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.manager.shutdown();
    }
}

#[derive(Default)]
struct Tasks {
    /// Oldest first.
    kept: Vec<Kept>,
    ended: bool,
}

/// The tasks of a session.
#[derive(Default)]
pub(super) struct HostTasks(Mutex<Tasks>);

impl HostTasks {
    fn lock(&self) -> MutexGuard<'_, Tasks> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts a call as a task. `call` returns `None` if it was cancelled before it had an answer.
    pub(super) fn begin<C, F>(
        &self,
        wait: Duration,
        call: C,
        answer: fn(Outcome) -> CallToolResult,
    ) -> Result<Task, Failure>
    where
        C: FnOnce(TaskContext) -> F,
        F: Future<Output = Option<Outcome>> + Send + 'static,
    {
        let mut tasks = self.lock();
        tasks.make_room();
        if tasks.ended || tasks.kept.len() >= MOST_TASKS {
            return Err(too_many());
        }
        let ttl = wait.saturating_add(RESULT_KEPT);
        let options = TaskOptions::new().with_ttl_ms(millis(ttl)).with_poll_interval_ms(millis(POLL_INTERVAL));
        let manager = TaskManager::new();
        let task = manager.spawn(options, |context| {
            let call = call(context);
            Box::pin(async move { call.await.map(answer).ok_or(TaskExit::Cancelled) })
        });
        tasks.kept.push(Kept { id: task.task_id.clone(), manager, began: clock::now(), ttl, delivered: None });
        Ok(task)
    }

    /// A task as it is now, with its result if it has one.
    pub(super) fn get(&self, id: &str) -> Result<DetailedTask, McpError> {
        let mut tasks = self.lock();
        let kept = tasks.find(id)?;
        let mut task = kept.manager.get_task(id).map_err(|_| unknown(id))?;
        if task.status().is_terminal() {
            let delivered = *kept.delivered.get_or_insert_with(|| clock::now().since(kept.began));
            // From now on it may be forgotten at any time.
            task.task.ttl_ms = Some(millis(delivered));
        }
        Ok(task)
    }

    /// Cancels the call of a task, unless it has ended.
    pub(super) fn cancel(&self, id: &str) -> Result<(), McpError> {
        self.lock().find(id)?.manager.cancel_task(id).map_err(|_| unknown(id))
    }

    /// Takes answers of the host to questions of a task. No task asks any, and the protocol wants unknown answers ignored.
    pub(super) fn update(&self, id: &str) -> Result<(), McpError> {
        self.lock().find(id)?.manager.update_task(id, []).map_err(|_| unknown(id))
    }

    /// Ends every task; later ones are refused.
    pub(super) fn end(&self) {
        let mut tasks = self.lock();
        tasks.ended = true;
        tasks.kept.clear();
    }
}

impl Tasks {
    fn find(&mut self, id: &str) -> Result<&mut Kept, McpError> {
        self.kept.iter_mut().find(|kept| kept.id == id).ok_or_else(|| unknown(id))
    }

    /// Forgets tasks whose time is over and, if that is not enough, the oldest one whose result was delivered.
    fn make_room(&mut self) {
        let now = clock::now();
        self.kept.retain(|kept| now.since(kept.began) < kept.ttl);
        if self.kept.len() >= MOST_TASKS
            && let Some(oldest) = self.kept.iter().position(|kept| kept.delivered.is_some())
        {
            self.kept.remove(oldest);
        }
    }
}

/// How long a call may wait; `None`: it does not wait, or its tool cannot.
pub(super) fn wait_of(method: &Method, arguments: &Value) -> Option<Duration> {
    method.params.get("properties")?.get("wait_ms")?;
    let wait = arguments.get("wait_ms")?.as_u64().filter(|wait| (1..=MAX_WAIT_MS).contains(wait))?;
    Some(Duration::from_millis(wait))
}

fn unknown(id: &str) -> McpError {
    let text = format!(
        "this session keeps no task {}: it never had one, or its time is over, or its result was delivered earlier",
        shown(id)
    );
    McpError::invalid_params(text, None)
}

fn too_many() -> Failure {
    let data = ErrorData {
        kind: ErrorKind::Overloaded,
        retryable: true,
        retry_after_ms: Some(millis(POLL_INTERVAL)),
        detail: Some(json!({ "max": MOST_TASKS })),
    };
    let message = format!(
        "this session keeps {MOST_TASKS} tasks that wait, or whose results were not fetched; fetch a result with tasks/get, or cancel \
         a task with tasks/cancel and fetch its end, then call again"
    );
    Failure { code: ErrorKind::Overloaded.code(), message, data: Some(data) }
}

#[cfg(test)]
mod tests {
    use super::super::tools::{Catalog, ToolSet};
    use super::*;
    use rmcp::model::{TaskPayload, TaskStatus};
    use tokio::sync::oneshot;

    fn answer(outcome: Outcome) -> CallToolResult {
        CallToolResult::structured(outcome.unwrap())
    }

    /// Starts a task that ends with what is sent.
    fn begin(tasks: &HostTasks) -> Result<(String, oneshot::Sender<Value>), Failure> {
        let (end, ended) = oneshot::channel();
        let call = |context: TaskContext| async move {
            tokio::select! {
                biased;
                value = ended => Some(Ok(value.unwrap())),
                () = context.cancelled() => None,
            }
        };
        let task = tasks.begin(Duration::from_secs(60), call, answer)?;
        Ok((task.task_id, end))
    }

    async fn end_of(tasks: &HostTasks, id: &str) -> DetailedTask {
        loop {
            // Looking through the lock: a look of the host counts as a delivery.
            let task = tasks.lock().find(id).unwrap().manager.get_task(id).unwrap();
            if task.status().is_terminal() {
                return task;
            }
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn a_result_is_the_same_each_time_and_its_time_is_over_once_it_was_delivered() {
        let tasks = HostTasks::default();
        let (id, end) = begin(&tasks).unwrap();
        let waits = tasks.get(&id).unwrap();
        assert_eq!((waits.status(), waits.task.ttl_ms), (TaskStatus::Working, Some(360_000)));
        end.send(json!({"n": 1})).unwrap();
        end_of(&tasks, &id).await;
        let first = tasks.get(&id).unwrap();
        let TaskPayload::Completed { result } = &first.payload else { panic!("{first:?}") };
        assert_eq!(result["structuredContent"]["n"], 1);
        assert!(first.task.ttl_ms.is_some_and(|ttl| ttl < 60_000), "{first:?}");
        assert_eq!(tasks.get(&id).unwrap(), first);
        tasks.cancel(&id).unwrap();
        assert_eq!(tasks.get(&id).unwrap().status(), TaskStatus::Completed, "what has ended cannot be cancelled");
    }

    #[tokio::test]
    async fn a_task_that_was_granted_something_as_it_was_cancelled_is_completed() {
        let tasks = HostTasks::default();
        let (cancelled, _end) = begin(&tasks).unwrap();
        let (granted, end) = begin(&tasks).unwrap();
        tasks.cancel(&cancelled).unwrap();
        tasks.cancel(&granted).unwrap();
        end.send(json!({"token": 1})).unwrap();
        assert_eq!(end_of(&tasks, &cancelled).await.status(), TaskStatus::Cancelled);
        assert_eq!(end_of(&tasks, &granted).await.status(), TaskStatus::Completed);
    }

    #[tokio::test]
    async fn only_so_many_are_kept_and_those_that_were_delivered_make_room() {
        let tasks = HostTasks::default();
        let mut begun: Vec<_> = (0..MOST_TASKS).map(|_| begin(&tasks).unwrap()).collect();
        let refused = begin(&tasks).unwrap_err();
        assert!(refused.message.contains("24 tasks"), "{refused:?}");
        let (id, end) = begun.remove(3);
        end.send(json!({})).unwrap();
        end_of(&tasks, &id).await;
        assert!(begin(&tasks).is_err(), "its result was not fetched");
        tasks.get(&id).unwrap();
        let (_, _end) = begin(&tasks).unwrap();
        assert_eq!(tasks.get(&id).unwrap_err().code, rmcp::model::ErrorCode::INVALID_PARAMS);
        assert!(begun.iter().all(|(id, _)| tasks.get(id).is_ok()));
    }

    #[tokio::test]
    async fn nothing_waits_after_the_end_of_the_session() {
        let tasks = HostTasks::default();
        let (id, mut end) = begin(&tasks).unwrap();
        tokio::task::yield_now().await;
        tasks.end();
        end.closed().await;
        assert!(tasks.get(&id).is_err() && begin(&tasks).is_err());
        assert!(tasks.cancel(&id).is_err() && tasks.update(&id).is_err());
    }

    #[test]
    fn only_calls_that_wait_are_tasks() {
        let catalog = Catalog::new(ToolSet::All);
        let wait = |tool: &str, arguments: Value| wait_of(catalog.method(tool).unwrap(), &arguments);
        for tool in ["distributed_claim_tasks", "distributed_acquire_lease", "distributed_sync_messages"] {
            assert_eq!(wait(tool, json!({"wait_ms": 5})), Some(Duration::from_millis(5)), "{tool}");
            assert_eq!(wait(tool, json!({"wait_ms": 0})), None, "{tool}");
            assert_eq!(wait(tool, json!({})), None, "{tool}");
        }
        for wrong in [json!("long"), json!(-1), json!(3_600_001)] {
            assert_eq!(wait("distributed_claim_tasks", json!({"wait_ms": wrong})), None, "{wrong}");
        }
        assert_eq!(wait("distributed_get_cluster_state", json!({"wait_ms": 5})), None);
    }
}
