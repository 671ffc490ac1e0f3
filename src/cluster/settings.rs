//! The settings of a node and its cluster, as checked values.
//!
//! 1. [`Shared`] belongs to the cluster: its first member writes it, later members adopt it, and only `config push` changes
//!    it.
//! 2. A TTL and a lease are at least three heartbeat intervals long.
//! 3. A takeover waits for the [`Promise`] in the holder's record, never for a setting of the successor.
//!
//! Not here: reading files and variables (`crate::config`).

use std::time::Duration;

/// The timing that all members of a cluster share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// How often a member sends a heartbeat and a leader renews. Raising it lowers the load on Redis and slows down the
    /// detection of failures. Default 10 s.
    pub heartbeat_interval: Duration,
    /// How long a member stays alive after its last heartbeat. Raising it tolerates longer outages and reports a dead host
    /// later. Default 30 s, at least 3 intervals.
    pub heartbeat_ttl: Duration,
    /// How long leadership lasts without a renewal. Raising it tolerates longer outages of Redis and makes the takeover
    /// from a frozen leader slower. Default 30 s, at least 3 intervals.
    pub lease_ttl: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            heartbeat_interval: Duration::from_secs(10),
            heartbeat_ttl: Duration::from_secs(30),
            lease_ttl: Duration::from_secs(30),
        }
    }
}

/// Whether a takeover waits until the old leader has certainly stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LeaderMode {
    /// At most one node considers itself leader at any time.
    #[default]
    Exclusive,
    /// Faster: two nodes may briefly consider themselves leader, and only their terms distinguish them.
    Fenced,
}

impl LeaderMode {
    /// The mode as the configuration spells it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Exclusive => "exclusive",
            Self::Fenced => "fenced",
        }
    }

    /// The mode of a word; `None` for any other text.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Exclusive, Self::Fenced].into_iter().find(|mode| mode.word() == word)
    }
}

/// This node's settings for elections. Mode and grace apply only if it is the first member; see [`Shared`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaderSettings {
    /// Whether this node is a candidate for leader at all.
    pub candidate: bool,
    /// See [`LeaderMode`].
    pub mode: LeaderMode,
    /// How long a node's presence may be gone before the node counts as dead. Default 1 s, at least 100 ms.
    pub presence_grace: Duration,
}

/// The settings of the cluster, on which the safety of all members depends; no node's own configuration decides about them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shared {
    /// Heartbeats and leases.
    pub timing: Timing,
    /// How long a process's presence may be gone before the process counts as stopped. Raising it makes takeovers slower,
    /// and a leader on a slow network more stable. Default 1 s.
    pub presence_grace: Duration,
    /// See [`LeaderMode`].
    pub mode: LeaderMode,
}

impl Default for Shared {
    fn default() -> Self {
        Self::of(Timing::default(), LeaderSettings::default())
    }
}

impl Shared {
    /// The settings from a node's own configuration.
    #[must_use]
    pub fn of(timing: Timing, leader: LeaderSettings) -> Self {
        Self { timing, presence_grace: leader.presence_grace, mode: leader.mode }
    }

    /// The promise of a leader that follows these settings.
    #[must_use]
    pub fn promise(&self) -> Promise {
        Promise { grace: self.presence_grace, lease: self.timing.lease_ttl, mode: self.mode }
    }

    /// Each setting by its key in the configuration, formatted for people.
    #[must_use]
    pub fn rows(&self) -> [(&'static str, String); 5] {
        let seconds = |time: Duration| format!("{} s", time.as_secs_f64());
        [
            ("node.heartbeat_interval", seconds(self.timing.heartbeat_interval)),
            ("node.heartbeat_ttl", seconds(self.timing.heartbeat_ttl)),
            ("leader.lease_ttl", seconds(self.timing.lease_ttl)),
            ("leader.presence_grace", seconds(self.presence_grace)),
            ("leader.mode", self.mode.word().to_owned()),
        ]
    }

    /// The settings that differ: key, this value, the other value.
    #[must_use]
    pub fn differences(&self, other: &Self) -> Vec<(&'static str, String, String)> {
        let pairs = self.rows().into_iter().zip(other.rows());
        pairs.filter(|((_, a), (_, b))| a != b).map(|((key, a), (_, b))| (key, a, b)).collect()
    }
}

/// [`Shared`] with a version, to find out which of two is newer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Versioned {
    /// 0: from a node's configuration, never confirmed by a grant of leadership. The higher version counts, also after a
    /// loss of data.
    pub version: u64,
    /// The settings.
    pub settings: Shared,
}

/// What the leader follows, and therefore what a takeover waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Promise {
    /// The leader stops when its last answered ping was sent this long ago.
    pub grace: Duration,
    /// The leader stops when its last confirmed renewal was sent this long ago.
    pub lease: Duration,
    /// Whether a candidate may take over before the grace is over.
    pub mode: LeaderMode,
}

impl Promise {
    /// A promise that is safe for successors of both: the longer times, and `fenced` only if both say so.
    #[must_use]
    pub fn longest(self, other: Self) -> Self {
        Self {
            grace: self.grace.max(other.grace),
            lease: self.lease.max(other.lease),
            mode: if self.mode == other.mode { self.mode } else { LeaderMode::Exclusive },
        }
    }

    /// A promise that is safe for a holder of both: the shorter times. The mode is this one's; it binds no holder.
    #[must_use]
    pub fn shortest(self, other: Self) -> Self {
        Self { grace: self.grace.min(other.grace), lease: self.lease.min(other.lease), mode: self.mode }
    }
}

impl Default for LeaderSettings {
    fn default() -> Self {
        Self { candidate: true, mode: LeaderMode::Exclusive, presence_grace: Duration::from_secs(1) }
    }
}

/// How a failed heartbeat is retried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry {
    /// The number of further attempts after a failed one. Default 3.
    pub count: u32,
    /// The pause between two attempts. Default 1 s.
    pub delay: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        Self { count: 3, delay: Duration::from_secs(1) }
    }
}

/// The limits of messages and tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SyncSettings {
    /// How many messages one call receives by default. Default 100.
    pub batch_size: usize,
    /// The maximum number of messages in the stream for members that are away. Beyond it the oldest are trimmed, which such
    /// a member sees as a gap. Default 10,000.
    pub max_stream_length: u64,
    /// The maximum size of unread messages in the stream, in bytes. Beyond it messages wait in the outbox of their sender.
    /// Default 256 MiB, and at most half of Redis' maxmemory.
    pub max_stream_bytes: u64,
    /// The maximum size of tasks in Redis, in bytes, including done ones. Beyond it new tasks are refused. Default 256 MiB,
    /// and at most a quarter of Redis' maxmemory.
    pub max_task_bytes: u64,
    /// The maximum size of unsent messages in the outbox on disk, in bytes. Beyond it sending is refused. Default 256 MiB.
    pub outbox_bytes: u64,
}

impl Default for SyncSettings {
    fn default() -> Self {
        Self {
            batch_size: 100,
            max_stream_length: 10_000,
            max_stream_bytes: 256 << 20,
            max_task_bytes: 256 << 20,
            outbox_bytes: 256 << 20,
        }
    }
}

/// The maximum size of a message, as JSON text, in bytes.
pub const MAX_MESSAGE_BYTES: usize = 1 << 20;

/// The maximum number of messages in one answer or one call.
pub const MAX_SYNC_LIMIT: usize = 100_000;
