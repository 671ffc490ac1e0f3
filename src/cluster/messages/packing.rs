//! Packs several messages into one entry of the stream: the server's work is per entry, not per message.
//!
//! 1. No message is held back to fill an entry: only messages that wait when a write begins are packed.
//!
//! Not here: unpacking (`inbox.rs`).

use super::message::Outgoing;
use crate::cluster::protocol::Packed;

/// The maximum number of messages in one entry.
pub const MAX_PER_ENTRY: usize = 64;
/// The maximum number of bytes of messages in one entry, unless a single message is larger.
const MAX_BYTES: usize = 256 << 10;

/// Packs messages with contiguous producer sequences.
#[must_use]
pub fn pack(messages: &[Outgoing]) -> Vec<Packed> {
    let mut entries: Vec<Packed> = Vec::with_capacity(messages.len() / MAX_PER_ENTRY + 1);
    for outgoing in messages {
        // A message that was deserialized can be serialized again.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::ids::NodeId;
    use crate::cluster::messages::message::Message;
    use serde_json::value::RawValue;

    fn outgoing(producer_seq: u64, payload: String) -> Outgoing {
        let payload = RawValue::from_string(payload).expect("JSON");
        let to = producer_seq.is_multiple_of(2).then(|| vec![NodeId::new("b").expect("an id")]);
        let topic = producer_seq.is_multiple_of(3).then(|| "a \"topic\", with commas".to_owned());
        Outgoing { producer_seq, message: Message { id: format!("m{producer_seq}"), topic, to, payload } }
    }

    fn shape(entries: &[Packed]) -> Vec<(u64, u64)> {
        entries.iter().map(|entry| (entry.first, entry.count)).collect()
    }

    #[test]
    fn what_was_packed_comes_out_as_it_went_in() {
        let payloads = ["1", r#"{"a": [1, "],["]}"#, "\"\u{fc}\"", "null", "1e400", r#""\u0000""#];
        let messages: Vec<Outgoing> = (1..).zip(payloads).map(|(seq, text)| outgoing(seq, text.to_owned())).collect();
        let entries = pack(&messages);
        assert_eq!(shape(&entries), [(1, 6)]);
        let out: Vec<Message> = serde_json::from_str(&entries[0].body).expect("a list of messages");
        assert_eq!(out, messages.into_iter().map(|outgoing| outgoing.message).collect::<Vec<_>>());
    }

    #[test]
    fn nothing_is_packed_into_no_entry_and_many_into_entries_of_a_bounded_number() {
        assert_eq!(pack(&[]), []);
        let most = MAX_PER_ENTRY as u64;
        let messages: Vec<Outgoing> = (1..=2 * most + 1).map(|seq| outgoing(seq, "1".to_owned())).collect();
        assert_eq!(shape(&pack(&messages)), [(1, most), (most + 1, most), (2 * most + 1, 1)]);
    }

    #[test]
    fn a_hole_in_the_sequence_begins_another_entry() {
        let messages = [3, 4, 6, 7, 1].map(|seq| outgoing(seq, "1".to_owned()));
        assert_eq!(shape(&pack(&messages)), [(3, 2), (6, 2), (1, 1)]);
    }

    #[test]
    fn an_entry_is_bounded_in_bytes_unless_one_message_alone_is_larger() {
        let text = |bytes: usize| format!("\"{}\"", "x".repeat(bytes));
        let third = MAX_BYTES / 3;
        let sizes = [third, third, third, 10, MAX_BYTES + 1, 10];
        let messages: Vec<Outgoing> = (1..).zip(sizes).map(|(seq, size)| outgoing(seq, text(size))).collect();
        let entries = pack(&messages);
        assert_eq!(shape(&entries), [(1, 2), (3, 2), (5, 1), (6, 1)]);
        assert!(entries.iter().all(|entry| entry.count == 1 || entry.body.len() <= MAX_BYTES + 1));
    }
}
