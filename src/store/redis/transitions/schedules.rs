//! Schedules.
//!
//! 1. A definition is kept as JSON text. Fields that a version does not know are ignored; a schedule that cannot be read is skipped.

use super::tasks::{put_tasks, submitted};
use super::{Context, Scripted};
use crate::cluster::ids::Nonce;
use crate::cluster::protocol::{
    DeleteSchedule, FireReply, FireSchedule, Fired, PauseSchedule, Put, PutReply, PutSchedule, ReadSchedules, Schedule,
    SchedulesReply,
};
use crate::cluster::schedule::{Definition, Missed, Recurrence, SCHEDULES};
use crate::cluster::task::{Concurrency, ConcurrencyKey, Priority, Requirements, ScheduleId, TaskId, TaskKind};
use crate::cluster::time::{ServerTime, millis};
use crate::store::redis::arguments::Arguments;
use crate::store::redis::fields::{Fields, Malformed, identity, time};
use crate::store::redis::scripts::{self, Script};
use crate::store::redis::unreadable::What;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A definition as it is stored.
#[derive(Serialize, Deserialize)]
struct Stored {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cron: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tz: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    every_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    anchor_ms: Option<u64>,
    missed: Missed,
    kind: TaskKind,
    #[serde(default)]
    requires: Requirements,
    priority: Priority,
    delay_ms: u64,
    max_attempts: u32,
    timeout_ms: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    concurrency_key: Option<ConcurrencyKey>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max_concurrent: Option<u32>,
}

fn text_of(definition: &Definition) -> String {
    let Definition { recurrence, concurrency, .. } = definition;
    let (cron, tz, every_ms, anchor_ms) = match recurrence {
        Recurrence::Cron { expression, zone } => (Some(expression.clone()), Some(zone.clone()), None, None),
        Recurrence::Every { period, anchor } => (None, None, Some(millis(*period)), Some(anchor.0)),
    };
    let stored = Stored {
        cron,
        tz,
        every_ms,
        anchor_ms,
        missed: definition.missed,
        kind: definition.kind.clone(),
        requires: definition.requires.clone(),
        priority: definition.priority,
        delay_ms: millis(definition.delay),
        max_attempts: definition.max_attempts,
        timeout_ms: millis(definition.timeout),
        concurrency_key: concurrency.as_ref().map(|limit| limit.key.clone()),
        max_concurrent: concurrency.as_ref().map(|limit| limit.max),
    };
    // A struct of texts and numbers can always be written as JSON.
    serde_json::to_string(&stored).unwrap_or_default()
}

fn definition_of(text: &str) -> Option<Definition> {
    let stored: Stored = serde_json::from_str(text).ok()?;
    let recurrence = match (stored.cron, stored.every_ms) {
        (Some(expression), _) => Recurrence::Cron { expression, zone: stored.tz? },
        (None, Some(every)) => {
            Recurrence::Every { period: Duration::from_millis(every), anchor: ServerTime(stored.anchor_ms?) }
        }
        (None, None) => return None,
    };
    let concurrency = stored.concurrency_key.zip(stored.max_concurrent).map(|(key, max)| Concurrency { key, max });
    Some(Definition {
        recurrence,
        missed: stored.missed,
        kind: stored.kind,
        requires: stored.requires,
        priority: stored.priority,
        delay: Duration::from_millis(stored.delay_ms),
        max_attempts: stored.max_attempts,
        timeout: Duration::from_millis(stored.timeout_ms),
        concurrency,
    })
}

fn put_outcome(f: &mut Fields) -> Result<Put, Malformed> {
    match f.text("outcome")?.as_str() {
        "stored" => Ok(Put::Stored),
        "changed" => Ok(Put::Changed),
        "full" => Ok(Put::Full),
        other => Err(Malformed(format!("unknown outcome {other:?}"))),
    }
}

impl Scripted for PutSchedule {
    const SCRIPT: &'static Script = &scripts::SCHEDULE_PUT;

    fn arguments(&self, arguments: &mut Arguments, _: &Context<'_>) {
        arguments.put_instance(&self.instance);
        arguments.put("id", &self.id);
        arguments.put("version", &self.version);
        arguments.put("replaces", &self.replaces);
        arguments.put("next", &self.next.0);
        arguments.put("most", &SCHEDULES.0);
        arguments.put("most_bytes", &SCHEDULES.1);
        arguments.put("definition", &text_of(&self.definition));
        arguments.put("payload", &self.payload);
    }

