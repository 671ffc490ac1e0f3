//! Schedules: tasks that come again by the clock; the parts that need no store and no calendar.
//!
//! 1. A slot is a time for which a schedule has a task. Each slot has at most one task, whose id is derived from both.
//! 2. What becomes of slots that passed unnoticed is decided here, by the policy of the schedule.
//!
//! Not here: which times a cron expression names (`crate::engine::schedules`), the transitions (`protocol/schedule.rs`).

use super::task::{Concurrency, Priority, Requirements, ScheduleId, TaskId, TaskKind};
use super::time::ServerTime;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The shortest and the longest period of a schedule.
pub const PERIOD: (Duration, Duration) = (Duration::from_millis(100), Duration::from_hours(24 * 366));

/// How late a slot may be noticed without counting as missed: longer than a new leader takes.
pub const LATE: Duration = Duration::from_secs(60);

/// The maximum number of tasks that are submitted at a time for slots that passed.
pub const CAUGHT_UP: usize = 100;

/// The maximum number of schedules, and the maximum size of their payloads together, in bytes.
pub const SCHEDULES: (usize, u64) = (10_000, 64 * 1024 * 1024);

/// When the tasks of a schedule come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recurrence {
    /// By a calendar.
    Cron {
        /// The cron expression.
        expression: String,
        /// The name of the time zone.
        zone: String,
    },
    /// In equal steps.
    Every {
        /// The step, within [`PERIOD`].
        period: Duration,
        /// A time from which they are counted.
        anchor: ServerTime,
    },
}

/// What becomes of slots that passed while nobody could submit their tasks, by more than [`LATE`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Missed {
    /// They are left out.
    #[default]
    Skip,
    /// The last of them gets its task, the others do not.
    Once,
    /// Each of them gets its task, the oldest first.
    All,
}

impl Missed {
    /// The word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Skip => "skip",
            Self::Once => "once",
            Self::All => "all",
        }
    }
}

/// What a schedule submits, and when.
#[derive(Debug, Clone, PartialEq)]
pub struct Definition {
    /// When.
    pub recurrence: Recurrence,
    /// What becomes of missed slots.
    pub missed: Missed,
    /// The kind of the tasks.
    pub kind: TaskKind,
    /// Their requirements on a node.
    pub requires: Requirements,
    /// Their priority.
    pub priority: Priority,
    /// Their delay.
    pub delay: Duration,
    /// Their maximum number of attempts.
    pub max_attempts: u32,
    /// The timeout of an attempt.
    pub timeout: Duration,
    /// How many of them may run at once.
    pub concurrency: Option<Concurrency>,
}

/// The id of the task for a slot.
///
/// # Errors
/// Never for a [`ScheduleId`], which leaves room for the time.
pub fn task_id(schedule: &ScheduleId, slot: ServerTime) -> Result<TaskId, super::ids::InvalidId> {
    TaskId::new(format!("{schedule}@{}", slot.0))
}

/// Which times a schedule names.
pub trait Calendar {
    /// The first slot after a time; `None`: there is none.
    fn after(&self, at: ServerTime) -> Option<ServerTime>;

    /// The last slot until a time, which included; `None`: there is none.
    fn until(&self, at: ServerTime) -> Option<ServerTime>;
}

/// What is to be done about a schedule at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The slots that get their tasks now, oldest first.
    pub slots: Vec<ServerTime>,
    /// The slot after them.
    pub next: Option<ServerTime>,
}

/// What is to be done at `now` about a schedule whose next slot is `next`; `None`: nothing yet.
#[must_use]
pub fn plan(calendar: &impl Calendar, missed: Missed, next: ServerTime, now: ServerTime) -> Option<Plan> {
    if next > now {
        return None;
    }
    // The rules of a time zone may have changed since `next` was stored: it counts as a slot all the same.
    let last = calendar.until(now).filter(|last| *last > next).unwrap_or(next);
    let late = now.since(last) > LATE;
    let slots = match missed {
        Missed::Skip if late => Vec::new(),
        Missed::Skip | Missed::Once => vec![last],
        Missed::All => {
            let following = std::iter::successors(Some(next), |slot| calendar.after(*slot));
            following.take_while(|slot| *slot <= now).take(CAUGHT_UP).collect()
        }
    };
    let from = if missed == Missed::All { slots.last().copied().unwrap_or(now) } else { now };
    Some(Plan { slots, next: calendar.after(from) })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every `0` milliseconds, from 0.
    struct Every(u64);

    impl Calendar for Every {
        fn after(&self, at: ServerTime) -> Option<ServerTime> {
            Some(ServerTime((at.0 / self.0 + 1) * self.0))
        }

        fn until(&self, at: ServerTime) -> Option<ServerTime> {
            Some(ServerTime(at.0 / self.0 * self.0))
        }
    }

    fn planned(missed: Missed, every: u64, next: u64, now: u64) -> Option<(Vec<u64>, u64)> {
        let plan = plan(&Every(every), missed, ServerTime(next), ServerTime(now))?;
        Some((plan.slots.iter().map(|slot| slot.0).collect(), plan.next.unwrap().0))
    }

    const HOUR: u64 = 3_600_000;
    const ALL: [Missed; 3] = [Missed::Skip, Missed::Once, Missed::All];

    #[test]
    fn nothing_comes_before_its_time_and_a_slot_that_is_on_time_comes_whatever_the_policy() {
        for missed in ALL {
            assert_eq!(planned(missed, HOUR, 2 * HOUR, 2 * HOUR - 1), None);
            for late in [0, 1, 30_000, 60_000] {
                assert_eq!(planned(missed, HOUR, 2 * HOUR, 2 * HOUR + late), Some((vec![2 * HOUR], 3 * HOUR)));
            }
        }
    }

    #[test]
    fn the_policy_decides_about_slots_that_were_missed() {
        let now = 5 * HOUR + 600_000;
        assert_eq!(planned(Missed::Skip, HOUR, 2 * HOUR, now), Some((vec![], 6 * HOUR)));
        assert_eq!(planned(Missed::Once, HOUR, 2 * HOUR, now), Some((vec![5 * HOUR], 6 * HOUR)));
        let each = (2..=5).map(|n| n * HOUR).collect();
        assert_eq!(planned(Missed::All, HOUR, 2 * HOUR, now), Some((each, 6 * HOUR)));
        assert_eq!(
            planned(Missed::Skip, HOUR, 2 * HOUR, 5 * HOUR + 100),
            Some((vec![5 * HOUR], 6 * HOUR)),
            "one is on time"
        );
    }

    #[test]
    fn many_slots_are_caught_up_with_in_pieces() {
        let (mut next, mut all) = (1000, Vec::new());
        while let Some((slots, then)) = planned(Missed::All, 1000, next, 250_500) {
            assert!(slots.len() <= CAUGHT_UP);
            all.extend(slots);
            next = then;
        }
        assert_eq!((all.len(), next), (250, 251_000));
        assert!(all.windows(2).all(|pair| pair[1] == pair[0] + 1000));
    }
}
