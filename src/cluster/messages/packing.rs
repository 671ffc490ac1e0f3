//! Packs several messages into one entry of the stream: the server's work is per entry, not per message.
//!
//! 1. No message is held back to fill an entry: only messages that wait when a write begins are packed.
//! 2. A message is written as JSON once: the same text is on the sender's disk, in the stream and, whole or in slices, in the receiver's
//!    memory.
//!
//! Not here: unpacking (`inbox.rs`).

use super::message::{Message, Outgoing};
use crate::cluster::ids::NodeId;
use crate::cluster::protocol::Packed;
use serde_json::value::RawValue;

/// The maximum number of messages in one entry.
pub const MAX_PER_ENTRY: usize = 1024;
/// The maximum number of bytes of an entry, unless a single message is larger: with what a page of the sender's disk adds it is
/// just below 128 KiB, because pages are powers of two.
pub const MAX_ENTRY_BYTES: usize = (128 << 10) - 512;

/// Entries that are being filled; the last one is open.
#[derive(Debug, Default)]
pub struct Packer {
    entries: Vec<Packed>,
    /// The bytes that are expected from the open entry on; 0: not known.
    expected: usize,
}

impl Packer {
    /// For messages of about this many bytes in all, so that no text grows in steps.
    #[must_use]
    pub fn expecting(bytes: usize) -> Self {
        Self { entries: Vec::new(), expected: bytes }
    }

    /// Adds one message, whose JSON text `write` appends.
    pub fn push(&mut self, producer_seq: u64, write: impl FnOnce(&mut String)) {
        let follows = |entry: &&mut Packed| {
            (entry.count as usize) < MAX_PER_ENTRY
                && entry.body.len() < MAX_ENTRY_BYTES
                && entry.first + entry.count == producer_seq
        };
        let Some(entry) = self.entries.last_mut().filter(follows) else {
            let before = self.entries.last().map_or(0, |entry| entry.body.len());
            let mut body = opened(&mut self.expected, before, 0);
            write(&mut body);
            self.entries.push(Packed { first: producer_seq, count: 1, body });
            return;
        };
        let end = entry.body.len();
        entry.body.push(',');
        write(&mut entry.body);
        if entry.body.len() < MAX_ENTRY_BYTES {
            entry.count += 1;
            return;
        }
        // It is too much for this entry: it moves to the next one.
        let mut body = opened(&mut self.expected, end, entry.body.len() - end + "]".len());
        body.push_str(&entry.body[end + 1..]);
        entry.body.truncate(end);
        self.entries.push(Packed { first: producer_seq, count: 1, body });
    }

    /// The entries, complete.
    #[must_use]
    pub fn finish(mut self) -> Vec<Packed> {
        for entry in &mut self.entries {
            entry.body.push(']');
            // Its bytes are counted, not its capacity: a text that grew in steps, or held a large message that moved on, gives the rest back.
            if entry.body.capacity() - entry.body.len() > entry.body.len() / 4 {
                entry.body.shrink_to_fit();
            }
        }
        self.entries
    }
}

/// The beginning of an entry, after one of `before` bytes.
fn opened(expected: &mut usize, before: usize, at_least: usize) -> String {
    *expected = expected.saturating_sub(before);
    let mut body = String::with_capacity((*expected).min(MAX_ENTRY_BYTES).max(at_least));
    body.push('[');
    body
}

/// Appends the JSON text of a message.
pub fn write_message(out: &mut String, id: &str, topic: Option<&str>, to: Option<&[NodeId]>, payload: &RawValue) {
    out.push_str("{\"id\":");
    write_text(out, id);
    if let Some(topic) = topic {
        out.push_str(",\"topic\":");
        write_text(out, topic);
    }
    if let Some(to) = to {
        out.push_str(",\"to\":[");
        for (at, id) in to.iter().enumerate() {
            out.push_str(if at > 0 { ",\"" } else { "\"" });
            // The characters of a node id need no escape.
            out.push_str(id.as_str());
            out.push('"');
        }
        out.push(']');
    }
    out.push_str(",\"payload\":");
    out.push_str(payload.get());
    out.push('}');
}

fn write_text(out: &mut String, text: &str) {
    if text.bytes().all(|byte| byte >= b' ' && byte != b'"' && byte != b'\\') {
        out.push('"');
        out.push_str(text);
        out.push('"');
    } else {
        // A string always has a JSON text.
        out.push_str(&serde_json::to_string(text).unwrap_or_default());
    }
}

/// Packs messages; a hole in their producer sequences begins another entry.
#[must_use]
pub fn pack(messages: &[Outgoing]) -> Vec<Packed> {
    let mut packer = Packer::default();
    for Outgoing { producer_seq, message } in messages {
        let Message { id, topic, to, payload } = message;
        packer.push(*producer_seq, |out| write_message(out, id, topic.as_deref(), to.as_deref(), payload));
    }
    packer.finish()
}

impl Packed {
    /// The producer sequence of its last message.
    #[must_use]
    pub fn last(&self) -> u64 {
        (self.first + self.count).saturating_sub(1)
    }

    /// The bytes of its messages, without what packing adds.
    #[must_use]
    pub fn message_bytes(&self) -> u64 {
        bytes_of(self.count, self.body.len())
    }