    fn is_bulky(&self) -> bool {
        self.payload.len() > 65_536
    }

    fn read(&self, f: &mut Fields) -> Result<PutReply, Malformed> {
        Ok(PutReply { identity: identity(f)?, outcome: put_outcome(f)? })
    }
}

impl Scripted for ReadSchedules {
    const SCRIPT: &'static Script = &scripts::SCHEDULE_READ;

    fn arguments(&self, arguments: &mut Arguments, _: &Context<'_>) {
        arguments.put("id", &self.id);
        arguments.put("due", &self.due);
        arguments.put("limit", &self.limit);
        arguments.put("payloads", &self.payloads);
    }

    fn read(&self, f: &mut Fields) -> Result<SchedulesReply, Malformed> {
        let now = time(f)?;
        let first = f.number("first slot")?;
        let count = f.number("count")?;
        let mut list = f.list("schedules")?;
        let mut schedules = Vec::with_capacity(list.len() / 9);
        while list.len() > 0 {
            let (id, definition, payload) = (list.text("id")?, list.text("definition")?, list.text("payload")?);
            let (version, next) = (list.text("version")?, list.number("next")?);
            let paused = list.flag("paused")?;
            let (last, task, runs) = (list.number("last slot")?, list.optional("last task")?, list.number("runs")?);
            let read = || {
                Some(Schedule {
                    id: ScheduleId::new(id.as_str()).ok()?,
                    definition: definition_of(&definition)?,
                    payload: self.payloads.then_some(payload),
                    version: Nonce::new(version).ok()?,
                    next: (next > 0).then_some(ServerTime(next)),
                    paused,
                    last: task.and_then(|task| Some((ServerTime(last), TaskId::new(task).ok()?))),
                    runs,
                })
            };
            match read() {
                Some(schedule) => schedules.push(schedule),
                None => What::Task.left_out(&id, "it is no schedule that this version knows"),
            }
        }
        Ok(SchedulesReply { now, first: (first > 0).then_some(ServerTime(first)), count, schedules })
    }
}

impl Scripted for PauseSchedule {
    const SCRIPT: &'static Script = &scripts::SCHEDULE_PAUSE;

    fn arguments(&self, arguments: &mut Arguments, _: &Context<'_>) {
        arguments.put("id", &self.id);
        arguments.put("version", &self.version);
        arguments.put("paused", &self.paused);
        arguments.put("next", &self.next.map_or(0, |next| next.0));
    }

    fn read(&self, f: &mut Fields) -> Result<Put, Malformed> {
        put_outcome(f)
    }
}

impl Scripted for DeleteSchedule {
    const SCRIPT: &'static Script = &scripts::SCHEDULE_DELETE;

    fn arguments(&self, arguments: &mut Arguments, _: &Context<'_>) {
        arguments.put("id", &self.id);
    }

    fn read(&self, f: &mut Fields) -> Result<bool, Malformed> {
        f.flag("deleted")
    }
}

impl Scripted for FireSchedule {
    const SCRIPT: &'static Script = &scripts::SCHEDULE_FIRE;

    fn arguments(&self, arguments: &mut Arguments, _: &Context<'_>) {
        let last = self.tasks.last().and_then(|task| task.origin.as_ref()).map_or(0, |origin| origin.slot.0);
        arguments.put_instance(&self.instance);
        arguments.put("schedule", &self.id);
        arguments.put("version", &self.version);
        arguments.put("slot", &self.slot.0);
        arguments.put("next", &self.next.map_or(0, |next| next.0));
        arguments.put("last", &last);
        arguments.put("max_bytes", &self.max_bytes);
        put_tasks(arguments, &self.tasks);
    }

    fn is_bulky(&self) -> bool {
        self.tasks.iter().map(|task| task.payload.len()).sum::<usize>() > 65_536
    }

    fn read(&self, f: &mut Fields) -> Result<FireReply, Malformed> {
        let identity = identity(f)?;
        let outcome = f.text("outcome")?;
        let results = submitted(f)?;
        let outcome = match outcome.as_str() {
            "done" => Fired::Done(results),
            "refused" => Fired::Refused(results),
            "stale" => Fired::Stale,
            other => return Err(Malformed(format!("unknown outcome {other:?}"))),
        };
        Ok(FireReply { identity, outcome })
    }
}
