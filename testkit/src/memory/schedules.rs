//! Schedules: the counterpart of `scripts/schedules/`.
//!
//! 1. A schedule moves on together with the submission of its slots' tasks, or not at all.

use super::state::Step;
use clawster::cluster::ids::Nonce;
use clawster::cluster::protocol::{
    DeleteSchedule, FireReply, FireSchedule, Fired, Identity, PauseSchedule, Put, PutReply, PutSchedule, ReadSchedules,
    Schedule, ScheduleCall, ScheduleReply, SchedulesReply, Submitted,
};
use clawster::cluster::schedule::{Definition, SCHEDULES};
use clawster::cluster::task::{ScheduleId, TaskId};
use clawster::cluster::time::ServerTime;
use clawster::store::Notice;
use std::collections::BTreeMap;

/// A schedule.
#[derive(Debug, Clone)]
struct Stored {
    definition: Definition,
    payload: String,
    version: Nonce,
    next: Option<ServerTime>,
    paused: bool,
    last: Option<(ServerTime, TaskId)>,
    runs: u64,
}

/// All schedules.
#[derive(Debug, Clone, Default)]
pub(super) struct Schedules(BTreeMap<ScheduleId, Stored>);

impl Schedules {
    /// The ids, by their next slots; those without one come last.
    fn order(&self) -> Vec<(ServerTime, ScheduleId)> {
        let next = |stored: &Stored| stored.next.unwrap_or(ServerTime(u64::MAX));
        let mut all: Vec<_> = self.0.iter().map(|(id, stored)| (next(stored), id.clone())).collect();
        all.sort();
        all
    }
}

impl Step<'_> {
    pub(super) fn schedule(&mut self, call: &ScheduleCall) -> ScheduleReply {
        match call {
            ScheduleCall::Put(put) => ScheduleReply::Put(self.put_schedule(put)),
            ScheduleCall::Read(read) => ScheduleReply::Read(self.read_schedules(read)),
            ScheduleCall::Pause(pause) => ScheduleReply::Paused(self.pause_schedule(pause)),
            ScheduleCall::Delete(DeleteSchedule { id }) => {
                ScheduleReply::Deleted(self.data.schedules.0.remove(id).is_some())
            }
            ScheduleCall::Fire(fire) => ScheduleReply::Fired(self.fire_schedule(fire)),
        }
    }

    fn tell_of_slot(&mut self, id: &ScheduleId) {
        let first = self.data.schedules.order().into_iter().next();
        if first.is_some_and(|(at, first)| first == *id && at.0 < u64::MAX) {
            self.server.notice(Notice::Schedule);
        }
    }

    fn put_schedule(&mut self, put: &PutSchedule) -> PutReply {
        self.guard_stall();
        let identity = self.identify(&put.instance, "");
        let all = &mut self.data.schedules.0;
        let there = all.get(&put.id);
        let outcome = if identity != Identity::Ok {
            Put::Changed
        } else if there.is_some_and(|there| there.version == put.version) {
            Put::Stored
        } else if there.map(|there| &there.version) != put.replaces.as_ref() {
            Put::Changed
        } else {
            let held: u64 = all.values().map(|stored| stored.payload.len() as u64).sum();
            let before = there.map_or(0, |there| there.payload.len());
            let more = put.payload.len().saturating_sub(before) as u64;
            let crowded = there.is_none() && all.len() >= SCHEDULES.0;
            if crowded || (!all.is_empty() && more > 0 && held + more > SCHEDULES.1) {
                Put::Full
            } else {
                let paused = there.is_some_and(|there| there.paused);
                let (last, runs) = there.map_or((None, 0), |there| (there.last.clone(), there.runs));
                let (definition, payload) = (put.definition.clone(), put.payload.clone());
                let next = (!paused).then_some(put.next);
                let version = put.version.clone();
                let stored = Stored { definition, payload, version, next, paused, last, runs };
                all.insert(put.id.clone(), stored);
                self.tell_of_slot(&put.id);
                Put::Stored
            }
        };
        PutReply { identity, outcome }
    }

    fn read_schedules(&self, read: &ReadSchedules) -> SchedulesReply {
        let order = self.data.schedules.order();
        let first = order.first().map(|(at, _)| *at).filter(|at| at.0 < u64::MAX);
        let wanted = |(at, id): &&(ServerTime, ScheduleId)| match &read.id {
            Some(wanted) => wanted == id,
            None => !read.due || *at <= self.now,
        };
        let limit = usize::try_from(read.limit).unwrap_or(usize::MAX);
        let shown = |(_, id): &(ServerTime, ScheduleId)| {
            let stored = self.data.schedules.0.get(id)?;
            Some(Schedule {
                id: id.clone(),
                definition: stored.definition.clone(),
                payload: read.payloads.then(|| stored.payload.clone()),
                version: stored.version.clone(),
                next: stored.next,
                paused: stored.paused,
                last: stored.last.clone(),
                runs: stored.runs,
            })
        };
        let schedules = order.iter().filter(wanted).take(limit).filter_map(shown).collect();
        SchedulesReply { now: self.now, first, count: self.data.schedules.0.len() as u64, schedules }
    }

    fn pause_schedule(&mut self, pause: &PauseSchedule) -> Put {
        let stored = self.data.schedules.0.get_mut(&pause.id).filter(|stored| stored.version == pause.version);
        let Some(stored) = stored else { return Put::Changed };
        (stored.paused, stored.next) = (pause.paused, pause.next.filter(|_| !pause.paused));
        self.tell_of_slot(&pause.id);
        Put::Stored
    }

    fn fire_schedule(&mut self, fire: &FireSchedule) -> FireReply {
        self.guard_stall();
        let identity = self.identify(&fire.instance, "");
        let current = |stored: &&Stored| stored.version == fire.version && stored.next == Some(fire.slot);
        let there = self.data.schedules.0.get(&fire.id).filter(current).is_some();
        if identity != Identity::Ok || !there {
            return FireReply { identity, outcome: Fired::Stale };
        }
        let results =
            if fire.tasks.is_empty() { Vec::new() } else { self.add_all(&fire.instance, &fire.tasks, fire.max_bytes) };
        if results.iter().any(|result| !matches!(result, Submitted::New | Submitted::Duplicate)) {
            return FireReply { identity, outcome: Fired::Refused(results) };
        }
        let added = results.iter().filter(|result| **result == Submitted::New).count() as u64;
        if let Some(stored) = self.data.schedules.0.get_mut(&fire.id) {
            stored.next = fire.next;
            stored.runs += added;
            if let Some(task) = fire.tasks.last() {
                stored.last = task.origin.as_ref().map(|origin| (origin.slot, task.id.clone()));
            }
        }
        self.tell_of_slot(&fire.id);
        FireReply { identity, outcome: Fired::Done(results) }
    }
}
