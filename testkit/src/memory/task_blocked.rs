//! What keeps a task back besides its delay: the counterpart of `scripts/tasks/blocked.lua`.
//!
//! 1. A blocked task lies in no lane.
//! 2. Of the tasks with one concurrency key, at most so many run as each of them says.

use super::data::score;
use super::state::Step;
use super::task_data::How;
use clawster::cluster::task::{Blocked, ConcurrencyKey, TaskId, TaskState};
use clawster::cluster::time::millis;
use std::collections::BTreeMap;

/// What the tasks that must be done first say.
enum Verdict {
    Ready,
    Waits,
    Fails(String),
}

impl Step<'_> {
    fn look_after(&self, after: &[TaskId]) -> Verdict {
        let mut verdict = Verdict::Ready;
        for id in after {
            let word = match self.data.tasks.all.get(id).map(|task| (task.state, task.how)) {
                Some((TaskState::Done, _)) => continue,
                Some((_, How::Cancelled)) => "was cancelled",
                Some((TaskState::Dead, _)) => "is dead",
                Some((TaskState::Failed, _)) => "has failed",
                None => "is unknown",
                Some(_) => {
                    verdict = Verdict::Waits;
                    continue;
                }
            };
            return Verdict::Fails(format!("task {id}, which must be done first, {word}"));
        }
        verdict
    }

    /// Puts a task that nobody has begun where it belongs; returns its state.
    pub(super) fn place_new(&mut self, id: &TaskId, how: How, delays: bool) -> TaskState {
        let Some(task) = self.data.tasks.all.get(id) else { return TaskState::Failed };
        let pause = score(millis(task.pause));
        match self.look_after(&task.after.clone()) {
            Verdict::Waits => {
                self.set_state(id, TaskState::Waiting, 0, How::None);
                self.block(id, Some(Blocked::After));
                return TaskState::Waiting;
            }
            Verdict::Fails(why) => {
                self.end_task(id, TaskState::Failed, How::Failed, &why);
                return TaskState::Failed;
            }
            Verdict::Ready => {}
        }
        if pause > 0 && delays {
            let due = self.cluster_now().saturating_add(pause);
            self.set_state(id, TaskState::Delayed, due, how);
            self.delay(id, due);
            return TaskState::Delayed;
        }
        self.set_state(id, TaskState::Waiting, 0, how);
        self.make_ready(id);
        TaskState::Waiting
    }

    pub(super) fn block(&mut self, id: &TaskId, by: Option<Blocked>) {
        if let Some(task) = self.data.tasks.all.get_mut(id) {
            task.blocked = by;
        }
    }

    /// A task has ended.
    pub(super) fn note_end(&mut self, id: &TaskId) {
        self.data.tasks.ended.push(id.clone());
    }

    /// A task does not run any more.
    pub(super) fn note_stop(&mut self, id: &TaskId) {
        if let Some(key) = self.data.tasks.limited.remove(id) {
            self.data.tasks.freed.push(key);
        }
    }

    fn running_with(&self, key: &ConcurrencyKey) -> u32 {
        let count = self.data.tasks.limited.values().filter(|other| *other == key).count();
        u32::try_from(count).unwrap_or(u32::MAX)
    }

    /// Whether a task may be claimed beside those that run and those that this call has taken; parks it otherwise.
    pub(super) fn may_run(&mut self, id: &TaskId, used: &mut BTreeMap<ConcurrencyKey, u32>) -> bool {
        let Some(limit) = self.data.tasks.all.get(id).and_then(|task| task.limit.clone()) else { return true };
        let taken = used.get(&limit.key).copied().unwrap_or_else(|| self.running_with(&limit.key));
        let may = taken < limit.max;
        used.insert(limit.key, taken + u32::from(may));
        if !may {
            self.set_state(id, TaskState::Waiting, 0, How::None);
            self.block(id, Some(Blocked::Concurrency));
        }
        may
    }

    /// The tasks that are blocked so, in the order of submission.
    fn blocked(&self, by: Blocked) -> Vec<TaskId> {
        let all = self.data.tasks.all.iter().filter(|(_, task)| task.blocked == Some(by));
        let mut ids: Vec<(u64, TaskId)> = all.map(|(id, task)| (task.seq, id.clone())).collect();
        ids.sort();
        ids.into_iter().map(|(_, id)| id).collect()
    }

    fn unpark(&mut self, key: &ConcurrencyKey) {
        let mut lanes: BTreeMap<String, Vec<(i64, TaskId, u32)>> = BTreeMap::new();
        for id in self.blocked(Blocked::Concurrency) {
            let Some(task) = self.data.tasks.all.get(&id) else { continue };
            let Some(limit) = task.limit.as_ref().filter(|limit| limit.key == *key) else { continue };
            let requires = task.requires.canonical();
            let lane = if requires.is_empty() { task.kind.to_string() } else { format!("{} {requires}", task.kind) };
            let place = score(task.seq) - task.priority.get() * 1_000_000_000_000;
            lanes.entry(lane).or_default().push((place, id, limit.max));
        }
        let running = self.running_with(key);
        for tasks in lanes.values_mut() {
            tasks.sort();
            for (back, (_, id, max)) in (0..).zip(tasks.iter()) {
                if running + back >= *max {
                    break;
                }
                self.set_state(id, TaskState::Waiting, 0, How::None);
                self.make_ready(id);
            }
        }
    }

    /// Lets go on what waited for tasks that ended or stopped in this call, and tells of what is ready.
    pub(super) fn settle_waiting(&mut self) {
        while !self.data.tasks.ended.is_empty() {
            let ended = self.data.tasks.ended.remove(0);
            for id in self.blocked(Blocked::After) {
                if self.data.tasks.all.get(&id).is_some_and(|task| task.after.contains(&ended)) {
                    self.place_new(&id, How::None, true);
                }
            }
        }
        let mut freed = std::mem::take(&mut self.data.tasks.freed);
        let mut known = Vec::new();
        freed.retain(|key| {
            !known.contains(key) && {
                known.push(key.clone());
                true
            }
        });
        for key in freed {
            self.unpark(&key);
        }
        self.put_ready();
    }
}
