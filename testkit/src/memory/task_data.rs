//! The tasks' data, and the steps that several transitions share: the counterpart of `scripts/tasks/shared.lua`.
//!
//! 1. A task lies in exactly one set, that of its state.
//! 2. A lane exists while it holds ready tasks.
//!
//! Not here: the calls (`task.rs`, `task_read.rs`).

use super::data::score;
use super::sorted::Sorted;
use super::state::Step;
use clawster::cluster::event::{ClusterFact, LeftReason};
use clawster::cluster::ids::{NodeId, Nonce, TaskToken};
use clawster::cluster::protocol::Instance;
use clawster::cluster::task::{
    Blocked, Concurrency, ConcurrencyKey, Jitter, Origin, Priority, Requirements, TaskId, TaskKind, TaskState, backoff,
};
use clawster::cluster::time::{ServerTime, millis};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

/// How many ended tasks of each sort are kept.
const ENDED_KEPT: usize = 10_000;
/// How long done and failed tasks are kept, in milliseconds.
const ENDED_FOR: i64 = 86_400_000;
/// How long dead tasks are kept, in milliseconds.
const DEAD_FOR: i64 = 604_800_000;
/// What a task takes besides its payload and result, in bytes.
pub(super) const TASK_BYTES: u64 = 300;
/// How many ended tasks are forgotten at a time to make room, and how often.
const ROOM: (usize, usize) = (64, 16);
/// How many tasks are ready again at once when their worker's life ends.
const RELEASED: usize = 1000;
/// How many announced kinds are remembered.
const ANNOUNCED: usize = 10_000;

/// What ended a task's last attempt, or led to its state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    None,
    Completed,
    /// By its worker's word.
    Failed,
    /// It timed out, or its worker died.
    Lost,
    Cancelled,
    Redriven,
}

/// A task.
#[derive(Debug, Clone)]
pub(super) struct Stored {
    /// Its place in the order of submission.
    pub(super) seq: u64,
    pub(super) kind: TaskKind,
    pub(super) requires: Requirements,
    pub(super) priority: Priority,
    pub(super) max_attempts: u32,
    pub(super) timeout: Duration,
    pub(super) created: ServerTime,
    pub(super) submitter: NodeId,
    /// Of its submission.
    pub(super) nonce: Nonce,
    pub(super) payload: String,
    pub(super) state: TaskState,
    pub(super) token: TaskToken,
    /// Who works on it, or worked on it last.
    pub(super) worker: Option<Instance>,
    pub(super) attempts: u32,
    /// Cluster time at which it is taken from its worker or is ready again, else 0.
    pub(super) due: i64,
    pub(super) changed: ServerTime,
    pub(super) how: How,
    /// The tasks that must be done first, and the delay that counts from then on.
    pub(super) after: Vec<TaskId>,
    pub(super) pause: Duration,
    pub(super) limit: Option<Concurrency>,
    pub(super) origin: Option<Origin>,
    /// What it waits for besides a worker.
    pub(super) blocked: Option<Blocked>,
    pub(super) error: Option<String>,
    pub(super) result: Option<String>,
}

/// Tasks of one kind with the same requirements.
pub(super) type Lane = (TaskKind, Requirements);

/// A claim that is remembered: its nonce, and what it got.
pub(super) type Claimed = (Nonce, Vec<(TaskId, TaskToken)>);

/// Everything that is kept of tasks.
#[derive(Debug, Clone, Default)]
pub(super) struct Tasks {
    pub(super) all: BTreeMap<TaskId, Stored>,
    pub(super) seq: u64,
    /// What all of them take.
    pub(super) bytes: u64,
    /// Ready tasks by minus priority times 10^12, plus their place in the order of submission.
    pub(super) lanes: BTreeMap<Lane, Sorted<TaskId>>,
    pub(super) running: Sorted<TaskId>,
    /// By the cluster time at which they are ready at the latest.
    pub(super) delayed: Sorted<TaskId>,
    /// The same ones, by the server time at which they are ready.
    pub(super) scheduled: Sorted<TaskId>,
    /// Oldest first, with the cluster time at which they were done.
    pub(super) done: VecDeque<(i64, TaskId)>,
    pub(super) failed: Sorted<TaskId>,
    pub(super) dead: Sorted<TaskId>,
    pub(super) held: BTreeMap<NodeId, BTreeSet<TaskId>>,
    pub(super) claimed: BTreeMap<NodeId, BTreeMap<Vec<TaskKind>, Claimed>>,
    /// Kinds whose ready tasks were announced since the last claim that got fewer tasks than its limit.
    pub(super) announced: BTreeSet<TaskKind>,
    /// The concurrency keys of running tasks.
    pub(super) limited: BTreeMap<TaskId, ConcurrencyKey>,
    /// Ended in the call under way.
    pub(super) ended: Vec<TaskId>,
    /// The keys of those that stopped running in it.
    pub(super) freed: Vec<ConcurrencyKey>,
    /// Became ready in the call under way: the first task of each lane, in order.
    pub(super) fresh: Vec<(Lane, TaskId, NodeId)>,
}

