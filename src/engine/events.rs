//! The events of this node in one bounded log, from which every subscriber reads at its own pace.
//!
//! 1. (M1) A subscriber to everything sees contiguous `seq`: events that it was too slow for are reported as one gap event.
//! 2. The log is bounded, in events and in bytes of messages; a subscriber costs only a position in the log.
//!
//! Not here: the source of events (`stream_reader.rs`, `node/driver.rs`), events from before this process
//! (`node/running.rs` reads them).

mod feed;

pub use feed::{EventFeed, Feed, FeedOptions};

use crate::clock;
use crate::cluster::event::{Event, LocalFact};
use crate::cluster::ids::EventSeq;
use crate::cluster::time::{Moment, ServerTime};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// The maximum number of events in the log.
const KEPT: usize = 4096;
/// The maximum number of bytes of messages in the log.
const KEPT_MESSAGE_BYTES: usize = 8 << 20;

/// The bytes that an event counts for: only messages carry content of any length.
fn bytes(event: &Event) -> usize {
    match event {
        Event::Local { fact: LocalFact::Message(received), .. } => received.message.payload().len(),
        _ => 0,
    }
}

#[derive(Debug)]
struct Log {
    events: VecDeque<Event>,
    /// The bytes of messages in it.
    bytes: usize,
    /// The position of the oldest event in it.
    start: u64,
    /// The last cluster event that entered the log, or the stream's head when the node began to read.
    head: Option<EventSeq>,
    server_time: Option<(ServerTime, Moment)>,
    closed: bool,
}

/// The log of events; see the head of this file.
#[derive(Debug)]
pub struct Hub {
    log: Mutex<Log>,
    end: watch::Sender<u64>,
    message_readers: std::sync::atomic::AtomicUsize,
}

