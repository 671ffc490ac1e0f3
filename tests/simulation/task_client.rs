//! Tasks of a process's clients: submitted, claimed, worked on, settled.
//!
//! 1. A call whose answer was lost is made again: a submission and a claim with their nonces, a settlement as it was.
//! 2. One claim is under way at a time. A worker may fail, extend, forget its task, or say twice that it is done.
//!
//! Not here: what must hold (`task_checks.rs`).

use crate::clock::{MS, SECOND};
use crate::network::News;
use crate::side::{AGAIN, Side};
use crate::world::{Due, World};
use clawster::cluster::ids::{NodeId, Nonce};
use clawster::cluster::node::Standing;
use clawster::cluster::protocol::{
    Call, CancelTask, ClaimReply, ClaimedTask, Fault, Instance, ListTasks, NewTask, RedriveTask, Reply, SettleTasks,
    Settlement, SubmitTasks, TaskCall, TaskClaim, TaskReply, Verdict,
};
use clawster::cluster::task::{Jitter, Priority, Requirements, TaskId, TaskKind, TaskState};
use std::collections::BTreeMap;
use std::time::Duration;

/// What a process has to do with tasks.
#[derive(Debug, Default)]
pub(crate) struct Work {
    submitting: BTreeMap<u64, Vec<NewTask>>,
    claim: Option<(Nonce, Instance)>,
    settling: BTreeMap<u64, (Instance, Settlement)>,
}

impl World {
    fn member(&self, pid: usize) -> Option<Instance> {
        match self.processes[pid].node.standing() {
            Standing::Member(instance) => Some(instance.clone()),
            _ => None,
        }
    }

    fn task_call(&mut self, pid: usize, side: Side, call: TaskCall) {
        self.side_call(pid, side, Call::Task(Box::new(call)));
    }

    /// A client submits tasks.
    pub(crate) fn submit(&mut self, pid: usize, count: usize) {
        let mut tasks = Vec::with_capacity(count);
        for _ in 0..count {
            self.tasks += 1;
            let delay = if self.rng.chance(300) { self.rng.range(1, 5000) } else { 0 };
            let near = self.rng.chance(100).then(|| self.hosts[self.rng.clone().below(self.hosts.len())].id.clone());
            let node_id: Option<NodeId> = near.filter(|_| self.rng.chance(300));
            tasks.push(NewTask {
                id: TaskId::new(format!("k{}", self.tasks)).expect("an id"),
                kind: TaskKind::new(format!("kind{}", self.rng.below(3))).expect("a kind"),
                payload: "1".to_owned(),
                requires: Requirements { node_id, ..Requirements::default() },
                priority: Priority::new(i64::try_from(self.rng.below(5)).unwrap_or(0)).expect("a priority"),
                delay: Duration::from_millis(delay),
                max_attempts: 1 + u32::try_from(self.rng.below(3)).unwrap_or(0),
                timeout: Duration::from_millis(self.rng.range(500, 8000)),
                after: Vec::new(),
                concurrency: None,
                origin: None,
                nonce: Nonce::new(format!("s{}", self.tasks)).expect("a nonce"),
            });
        }
        self.sides += 1;
        self.processes[pid].work.submitting.insert(self.sides, tasks);
        self.submit_on(pid, self.sides);
    }

    pub(crate) fn submit_on(&mut self, pid: usize, id: u64) {
        let Some(tasks) = self.processes[pid].work.submitting.get(&id).cloned() else { return };
        match self.member(pid) {
            Some(instance) => self.task_call(
                pid,
                Side::Submit(id),
                TaskCall::Submit(SubmitTasks { instance, tasks, max_bytes: 1 << 40 }),
            ),
            None => {
                self.processes[pid].work.submitting.remove(&id);
            }
        }
    }

    pub(crate) fn submit_answered(&mut self, pid: usize, id: u64, outcome: Result<Reply, Fault>) {
        match outcome {
            Ok(_) => {
                self.processes[pid].work.submitting.remove(&id);
            }
            Err(_) => self.later(self.now + AGAIN, Due::Deliver(pid, None, News::SubmitOn(id))),
        }
    }

    /// A worker of this node asks for tasks, unless one asks already.
    pub(crate) fn claim(&mut self, pid: usize) {
        let Some(instance) = self.member(pid) else { return };
        if self.processes[pid].work.claim.is_some() {
            return;
        }
        self.sides += 1;
        let nonce = Nonce::new(format!("c{}", self.sides)).expect("a nonce");
        self.processes[pid].work.claim = Some((nonce, instance));
        self.claim_on(pid);
    }

