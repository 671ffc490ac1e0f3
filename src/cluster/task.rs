//! Tasks: pieces of work, each done by one of many members; the parts that need no store.
//!
//! 1. A [`TaskId`], [`TaskKind`], [`Priority`] or [`Jitter`] is checked when it is created; the first two are safe in a
//!    Redis key and a log line, and contain no space.
//! 2. `payload` and `result` are JSON text that was valid when it came in; no layer below `rpc` parses them.
//!
//! Not here: the transitions of a task (`crate::cluster::protocol::task`).

use super::ids::{NodeId, checked_text};
use super::time::ServerTime;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// The maximum size of a payload or a result, in bytes.
pub const CONTENT_MAX: usize = 1024 * 1024;

/// The maximum length of an error text, in bytes; callers cut longer ones.
pub const ERROR_MAX: usize = 4096;

/// The maximum number of tasks that one call submits, claims, settles or lists.
pub const BATCH_MAX: u32 = 1000;

/// A claim takes no further task once its tasks have this many bytes of payload, which bounds the answer.
pub const CLAIM_BYTES: usize = 2 * CONTENT_MAX;

/// The maximum number of attempts that a task can have.
pub const ATTEMPTS_MAX: u32 = 1000;

/// The shortest timeout of an attempt.
pub const TIMEOUT_MIN: Duration = Duration::from_millis(100);

/// The longest timeout of an attempt without an extension.
pub const TIMEOUT_MAX: Duration = Duration::from_secs(7 * 86_400);

/// The longest delay of a new task.
pub const DELAY_MAX: Duration = Duration::from_secs(365 * 86_400);

/// The maximum size of [`Requirements`] as text, in bytes.
pub const REQUIREMENTS_MAX: usize = 8192;

/// The maximum number of tasks that must be done before another one.
pub const AFTER_MAX: usize = 100;

/// The maximum of [`Concurrency::max`].
pub const CONCURRENCY_MAX: u32 = 10_000;

/// A number that is not a valid priority.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("priority {0} is not allowed: use -1000 to 1000")]
pub struct InvalidPriority(i64);

checked_text!(
    /// The id of a task, unique in the cluster while the task is kept: 1 to 128 printable ASCII characters without spaces.
    TaskId, "task id", 128, Graphic
);
checked_text!(
    /// The kind of work of a task; workers claim by kind. 1 to 128 printable ASCII characters without spaces.
    TaskKind, "kind", 128, Graphic
);

checked_text!(
    /// What tasks that must not all run at once have in common. 1 to 128 printable ASCII characters without spaces.
    ConcurrencyKey, "concurrency key", 128, Graphic
);
checked_text!(
    /// The id of a schedule, unique in the cluster. 1 to 100 printable ASCII characters without spaces, so that the ids of
    /// its tasks, which have the slot's time appended, are task ids.
    ScheduleId, "schedule id", 100, Graphic
);

/// How many tasks with one key may run at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Concurrency {
    /// The key.
    pub key: ConcurrencyKey,
    /// The maximum, 1 to [`CONCURRENCY_MAX`]; each task is judged by its own.
    pub max: u32,
}

/// The schedule that a task comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The schedule.
    pub schedule: ScheduleId,
    /// The time of the schedule that the task is for.
    pub slot: ServerTime,
}

/// What a waiting task waits for besides a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blocked {
    /// Tasks that must be done first.
    After,
    /// That fewer tasks with its concurrency key run.
    Concurrency,
}

/// The requirements on a member that gets a task; empty: none.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Requirements {
    /// The member must have all of these.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub capabilities: BTreeSet<String>,
    /// The member must have all of these, with exactly these values.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// The member must have this id, or have had it before a rename.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_id: Option<NodeId>,
}

impl Requirements {
    /// The canonical JSON text: equal for equal requirements, and empty without any.
    #[must_use]
    pub fn canonical(&self) -> String {
        if *self == Self::default() {
            return String::new();
        }
        // A struct of texts can always be written as JSON.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Parses [`Requirements::canonical`]; `None`: the text is not valid.
    #[must_use]
    pub fn from_canonical(text: &str) -> Option<Self> {
        if text.is_empty() { Some(Self::default()) } else { serde_json::from_str(text).ok() }
    }
}

/// The priority of a task: -1000 to 1000, higher ones are claimed first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(try_from = "i64", into = "i64")]
pub struct Priority(i16);

impl Priority {
    /// Checks a number and converts it.
    ///
    /// # Errors
    /// [`InvalidPriority`] when it is outside of -1000 to 1000.
    pub fn new(number: i64) -> Result<Self, InvalidPriority> {
        match i16::try_from(number) {
            Ok(small) if (-1000..=1000).contains(&small) => Ok(Self(small)),
            _ => Err(InvalidPriority(number)),
        }
    }

