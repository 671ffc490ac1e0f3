//! Brings a session what its node tells: events, and that there is a node to call.
//!
//! 1. Across nodes no event is told twice, and what was missed comes as a gap: each subscription goes on behind the last
//!    event seen.
//! 2. Events from before the session are kept and not told.
//!
//! Not here: which node that is (`keeper.rs`), what becomes of the events (`crate::rpc::mcp`).

use crate::cli::attach::ANSWER;
use crate::rpc::client::{CallError, Client, Notification};
use crate::rpc::mcp::{Attachment, Happening, Link};
use crate::rpc::wire::subscription::SubscribeParams;
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// How long Redis may take to say what time it is, before the session does without earlier events.
const FRESH_WITHIN: Duration = Duration::from_secs(2);
/// The pause before a subscription is tried again.
const AGAIN_AFTER: Duration = Duration::from_secs(1);
/// Behind the very first event.
const BEGINNING: &str = "0-0";

/// See the module's text.
pub(super) struct News {
    attachment: watch::Sender<Attachment>,
    tell: mpsc::Sender<Happening>,
    /// When the session was attached for the first time, in milliseconds of the Redis server's clock.
    began: Option<u64>,
    /// The `id` of the last event seen.
    seen: Option<String>,
}

impl News {
    pub(super) fn new(attachment: watch::Sender<Attachment>, tell: mpsc::Sender<Happening>) -> Self {
        Self { attachment, tell, began: None, seen: None }
    }

    /// Says that there is no node for now.
    pub(super) fn detach(&self) {
        self.attachment.send_replace(Attachment::Seeking);
    }

    /// Says why there is none.
    pub(super) fn trouble(&self, why: &str) {
        self.attachment.send_replace(Attachment::Trouble(why.to_owned()));
    }

    /// Attaches the session to the node that listens there, and brings what it tells until it goes away.
    pub(super) async fn follow(&mut self, socket: &Path) {
        // Events have a connection of their own: a host that reads slowly holds up only that one.
        let (link, client) = match (Link::connect(socket).await, Client::connect(socket).await) {
            (Ok(link), Ok(client)) => (Arc::new(link), client),
            (Err(error), _) | (_, Err(error)) => return tracing::debug!(%error, "the node cannot be reached"),
        };
        if self.began.is_none() && self.seen.is_none() {
            self.began = redis_time(&link).await;
        }
        self.attachment.send_replace(Attachment::Node(Arc::clone(&link)));
        self.send(Happening::Attached).await;
        while !client.is_lost() {
            let after = self.seen.clone().or_else(|| self.began.map(|_| BEGINNING.to_owned()));
            let wish = SubscribeParams { events: None, after };
            match tokio::time::timeout(ANSWER, client.subscribe(wish)).await {
                Ok(Ok((_, feed))) => return self.bring(feed).await,
                Ok(Err(CallError::Lost)) => return,
                Ok(Err(error)) => tracing::debug!(%error, "the events cannot be followed yet"),
                Err(_) => return tracing::warn!("the node does not answer; it is looked for again"),
            }
            tokio::time::sleep(AGAIN_AFTER).await;
        }
    }

    async fn bring(&mut self, mut feed: mpsc::Receiver<Notification>) {
        while let Some(Notification { result: event, .. }) = feed.recv().await {
            if self.seen.is_none() && is_gap_at_the_beginning(&event) {
                continue;
            }
            let earlier = matches!((self.began, event["at_ms"].as_u64()), (Some(began), Some(at)) if at <= began);
            self.note(&event);
            self.send(if earlier { Happening::Earlier(event) } else { Happening::Event(event) }).await;
        }
    }

    fn note(&mut self, event: &Value) {
        if let Some(id) = event["id"].as_str() {
            self.seen = Some(id.to_owned());
        } else if let Some(to) = event["to_seq"].as_u64() {
            self.seen = Some(format!("{to}-0"));
        }
    }

    async fn send(&self, happening: Happening) {
        // Without a receiver the session ends.
        let _ = self.tell.send(happening).await;
    }
}

/// What is not kept any more was not missed by a session that began after it.
fn is_gap_at_the_beginning(event: &Value) -> bool {
    event["event"] == "cluster.gap" && event["from_seq"].as_u64().is_some_and(|from| from <= 1)
}

/// The time of the Redis server, in milliseconds; what happened until then happened before the session.
async fn redis_time(link: &Link) -> Option<u64> {
    let asked = link.client().call_raw("distributed.get_cluster_state", json!({ "fresh": true }));
    match tokio::time::timeout(FRESH_WITHIN, asked).await {
        Ok(Ok(state)) => state["as_of_ms"].as_u64(),
        Ok(Err(_)) | Err(_) => None,
    }
}
