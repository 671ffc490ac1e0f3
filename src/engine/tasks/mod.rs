//! Tasks, for this node's clients.
//!
//! 1. Submissions and settlements of many clients are sent together, one call of each kind under way at a time
//!    (`packer.rs`).
//! 2. Clients that wait for tasks of the same kinds share one claim (`claims.rs`).
//!
//! Not here: the states of tasks, and which node gets them (`crate::store`).

mod claims;
mod packer;

use super::error::Error;
use super::refusals::{RETRY_AFTER, unexpected};
use crate::cluster::event::{ClusterEvent, ClusterFact};
use crate::cluster::protocol::{
    self, CancelTask, GetTask, Identity, Instance, ListTasks, NewTask, RedriveTask, SettleReply, SettleTasks, Settled,
    Settlement, SubmitReply, SubmitTasks, Submitted, Task, TaskChange, TaskSummary,
};
use crate::cluster::task::{BATCH_MAX, CONTENT_MAX, ERROR_MAX, Jitter, TaskId, TaskState};
use crate::cluster::time::ServerTime;
use crate::engine::background::BackgroundTasks;
use crate::engine::cleanup::CleanupQueue;
use crate::engine::node::handle::{self, ClaimRequest, Claimed, HeldTask, TaskDraft, TaskQuery};
use crate::engine::store_calls::{Caller, known, nonce};
use crate::store::redis::Scripted;
use claims::Claims;
use packer::{Pack, Packer, Packing};
use serde_json::value::RawValue;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Packs submissions.
pub(super) struct Submissions;

impl Pack for Submissions {
    /// A task, and the maximum size of all tasks in bytes.
    type Item = (NewTask, u64);
    type Answer = Submitted;
    type Call = SubmitTasks;

    fn bytes((task, _): &Self::Item) -> usize {
        task.payload.len() + task.after.iter().map(|id| id.as_str().len()).sum::<usize>()
    }

    fn call(instance: Instance, items: Vec<Self::Item>) -> SubmitTasks {
        let max_bytes = items.first().map_or(0, |(_, bytes)| *bytes);
        let tasks = items.into_iter().map(|(task, _)| task).collect();
        SubmitTasks { instance, tasks, max_bytes }
    }

    fn judge(reply: SubmitReply) -> Result<Vec<Submitted>, Identity> {
        known(reply.identity, reply.results)
    }
}

/// Packs settlements.
pub(super) struct Settlements;

impl Pack for Settlements {
    type Item = Settlement;
    type Answer = Settled;
    type Call = SettleTasks;

    fn bytes(item: &Settlement) -> usize {
        match &item.verdict {
            protocol::Verdict::Extend => 0,
            protocol::Verdict::Complete { result } => result.as_ref().map_or(0, String::len),
            protocol::Verdict::Fail { error, .. } => error.len(),
        }
    }

    fn call(instance: Instance, settlements: Vec<Settlement>) -> SettleTasks {
        SettleTasks { instance, settlements }
    }

    fn judge(reply: SettleReply) -> Result<Vec<Settled>, Identity> {
        known(reply.identity, reply.results)
    }
}

/// See the head of this file.
pub struct Tasks {
    caller: Caller,
    claims: Arc<Claims>,
    submissions: Packer<Submissions>,
    settlements: Packer<Settlements>,
    /// The sequence of the last event.
    heard: AtomicU64,
    /// The maximum size of all tasks in bytes.
    max_bytes: u64,
}

/// The tasks that serve [`Tasks`].
pub(super) type Work = (Packing<Submissions>, Packing<Settlements>);

impl Tasks {
    pub(super) fn new(
        caller: Caller,
        cleanup: CleanupQueue,
        background: BackgroundTasks,
        max_bytes: u64,
    ) -> (Arc<Self>, Work) {
        let (submissions, submitting) = Packer::new(caller.clone());
        let (settlements, settling) = Packer::new(caller.clone());
        let claims = Claims::new(caller.clone(), cleanup, background);
        let heard = AtomicU64::new(0);
        (Arc::new(Self { caller, claims, submissions, settlements, heard, max_bytes }), (submitting, settling))
    }

    /// Called for every event; a hole before it means that an announcement may have been missed.
    pub(super) fn heard(&self, event: &ClusterEvent) {
        let before = self.heard.swap(event.seq.0, Ordering::Relaxed);
        if event.seq.0 != before + 1 {
            self.claims.look_again();
        }
        if let ClusterFact::TaskAvailable { kind, .. } = &event.fact {
            self.claims.available(kind);
        }
    }

    /// Called when events may have been missed.
    pub(super) fn look_again(&self) {
        self.claims.look_again();
    }

    async fn settle(
        &self,
        held: HeldTask,
        verdict: protocol::Verdict,
    ) -> Result<(TaskState, Option<ServerTime>), Error> {
        let HeldTask { id, token } = held;
        match self.settlements.ask(Settlement { id: id.clone(), token, verdict }).await.map_err(|(why, _)| why)? {
            Settled::Accepted { state, due_at } => Ok((state, due_at)),
            Settled::Stale => Err(Error::StaleToken { what: "task", name: id.to_string(), token: token.0 }),
            Settled::NotFound => Err(Error::NoTask { task_id: id }),
        }
    }

