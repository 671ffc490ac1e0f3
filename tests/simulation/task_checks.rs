//! The invariants of tasks, looked at where a server changes one.
//!
//! 1. T1: a completion is accepted once, under the token of the last claim.
//! 2. A task is handed out again only after its worker gave it back, its worker's life ended, or its time was over.
//! 3. What was submitted is there while the data are, and is done, failed or dead in the end.
//!
//! Not here: who works (`task_client.rs`).

use crate::clock::{MS, Time, micros};
use crate::world::World;
use clawster::cluster::event::{ClusterEvent, ClusterFact};
use clawster::cluster::ids::TaskToken;
use clawster::cluster::protocol::{
    Call, CancelTask, ClaimReply, GetTask, Identity, Instance, RedriveTask, Reply, SettleReply, SettleTasks, Settled,
    SubmitReply, SubmitTasks, Submitted, TaskCall, TaskChange, TaskReply, Verdict,
};
use clawster::cluster::task::{TaskId, TaskState};
use std::collections::{BTreeMap, BTreeSet};

#[derive(Debug, Clone)]
struct Held {
    token: TaskToken,
    instance: Instance,
    /// Not before then, by true time, may it be overdue.
    until: Time,
    jumped: Time,
    timeout: Time,
}

/// What the servers said of tasks.
#[derive(Debug, Default)]
pub(crate) struct Tasks {
    /// When each was submitted, and its timeout.
    known: BTreeMap<TaskId, (Time, Time)>,
    done: BTreeMap<TaskId, (Time, TaskToken)>,
    /// Completed about when a copy was made that came back later: only the copy knows.
    perhaps: BTreeSet<TaskId>,
    held: BTreeMap<TaskId, Held>,
    /// The last token of each, whatever was lost since.
    last: BTreeMap<TaskId, TaskToken>,
}

impl World {
    pub(crate) fn check_tasks(&mut self, call: &TaskCall, reply: &TaskReply) {
        let now = self.now;
        match (call, reply) {
            (
                TaskCall::Submit(SubmitTasks { tasks, .. }),
                TaskReply::Submitted(SubmitReply { identity: Identity::Ok, results }),
            ) => {
                for (task, result) in tasks.iter().zip(results) {
                    self.coverage.see(match result {
                        Submitted::New if !task.delay.is_zero() => "task: submitted with a delay",
                        Submitted::New => "task: submitted",
                        Submitted::Duplicate => "task: submitted, another has its id",
                        Submitted::Overloaded | Submitted::Full | Submitted::Crowded | Submitted::Unknown(_) => {
                            "task: refused, overloaded"
                        }
                    });
                    if *result == Submitted::New {
                        let entry = self.task_book.known.entry(task.id.clone());
                        entry.or_insert((now, micros(task.timeout)));
                    }
                }
            }
            (TaskCall::Claim(claim), TaskReply::Claimed(ClaimReply { identity: Identity::Ok, tasks })) => {
                for task in tasks {
                    self.handed_out(&claim.instance, &task.id, task.token, task.attempt);
                }
                if tasks.is_empty() {
                    self.coverage.see("task: nothing to claim");
                }
            }
            (
                TaskCall::Settle(SettleTasks { settlements, .. }),
                TaskReply::Settled(SettleReply { identity: Identity::Ok, results }),
            ) => {
                for (settlement, result) in settlements.iter().zip(results) {
                    self.settled(&settlement.id, settlement.token, &settlement.verdict, *result);
                }
            }
            (TaskCall::Settle { .. }, _) => self.coverage.see("task: settlement of a life that is over"),
            (TaskCall::Cancel(CancelTask { id }), TaskReply::Changed(TaskChange::Yes(_))) => {
                self.coverage.see("task: cancelled");
                self.task_book.held.remove(id);
            }
            (TaskCall::Redrive(RedriveTask { id }), TaskReply::Changed(TaskChange::Yes(_))) => {
                self.coverage.see("task: driven again");
                self.task_book.held.remove(id);
            }
            (TaskCall::Cancel { .. } | TaskCall::Redrive { .. }, _) => self.coverage.see("task: change refused"),
            _ => {}
        }
    }

