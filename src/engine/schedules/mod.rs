//! Schedules: tasks that come again by the clock, once per cluster.
//!
//! 1. The leader submits the tasks of slots that have come. That only decides who does the work: the store lets each slot
//!    pass once, whoever submits its task, so a change of leaders loses none and doubles none.
//! 2. The leader sleeps until the next slot. It is called when an earlier one is stored; as such a call can be lost, it also looks every
//!    ten seconds.
//!
//! `calendar.rs` knows cron expressions and time zones.
//!
//! Not here: what becomes of missed slots (`crate::cluster::schedule`), moving on from slot to slot (`crate::store`).

pub mod calendar;

use super::error::Error;
use super::refusals::RETRY_AFTER;
use crate::clock::{self, Seldom};
use crate::cluster::protocol::{
    DeleteSchedule, FireReply, FireSchedule, Fired, NewTask, PauseSchedule, Put, PutReply, PutSchedule, ReadSchedules,
    Schedule, SchedulesReply,
};
use crate::cluster::schedule::{Calendar, Definition, Plan, Recurrence, SCHEDULES, plan, task_id};
use crate::cluster::task::{BATCH_MAX, CONTENT_MAX, Origin, ScheduleId};
use crate::cluster::time::ServerTime;
use crate::engine::node::handle::{self, Listing, Planned, ScheduleDraft};
use crate::engine::store_calls::{Caller, known, nonce};
use calendar::Times;
use std::time::Duration;
use tokio::sync::Notify;

/// How many due schedules are read at a time.
const PAGE: u32 = 16;
/// The pause after a failure, and the shortest one before the next look.
const PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_millis(5));
/// The longest pause before the next look.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// How often a change is tried again because another one came first.
const ATTEMPTS: usize = 8;

/// See the head of this file.
pub struct Schedules {
    caller: Caller,
    /// The maximum size of all tasks in bytes.
    max_bytes: u64,
    poke: Notify,
    /// A schedule that cannot go on is looked at every second; that is not said every second.
    warned: Seldom,
}

impl Schedules {
    pub(super) fn new(caller: Caller, max_bytes: u64) -> Self {
        Self { caller, max_bytes, poke: Notify::new(), warned: Seldom::new(1) }
    }

    /// Called when an earlier slot than before was stored.
    pub(super) fn look_again(&self) {
        self.poke.notify_one();
    }