impl Hub {
    /// An empty log.
    #[must_use]
    pub fn new() -> Arc<Self> {
        let log = Log { events: VecDeque::new(), bytes: 0, start: 0, head: None, server_time: None, closed: false };
        Arc::new(Self { log: Mutex::new(log), end: watch::Sender::new(0), message_readers: 0.into() })
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets the server's time from its latest answer, which local events are stamped with. A time that is already known is
    /// ignored: it was true when it arrived, not now.
    pub(super) fn set_server_time(&self, at: ServerTime) {
        let mut log = self.log();
        if log.server_time.is_none_or(|(known, _)| known != at) {
            log.server_time = Some((at, clock::now()));
        }
    }

    /// The server's time now, as far as known.
    pub(super) fn server_time(&self) -> ServerTime {
        match self.log().server_time {
            Some((at, read)) => at.plus(clock::now().since(read)),
            None => ServerTime::default(),
        }
    }

    /// Sets the head of the stream at the time when this node begins to read it.
    pub(super) fn begin(&self, head: EventSeq) {
        self.log().head.get_or_insert(head);
        // Wakes the callers of `begun`.
        self.end.send_modify(|_| ());
    }

    /// Waits until this node reads the stream. History that is read after that connects to the live events without a hole.
    pub(super) async fn begun(&self) {
        let mut end = self.end.subscribe();
        while self.head().is_none() && !self.is_closed() {
            if end.changed().await.is_err() {
                return;
            }
        }
    }

    /// The last cluster event known; `None` before the stream was read.
    pub(super) fn head(&self) -> Option<EventSeq> {
        self.log().head
    }

    /// Ends the log: feeds end after the last event.
    pub fn close(&self) {
        self.log().closed = true;
        self.end.send_replace(u64::MAX);
    }

    pub(super) fn is_closed(&self) -> bool {
        self.log().closed
    }

    /// Appends an event and wakes the subscribers.
    pub fn publish(&self, event: Event) {
        let mut log = self.log();
        if let Event::Cluster(event) = &event {
            log.head = Some(event.seq);
        }
        log.bytes += bytes(&event);
        log.events.push_back(event);
        while log.events.len() > KEPT || log.bytes > KEPT_MESSAGE_BYTES {
            let Some(dropped) = log.events.pop_front() else { break };
            log.bytes -= bytes(&dropped);
            log.start += 1;
        }
        let end = log.start + log.events.len() as u64;
        drop(log);
        self.end.send_replace(end);
    }

    pub(super) fn publish_local(&self, fact: LocalFact) {
        self.publish(Event::Local { at: self.server_time(), fact });
    }

    /// Whether a subscriber wants messages as events.
    pub(super) fn wants_messages(&self) -> bool {
        self.message_readers.load(std::sync::atomic::Ordering::Relaxed) > 0
    }

    /// A feed of `backlog`, which ends with the event `seen`, and then of new events.
    #[must_use]
    pub fn feed(self: &Arc<Self>, backlog: VecDeque<Event>, seen: Option<EventSeq>, messages: bool) -> Feed {
        let log = self.log();
        let (position, head) = (log.start + log.events.len() as u64, log.head);
        drop(log);
        if messages {
            self.message_readers.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        }
        let end = self.end.subscribe();
        Feed { hub: Arc::clone(self), end, position, seen: seen.or(head), backlog, messages }
    }

    /// A feed of the events after `after`; `None` if the log does not reach back that far.
    pub(super) fn feed_after(self: &Arc<Self>, after: EventSeq, messages: bool) -> Option<Feed> {
        let mut feed = self.feed(VecDeque::new(), Some(after), messages);
        let log = self.log();
        let first = log.events.iter().position(|e| matches!(e, Event::Cluster(e) if e.seq > after));
        let reaches = match first.and_then(|at| log.events.get(at)) {
            Some(Event::Cluster(event)) => event.seq == after.next(),
            _ => log.head.is_some_and(|head| head <= after),
        };
        if let Some(first) = first {
            feed.position = log.start + first as u64;
        }
        drop(log);
        reaches.then_some(feed)
    }

    pub(super) fn leave(&self, messages: bool) {
        if messages {
            self.message_readers.fetch_sub(1, std::sync::atomic::Ordering::Relaxed);
        }
    }

    /// The event at a position of a feed. `Err`: the feed was too slow; the log now begins at the returned position.
    pub(super) fn read(&self, position: u64) -> Result<Option<Event>, u64> {
        let log = self.log();
        if position < log.start {
            return Err(log.start);
        }
        let at = usize::try_from(position - log.start).unwrap_or(usize::MAX);
        Ok(log.events.get(at).cloned())
    }

    pub(super) fn gap(&self, from: EventSeq, to: EventSeq) -> Event {
        Event::Local { at: self.server_time(), fact: LocalFact::Gap { from, to } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_answer_does_not_set_the_servers_time_back() {
        let hub = Hub::new();
        hub.set_server_time(ServerTime(1_000));
        let heard = hub.log().server_time;
        hub.set_server_time(ServerTime(1_000));
        assert_eq!(hub.log().server_time, heard, "the same answer, told again later");
        hub.set_server_time(ServerTime(2_000));
        assert!(hub.server_time() >= ServerTime(2_000));
    }

    #[test]
    fn messages_are_bounded_by_bytes_and_the_newest_stay() {
        let hub = Hub::new();
        let payload = format!("\"{}\"", "x".repeat(1 << 20));
        for seq in 1..=20 {
            let message = &crate::cluster::messages::message::Message {
                id: format!("m{seq}"),
                topic: None,
                to: None,
                payload: serde_json::value::RawValue::from_string(payload.clone()).unwrap(),
            };
            let from = crate::cluster::ids::NodeId::new("b").unwrap();
            let (seq, sent_at) = (crate::cluster::ids::MessageSeq(seq), ServerTime(5));
            let received = crate::cluster::messages::message::Received { seq, from, sent_at, message: message.into() };
            hub.publish_local(LocalFact::Message(received));
            hub.publish_local(LocalFact::Degraded {
                reason: crate::cluster::event::DegradedReason::Unreachable,
                detail: String::new(),
            });
        }
        let log = hub.log();
        let held: usize = log.events.iter().map(bytes).sum();
        assert!(held <= KEPT_MESSAGE_BYTES && held > KEPT_MESSAGE_BYTES / 2, "{held}");
        let (start, end) = (log.start, log.start + log.events.len() as u64);
        assert_eq!((log.bytes, end), (held, 40));
        drop(log);
        assert_eq!(hub.read(0), Err(start));
        assert!(hub.read(end - 1).unwrap().is_some());
    }
}