    fn handed_out(&mut self, instance: &Instance, id: &TaskId, token: TaskToken, attempt: u32) {
        let (now, jumped) = (self.now, self.jumped);
        let before = self.task_book.held.get(id).cloned();
        if self.task_book.last.insert(id.clone(), token) == Some(token) {
            return self.coverage.see("task: a claim told again");
        }
        self.check_number("task token", token.0);
        self.coverage.see(if attempt > 1 { "task: handed out again" } else { "task: handed out" });
        if let Some(before) = before {
            let ahead = jumped - before.jumped + 5 * MS;
            if now + ahead < before.until {
                self.checks.violated(format!("T1: {id} is handed out to {instance:?} at {now} while held: {before:?}"));
            }
        }
        if self.task_book.done.contains_key(id) {
            self.checks.violated(format!("T1: {id} is handed out to {instance:?} after it was done"));
        }
        let timeout = self.task_book.known.get(id).map_or(0, |(_, timeout)| *timeout);
        let held = Held { token, instance: instance.clone(), until: now + timeout, jumped, timeout };
        self.task_book.held.insert(id.clone(), held);
    }

    fn settled(&mut self, id: &TaskId, token: TaskToken, verdict: &Verdict, result: Settled) {
        let (now, jumped) = (self.now, self.jumped);
        match (verdict, result) {
            (Verdict::Complete { .. }, Settled::Accepted { .. }) => {
                self.coverage.see("task: done");
                let (_, first) = *self.task_book.done.entry(id.clone()).or_insert((now, token));
                if first != token {
                    self.checks.violated(format!("T1: {id} is done under {token:?} and under {first:?}"));
                }
                let held = self.task_book.held.remove(id);
                if held.as_ref().is_some_and(|held| held.token != token) {
                    self.checks.violated(format!("T1: {id} is done under {token:?}, the last claim is {held:?}"));
                }
            }
            (Verdict::Extend, Settled::Accepted { .. }) => {
                self.coverage.see("task: extended");
                if let Some(held) = self.task_book.held.get_mut(id).filter(|held| held.token == token) {
                    (held.until, held.jumped) = (now + held.timeout, jumped);
                }
            }
            (Verdict::Fail { .. }, Settled::Accepted { state, .. }) => {
                self.coverage.see(match state {
                    TaskState::Dead => "task: failed, dead",
                    TaskState::Failed => "task: failed for good",
                    _ => "task: failed, tried again",
                });
                if self.task_book.held.get(id).is_some_and(|held| held.token == token) {
                    self.task_book.held.remove(id);
                }
            }
            (_, Settled::Stale) => self.coverage.see("task: settlement of a stale token"),
            (_, Settled::NotFound) => self.coverage.see("task: settlement of a task that is gone"),
        }
    }

    pub(crate) fn tasks_end(&mut self, event: &ClusterEvent) {
        match &event.fact {
            ClusterFact::NodeLeft { incarnation, .. } => {
                let instance = Instance { node_id: event.node_id.clone(), incarnation: *incarnation };
                let before = self.task_book.held.len();
                self.task_book.held.retain(|_, held| held.instance != instance);
                if self.task_book.held.len() < before {
                    self.coverage.see("task: given back by the end of its worker");
                }
            }
            ClusterFact::TaskDead { .. } => self.coverage.see("event: task dead"),
            ClusterFact::TaskAvailable { .. } => self.coverage.see("event: task available"),
            _ => {}
        }
    }

    /// A server came back with what there was at this time, or less.
    pub(crate) fn tasks_lost(&mut self, since: Time) {
        self.task_book.held.clear();
        self.task_book.known.retain(|_, (at, _)| *at <= since);
        let lost = self.task_book.done.extract_if(.., |_, (at, _)| *at > since).map(|(id, _)| id);
        self.task_book.perhaps.extend(lost);
    }

    /// Which task is neither done nor given up; a task that is gone is a violation.
    pub(crate) fn open_task(&mut self) -> Option<String> {
        let primary = self.primary;
        let at = self.servers[primary].time(self.now);
        let ids: Vec<TaskId> = self.task_book.known.keys().cloned().collect();
        let mut open = None;
        for id in ids {
            let call = Call::Task(Box::new(TaskCall::Get(GetTask { id: id.clone() })));
            let Reply::Task(reply) = self.servers[primary].state.apply(&call, at) else { continue };
            match *reply {
                TaskReply::Task(Some(task)) => {
                    let state = task.summary.state;
                    let done = self.task_book.done.contains_key(&id);
                    let perhaps = self.task_book.perhaps.contains(&id);
                    if done != (state == TaskState::Done) && !(perhaps && state == TaskState::Done) {
                        self.checks.violated(format!("T1: {id} is {state:?}, a completion was accepted: {done}"));
                    }
                    let ended = matches!(state, TaskState::Done | TaskState::Failed | TaskState::Dead);
                    let able = task.summary.requires.node_id.is_none();
                    if !ended && able {
                        open.get_or_insert(format!("task {id} is {state:?}: {:?}", task.summary));
                    }
                }
                _ => self.checks.violated(format!("T1: task {id} was submitted and is gone")),
            }
        }
        open
    }
}
