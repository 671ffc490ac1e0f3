//! What governs a node and its cluster, as checked values.
//!
//! 1. [`Shared`] belongs to the cluster: its first member writes it, later ones adopt it, and only `config push` changes it.
//! 2. A TTL and a lease are at least three heartbeat intervals long.
//! 3. What a takeover waits for is a [`Promise`] in the holder's record, never a setting of whoever takes over.
//!
//! Not here: reading files and variables (`crate::config`).

use std::time::Duration;

/// The times that every member of a cluster shares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// How often a member beats and a leader renews. Default 10 s.
    pub heartbeat_interval: Duration,
    /// How long a member stays listed as alive after its last beat. Default 30 s, at least 3 intervals.
    pub heartbeat_ttl: Duration,
    /// How long a leadership lasts without a renewal. Default 30 s, at least 3 intervals.
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

/// Whether a takeover waits out what the old leader may still believe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LeaderMode {
    /// At most one node believes that it leads, at every instant.
    #[default]
    Exclusive,
    /// Faster: two nodes may believe it for a moment, only terms tell them apart.
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

/// How this node takes part in elections. Mode and grace are only what it would set as the first member; see [`Shared`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaderSettings {
    /// Whether this node stands for leader at all.
    pub candidate: bool,
    /// See [`LeaderMode`].
    pub mode: LeaderMode,
    /// How long a lost presence is waited for before its node counts as dead. Default 1 s, at least 100 ms.
    pub presence_grace: Duration,
}

/// The settings of the cluster: those that the safety of all rests on, so that no node's own file may decide about them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shared {
    /// Heartbeats and leases.
    pub timing: Timing,
    /// How long a lost presence is waited for before its process counts as stopped. Default 1 s. Raising it makes a takeover
    /// slower and a leader on a slow network steadier.
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
    /// The settings that a node's own configuration holds.
    #[must_use]
    pub fn of(timing: Timing, leader: LeaderSettings) -> Self {
        Self { timing, presence_grace: leader.presence_grace, mode: leader.mode }
    }

    /// What a leader that follows these settings promises.
    #[must_use]
    pub fn promise(&self) -> Promise {
        Promise { grace: self.presence_grace, lease: self.timing.lease_ttl, mode: self.mode }
    }

    /// Each setting by its key in the configuration, as people write it.
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

    /// The settings that differ: key, this value, the other's.
    #[must_use]
    pub fn differences(&self, other: &Self) -> Vec<(&'static str, String, String)> {
        let pairs = self.rows().into_iter().zip(other.rows());
        pairs.filter(|((_, a), (_, b))| a != b).map(|((key, a), (_, b))| (key, a, b)).collect()
    }
}

/// [`Shared`], and which of two is the newer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Versioned {
    /// 0: out of a node's file, never confirmed by a grant of the leadership. The higher one counts, also after a loss of data.
    pub version: u64,
    /// The settings.
    pub settings: Shared,
}

/// What the holder of the leadership follows, and so what a takeover waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Promise {
    /// It stops when its last answered ping was sent this long ago.
    pub grace: Duration,
    /// It stops when its last confirmed renewal was sent this long ago.
    pub lease: Duration,
    /// Whether a candidate may come before the grace is over.
    pub mode: LeaderMode,
}

impl Promise {
    /// What keeps both, for those who come after: the longer times, and `fenced` only where both say so.
    #[must_use]
    pub fn longest(self, other: Self) -> Self {
        Self {
            grace: self.grace.max(other.grace),
            lease: self.lease.max(other.lease),
            mode: if self.mode == other.mode { self.mode } else { LeaderMode::Exclusive },
        }
    }

    /// What breaks neither, for the holder: the shorter times. The mode is this one's; it binds no holder.
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

/// How a failed heartbeat is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry {
    /// How many further attempts follow a failed one. Default 3.
    pub count: u32,
    /// The wait between two attempts. Default 1 s.
    pub delay: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        Self { count: 3, delay: Duration::from_secs(1) }
    }
}

/// Bounds of messages and tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SyncSettings {
    /// How many messages one call receives unless it says otherwise. Default 100.
    pub batch_size: usize,
    /// How many messages the stream keeps for members that were away. Default 10,000.
    pub max_stream_length: u64,
    /// How many bytes the stream holds for members that have not read them. Default 256 MiB, and at most half of Redis' maxmemory.
    pub max_stream_bytes: u64,
    /// How many bytes tasks take in Redis, done ones included. Default 256 MiB, and at most a quarter of Redis' maxmemory.
    pub max_task_bytes: u64,
    /// How many bytes of unsent messages the outbox holds on disk. Default 256 MiB.
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

/// The largest message, as JSON text, in bytes.
pub const MAX_MESSAGE_BYTES: usize = 1 << 20;

/// The largest number of messages that one answer or one call carries.
pub const MAX_SYNC_LIMIT: usize = 100_000;
