//! The transitions of schedules: put, read, pause, delete, and submit the tasks of their slots.
//!
//! 1. A schedule moves from one slot to the next together with the submission of that slot's task: of two nodes that do so, the
//!    second finds the schedule moved, and does nothing. So each slot has one task, whoever leads, and however often.
//! 2. A definition that is put anew has another version; what was decided for an earlier one does nothing.
//!
//! Not here: which slots there are (`crate::engine::schedules`), what becomes of missed ones (`crate::cluster::schedule`).

use super::data_set::{Identity, Instance};
use super::task::{NewTask, Submitted};
use crate::cluster::ids::Nonce;
use crate::cluster::schedule::Definition;
use crate::cluster::task::{ScheduleId, TaskId};
use crate::cluster::time::ServerTime;

/// Stores a schedule.
#[derive(Debug, Clone, PartialEq)]
pub struct PutSchedule {
    /// The caller.
    pub instance: Instance,
    /// The id of the schedule.
    pub id: ScheduleId,
    /// The new definition.
    pub definition: Definition,
    /// The payload of its tasks, as JSON text of at most [`crate::cluster::task::CONTENT_MAX`] bytes.
    pub payload: String,
    /// The version of the new definition; a repeated call with it changes nothing more.
    pub version: Nonce,
    /// The version that it replaces; `None`: there must be none.
    pub replaces: Option<Nonce>,
    /// Its next slot, unless it is paused.
    pub next: ServerTime,
}

/// The answer to [`PutSchedule`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PutReply {
    /// Whether the store knows the caller; otherwise nothing happened.
    pub identity: Identity,
    /// The outcome.
    pub outcome: Put,
}

/// The outcome of [`PutSchedule`] and [`PauseSchedule`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Put {
    /// It is stored.
    Stored,
    /// Another version is there, or none: nothing was changed.
    Changed,
    /// There are too many schedules, or their payloads are too large: nothing was changed.
    Full,
}

/// Reads schedules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadSchedules {
    /// Only this one.
    pub id: Option<ScheduleId>,
    /// Only those whose next slot has come, the earliest first; otherwise in the order of their next slots, paused ones last.
    pub due: bool,
    /// The maximum number of schedules, at most [`crate::cluster::task::BATCH_MAX`].
    pub limit: u32,
    /// Whether their payloads are read, too.
    pub payloads: bool,
}

/// The answer to [`ReadSchedules`].
#[derive(Debug, Clone, PartialEq)]
pub struct SchedulesReply {
    /// The server's time.
    pub now: ServerTime,
    /// The earliest slot of all schedules; `None`: none will come.
    pub first: Option<ServerTime>,
    /// How many schedules there are.
    pub count: u64,
    /// The schedules.
    pub schedules: Vec<Schedule>,
}

/// A schedule.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    /// Its id.
    pub id: ScheduleId,
    /// What it submits, and when.
    pub definition: Definition,
    /// The payload of its tasks, if it was asked for.
    pub payload: Option<String>,
    /// The version of the definition.
    pub version: Nonce,
    /// Its next slot; `None`: it is paused, or no slot is left.
    pub next: Option<ServerTime>,
    /// Whether it is paused.
    pub paused: bool,
    /// The last slot that got a task, and that task.
    pub last: Option<(ServerTime, TaskId)>,
    /// How many tasks it has submitted.
    pub runs: u64,
}

/// Pauses a schedule, or lets it go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PauseSchedule {
    /// The id of the schedule.
    pub id: ScheduleId,
    /// The version that the caller has read.
    pub version: Nonce,
    /// Whether it is paused from now on.
    pub paused: bool,
    /// Its next slot, where it goes on.
    pub next: Option<ServerTime>,
}

/// Removes a schedule; its tasks stay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeleteSchedule {
    /// The id of the schedule.
    pub id: ScheduleId,
}

/// Submits the tasks of slots, and moves the schedule on.
#[derive(Debug, Clone, PartialEq)]
pub struct FireSchedule {
    /// The caller.
    pub instance: Instance,
    /// The id of the schedule.
    pub id: ScheduleId,
    /// The version that the caller has read.
    pub version: Nonce,
    /// The next slot that the caller has read; if it is another one by now, nothing happens.
    pub slot: ServerTime,
    /// The next slot from now on; `None`: none is left.
    pub next: Option<ServerTime>,
    /// The tasks, at most [`crate::cluster::schedule::CAUGHT_UP`]; none: the slots are left out.
    pub tasks: Vec<NewTask>,
    /// As in [`super::SubmitTasks`].
    pub max_bytes: u64,
}

/// The answer to [`FireSchedule`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FireReply {
    /// Whether the store knows the caller; otherwise nothing happened.
    pub identity: Identity,
    /// The outcome.
    pub outcome: Fired,
}

/// The outcome of [`FireSchedule`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fired {
    /// The tasks are there, and the schedule moved on.
    Done(Vec<Submitted>),
    /// Some tasks have no room: the schedule did not move on, and those that were added are duplicates the next time.
    Refused(Vec<Submitted>),
    /// The schedule has another version or slot, is paused, or is gone.
    Stale,
}

/// A transition of schedules.
#[derive(Debug, Clone, PartialEq)]
pub enum ScheduleCall {
    /// See [`PutSchedule`].
    Put(Box<PutSchedule>),
    /// See [`ReadSchedules`].
    Read(ReadSchedules),
    /// See [`PauseSchedule`].
    Pause(PauseSchedule),
    /// See [`DeleteSchedule`].
    Delete(DeleteSchedule),
    /// See [`FireSchedule`].
    Fire(FireSchedule),
}

/// The store's answer to a [`ScheduleCall`].
#[derive(Debug, Clone, PartialEq)]
pub enum ScheduleReply {
    /// To [`PutSchedule`].
    Put(PutReply),
    /// To [`ReadSchedules`].
    Read(SchedulesReply),
    /// To [`PauseSchedule`].
    Paused(Put),
    /// To [`DeleteSchedule`]: whether there was one.
    Deleted(bool),
    /// To [`FireSchedule`].
    Fired(FireReply),
}
