//! Forwards a node's events to the session, and tells the session whether there is a node to call.
//!
//! 1. Across nodes no event is forwarded twice, and missed events appear as a gap: each subscription continues after the last event
//!    seen.
//! 2. Events from before the session are stored for reading but not announced.
//! 3. When a node does not answer for [`ANSWER`], the session detaches from it and its pending calls fail: a frozen process keeps
//!    its socket open.
//!
//! Not here: the choice of the node (`attachment.rs`), the handling of the events (`crate::rpc::mcp`).

use crate::cli::node_access::attach::ANSWER;
use crate::rpc::client::{CallError, Client, Notification};
use crate::rpc::mcp::{Attachment, HostNotice, Link};
use crate::rpc::wire::subscription::SubscribeParams;
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// How long Redis may take to tell its time; without it the session does not load earlier events.
const REDIS_TIME_TIMEOUT: Duration = Duration::from_secs(2);
/// The pause before a failed subscription is retried.
const SUBSCRIBE_RETRY_DELAY: Duration = Duration::from_secs(1);
/// The pause between two checks whether the node still answers.
const LIVENESS_CHECK_INTERVAL: Duration = Duration::from_secs(2);
/// The error of calls while the only node of this host does not answer.
const UNRESPONSIVE: &str = "this host's node runs but does not answer; it may be suspended or overloaded: resume its process, \
    or kill it, then call again";
/// The position before the very first event.
const BEGINNING: &str = "0-0";

/// See the module's text.
pub(super) struct News {
    attachment: watch::Sender<Attachment>,
    notify: mpsc::Sender<HostNotice>,
    /// When the session was attached for the first time, in milliseconds of the Redis server's clock.
    began: Option<u64>,
    /// The `id` of the last event seen.
    seen: Option<String>,
}

impl News {
    pub(super) fn new(attachment: watch::Sender<Attachment>, notify: mpsc::Sender<HostNotice>) -> Self {
        Self { attachment, notify, began: None, seen: None }
    }

    /// Marks the session as looking for a node, unless an error is known.
    pub(super) fn detach(&self) {
        self.attachment.send_if_modified(|now| {
            let attached = matches!(now, Attachment::Node(_));
            if attached {
                *now = Attachment::Seeking;
            }
            attached
        });
    }

    /// Marks the session as without a node, because of `why`.
    pub(super) fn trouble(&self, why: &str) {
        self.attachment.send_replace(Attachment::Trouble(why.to_owned()));
    }

    fn unresponsive(&self) {
        tracing::warn!("{UNRESPONSIVE}");
        self.trouble(UNRESPONSIVE);
    }

    /// Attaches the session to the node that listens at `socket`, and forwards its events until it goes away.
    pub(super) async fn follow(&mut self, socket: &Path) {
        // Events have their own connection, which a slow host may block; so has the liveness check.
        let connected = tokio::try_join!(Link::connect(socket), Client::connect(socket), Client::connect(socket));
        let (link, client, pulse) = match connected {
            Ok((link, client, pulse)) => (Arc::new(link), client, pulse),
            Err(error) => return tracing::debug!(%error, "cannot connect to the node; trying again"),
        };
        if !answers(&pulse).await {
            return self.unresponsive();
        }
        if self.began.is_none() && self.seen.is_none() {
            self.began = redis_time(&link).await;
        }
        self.attachment.send_replace(Attachment::Node(Arc::clone(&link)));
        let frozen = tokio::select! {
            frozen = self.forward_events(&client) => frozen,
            () = stops_answering(&pulse) => true,
        };
        // A node that ends, or gets another id, still writes the answers that are in flight.
        if frozen {
            self.unresponsive();
            link.give_up();
        }
    }

    /// Forwards events until the connection is lost. True: the connection is open, but the node does not answer.
    async fn forward_events(&mut self, client: &Client) -> bool {
        self.send(HostNotice::Attached).await;
        while !client.is_lost() {
            let after = self.seen.clone().or_else(|| self.began.map(|_| BEGINNING.to_owned()));
            let params = SubscribeParams { events: None, after };
            match tokio::time::timeout(ANSWER, client.subscribe(params)).await {
                Ok(Ok((_, feed))) => {
                    self.forward(feed).await;
                    return false;
                }
                Ok(Err(CallError::Lost)) => return false,
                Ok(Err(error)) => tracing::debug!(%error, "cannot subscribe to events yet; trying again"),
                Err(_) => return true,
            }
            tokio::time::sleep(SUBSCRIBE_RETRY_DELAY).await;
        }
        false
    }

    async fn forward(&mut self, mut feed: mpsc::Receiver<Notification>) {
        while let Some(Notification { result: event, .. }) = feed.recv().await {
            if self.seen.is_none() && is_gap_at_the_beginning(&event) {
                continue;
            }
            let earlier = matches!((self.began, event["at_ms"].as_u64()), (Some(began), Some(at)) if at <= began);
            let seen = position_of(&event);
            self.send(if earlier { HostNotice::Earlier(event) } else { HostNotice::Event(event) }).await;
            // Only now: an event whose forwarding was cancelled comes again.
            self.seen = seen.or(self.seen.take());
        }
    }

    async fn send(&self, notice: HostNotice) {
        // It fails only when the session ends.
        let _ = self.notify.send(notice).await;
    }
}

/// The position after an event; `None` for a local one.
fn position_of(event: &Value) -> Option<String> {
    let behind_gap = || event["to_seq"].as_u64().map(|to| format!("{to}-0"));
    event["id"].as_str().map(ToOwned::to_owned).or_else(behind_gap)
}

/// Whether the node answers at all, even with an error.
async fn answers(pulse: &Client) -> bool {
    let asked = pulse.call_raw("distributed.get_cluster_state", ());
    tokio::time::timeout(ANSWER, asked).await.is_ok()
}

/// Waits until the node stops answering.
async fn stops_answering(pulse: &Client) {
    while answers(pulse).await {
        tokio::time::sleep(LIVENESS_CHECK_INTERVAL).await;
    }
}

/// Whether this is the gap of events trimmed before the session began, which the session did not miss.
fn is_gap_at_the_beginning(event: &Value) -> bool {
    event["event"] == "cluster.gap" && event["from_seq"].as_u64().is_some_and(|from| from <= 1)
}

/// The Redis server's time in milliseconds; events up to then are from before the session.
async fn redis_time(link: &Link) -> Option<u64> {
    let asked = link.client().call_raw("distributed.get_cluster_state", json!({ "fresh": true }));
    match tokio::time::timeout(REDIS_TIME_TIMEOUT, asked).await {
        Ok(Ok(state)) => state["as_of_ms"].as_u64(),
        Ok(Err(_)) | Err(_) => None,
    }
}