impl Tasks {
    pub(super) fn lane_of(&self, id: &TaskId) -> Option<Lane> {
        self.all.get(id).map(|task| (task.kind.clone(), task.requires.clone()))
    }

    pub(super) fn give_back(&mut self, node: &NodeId, id: &TaskId) {
        if let Some(held) = self.held.get_mut(node) {
            held.remove(id);
            if held.is_empty() {
                self.held.remove(node);
            }
        }
    }
}

impl Step<'_> {
    /// Changes the state of a task that exists.
    pub(super) fn set_state(&mut self, id: &TaskId, state: TaskState, due: i64, how: How) {
        let now = self.now;
        if let Some(task) = self.data.tasks.all.get_mut(id) {
            (task.state, task.due, task.how, task.changed) = (state, due, how, now);
            task.blocked = None;
        }
    }

    fn set_error(&mut self, id: &TaskId, error: &str) {
        if let Some(task) = self.data.tasks.all.get_mut(id) {
            task.error = (!error.is_empty()).then(|| error.to_owned());
        }
    }

    /// Puts a task into its lane.
    pub(super) fn make_ready(&mut self, id: &TaskId) {
        let tasks = &mut self.data.tasks;
        let Some(task) = tasks.all.get(id) else { return };
        let lane = (task.kind.clone(), task.requires.clone());
        let place = score(task.seq).saturating_sub(task.priority.get() * 1_000_000_000_000);
        if !tasks.fresh.iter().any(|(known, _, _)| *known == lane) {
            tasks.fresh.push((lane.clone(), id.clone(), task.submitter.clone()));
        }
        tasks.lanes.entry(lane).or_default().set(id, place);
    }

    /// Tells of the first ready task of each kind whose workers found nothing since the last time.
    pub(super) fn put_ready(&mut self) {
        for ((kind, _), task_id, submitter) in std::mem::take(&mut self.data.tasks.fresh) {
            if self.data.tasks.announced.insert(kind.clone()) {
                self.emit(&submitter, ClusterFact::TaskAvailable { task_id, kind });
                if self.data.tasks.announced.len() > ANNOUNCED {
                    self.data.tasks.announced.clear();
                }
            }
        }
    }

    /// Ends a task without success.
    pub(super) fn end_task(&mut self, id: &TaskId, state: TaskState, how: How, error: &str) {
        self.set_state(id, state, 0, how);
        self.set_error(id, error);
        self.note_end(id);
        let now = self.cluster_now();
        if state != TaskState::Dead {
            self.data.tasks.failed.set(id, now);
            return;
        }
        self.data.tasks.dead.set(id, now);
        let Some(task) = self.data.tasks.all.get(id) else { return };
        let node = task.worker.as_ref().map_or(&task.submitter, |worker| &worker.node_id).clone();
        let fact = ClusterFact::TaskDead { task_id: id.clone(), kind: task.kind.clone() };
        self.emit(&node, fact);
    }

    /// A failed attempt: another one after a pause, or the end.
    pub(super) fn fail_attempt(&mut self, id: &TaskId, error: &str, how: How, jitter: Jitter) {
        let Some(task) = self.data.tasks.all.get(id) else { return };
        if task.attempts >= task.max_attempts {
            return self.end_task(id, TaskState::Dead, how, error);
        }
        let due = self.cluster_now().saturating_add(score(millis(backoff(task.attempts, jitter))));
        self.set_state(id, TaskState::Delayed, due, how);
        self.set_error(id, error);
        self.delay(id, due);
    }

    /// Notes when a delayed task is ready, in cluster time and on the server's clock.
    pub(super) fn delay(&mut self, id: &TaskId, due: i64) {
        self.data.tasks.delayed.set(id, due);
        self.data.tasks.scheduled.set(id, due.saturating_add(self.data.skew));
    }

    /// Makes delayed tasks ready whose time has come by either clock. Returns when the next one's comes, in cluster time.
    pub(super) fn promote_due(&mut self, most: usize) -> Option<i64> {
        let (cluster, server) = (self.cluster_now(), score(self.now.0));
        let (mut ids, scheduled) = take_due(&mut self.data.tasks.scheduled, server, most);
        ids.iter().for_each(|id| self.data.tasks.delayed.remove(id));
        let (others, delayed) = take_due(&mut self.data.tasks.delayed, cluster, most - ids.len());
        others.iter().for_each(|id| self.data.tasks.scheduled.remove(id));
        ids.extend(others);
        for id in &ids {
            let how = self.data.tasks.all.get(id).map_or(How::None, |task| task.how);
            self.set_state(id, TaskState::Waiting, 0, how);
            self.make_ready(id);
        }
        scheduled.map(|at| at - server + cluster).into_iter().chain(delayed).min()
    }

    /// Takes overdue tasks from their workers. Returns when the next one is overdue.
    pub(super) fn end_overdue(&mut self, most: usize, jitter: Jitter) -> Option<i64> {
        let now = self.cluster_now();
        let (ids, due) = take_due(&mut self.data.tasks.running, now, most);
        for id in &ids {
            if let Some(worker) = self.data.tasks.all.get(id).and_then(|task| task.worker.clone()) {
                self.data.tasks.give_back(&worker.node_id, id);
            }
            self.note_stop(id);
            self.fail_attempt(id, "timed out", How::Lost, jitter);
        }
        due
    }

    fn forget_tasks(&mut self, ids: &[TaskId]) {
        for id in ids {
            if let Some(task) = self.data.tasks.all.remove(id) {
                let content = task.payload.len() + task.result.as_ref().map_or(0, String::len);
                self.data.tasks.bytes = self.data.tasks.bytes.saturating_sub(content as u64 + TASK_BYTES);
            }
            self.data.tasks.failed.remove(id);
            self.data.tasks.dead.remove(id);
        }
    }

    /// Forgets ended tasks beyond those that are kept, at most `most` of each sort.
    pub(super) fn forget_most(&mut self, most: usize) {
        let over = |kept: usize| kept.saturating_sub(ENDED_KEPT).min(most);
        let tasks = &mut self.data.tasks;
        let mut ids: Vec<TaskId> = tasks.done.drain(..over(tasks.done.len())).map(|(_, id)| id).collect();
        for set in [&tasks.failed, &tasks.dead] {
            ids.extend(set.iter().take(over(set.len())).map(|(id, _)| id.clone()));
        }
        self.forget_tasks(&ids);
    }

    /// Whether there is room for so many bytes, once done and failed tasks made some, the oldest first.
    pub(super) fn make_room(&mut self, coming: u64, most: u64) -> bool {
        let fits = |bytes: u64| bytes == 0 || bytes + coming <= most;
        for _ in 0..ROOM.1 {
            if fits(self.data.tasks.bytes) {
                break;
            }
            let tasks = &mut self.data.tasks;
            let mut ids: Vec<TaskId> = tasks.done.drain(..ROOM.0.min(tasks.done.len())).map(|(_, id)| id).collect();
            if ids.is_empty() {
                ids.extend(tasks.failed.iter().take(ROOM.0).map(|(id, _)| id.clone()));
            }
            if ids.is_empty() {
                break;
            }
            self.forget_tasks(&ids);
        }
        fits(self.data.tasks.bytes)
    }

    /// Forgets ended tasks that were kept for long enough, at most `most` of each sort.
    pub(super) fn forget_old(&mut self, most: usize) {
        let (ended, dead) = (self.cluster_now() - ENDED_FOR, self.cluster_now() - DEAD_FOR);
        let tasks = &mut self.data.tasks;
        let old = tasks.done.iter().take(most).take_while(|(at, _)| *at <= ended).count();
        let mut ids: Vec<TaskId> = tasks.done.drain(..old).map(|(_, id)| id).collect();
        ids.extend(tasks.failed.below(ended + 1, most));
        ids.extend(tasks.dead.below(dead + 1, most));
        self.forget_tasks(&ids);
    }

    /// What a life worked on is ready again at once, or dead if that was the last attempt.
    pub(super) fn release_tasks(&mut self, node: &NodeId, reason: LeftReason) {
        let tasks = &mut self.data.tasks;
        tasks.claimed.remove(node);
        let Some(mut held) = tasks.held.remove(node) else { return };
        let rest: BTreeSet<TaskId> = held.iter().skip(RELEASED).cloned().collect();
        held.retain(|id| !rest.contains(id));
        if !rest.is_empty() {
            tasks.held.insert(node.clone(), rest);
        }
        let mut ids: Vec<(u64, TaskId)> =
            held.into_iter().filter_map(|id| Some((tasks.all.get(&id)?.seq, id))).collect();
        ids.sort();
        let reason = match reason {
            LeftReason::Left => "left",
            LeftReason::HeartbeatTimeout => "heartbeat_timeout",
            LeftReason::ProcessDied => "process_died",
            LeftReason::Replaced => "replaced",
            LeftReason::Other => "other",
        };
        let error = format!("its node {node} ended: {reason}");
        for (_, id) in &ids {
            self.data.tasks.running.remove(id);
            self.note_stop(id);
            let last = self.data.tasks.all.get(id).is_some_and(|task| task.attempts >= task.max_attempts);
            if last {
                self.end_task(id, TaskState::Dead, How::Lost, &error);
            } else {
                self.set_state(id, TaskState::Waiting, 0, How::Lost);
                self.set_error(id, &error);
                self.make_ready(id);
            }
        }
        self.settle_waiting();
    }
}

/// The members of a set whose time has come, at most `most`, and the time of the first one if it is still to come.
fn take_due(set: &mut Sorted<TaskId>, now: i64, most: usize) -> (Vec<TaskId>, Option<i64>) {
    let first = set.first().map(|(_, at)| at);
    if most == 0 || first.is_none_or(|at| at > now) {
        return (Vec::new(), first);
    }
    let ids = set.below(now.saturating_add(1), most);
    for id in &ids {
        set.remove(id);
    }
    (ids, Some(now))
}
