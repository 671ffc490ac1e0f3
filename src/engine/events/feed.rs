//! One subscriber's feed from the log of events.
//!
//! Not here: the log (`super`), the filters of subscriptions (`crate::rpc`).

use super::Hub;
use crate::cluster::event::{Event, LocalFact};
use crate::cluster::ids::EventSeq;
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::sync::watch;

/// The options of a subscriber.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FeedOptions {
    /// Resume after this event; `None`: only new events.
    pub after: Option<EventSeq>,
    /// Whether messages are delivered as events, too (they stay unacknowledged).
    pub messages: bool,
}

/// A stream of events for one subscriber. Events that a slow reader missed are reported as a gap event.
pub trait EventFeed: Send + Sync + 'static {
    /// The next event; `None` once the node has stopped.
    fn next(&mut self) -> impl Future<Output = Option<Event>> + Send;
}

/// The feed of a running node. Bounded: a reader that is too slow gets a gap event.
#[derive(Debug)]
pub struct Feed {
    pub(crate) hub: Arc<Hub>,
    pub(crate) end: watch::Receiver<u64>,
    pub(crate) position: u64,
    pub(crate) seen: Option<EventSeq>,
    pub(crate) backlog: VecDeque<Event>,
    pub(crate) messages: bool,
}

impl EventFeed for Feed {
    async fn next(&mut self) -> Option<Event> {
        loop {
            let end = *self.end.borrow_and_update();
            if let Some(event) = self.take() {
                return Some(event);
            }
            if self.hub.is_closed() {
                return None;
            }
            if self.position >= end {
                self.end.changed().await.ok()?;
            }
        }
    }
}

impl Feed {
    fn take(&mut self) -> Option<Event> {
        if let Some(event) = self.backlog.pop_front() {
            return Some(event);
        }
        loop {
            let event = match self.hub.read(self.position) {
                Ok(event) => event?,
                Err(start) => {
                    self.position = start;
                    continue;
                }
            };
            match &event {
                Event::Cluster(cluster) => {
                    let seen = self.seen.filter(|seen| seen.0 > 0);
                    if seen.is_some_and(|seen| cluster.seq <= seen) {
                        self.position += 1;
                        continue;
                    }
                    let missed = seen.map(EventSeq::next).filter(|next| *next < cluster.seq);
                    if let Some(from) = missed {
                        let to = EventSeq(cluster.seq.0 - 1);
                        self.seen = Some(to);
                        return Some(self.hub.gap(from, to));
                    }
                    self.seen = Some(cluster.seq);
                }
                Event::Local { fact: LocalFact::Message(_), .. } if !self.messages => {
                    self.position += 1;
                    continue;
                }
                Event::Local { .. } => {}
            }
            self.position += 1;
            return Some(event);
        }
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.hub.leave(self.messages);
    }
}
