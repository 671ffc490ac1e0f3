//! Tasks: submitted, claimed, settled, cancelled, driven again.
//!
//! 1. A task is completed once: only while it runs, with the token of its last claim, by the incarnation that claimed it.
//! 2. A claim that comes again with its nonce gets the same tasks.
//!
//! Not here: what these have in common (`task_data.rs`), reading tasks (`task_read.rs`).

use super::data::{Row, answered, score};
use super::state::Step;
use super::task_data::{How, Lane, Stored, TASK_BYTES};
use clawster::cluster::ids::{NodeId, TaskToken};
use clawster::cluster::members::member::{Metadata, StoredStatus};
use clawster::cluster::protocol::{
    CancelTask, ClaimReply, ClaimedTask, GetTask, Identity, Instance, ListTasks, NewTask, RedriveTask, SettleReply,
    SettleTasks, Settled, Settlement, SubmitReply, SubmitTasks, Submitted, TaskCall, TaskChange, TaskClaim, TaskReply,
    Verdict, WithdrawClaim,
};
use clawster::cluster::task::{CLAIM_BYTES, Requirements, TaskId, TaskKind, TaskState};
use clawster::cluster::time::millis;
use std::collections::BTreeMap;
use std::time::Duration;

/// How many lanes one kind may have; beyond how many of all kinds, a kind may have one; and how many there may be in all.
const LANES: (usize, usize, usize) = (256, 4096, 8192);
/// How many delayed and how many overdue tasks a claim looks after.
const LOOKED_AFTER: usize = 100;
/// How many ended tasks a call forgets besides those that it ended.
const FORGOTTEN: usize = 16;
/// How many sets of kinds a node's last claims are remembered for.
const REMEMBERED: usize = 64;

/// What a new task takes.
fn bytes_of(task: &NewTask) -> u64 {
    let after: usize = task.after.iter().map(|id| id.as_str().len() + 1).sum();
    (task.payload.len() + after.saturating_sub(1)) as u64 + TASK_BYTES
}

