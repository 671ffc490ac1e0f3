//! What a received message says, as slices of the text that came from the stream.
//!
//! 1. Nothing is copied: an answer is put together from the slices as they are. Only recipients are decoded, and texts with escapes, to see that
//!    they can be.
//! 2. A text stays in memory as long as one of its messages does. Whoever keeps few messages of a text keeps copies of them
//!    ([`Content::alone`]).
//!
//! Not here: writing the text (`packing.rs`), the positions of its messages (`inbox.rs`).

use crate::cluster::ids::NodeId;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::sync::Arc;

/// A slice of a text, in bytes.
#[derive(Debug, Clone, Copy)]
struct Span {
    start: u32,
    end: u32,
}

impl Span {
    /// Where `part` is in `whole`, which it is borrowed from; `None`: beyond 4 GiB.
    fn of(part: &str, whole: &str) -> Option<Self> {
        let start = part.as_ptr().addr().checked_sub(whole.as_ptr().addr())?;
        let end = start.checked_add(part.len()).filter(|end| *end <= whole.len())?;
        Some(Self { start: u32::try_from(start).ok()?, end: u32::try_from(end).ok()? })
    }
}

/// The content of a message; see the head of this file.
#[derive(Debug, Clone)]
pub struct Content {
    /// Shared with the other messages of its entry.
    text: Arc<String>,
    id: Span,
    topic: Option<Span>,
    to: Option<Arc<[NodeId]>>,
    payload: Span,
}

/// A message as it is found in a text. Members that it does not know are ignored: a newer version may send more.
#[derive(Deserialize)]
struct Found<'a> {
    #[serde(borrow)]
    id: &'a RawValue,
    #[serde(borrow, default)]
    topic: Option<&'a RawValue>,
    #[serde(default)]
    to: Option<Arc<[NodeId]>>,
    #[serde(borrow)]
    payload: &'a RawValue,
}

/// Whether a JSON value is a text that can be decoded: an escape may be half of a character.
fn is_text(raw: &RawValue) -> bool {
    let raw = raw.get();
    raw.starts_with('"')
        && (memchr::memchr(b'\\', raw.as_bytes()).is_none() || serde_json::from_str::<String>(raw).is_ok())
}

impl Content {
    /// The messages in the text of an entry, a JSON array; `None`: it is no list of messages.
    #[must_use]
    pub fn read(text: &Arc<String>) -> Option<Vec<Self>> {
        let found: Vec<Found<'_>> = serde_json::from_str(text).ok()?;
        found.into_iter().map(|found| Self::of(found, text)).collect()
    }

    fn of(found: Found<'_>, text: &Arc<String>) -> Option<Self> {
        let Found { id, topic, to, payload } = found;
        if !is_text(id) || !topic.is_none_or(is_text) {
            return None;
        }
        let span = |raw: &RawValue| Span::of(raw.get(), text);
        let topic = match topic {
            Some(topic) => Some(span(topic)?),
            None => None,
        };
        Some(Self { id: span(id)?, topic, to, payload: span(payload)?, text: Arc::clone(text) })
    }

    fn slice(&self, span: Span) -> &str {
        self.text.get(span.start as usize..span.end as usize).unwrap_or_default()
    }

    /// The sender's id of the message, as a JSON text.
    #[must_use]
    pub fn id_json(&self) -> &str {
        self.slice(self.id)
    }

    /// The sender's id of the message.
    #[must_use]
    pub fn id(&self) -> String {
        decoded(self.id_json())
    }

    /// The topic, as a JSON text.
    #[must_use]
    pub fn topic_json(&self) -> Option<&str> {
        self.topic.map(|topic| self.slice(topic))
    }

    /// The topic.
    #[must_use]
    pub fn topic(&self) -> Option<String> {
        self.topic_json().map(decoded)
    }

    /// The members that it was sent to; `None`: all others.
    #[must_use]
    pub fn to(&self) -> Option<&[NodeId]> {
        self.to.as_deref()
    }

    /// The content, as JSON text.
    #[must_use]
    pub fn payload(&self) -> &str {
        self.slice(self.payload)
    }

