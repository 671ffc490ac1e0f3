//! What governs a node and its cluster, as checked values.
//!
//! 1. [`Timing`] belongs to the cluster: its first member writes it, later ones adopt it.
//! 2. A TTL and a lease are at least three heartbeat intervals long.
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

/// How this node takes part in elections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaderSettings {
    /// Whether this node stands for leader at all.
    pub candidate: bool,
    /// See [`LeaderMode`].
    pub mode: LeaderMode,
    /// How long a lost presence is waited for before its node counts as dead. Default 1 s, at least 100 ms.
    pub presence_grace: Duration,
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

/// Bounds of the message sync.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SyncSettings {
    /// How many messages one call receives unless it says otherwise. Default 100.
    pub batch_size: usize,
    /// How many messages the stream keeps for members that were away. Default 10,000.
    pub max_stream_length: u64,
    /// How many bytes the stream holds for members that have not read them. Default 256 MiB, and at most half of Redis' maxmemory.
    pub max_stream_bytes: u64,
    /// How many bytes of unsent messages the outbox holds on disk. Default 256 MiB.
    pub outbox_bytes: u64,
}

impl Default for SyncSettings {
    fn default() -> Self {
        Self { batch_size: 100, max_stream_length: 10_000, max_stream_bytes: 256 << 20, outbox_bytes: 256 << 20 }
    }
}

/// The largest message, as JSON text, in bytes.
pub const MAX_MESSAGE_BYTES: usize = 1 << 20;

/// The largest number of messages that one answer or one call carries.
pub const MAX_SYNC_LIMIT: usize = 100_000;
