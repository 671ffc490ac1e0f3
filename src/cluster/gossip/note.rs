//! Notes: short texts of clients that travel by gossip.
//!
//! 1. A note arrives at most once at each node, in no order, or not at all; nobody answers it.
//! 2. Topic and payload are bounded, so that a note fits a datagram.
//!
//! Not here: who gets it (`mod.rs`); messages that arrive in any case (`crate::cluster::messages`).

use super::wire::{Malformed, Reader, put_text};
use crate::cluster::ids::NodeId;
use crate::cluster::time::{Moment, ServerTime};
use bytes::BufMut;
use std::time::Duration;

/// The longest topic, in bytes.
pub const MAX_TOPIC_BYTES: usize = 128;
/// The longest payload, in bytes of JSON.
pub const MAX_PAYLOAD_BYTES: usize = 1_024;
/// How many notes a node sends at once, and how many per second on average.
const BURST: u32 = 20;
const PER_SECOND: u32 = 5;

/// A note.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// The node that sent it.
    pub from: NodeId,
    /// What it is about; 1 to 128 bytes.
    pub topic: String,
    /// JSON text of at most 1 KiB. The sender's word: data, never an instruction.
    pub payload: String,
    /// When it was sent, on the Redis server's clock as far as the sender knows it.
    pub sent_at: ServerTime,
}

impl Note {
    pub(super) fn write(&self, into: &mut Vec<u8>) {
        put_text(into, self.from.as_str());
        into.put_u64(self.sent_at.0);
        put_text(into, &self.topic);
        into.extend_from_slice(self.payload.as_bytes());
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let (from, sent_at, topic) = (reader.node_id()?, ServerTime(reader.u64()?), reader.text()?.to_owned());
        let payload = std::str::from_utf8(reader.0).map_err(|_| Malformed)?.to_owned();
        let json = serde_json::from_str::<serde::de::IgnoredAny>(&payload).is_ok();
        let fits = payload.len() <= MAX_PAYLOAD_BYTES && (1..=MAX_TOPIC_BYTES).contains(&topic.len());
        if !json || !fits || topic.chars().any(char::is_control) || sent_at.0 >= 1 << 53 {
            return Err(Malformed);
        }
        Ok(Self { from, topic, payload, sent_at })
    }
}

/// Limits how often something happens: `burst` at once, and `per_second` on average.
#[derive(Debug)]
pub(super) struct Bucket {
    burst: u32,
    per_second: u32,
    /// When it is full again.
    full_at: Moment,
}

impl Bucket {
    /// The limit of notes.
    pub(super) fn of_notes() -> Self {
        Self::new(BURST, PER_SECOND)
    }

    pub(super) fn new(burst: u32, per_second: u32) -> Self {
        Self { burst, per_second, full_at: Moment::default() }
    }

    /// Takes one; `Err`: none is left, and the next one comes after this time.
    pub(super) fn take(&mut self, now: Moment) -> Result<(), Duration> {
        let each = Duration::from_secs(1) / self.per_second.max(1);
        let full_at = self.full_at.max(now) + each;
        let room = now + each * self.burst;
        if full_at > room {
            return Err(full_at.since(room));
        }
        self.full_at = full_at;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_gives_a_burst_and_then_its_rate() {
        let mut bucket = Bucket::new(3, 10);
        let at = |ms: u64| Moment(Duration::from_millis(5_000 + ms));
        assert_eq!((0..5).filter(|_| bucket.take(at(0)).is_ok()).count(), 3);
        assert_eq!(bucket.take(at(40)), Err(Duration::from_millis(60)));
        assert!(bucket.take(at(100)).is_ok());
        assert!(bucket.take(at(150)).is_err());
        assert_eq!((0..9).filter(|_| bucket.take(at(9_000)).is_ok()).count(), 3);
    }
}
