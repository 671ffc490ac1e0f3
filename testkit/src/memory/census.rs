//! How many leases and tasks there are: the counterpart of `scripts/members/census.lua`.

use super::state::Step;
use clawster::cluster::protocol::{Census, ListedLease, MOST_LANES};
use clawster::cluster::task::TaskState;

impl Step<'_> {
    pub(super) fn census(&self) -> Census {
        let tasks = &self.data.tasks;
        let mut counts = vec![
            (TaskState::Delayed, tasks.delayed.len()),
            (TaskState::Running, tasks.running.len()),
            (TaskState::Done, tasks.done.len()),
            (TaskState::Failed, tasks.failed.len()),
            (TaskState::Dead, tasks.dead.len()),
        ];
        let lanes: usize = tasks.lanes.values().map(super::sorted::Sorted::len).sum();
        let blocked = tasks.all.values().filter(|task| task.blocked.is_some()).count();
        if tasks.lanes.len() <= MOST_LANES {
            counts.push((TaskState::Waiting, lanes + blocked));
        }
        Census {
            leases: Some(self.data.due.len() as u64),
            tasks: counts.into_iter().map(|(state, count)| (state, count as u64)).collect(),
        }
    }
    pub(super) fn list_leases(&self, limit: u32) -> Vec<ListedLease> {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let names = self.data.due.iter().map(|(name, _)| name.clone()).take(limit);
        names.filter_map(|name| Some(ListedLease { record: self.lease_record(&name)?, name })).collect()
    }
}
