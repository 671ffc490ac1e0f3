//! Counts data in Redis that this version cannot read, and logs it at most once a minute for each kind.
//!
//! 1. Unreadable data never prevents other data from being read.
//!
//! Not here: reading (`streams.rs`, `transitions/`).

use crate::clock::Seldom;
use std::fmt::Display;
use std::sync::atomic::{AtomicU64, Ordering};

/// A kind of stored data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    /// An entry of the stream of events.
    Event,
    /// An entry of the stream of messages.
    Message,
    /// A row of the member table, or an id in a list of members.
    Member,
    /// A task, or a schedule.
    Task,
    /// A heartbeat in the recent history.
    Sample,
    /// An item of the copy of a transcript.
    Transcript,
}

/// All kinds with their metric labels, in the order of the counters.
const ALL: [(What, &str); 6] = [
    (What::Event, "event"),
    (What::Message, "message"),
    (What::Member, "member"),
    (What::Task, "task"),
    (What::Sample, "sample"),
    (What::Transcript, "transcript"),
];

static COUNTS: [AtomicU64; 6] = [const { AtomicU64::new(0) }; 6];
static LOGGED: [Seldom; 6] = [const { Seldom::new(1) }; 6];

/// How many items of each kind this process could not read.
#[must_use]
pub fn unreadable() -> [(&'static str, u64); 6] {
    let mut at = 0;
    ALL.map(|(_, word)| {
        let count = COUNTS[at].load(Ordering::Relaxed);
        at += 1;
        (word, count)
    })
}

impl What {
    /// Counts an unreadable item, and logs it unless one of this kind was logged within the last minute.
    pub(super) fn left_out(self, id: &str, error: impl Display) {
        let at = ALL.iter().position(|(what, _)| *what == self).unwrap_or(0);
        COUNTS[at].fetch_add(1, Ordering::Relaxed);
        let Some(unlogged) = LOGGED[at].due() else { return };
        let (kind, id) = (ALL[at].1, id.chars().take(80).collect::<String>());
        let more = if unlogged > 0 { format!(" ({unlogged} more since the last such line)") } else { String::new() };
        tracing::warn!(kind, id, %error, "cannot read a {kind} in Redis, skipping it{more}; a newer version or another program wrote it");
    }
}