    /// Appends an entry that follows this one, if both fit into one; otherwise returns it.
    #[must_use]
    pub fn join(&mut self, next: Self) -> Option<Self> {
        let fits = self.first + self.count == next.first
            && (self.count + next.count) as usize <= MAX_PER_ENTRY
            && self.body.len() + next.body.len() <= MAX_ENTRY_BYTES
            && self.body.ends_with(']')
            && next.body.starts_with('[');
        if !fits {
            return Some(next);
        }
        self.body.pop();
        self.body.push(',');
        self.body.push_str(&next.body[1..]);
        self.count += next.count;
        None
    }

    /// The messages that `keep` accepts, by their places in the entry, numbered from `first`; `None` if there are none.
    #[must_use]
    pub fn only(&self, first: u64, keep: impl Fn(u64) -> bool) -> Option<Self> {
        let texts: Vec<&RawValue> = serde_json::from_str(&self.body).unwrap_or_default();
        let kept: Vec<&str> = (0..).zip(texts).filter(|(at, _)| keep(*at)).map(|(_, text)| text.get()).collect();
        let count = kept.len() as u64;
        (count > 0).then(|| Self { first, count, body: format!("[{}]", kept.join(",")) })
    }

    /// The messages after a producer sequence; `None` if there are none.
    #[must_use]
    pub fn after(&self, producer_seq: u64) -> Option<Self> {
        let gone = (producer_seq + 1).saturating_sub(self.first);
        if gone >= self.count {
            return None;
        }
        self.only(self.first + gone, |at| at >= gone)
    }
}

/// The bytes of the messages of an entry: brackets and commas do not count.
#[must_use]
pub fn bytes_of(count: u64, body: usize) -> u64 {
    (body as u64).saturating_sub(count + 1)
}

#[cfg(test)]
impl From<&Message> for super::content::Content {
    /// The message as its receiver has it.
    fn from(message: &Message) -> Self {
        let packed = pack(&[Outgoing { producer_seq: 1, message: message.clone() }]).pop().expect("an entry");
        Self::read(&packed.body.into()).expect("what was packed").pop().expect("a message")
    }
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
        let third = MAX_ENTRY_BYTES / 3;
        let sizes = [third, third, third, 10, MAX_ENTRY_BYTES + 1, 10];
        let messages: Vec<Outgoing> = (1..).zip(sizes).map(|(seq, size)| outgoing(seq, text(size))).collect();
        let entries = pack(&messages);
        assert_eq!(shape(&entries), [(1, 2), (3, 2), (5, 1), (6, 1)]);
        assert!(entries.iter().all(|entry| entry.count == 1 || entry.body.len() <= MAX_ENTRY_BYTES + 1));
    }

    #[test]
    fn a_message_is_written_as_the_reader_expects_it_whatever_is_in_it() {
        for text in ["a", "", "\"", "\\", "\n", "\u{0}", "\u{2028}", "ü€😀", "\u{7f}"] {
            let payload = RawValue::from_string("{ \"a\" : [1] }".to_owned()).expect("JSON");
            for (topic, to) in [(None, None), (Some(text), Some(vec!["b", "c.d"])), (Some(""), Some(vec![]))] {
                let to: Option<Vec<NodeId>> =
                    to.map(|ids: Vec<&str>| ids.into_iter().map(|id| NodeId::new(id).expect("an id")).collect());
                let message =
                    Message { id: text.to_owned(), topic: topic.map(str::to_owned), to, payload: payload.clone() };
                let mut written = String::new();
                write_message(&mut written, text, topic, message.to.as_deref(), &message.payload);
                assert_eq!(written, serde_json::to_string(&message).expect("JSON"));
            }
        }
    }

    #[test]
    fn entries_are_joined_as_long_as_they_follow_each_other_and_fit() {
        let entry = |first: u64, count: u64| {
            pack(&(first..first + count).map(|seq| outgoing(seq, "1".to_owned())).collect::<Vec<_>>()).remove(0)
        };
        let mut joined = entry(1, 3);
        assert_eq!(joined.join(entry(4, 2)), None);
        assert_eq!(joined, entry(1, 5));
        assert_eq!(joined.join(entry(7, 1)), Some(entry(7, 1)), "6 is missing");
        let large = pack(&[outgoing(6, format!("\"{}\"", "x".repeat(MAX_ENTRY_BYTES - 100)))]).remove(0);
        assert_eq!(joined.join(large.clone()), Some(large), "it is too large");
        let mut many = entry(1, MAX_PER_ENTRY as u64);
        let next = entry(MAX_PER_ENTRY as u64 + 1, 1);
        assert_eq!(many.join(next.clone()), Some(next));
        assert_eq!(joined.after(2), Some(entry(3, 3)));
        assert_eq!((joined.after(0), joined.after(5)), (Some(joined.clone()), None));
        assert_eq!(joined.message_bytes(), (joined.body.len() - 6) as u64);
    }

    #[test]
    fn entries_keep_no_more_memory_than_a_quarter_beside_their_text() {
        for lengths in [vec![10, 1 << 20], vec![131_000, 131_000], vec![1; 3_000], vec![200; 2_000]] {
            for expected in [0, lengths.iter().sum::<usize>() + 56 * lengths.len()] {
                let mut packer = Packer::expecting(expected);
                for (seq, length) in (1..).zip(&lengths) {
                    let payload = RawValue::from_string(format!("\"{}\"", "x".repeat(*length))).unwrap();
                    packer.push(seq, |out| write_message(out, &format!("{seq:032}"), None, None, &payload));
                }
                for entry in packer.finish() {
                    let (length, capacity) = (entry.body.len(), entry.body.capacity());
                    assert!(capacity <= length + length / 4, "{lengths:?}: {capacity} for {length}");
                }
            }
        }
    }
}
