//! The newest events of the cluster, as lines of text.
//!
//! 1. At most [`MAX_LINES`] are kept; a new line drops the oldest.
//! 2. A cluster event is kept once, however often it is reported.
//!
//! Not here: the effect of events on the picture (`picture.rs`).

use crate::cli::events::describe;
use crate::cli::terminal::Tint;
use serde_json::Value;
use std::collections::VecDeque;

/// The most lines that are kept.
pub(crate) const MAX_LINES: usize = 1_000;

/// An event as a line of text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    /// When, in milliseconds of the Redis server's clock.
    pub(crate) at_ms: u64,
    /// The colour of the text.
    pub(crate) tint: Tint,
    /// What happened.
    pub(crate) text: String,
}

/// See the module's text.
#[derive(Debug, Clone, Default)]
pub(crate) struct Events {
    lines: VecDeque<Line>,
    newest: u64,
}

impl Events {
    /// Adds an event; false if it is a duplicate.
    pub(crate) fn take(&mut self, event: &Value) -> bool {
        let number = |name: &str| event.get(name).and_then(Value::as_u64);
        // Local events have no sequence number and are reported once.
        if let Some(seq) = number("seq") {
            if seq <= self.newest {
                return false;
            }
            self.newest = seq;
        }
        let (tint, text) = describe(event);
        self.lines.push_back(Line { at_ms: number("at_ms").unwrap_or(0), tint, text });
        if self.lines.len() > MAX_LINES {
            self.lines.pop_front();
        }
        true
    }

    /// The number of lines.
    pub(crate) fn len(&self) -> usize {
        self.lines.len()
    }

    /// The newest line.
    pub(crate) fn last(&self) -> Option<&Line> {
        self.lines.back()
    }

    /// At most `room` lines that end `back` lines before the newest, oldest first.
    pub(crate) fn window(&self, room: usize, back: usize) -> impl Iterator<Item = &Line> {
        let end = self.lines.len().saturating_sub(back);
        self.lines.range(end.saturating_sub(room)..end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn event(seq: u64) -> Value {
        json!({"event": "cluster.node_joined", "seq": seq, "at_ms": seq, "node_id": format!("n{seq}"), "incarnation": 1})
    }

    #[test]
    fn they_are_bounded_kept_once_and_seen_through_a_window() {
        let mut events = Events::default();
        for seq in 1..=1_500 {
            assert!(events.take(&event(seq)));
            assert!(!events.take(&event(seq)), "the same event counted twice");
        }
        assert_eq!(events.len(), MAX_LINES);
        let seen = |room, back| events.window(room, back).map(|line| line.at_ms).collect::<Vec<_>>();
        assert_eq!(seen(3, 0), [1_498, 1_499, 1_500]);
        assert_eq!(seen(2, 10), [1_489, 1_490]);
        assert_eq!(seen(5, 998), [501, 502], "the window ends with the oldest");
        assert_eq!(seen(5, 9_999), [0; 0]);
        assert_eq!(seen(0, 0), [0; 0]);
        assert_eq!(events.last().map(|line| line.at_ms), Some(1_500));
    }

    #[test]
    fn local_events_have_no_number_and_are_kept() {
        let mut events = Events::default();
        let lost = json!({"event": "cluster.degraded", "seq": null, "at_ms": 5});
        assert!(events.take(&event(7)) && events.take(&lost) && !events.take(&event(6)));
        assert_eq!(events.last().map(|line| line.tint), Some(Tint::Red));
    }
}