    /// Asks for what any process may ask.
    async fn ask<T: Scripted + Clone + Sync>(&self, call: T) -> Result<T::Reply, Error> {
        self.caller.repeat(|_| call.clone(), Ok).await
    }
}

impl handle::Tasks for Tasks {
    async fn submit(&self, draft: TaskDraft) -> Result<(TaskId, bool), Error> {
        let TaskDraft { id, kind, payload, requires, priority, delay, max_attempts, timeout, after, concurrency } =
            draft;
        check("payload", payload.get().len())?;
        // The nonce identifies a repeated submission whose first answer was lost.
        let nonce = nonce()?;
        let named = id.is_some();
        let id = match id {
            Some(id) => id,
            None => TaskId::new(nonce.to_string()).map_err(|why| Error::Internal(why.to_string()))?,
        };
        let payload = payload.get().to_owned();
        let task = NewTask {
            id: id.clone(),
            kind: kind.clone(),
            payload,
            requires,
            priority,
            delay,
            max_attempts,
            timeout,
            after: after.clone(),
            concurrency,
            origin: None,
            nonce,
        };
        let answer = self.submissions.ask((task, self.max_bytes)).await.map_err(|(why, unsure)| match why {
            // Redis may still execute it. With an id that the client knows it can be repeated safely: it is one task.
            Error::RedisUnavailable { .. } | Error::Stopping if unsure && !named => {
                Error::Unanswered { task_id: id.clone() }
            }
            why => why,
        });
        match answer? {
            Submitted::New => Ok((id, false)),
            Submitted::Duplicate => Ok((id, true)),
            Submitted::Overloaded => {
                let what = format!(
                    "tasks of kind {kind} wait with too many different requirements (at most 256 per kind and 4,096 in total); use fewer, or start \
                     workers that meet them"
                );
                Err(Error::Overloaded { what, retry_after: RETRY_AFTER })
            }
            Submitted::Unknown(place) => {
                Err(after.into_iter().nth(place).map_or_else(unexpected, |task_id| Error::NoTask { task_id }))
            }
            Submitted::Crowded => {
                let what = "1,000 tasks wait for one of the tasks in after, which is the limit; let tasks wait for each other in stages".to_owned();
                Err(Error::Overloaded { what, retry_after: RETRY_AFTER })
            }
            Submitted::Full => {
                let what = format!(
                    "the tasks in Redis have reached their size limit (tasks.max_bytes is {}, and at most a quarter of maxmemory); start \
                     workers, remove dead tasks, or raise tasks.max_bytes",
                    self.max_bytes
                );
                Err(Error::Overloaded { what, retry_after: RETRY_AFTER })
            }
        }
    }

    async fn claim(&self, request: ClaimRequest) -> Result<Claimed, Error> {
        self.claims.claim(request).await
    }

    async fn extend(&self, held: HeldTask) -> Result<ServerTime, Error> {
        let (_, until) = self.settle(held, protocol::Verdict::Extend).await?;
        until.ok_or_else(unexpected)
    }

    async fn complete(&self, held: HeldTask, result: Option<Box<RawValue>>) -> Result<TaskState, Error> {
        check("result", result.as_ref().map_or(0, |result| result.get().len()))?;
        let result = result.map(|result| result.get().to_owned());
        self.settle(held, protocol::Verdict::Complete { result }).await.map(|(state, _)| state)
    }

    async fn fail(&self, held: HeldTask, error: String, retry: bool) -> Result<TaskState, Error> {
        let error = error.get(..error.floor_char_boundary(ERROR_MAX)).unwrap_or_default().to_owned();
        let jitter = Jitter::from_text(nonce()?.as_str());
        self.settle(held, protocol::Verdict::Fail { error, retry, jitter }).await.map(|(state, _)| state)
    }

    async fn cancel(&self, id: TaskId) -> Result<TaskState, Error> {
        let change = self.ask(CancelTask { id: id.clone() }).await?;
        changed(change, id)
    }

    async fn redrive(&self, id: TaskId) -> Result<TaskState, Error> {
        let change = self.ask(RedriveTask { id: id.clone() }).await?;
        changed(change, id)
    }

    async fn task(&self, id: TaskId) -> Result<Task, Error> {
        let found = self.ask(GetTask { id: id.clone() }).await?;
        found.map(|task| *task).ok_or(Error::NoTask { task_id: id })
    }

    async fn tasks(&self, query: TaskQuery) -> Result<(Vec<TaskSummary>, bool), Error> {
        let TaskQuery { state, kind, limit } = query;
        let limit = limit.clamp(1, BATCH_MAX);
        // Asks for one more to know whether there are more; at the maximum of a call, a full answer means that.
        let asked = (limit + 1).min(BATCH_MAX);
        let mut tasks = self.ask(ListTasks { state, kind, limit: asked }).await?;
        let more = u32::try_from(tasks.len()).unwrap_or(u32::MAX) >= asked;
        tasks.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        Ok((tasks, more))
    }
}

fn changed(change: TaskChange, id: TaskId) -> Result<TaskState, Error> {
    match change {
        TaskChange::Yes(state) | TaskChange::No(state) => Ok(state),
        TaskChange::NotFound => Err(Error::NoTask { task_id: id }),
    }
}

fn check(what: &'static str, bytes: usize) -> Result<(), Error> {
    if bytes > CONTENT_MAX { Err(Error::TooLarge { what, bytes, max: CONTENT_MAX }) } else { Ok(()) }
}