    pub(crate) fn claim_on(&mut self, pid: usize) {
        let Some((nonce, instance)) = self.processes[pid].work.claim.clone() else { return };
        let jitter = Jitter::from_text(nonce.as_str());
        let claim = TaskClaim { instance, kinds: Vec::new(), limit: 3, nonce, jitter };
        self.task_call(pid, Side::Claim, TaskCall::Claim(claim));
    }

    pub(crate) fn claim_answered(&mut self, pid: usize, outcome: Result<Reply, Fault>) {
        let Some((nonce, instance)) = self.processes[pid].work.claim.take() else { return };
        match outcome {
            Ok(Reply::Task(reply)) => {
                if let TaskReply::Claimed(ClaimReply { tasks, .. }) = *reply {
                    tasks.into_iter().for_each(|task| self.work_on(pid, &instance, task));
                }
            }
            _ => {
                if self.member(pid).as_ref() == Some(&instance) {
                    self.processes[pid].work.claim = Some((nonce, instance));
                    self.later(self.now + AGAIN, Due::Deliver(pid, None, News::ClaimOn));
                }
            }
        }
    }

    /// A worker has a task: what becomes of it, and when, is decided now.
    fn work_on(&mut self, pid: usize, instance: &Instance, task: ClaimedTask) {
        let calm = self.calm();
        let done = Verdict::Complete { result: Some("1".to_owned()) };
        let failed = |retry, jitter| Verdict::Fail { error: "no".to_owned(), retry, jitter };
        let jitter = Jitter::from_text(task.id.as_str());
        let verdicts = match self.rng.below(20) {
            _ if calm => vec![done],
            0..=9 => vec![done],
            10 => vec![done.clone(), done],
            11..=13 => vec![failed(true, jitter)],
            14 => vec![failed(false, jitter)],
            15 | 16 => vec![Verdict::Extend, done],
            17 => vec![done, failed(true, jitter)],
            _ => Vec::new(),
        };
        if verdicts.is_empty() {
            self.coverage.see("task: forgotten by its worker");
        }
        let mut at = self.now;
        for verdict in verdicts {
            let slow = self.rng.chance(100) && !calm;
            at += if slow { self.rng.range(SECOND, 10 * SECOND) } else { self.rng.range(MS, 800 * MS) };
            self.sides += 1;
            let settlement = Settlement { id: task.id.clone(), token: task.token, verdict };
            self.processes[pid].work.settling.insert(self.sides, (instance.clone(), settlement));
            self.later(at, Due::Deliver(pid, None, News::SettleOn(self.sides)));
        }
    }

    pub(crate) fn settle_on(&mut self, pid: usize, id: u64) {
        let Some((instance, settlement)) = self.processes[pid].work.settling.get(&id).cloned() else { return };
        self.task_call(
            pid,
            Side::Settle(id),
            TaskCall::Settle(SettleTasks { instance, settlements: vec![settlement] }),
        );
    }

    pub(crate) fn settle_answered(&mut self, pid: usize, id: u64, outcome: Result<Reply, Fault>) {
        match outcome {
            Ok(_) => {
                self.processes[pid].work.settling.remove(&id);
            }
            Err(_) => self.later(self.now + AGAIN, Due::Deliver(pid, None, News::SettleOn(id))),
        }
    }

    /// A client cancels a task, or drives it again; a lost answer is not asked for.
    pub(crate) fn change_task(&mut self, pid: usize, redrive: bool) {
        if self.tasks == 0 {
            return;
        }
        let number = self.tasks - self.rng.range(0, self.tasks.min(30));
        let id = TaskId::new(format!("k{number}")).expect("an id");
        let call = if redrive { TaskCall::Redrive(RedriveTask { id }) } else { TaskCall::Cancel(CancelTask { id }) };
        self.task_call(pid, Side::Change, call);
    }

    /// A client lists tasks of a state.
    pub(crate) fn list_tasks(&mut self, pid: usize) {
        let state = Some(if self.rng.chance(500) { TaskState::Dead } else { TaskState::Failed });
        self.task_call(pid, Side::List, TaskCall::List(ListTasks { state, kind: None, limit: 50 }));
    }

    /// What it found is driven again.
    pub(crate) fn listed(&mut self, pid: usize, outcome: Result<Reply, Fault>) {
        let Ok(Reply::Task(reply)) = outcome else { return };
        let TaskReply::Tasks(found) = *reply else { return };
        for task in found.into_iter().take(3) {
            self.task_call(pid, Side::Change, TaskCall::Redrive(RedriveTask { id: task.id }));
        }
    }
}