    /// Submits the tasks of due slots while this node leads.
    pub(super) async fn run(&self) {
        let mut status = self.caller.status.clone();
        loop {
            if status.wait_for(|status| status.leads).await.is_err() {
                // The node is being stopped, and this task with it.
                std::future::pending::<()>().await;
            }
            let pause = match self.look().await {
                Ok(pause) => pause.min(LONGEST_PAUSE).max(PAUSE.1),
                Err(why) => {
                    tracing::debug!(error = %why, "cannot look at the schedules; trying again");
                    PAUSE.0
                }
            };
            tokio::select! {
                () = self.poke.notified() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Submits what is due; returns when the next slot comes.
    async fn look(&self) -> Result<Duration, Error> {
        let read = ReadSchedules { id: None, due: true, limit: PAGE, payloads: true };
        let SchedulesReply { now, first, schedules, .. } = self.caller.repeat(|_| read.clone(), Ok).await?;
        let more = !schedules.is_empty();
        let mut trouble = false;
        for schedule in schedules {
            trouble |= !self.fire(schedule, now).await?;
        }
        if trouble {
            return Ok(PAUSE.0);
        }
        Ok(if more { Duration::ZERO } else { first.map_or(Duration::MAX, |first| first.since(now)) })
    }

    /// Submits the tasks of a schedule's slots; whether the schedule moved on.
    async fn fire(&self, schedule: Schedule, now: ServerTime) -> Result<bool, Error> {
        let Schedule { id, definition, version, next, .. } = &schedule;
        let Some(slot) = *next else { return Ok(true) };
        let times = match Times::of(&definition.recurrence) {
            Ok(times) => times,
            Err(why) => {
                // Stored by another version.
                if let Some(unsaid) = self.warned.due() {
                    tracing::warn!(schedule = %id, parameter = why.parameter, problem = why.problem, unsaid, "cannot read a schedule; another node may");
                }
                return Ok(false);
            }
        };
        let Some(Plan { slots, next }) = plan(&times, definition.missed, slot, now) else { return Ok(true) };
        let tasks = slots.iter().map(|slot| self.task(&schedule, *slot)).collect::<Result<Vec<_>, _>>()?;
        if slots.is_empty() {
            tracing::info!(schedule = %id, missed = definition.missed.word(), "a schedule's slots were missed and are left out, as its policy says");
        }
        let fire = |instance| FireSchedule {
            instance,
            id: id.clone(),
            version: version.clone(),
            slot,
            next,
            tasks: tasks.clone(),
            max_bytes: self.max_bytes,
        };
        let judge = |reply: FireReply| known(reply.identity, reply.outcome);
        match self.caller.repeat(fire, judge).await? {
            Fired::Done(_) | Fired::Stale => Ok(true),
            Fired::Refused(results) => {
                if let Some(unsaid) = self.warned.due() {
                    tracing::warn!(schedule = %id, ?results, unsaid, "a schedule's task has no room; trying again");
                }
                Ok(false)
            }
        }
    }

    fn task(&self, schedule: &Schedule, slot: ServerTime) -> Result<NewTask, Error> {
        let Schedule { id, definition, payload, .. } = schedule;
        let definition = definition.clone();
        Ok(NewTask {
            id: task_id(id, slot).map_err(|why| Error::Internal(why.to_string()))?,
            kind: definition.kind,
            payload: payload.clone().unwrap_or_default(),
            requires: definition.requires,
            priority: definition.priority,
            delay: definition.delay,
            max_attempts: definition.max_attempts,
            timeout: definition.timeout,
            after: Vec::new(),
            concurrency: definition.concurrency,
            origin: Some(Origin { schedule: id.clone(), slot }),
            nonce: nonce()?,
        })
    }

    /// Reads one schedule, and the server's time.
    async fn read(&self, id: &ScheduleId) -> Result<(ServerTime, Option<Schedule>), Error> {
        let read = ReadSchedules { id: Some(id.clone()), due: false, limit: 1, payloads: true };
        let reply = self.caller.repeat(|_| read.clone(), Ok).await?;
        Ok((reply.now, reply.schedules.into_iter().next()))
    }

    async fn put(&self, draft: &ScheduleDraft) -> Result<Option<Planned>, Error> {
        let (now, there) = self.read(&draft.id).await?;
        let mut definition = draft.definition.clone();
        let same = |there: &Schedule| match (&there.definition.recurrence, &definition.recurrence) {
            (Recurrence::Every { period: old, .. }, Recurrence::Every { period, .. }) => old == period,
            (old, new) => old == new,
        };
        let kept = there.as_ref().filter(|there| same(there));
        if let Some(kept) = kept {
            definition.recurrence = kept.definition.recurrence.clone();
        } else if let Recurrence::Every { anchor, .. } = &mut definition.recurrence {
            *anchor = now;
        }
        let times = Times::of(&definition.recurrence).map_err(|why| Error::InvalidParams(why.problem))?;
        let next = kept.and_then(|kept| kept.next).or_else(|| times.after(now)).ok_or_else(|| {
            Error::InvalidParams("parameter cron: it names no time that is still to come; correct it".to_owned())
        })?;
        let (paused, replaced) = (there.as_ref().is_some_and(|there| there.paused), there.is_some());
        let planned = Planned { id: draft.id.clone(), next: (!paused).then_some(next), paused, replaced };
        let payload = draft.payload.get().to_owned();
        let as_before = |there: &Schedule| there.definition == definition && there.payload.as_deref() == Some(&payload);
        if there.as_ref().is_some_and(as_before) {
            return Ok(Some(planned));
        }
        let (version, replaces) = (nonce()?, there.map(|there| there.version));
        let call = |instance| PutSchedule {
            instance,
            id: draft.id.clone(),
            definition: definition.clone(),
            payload: payload.clone(),
            version: version.clone(),
            replaces: replaces.clone(),
            next,
        };
        match self.caller.repeat(call, |reply: PutReply| known(reply.identity, reply.outcome)).await? {
            Put::Stored => Ok(Some(planned)),
            Put::Changed => Ok(None),
            Put::Full => {
                let (most, bytes) = SCHEDULES;
                let what = format!(
                    "the schedules have reached their limit of {most} and of {bytes} bytes of payloads; delete some, or pass references instead of \
                     large payloads"
                );
                Err(Error::Overloaded { what, retry_after: RETRY_AFTER })
            }
        }
    }

    async fn set_paused(&self, id: &ScheduleId, paused: bool) -> Result<Option<Planned>, Error> {
        let (now, there) = self.read(id).await?;
        let Some(there) = there else { return Err(no_schedule(id)) };
        let next = match (paused, there.paused) {
            (true, _) => None,
            (false, false) => there.next,
            // Slots that passed meanwhile were not missed: they were paused.
            (false, true) => Times::of(&there.definition.recurrence).ok().and_then(|times| times.after(now)),
        };
        let planned = Planned { id: id.clone(), next, paused, replaced: true };
        if paused == there.paused {
            return Ok(Some(planned));
        }
        let call = PauseSchedule { id: id.clone(), version: there.version, paused, next };
        let outcome = self.caller.repeat(|_| call.clone(), Ok).await?;
        Ok((outcome == Put::Stored).then_some(planned))
    }
}

fn no_schedule(id: &ScheduleId) -> Error {
    Error::NoSchedule { schedule_id: id.clone() }
}

fn busy() -> Error {
    let what = "others change this schedule at the same time; try again".to_owned();
    Error::Overloaded { what, retry_after: RETRY_AFTER }
}

impl handle::Schedules for Schedules {
    async fn schedule(&self, draft: ScheduleDraft) -> Result<Planned, Error> {
        let bytes = draft.payload.get().len();
        if bytes > CONTENT_MAX {
            return Err(Error::TooLarge { what: "payload", bytes, max: CONTENT_MAX });
        }
        // Fails at once where the node is no member.
        self.caller.instance(clock::now() + crate::engine::store_calls::RETRY_FOR).await?;
        for _ in 0..ATTEMPTS {
            if let Some(planned) = self.put(&draft).await? {
                return Ok(planned);
            }
        }
        Err(busy())
    }

    async fn schedules(&self, id: Option<ScheduleId>, limit: u32) -> Result<Listing, Error> {
        if let Some(id) = id {
            let (_, there) = self.read(&id).await?;
            return there.map(|there| Listing { schedules: vec![there], more: false }).ok_or_else(|| no_schedule(&id));
        }
        let limit = limit.clamp(1, BATCH_MAX);
        let read = ReadSchedules { id: None, due: false, limit, payloads: false };
        let SchedulesReply { schedules, count, .. } = self.caller.repeat(|_| read.clone(), Ok).await?;
        let more = count > u64::from(limit);
        Ok(Listing { schedules, more })
    }

    async fn pause(&self, id: ScheduleId, paused: bool) -> Result<Planned, Error> {
        for _ in 0..ATTEMPTS {
            if let Some(planned) = self.set_paused(&id, paused).await? {
                return Ok(planned);
            }
        }
        Err(busy())
    }

    async fn delete(&self, id: ScheduleId) -> Result<(), Error> {
        let call = DeleteSchedule { id: id.clone() };
        let deleted = self.caller.repeat(|_| call.clone(), Ok).await?;
        if deleted { Ok(()) } else { Err(no_schedule(&id)) }
    }
}

/// Whether a definition can be planned; used where clients' parameters are checked.
///
/// # Errors
/// [`calendar::NoCalendar`] names the parameter that is wrong.
pub fn check(definition: &Definition) -> Result<(), calendar::NoCalendar> {
    Times::of(&definition.recurrence).map(drop)
}