impl Step<'_> {
    pub(super) fn task(&mut self, call: &TaskCall) -> TaskReply {
        match call {
            TaskCall::Submit(SubmitTasks { instance, tasks, max_bytes }) => {
                let (identity, results) = self.submit(instance, tasks, *max_bytes);
                TaskReply::Submitted(SubmitReply { identity, results })
            }
            TaskCall::Claim(claim) => {
                let (identity, tasks) = self.claim(claim);
                TaskReply::Claimed(ClaimReply { identity, tasks })
            }
            TaskCall::Withdraw(WithdrawClaim { instance, kinds, nonce, returned }) => {
                TaskReply::Withdrawn { tasks: self.withdraw_claim(instance, kinds, nonce, *returned) }
            }
            TaskCall::Settle(SettleTasks { instance, settlements }) => {
                let (identity, results) = self.settle_tasks(instance, settlements);
                TaskReply::Settled(SettleReply { identity, results })
            }
            TaskCall::Cancel(CancelTask { id }) => TaskReply::Changed(self.cancel(id)),
            TaskCall::Redrive(RedriveTask { id }) => TaskReply::Changed(self.redrive(id)),
            TaskCall::Get(GetTask { id }) => TaskReply::Task(self.read_task(id).map(Box::new)),
            TaskCall::List(ListTasks { state, kind, limit }) => {
                TaskReply::Tasks(self.list(*state, kind.as_ref(), *limit))
            }
        }
    }

    fn submit(&mut self, instance: &Instance, new: &[NewTask], max_bytes: u64) -> (Identity, Vec<Submitted>) {
        self.guard_stall();
        let identity = self.identify(instance, "");
        if identity != Identity::Ok {
            return (identity, Vec::new());
        }
        (identity, self.add_all(instance, new, max_bytes))
    }

    /// Adds the tasks for a submitter.
    pub(super) fn add_all(&mut self, instance: &Instance, new: &[NewTask], max_bytes: u64) -> Vec<Submitted> {
        let coming: u64 = new.iter().map(bytes_of).sum();
        let fits = self.make_room(coming, max_bytes);
        let mut results = Vec::with_capacity(new.len());
        for task in new {
            let lane = (task.kind.clone(), task.requires.clone());
            let there = self.data.tasks.all.get(&task.id);
            results.push(if let Some(there) = there {
                if there.nonce == task.nonce { Submitted::New } else { Submitted::Duplicate }
            } else if !fits {
                Submitted::Full
            } else if !self.has_lane(&lane) {
                Submitted::Overloaded
            } else if let Some(place) = task.after.iter().position(|id| !self.data.tasks.all.contains_key(id)) {
                Submitted::Unknown(place)
            } else {
                self.add(instance, task);
                Submitted::New
            });
        }
        self.settle_waiting();
        results
    }

    fn has_lane(&self, lane: &Lane) -> bool {
        let lanes = &self.data.tasks.lanes;
        let own = lanes.keys().filter(|(kind, _)| *kind == lane.0).count();
        let most = if own == 0 { LANES.2 } else { LANES.1 };
        lanes.contains_key(lane) || lanes.len() < LANES.0 || (own < LANES.0 && lanes.len() < most)
    }

    fn add(&mut self, instance: &Instance, new: &NewTask) {
        self.data.tasks.bytes += bytes_of(new);
        let due = self.cluster_now().saturating_add(score(millis(new.delay)));
        let delayed = millis(new.delay) > 0 && new.after.is_empty();
        self.data.tasks.seq += 1;
        let task = Stored {
            seq: self.data.tasks.seq,
            kind: new.kind.clone(),
            requires: new.requires.clone(),
            priority: new.priority,
            max_attempts: new.max_attempts,
            timeout: new.timeout,
            created: self.now,
            submitter: instance.node_id.clone(),
            nonce: new.nonce.clone(),
            payload: new.payload.clone(),
            state: if delayed { TaskState::Delayed } else { TaskState::Waiting },
            token: TaskToken(0),
            worker: None,
            attempts: 0,
            due: if delayed { due } else { 0 },
            changed: self.now,
            how: How::None,
            after: new.after.clone(),
            pause: if new.after.is_empty() { Duration::ZERO } else { new.delay },
            limit: new.concurrency.clone(),
            origin: new.origin.clone(),
            blocked: None,
            error: None,
            result: None,
        };
        self.data.tasks.all.insert(new.id.clone(), task);
        if delayed {
            self.delay(&new.id, due);
        } else {
            self.place_new(&new.id, How::None, true);
        }
    }

    fn claim(&mut self, claim: &TaskClaim) -> (Identity, Vec<ClaimedTask>) {
        self.guard_stall();
        let (identity, id) = (self.identify(&claim.instance, ""), &claim.instance.node_id);
        let Some(row) = self.row(id).filter(|_| identity == Identity::Ok) else {
            return (identity, Vec::new());
        };
        let mut kinds = claim.kinds.clone();
        kinds.sort();
        kinds.dedup();
        let remembered = self.data.tasks.claimed.get(id).and_then(|all| all.get(&kinds));
        if let Some((_, got)) = remembered.filter(|(nonce, _)| *nonce == claim.nonce) {
            return (
                identity,
                got.iter().filter_map(|(task, token)| self.handed_out(task, *token, &claim.instance)).collect(),
            );
        }
        if row.status == StoredStatus::Draining || self.is_withdrawn(&claim.nonce) {
            return (identity, Vec::new());
        }
        self.promote_due(LOOKED_AFTER);
        self.end_overdue(LOOKED_AFTER, claim.jitter);
        self.settle_waiting();
        self.forget_most(FORGOTTEN);

        let (picked, exhausted) = self.pick(id, &row, &kinds, claim.limit);
        let mut got = Vec::with_capacity(picked.len());
        for task in picked {
            let token = TaskToken(self.next_token());
            self.start(&task, token, &claim.instance);
            got.push((task, token));
        }
        let tasks: Vec<ClaimedTask> =
            got.iter().filter_map(|(task, token)| self.handed_out(task, *token, &claim.instance)).collect();
        let short = exhausted && u32::try_from(got.len()).unwrap_or(u32::MAX) < claim.limit;
        if short && kinds.is_empty() {
            self.data.tasks.announced.clear();
        } else if short {
            self.data.tasks.announced.retain(|kind| !kinds.contains(kind));
        }
        if !got.is_empty() {
            let memory = self.data.tasks.claimed.entry(id.clone()).or_default();
            memory.insert(kinds, (claim.nonce.clone(), got));
            if memory.len() > REMEMBERED {
                self.data.tasks.claimed.remove(id);
            }
        }
        (identity, tasks)
    }

    /// Takes the best ready tasks from the lanes of the node; also returns whether no more are left.
    fn pick(&mut self, id: &NodeId, row: &Row, kinds: &[TaskKind], limit: u32) -> (Vec<TaskId>, bool) {
        let metadata: Metadata = serde_json::from_str(&row.metadata).unwrap_or_default();
        let able = |needs: &Requirements| {
            let called = |name: &NodeId| {
                name == id || (row.aliases.contains(name) && !self.data.members.get(name).is_some_and(Row::is_live))
            };
            needs.capabilities.iter().all(|capability| metadata.capabilities.contains(capability))
                && needs.labels.iter().all(|(label, value)| metadata.labels.get(label) == Some(value))
                && needs.node_id.as_ref().is_none_or(called)
        };
        let open = |kind: &TaskKind| !kind.as_str().starts_with("clawster.");
        let asked = |kind: &TaskKind| if kinds.is_empty() { open(kind) } else { kinds.contains(kind) };
        let fits = |lane: &&Lane| asked(&lane.0) && able(&lane.1);
        let lanes: Vec<Lane> = self.data.tasks.lanes.keys().filter(fits).cloned().collect();
        let (mut picked, mut bytes, mut used, mut parked) = (Vec::new(), 0, BTreeMap::new(), false);
        while picked.len() < usize::try_from(limit).unwrap_or(usize::MAX) && bytes < CLAIM_BYTES {
            let tasks = &mut self.data.tasks;
            let head = |lane: &Lane| tasks.lanes.get(lane).and_then(super::sorted::Sorted::first);
            let best = lanes.iter().filter_map(|lane| head(lane).map(|(id, place)| (place, id, lane))).min();
            let Some((_, task, lane)) = best else { break };
            self.take_from_lane(lane, &task);
            if self.may_run(&task, &mut used) {
                bytes += self.data.tasks.all.get(&task).map_or(0, |task| task.payload.len());
                picked.push(task);
            } else {
                parked = true;
            }
        }
        let exhausted = lanes.iter().all(|lane| !self.data.tasks.lanes.contains_key(lane));
        (picked, exhausted || parked)
    }

    fn take_from_lane(&mut self, lane: &Lane, id: &TaskId) {
        let lanes = &mut self.data.tasks.lanes;
        if let Some(ready) = lanes.get_mut(lane) {
            ready.remove(id);
            if ready.len() == 0 {
                lanes.remove(lane);
            }
        }
    }

    fn start(&mut self, id: &TaskId, token: TaskToken, instance: &Instance) {
        let now = self.cluster_now();
        let Some(task) = self.data.tasks.all.get_mut(id) else { return };
        let due = now.saturating_add(score(millis(task.timeout)));
        task.attempts += 1;
        task.token = token;
        task.worker = Some(instance.clone());
        if let Some(limit) = &task.limit {
            self.data.tasks.limited.insert(id.clone(), limit.key.clone());
        }
        self.set_state(id, TaskState::Running, due, How::None);
        self.data.tasks.running.set(id, due);
        self.data.tasks.held.entry(instance.node_id.clone()).or_default().insert(id.clone());
    }

    /// A task as it was handed out, while it runs so.
    pub(super) fn handed_out(&self, id: &TaskId, token: TaskToken, instance: &Instance) -> Option<ClaimedTask> {
        let runs = |task: &&Stored| {
            task.state == TaskState::Running && task.token == token && task.worker.as_ref() == Some(instance)
        };
        self.data.tasks.all.get(id).filter(runs).map(|task| ClaimedTask {
            id: id.clone(),
            token,
            attempt: task.attempts,
            kind: task.kind.clone(),
            payload: task.payload.clone(),
            expires_at: answered(task.due.saturating_add(self.data.skew)),
        })
    }

    fn settle_tasks(&mut self, instance: &Instance, settlements: &[Settlement]) -> (Identity, Vec<Settled>) {
        self.guard_stall();
        let identity = self.identify(instance, "");
        if identity != Identity::Ok {
            return (identity, Vec::new());
        }
        let mut ended = 0;
        let results = settlements.iter().map(|settlement| self.settle_task(instance, settlement, &mut ended)).collect();
        if ended > 0 {
            self.settle_waiting();
            self.forget_most(ended + FORGOTTEN);
        }
        (identity, results)
    }

    fn settle_task(&mut self, instance: &Instance, settlement: &Settlement, ended: &mut usize) -> Settled {
        let id = &settlement.id;
        let Some(task) = self.data.tasks.all.get_mut(id) else { return Settled::NotFound };
        let same = match settlement.verdict {
            Verdict::Extend => false,
            Verdict::Complete { .. } => task.how == How::Completed,
            Verdict::Fail { .. } => task.how == How::Failed,
        };
        let running = task.state == TaskState::Running;
        let worker = task.worker.as_ref();
        // A later life of the node may not have heard the answer to an accepted verdict.
        let repeated = same && worker.is_some_and(|worker| worker.node_id == instance.node_id);
        if task.token != settlement.token || if running { worker != Some(instance) } else { !repeated } {
            return Settled::Stale;
        }
        if running {
            let timeout = score(millis(task.timeout));
            if let Verdict::Complete { result } = &settlement.verdict {
                task.result.clone_from(result);
                self.data.tasks.bytes += result.as_ref().map_or(0, String::len) as u64;
            }
            let now = self.cluster_now();
            if settlement.verdict == Verdict::Extend {
                let due = now.saturating_add(timeout);
                self.set_state(id, TaskState::Running, due, How::None);
                self.data.tasks.running.set(id, due);
            } else {
                *ended += 1;
                self.note_stop(id);
                self.data.tasks.running.remove(id);
                self.data.tasks.give_back(&instance.node_id, id);
            }
            match &settlement.verdict {
                Verdict::Extend => {}
                Verdict::Complete { .. } => {
                    self.set_state(id, TaskState::Done, 0, How::Completed);
                    self.note_end(id);
                    self.data.tasks.done.push_back((now, id.clone()));
                }
                Verdict::Fail { error, retry: true, jitter } => self.fail_attempt(id, error, How::Failed, *jitter),
                Verdict::Fail { error, .. } => self.end_task(id, TaskState::Failed, How::Failed, error),
            }
        }
        self.accepted(id)
    }

    fn accepted(&self, id: &TaskId) -> Settled {
        let Some(task) = self.data.tasks.all.get(id) else { return Settled::NotFound };
        let due_at = (task.due != 0).then(|| answered(task.due.saturating_add(self.data.skew)));
        Settled::Accepted { state: task.state, due_at }
    }

    fn cancel(&mut self, id: &TaskId) -> TaskChange {
        self.guard_stall();
        let Some(task) = self.data.tasks.all.get(id) else { return TaskChange::NotFound };
        let (state, how) = (task.state, task.how);
        let blocked = task.blocked.is_some();
        let (worker, lane) = (task.worker.clone(), self.data.tasks.lane_of(id));
        match (state, worker, lane) {
            _ if how == How::Cancelled => return TaskChange::Yes(state),
            (TaskState::Waiting, _, _) if blocked => {}
            (TaskState::Waiting, _, Some(lane)) => self.take_from_lane(&lane, id),
            (TaskState::Delayed, _, _) => {
                self.data.tasks.delayed.remove(id);
                self.data.tasks.scheduled.remove(id);
            }
            (TaskState::Running, Some(worker), _) => {
                self.data.tasks.running.remove(id);
                self.data.tasks.give_back(&worker.node_id, id);
                self.note_stop(id);
            }
            _ => return TaskChange::No(state),
        }
        self.end_task(id, TaskState::Failed, How::Cancelled, "cancelled");
        self.settle_waiting();
        self.forget_most(FORGOTTEN);
        TaskChange::Yes(TaskState::Failed)
    }

    fn redrive(&mut self, id: &TaskId) -> TaskChange {
        self.guard_stall();
        let Some(task) = self.data.tasks.all.get_mut(id) else { return TaskChange::NotFound };
        match task.state {
            TaskState::Waiting if task.how == How::Redriven => return TaskChange::Yes(TaskState::Waiting),
            TaskState::Failed | TaskState::Dead => {}
            state => return TaskChange::No(state),
        }
        (task.attempts, task.error) = (0, None);
        self.data.tasks.failed.remove(id);
        self.data.tasks.dead.remove(id);
        let state = self.place_new(id, How::Redriven, false);
        self.settle_waiting();
        TaskChange::Yes(state)
    }
}