    /// The number.
    #[must_use]
    pub fn get(self) -> i64 {
        i64::from(self.0)
    }
}

impl TryFrom<i64> for Priority {
    type Error = InvalidPriority;
    fn try_from(number: i64) -> Result<Self, InvalidPriority> {
        Self::new(number)
    }
}

impl From<Priority> for i64 {
    fn from(priority: Priority) -> i64 {
        priority.get()
    }
}

/// The state of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TaskState {
    /// The task is ready for a worker.
    Waiting,
    /// The task becomes ready later.
    Delayed,
    /// A worker has claimed the task.
    Running,
    /// The task was completed.
    Done,
    /// The task failed for good, or was cancelled.
    Failed,
    /// The task used up its attempts.
    Dead,
}

impl TaskState {
    /// All states.
    pub const ALL: [Self; 6] = [Self::Waiting, Self::Delayed, Self::Running, Self::Done, Self::Failed, Self::Dead];

    /// The word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Delayed => "delayed",
            Self::Running => "running",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Dead => "dead",
        }
    }

    /// The state for a word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.word() == word)
    }
}

/// The random part of a backoff, in thousandths: 0 halves it, 1000 leaves it whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Jitter(u16);

impl Jitter {
    /// A jitter from any random number.
    #[must_use]
    pub fn from_random(random: u64) -> Self {
        Self(u16::try_from(random % 1001).unwrap_or(0))
    }

    /// A jitter from the bytes of a random text.
    #[must_use]
    pub fn from_text(text: &str) -> Self {
        Self::from_random(text.bytes().fold(0, |sum, byte| (sum * 31 + u64::from(byte)) % 1_000_003))
    }

    /// The thousandths.
    #[must_use]
    pub fn thousandths(self) -> u16 {
        self.0
    }
}

/// How long a task waits after its failed attempt number `attempts`, in whole milliseconds: one second, doubled with every
/// attempt up to one minute, times 0.5 to 1.
#[must_use]
pub fn backoff(attempts: u32, jitter: Jitter) -> Duration {
    let whole =
        1000u64.checked_shl(attempts.saturating_sub(1)).filter(|ms| attempts < 8 && *ms < 60_000).unwrap_or(60_000);
    Duration::from_millis(whole * (1000 + u64::from(jitter.0)) / 2000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_printable_and_without_spaces() {
        for bad in ["", "a b", "a\n", "ü", "\u{7f}", &"x".repeat(129)] {
            assert!(TaskId::new(bad).is_err() && TaskKind::new(bad).is_err(), "{bad:?} was taken");
        }
        for good in ["a", "{mail}:42/x", "~!", &"x".repeat(128)] {
            assert_eq!(TaskId::new(good).map(String::from), Ok(good.to_owned()));
        }
    }

    #[test]
    fn equal_requirements_have_one_text_and_none_has_none() {
        assert_eq!(Requirements::default().canonical(), "");
        let text = r#"{"capabilities":["b","a","a"],"labels":{"z":"1","y":"2"},"node_id":"n"}"#;
        let read: Requirements = serde_json::from_str(text).unwrap();
        let canonical = read.canonical();
        assert_eq!(canonical, r#"{"capabilities":["a","b"],"labels":{"y":"2","z":"1"},"node_id":"n"}"#);
        assert_eq!(Requirements::from_canonical(&canonical), Some(read));
        assert_eq!(Requirements::from_canonical("{"), None);
    }

    #[test]
    fn the_backoff_doubles_up_to_a_minute_and_is_at_most_halved() {
        let ms = |attempts, random| backoff(attempts, Jitter::from_random(random)).as_millis();
        let whole: Vec<u128> = (1..10).map(|attempts| ms(attempts, 1000)).collect();
        assert_eq!(whole, [1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000, 60_000]);
        assert_eq!((ms(1, 0), ms(7, 0), ms(u32::MAX, 0), ms(0, 500)), (500, 30_000, 30_000, 750));
    }

    #[test]
    fn priorities_have_bounds() {
        assert!(Priority::new(1001).is_err() && Priority::new(-1001).is_err() && Priority::new(1 << 40).is_err());
        assert_eq!(Priority::new(-1000).map(Priority::get), Ok(-1000));
    }
}
