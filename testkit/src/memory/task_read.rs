//! Reading tasks: one with its contents, or many without.
//!
//! 1. Nothing changes; a long list looks at a bounded number of tasks.
//!
//! Not here: the transitions (`task.rs`).

use super::data::answered;
use super::state::Step;
use super::task_data::Stored;
use clawster::cluster::protocol::{Task, TaskSummary};
use clawster::cluster::task::{TaskId, TaskKind, TaskState};

/// How many tasks a list looks at.
const LOOKED_AT: usize = 5000;

impl Step<'_> {
    pub(super) fn read_task(&self, id: &TaskId) -> Option<Task> {
        let task = self.data.tasks.all.get(id)?;
        let (payload, result) = (task.payload.clone(), task.result.clone());
        Some(Task { summary: self.summary(id, task), payload, result })
    }

    /// Those that were submitted last first.
    pub(super) fn list(&self, state: Option<TaskState>, kind: Option<&TaskKind>, limit: u32) -> Vec<TaskSummary> {
        let tasks = &self.data.tasks;
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let sets = [
            (TaskState::Running, &tasks.running),
            (TaskState::Dead, &tasks.dead),
            (TaskState::Failed, &tasks.failed),
            (TaskState::Delayed, &tasks.delayed),
        ];
        let mut lists: Vec<Vec<&TaskId>> = Vec::new();
        let asked = |of: TaskState| state.is_none_or(|state| state == of);
        for (_, set) in sets.into_iter().filter(|(of, _)| asked(*of)) {
            lists.push(set.iter().rev().map(|(id, _)| id).collect());
        }
        if asked(TaskState::Done) {
            lists.push(tasks.done.iter().rev().map(|(_, id)| id).collect());
        }
        if asked(TaskState::Waiting) {
            let lanes = tasks.lanes.iter().filter(|((of, _), _)| kind.is_none_or(|kind| kind == of));
            let blocked = tasks.all.iter().filter(|(_, task)| task.blocked.is_some());
            let mut blocked: Vec<(u64, &TaskId)> = blocked.map(|(id, task)| (task.seq, id)).collect();
            blocked.sort_by(|a, b| b.cmp(a));
            lists.push(blocked.into_iter().map(|(_, id)| id).collect());
            lists.extend(lanes.map(|(_, set)| set.iter().rev().map(|(id, _)| id).collect::<Vec<_>>()));
        }
        let mut budget = LOOKED_AT;
        let mut found: Vec<(&TaskId, &Stored)> = Vec::new();
        for list in lists {
            let seen = list.into_iter().take(budget).inspect(|_| budget -= 1);
            let good = seen.filter_map(|id| tasks.all.get(id).map(|task| (id, task)));
            found.extend(good.filter(|(_, task)| kind.is_none_or(|kind| *kind == task.kind)).take(limit));
        }
        found.sort_by_key(|(_, task)| std::cmp::Reverse(task.seq));
        found.into_iter().take(limit).map(|(id, task)| self.summary(id, task)).collect()
    }

    fn summary(&self, id: &TaskId, task: &Stored) -> TaskSummary {
        let due = matches!(task.state, TaskState::Delayed | TaskState::Running);
        let by_cluster = answered(task.due.saturating_add(self.data.skew));
        let delayed = task.state == TaskState::Delayed;
        let by_server = self.data.tasks.scheduled.score(id).filter(|_| delayed).map_or(by_cluster, answered);
        TaskSummary {
            id: id.clone(),
            kind: task.kind.clone(),
            state: task.state,
            requires: task.requires.clone(),
            priority: task.priority,
            attempts: task.attempts,
            max_attempts: task.max_attempts,
            timeout: task.timeout,
            submitted_by: task.submitter.clone(),
            node_id: task.worker.as_ref().map(|worker| worker.node_id.clone()),
            token: task.worker.as_ref().map(|_| task.token),
            created_at: task.created,
            changed_at: task.changed,
            due_at: due.then(|| by_cluster.min(by_server)),
            error: task.error.clone(),
            after: task.after.clone(),
            concurrency: task.limit.clone(),
            origin: task.origin.clone(),
            blocked: task.blocked,
        }
    }
}
