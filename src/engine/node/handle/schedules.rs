//! Schedules, as the outer layers use them.
//!
//! Not here: the work itself (`crate::engine::schedules`).

use crate::cluster::protocol::Schedule;
use crate::cluster::schedule::Definition;
use crate::cluster::task::ScheduleId;
use crate::cluster::time::ServerTime;
use crate::engine::error::Error;
use serde_json::value::RawValue;

/// A schedule to store.
#[derive(Debug, Clone)]
pub struct ScheduleDraft {
    /// The id of the schedule.
    pub id: ScheduleId,
    /// What it submits, and when; the anchor of equal steps is chosen by the node.
    pub definition: Definition,
    /// The payload of its tasks.
    pub payload: Box<RawValue>,
}

/// A schedule as it was stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// The id of the schedule.
    pub id: ScheduleId,
    /// Its next slot; `None`: it is paused, or no slot is left.
    pub next: Option<ServerTime>,
    /// Whether it is paused.
    pub paused: bool,
    /// Whether it existed before.
    pub replaced: bool,
}

/// Some schedules.
#[derive(Debug, Clone, PartialEq)]
pub struct Listing {
    /// The schedules, by their next slots.
    pub schedules: Vec<Schedule>,
    /// Whether there are more.
    pub more: bool,
}

/// The part of a node that keeps schedules.
pub trait Schedules: Send + Sync + 'static {
    /// Stores a schedule, or replaces the one with its id.
    fn schedule(&self, draft: ScheduleDraft) -> impl Future<Output = Result<Planned, Error>> + Send;
    /// One schedule with its payload, or many without.
    fn schedules(&self, id: Option<ScheduleId>, limit: u32) -> impl Future<Output = Result<Listing, Error>> + Send;
    /// Pauses a schedule, or lets it go on.
    fn pause(&self, id: ScheduleId, paused: bool) -> impl Future<Output = Result<Planned, Error>> + Send;
    /// Removes a schedule.
    fn delete(&self, id: ScheduleId) -> impl Future<Output = Result<(), Error>> + Send;
}
