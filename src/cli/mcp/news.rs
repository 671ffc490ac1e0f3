//! Brings a session what its node tells: events, and that there is a node to call.
//!
//! 1. Across nodes no event is told twice, and what was missed comes as a gap: each subscription goes on behind the last
//!    event seen.
//! 2. Events from before the session are kept and not told.
//! 3. A node that does not answer for [`ANSWER`] is given up on, with every call that waits for it: a frozen process keeps
//!    its socket open.
//!
//! Not here: which node that is (`keeper.rs`), what becomes of the events (`crate::rpc::mcp`).

use crate::cli::node_access::attach::ANSWER;
use crate::rpc::client::{CallError, Client, Notification};
use crate::rpc::mcp::{Attachment, HostNotice, Link};
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
/// The pause between two looks whether the node still answers.
const PULSE_AFTER: Duration = Duration::from_secs(2);
/// What a session without another node says of one that does not answer.
const SILENT: &str = "the node of this host runs and does not answer; it may be stopped or overloaded: let its process go on, \
    or end it, then call again";
/// Behind the very first event.
const BEGINNING: &str = "0-0";

/// See the module's text.
pub(super) struct News {
    attachment: watch::Sender<Attachment>,
    tell: mpsc::Sender<HostNotice>,
    /// When the session was attached for the first time, in milliseconds of the Redis server's clock.
    began: Option<u64>,
    /// The `id` of the last event seen.
    seen: Option<String>,
}

impl News {
    pub(super) fn new(attachment: watch::Sender<Attachment>, tell: mpsc::Sender<HostNotice>) -> Self {
        Self { attachment, tell, began: None, seen: None }
    }

    /// Says that there is no node for now, where nothing more is known.
    pub(super) fn detach(&self) {
        self.attachment.send_if_modified(|now| {
            let attached = matches!(now, Attachment::Node(_));
            if attached {
                *now = Attachment::Seeking;
            }
            attached
        });
    }

    /// Says why there is none.
    pub(super) fn trouble(&self, why: &str) {
        self.attachment.send_replace(Attachment::Trouble(why.to_owned()));
    }

    fn silent(&self) {
        tracing::warn!("{SILENT}");
        self.trouble(SILENT);
    }

    /// Attaches the session to the node that listens there, and brings what it tells until it goes away.
    pub(super) async fn follow(&mut self, socket: &Path) {
        // Events have a connection of their own: a host that reads slowly holds up only that one. So has the question
        // whether the node is alive.
        let connected = tokio::try_join!(Link::connect(socket), Client::connect(socket), Client::connect(socket));
        let (link, client, pulse) = match connected {
            Ok((link, client, pulse)) => (Arc::new(link), client, pulse),
            Err(error) => return tracing::debug!(%error, "the node cannot be reached"),
        };
        if !answers(&pulse).await {
            return self.silent();
        }
        if self.began.is_none() && self.seen.is_none() {
            self.began = redis_time(&link).await;
        }
        self.attachment.send_replace(Attachment::Node(Arc::clone(&link)));
        let silent = tokio::select! {
            silent = self.bring_from(&client) => silent,
            () = falls_silent(&pulse) => true,
        };
        // A node that ends, or gets another id, still writes the answers that are in flight.
        if silent {
            self.silent();
            link.give_up();
        }
    }

    /// Brings events until the connection is lost. True: it stands, and is not answered on.
    async fn bring_from(&mut self, client: &Client) -> bool {
        self.send(HostNotice::Attached).await;
        while !client.is_lost() {
            let after = self.seen.clone().or_else(|| self.began.map(|_| BEGINNING.to_owned()));
            let wish = SubscribeParams { events: None, after };
            match tokio::time::timeout(ANSWER, client.subscribe(wish)).await {
                Ok(Ok((_, feed))) => {
                    self.bring(feed).await;
                    return false;
                }
                Ok(Err(CallError::Lost)) => return false,
                Ok(Err(error)) => tracing::debug!(%error, "the events cannot be followed yet"),
                Err(_) => return true,
            }
            tokio::time::sleep(AGAIN_AFTER).await;
        }
        false
    }

    async fn bring(&mut self, mut feed: mpsc::Receiver<Notification>) {
        while let Some(Notification { result: event, .. }) = feed.recv().await {
            if self.seen.is_none() && is_gap_at_the_beginning(&event) {
                continue;
            }
            let earlier = matches!((self.began, event["at_ms"].as_u64()), (Some(began), Some(at)) if at <= began);
            let seen = place_of(&event);
            self.send(if earlier { HostNotice::Earlier(event) } else { HostNotice::Event(event) }).await;
            // Only now: what was given up before it was told comes again.
            self.seen = seen.or(self.seen.take());
        }
    }

    async fn send(&self, happening: HostNotice) {
        // Without a receiver the session ends.
        let _ = self.tell.send(happening).await;
    }
}

/// Where to go on behind an event; a local one has no place.
fn place_of(event: &Value) -> Option<String> {
    let behind_gap = || event["to_seq"].as_u64().map(|to| format!("{to}-0"));
    event["id"].as_str().map(ToOwned::to_owned).or_else(behind_gap)
}

/// Whether the node answers, with whatever.
async fn answers(pulse: &Client) -> bool {
    let asked = pulse.call_raw("distributed.get_cluster_state", ());
    tokio::time::timeout(ANSWER, asked).await.is_ok()
}

/// Waits until the node does not answer any more.
async fn falls_silent(pulse: &Client) {
    while answers(pulse).await {
        tokio::time::sleep(PULSE_AFTER).await;
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