    /// The bytes of its text that differ from message to message.
    #[must_use]
    pub fn bytes(&self) -> usize {
        // From the positions: it is asked for when the text itself is in no cache any more.
        let spans = [Some(self.id), self.topic, Some(self.payload)];
        spans.into_iter().flatten().map(|span| (span.end - span.start) as usize).sum()
    }

    /// A copy that keeps no other message's text.
    #[must_use]
    pub fn alone(&self) -> Self {
        let mut text = String::with_capacity(self.bytes());
        let mut copy = |part: &str| {
            // A slice of a text whose positions fit is not longer.
            let start = u32::try_from(text.len()).unwrap_or(u32::MAX);
            text.push_str(part);
            Span { start, end: start.saturating_add(u32::try_from(part.len()).unwrap_or(u32::MAX)) }
        };
        let (id, topic, payload) = (copy(self.id_json()), self.topic_json().map(&mut copy), copy(self.payload()));
        Self { text: Arc::new(text), id, topic, to: self.to.clone(), payload }
    }
}

/// The value of a JSON text that was found to be one.
fn decoded(json: &str) -> String {
    serde_json::from_str(json).unwrap_or_default()
}

/// Compares texts as they were written: an escape is not the character that it stands for.
impl PartialEq for Content {
    fn eq(&self, other: &Self) -> bool {
        self.id_json() == other.id_json()
            && self.topic_json() == other.topic_json()
            && self.to == other.to
            && self.payload() == other.payload()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Content {
        /// The text that it keeps in memory, by its address, and its bytes.
        pub(crate) fn shared(&self) -> (usize, usize) {
            (Arc::as_ptr(&self.text).addr(), self.text.len())
        }
    }

    fn read(text: &str) -> Option<Vec<Content>> {
        Content::read(&Arc::new(text.to_owned()))
    }

    #[test]
    fn a_message_is_what_its_text_says() {
        let text = r#"[ {"payload": [1, "é"] ,"to":["a","b"],"topic":"t\n","id":"\u0041\"","newer":{}},{"id":"2","topic":null,"payload":1e400}]"#;
        let all = read(text).unwrap();
        let [first, second] = all.as_slice() else { panic!("two messages, not {all:?}") };
        assert_eq!((first.id(), first.id_json()), ("A\"".to_owned(), r#""\u0041\"""#));
        assert_eq!((first.topic(), first.payload()), (Some("t\n".to_owned()), r#"[1, "é"]"#));
        assert_eq!(first.to().unwrap().iter().map(NodeId::as_str).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!((second.id(), second.topic(), second.to(), second.payload()), ("2".to_owned(), None, None, "1e400"));
    }

    #[test]
    fn what_is_no_list_of_messages_is_refused_as_a_whole() {
        for wrong in [
            "{}",
            "[1]",
            r#"[{"id":"1"}]"#,
            r#"[{"payload":1}]"#,
            r#"[{"id":1,"payload":1}]"#,
            r#"[{"id":null,"payload":1}]"#,
            r#"[{"id":"\ud800","payload":1}]"#,
            r#"[{"id":"1","topic":2,"payload":1}]"#,
            r#"[{"id":"1","topic":"\ud800","payload":1}]"#,
            r#"[{"id":"1","to":"a","payload":1}]"#,
            r#"[{"id":"1","to":["not an id"],"payload":1}]"#,
            r#"[{"id":"1","payload":1},{"id":"2","payload":}]"#,
            r#"[{"id":"1","id":"2","payload":1}]"#,
        ] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_copy_alone_is_equal_and_keeps_nothing_else() {
        let text = Arc::new(format!(
            r#"[{{"id":"1","topic":"t","payload":2}},{{"id":"2","payload":"{}"}}]"#,
            "x".repeat(1_000)
        ));
        let first = Content::read(&text).unwrap().swap_remove(0);
        let alone = first.alone();
        assert_eq!(alone, first);
        assert_eq!(alone.text.len(), alone.bytes());
        drop(first);
        assert_eq!(Arc::strong_count(&text), 1);
    }
}
