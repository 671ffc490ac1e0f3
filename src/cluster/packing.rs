//! Several messages in one entry of the stream: what the server is asked to do costs per entry, not per message.
//!
//! 1. Nothing is held back to fill an entry: what waits when a write begins is packed, no more.
//!
//! Not here: unpacking (`inbox.rs`).

use super::message::Outgoing;
use super::protocol::Packed;

/// How many messages one entry holds at most.
pub const MAX_PER_ENTRY: usize = 64;
/// How many bytes of messages one entry holds at most, unless one message alone is larger.
const MAX_BYTES: usize = 256 << 10;

/// Packs messages whose producer sequences follow each other.
#[must_use]
pub fn pack(messages: &[Outgoing]) -> Vec<Packed> {
    let mut entries: Vec<Packed> = Vec::with_capacity(messages.len() / MAX_PER_ENTRY + 1);
    for outgoing in messages {
        // A message that came through serde once goes through it again.
        let Ok(text) = serde_json::to_string(&outgoing.message) else { continue };
        match entries.last_mut() {
            Some(entry)
                if (entry.count as usize) < MAX_PER_ENTRY
                    && entry.body.len() + text.len() < MAX_BYTES
                    && entry.first + entry.count == outgoing.producer_seq =>
            {
                entry.body.push(',');
                entry.body.push_str(&text);
                entry.count += 1;
            }
            _ => entries.push(Packed { first: outgoing.producer_seq, count: 1, body: format!("[{text}") }),
        }
    }
    for entry in &mut entries {
        entry.body.push(']');
    }
    entries
}
