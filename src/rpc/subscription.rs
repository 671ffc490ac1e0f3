//! The subscriptions of one connection.
//!
//! 1. The first event is sent after the answer with the subscription id has been written.
//! 2. After the answer to an unsubscribe, no event of that subscription follows.
//! 3. A slow subscriber holds up only itself: its forwarder waits for the connection's writer, and events that do not fit
//!    into its feed become one gap event, which every subscriber gets whatever its filter.
//! 4. When the connection ends, its subscriptions end.
//!
//! Not here: feeds and gaps (`crate::engine`), the types of events (`wire/event.rs`).

use super::budget::Budget;
use super::context::Context;
use super::errors::{ErrorKind, RpcError, shown};
use super::outgoing::{Draft, Outgoing};
use super::wire::event::{self, AnyEvent, EVENTS};
use crate::cluster::event::{ClusterFact, Event};
use crate::cluster::ids::{EventSeq, NodeId};
use crate::engine::events::EventFeed;
use crate::engine::node::handle::Node;
use crate::rpc::wire::subscription::SubscriptionName;
use futures_util::FutureExt;
use serde::Serialize;
use std::collections::{BTreeSet, HashMap};
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

/// The maximum number of subscriptions of one connection.
pub(crate) const MAX_SUBSCRIPTIONS: usize = 64;
/// The maximum number of names in one filter.
const MAX_NAMES: usize = 64;
/// How long a local event waits for this node's own id.
const NAME_WAIT: Duration = Duration::from_secs(1);

/// The events that a subscriber sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Filter {
    names: BTreeSet<&'static str>,
    /// Whether events that only a newer version knows are included.
    all: bool,
}

impl Filter {
    /// Parses a filter: names of events, or `cluster.*` (or `*`) for all except messages.
    pub(crate) fn new(texts: Option<&[String]>) -> Result<Self, RpcError> {
        let all = || EVENTS.iter().map(|spec| spec.name).filter(|name| *name != event::MESSAGE);
        let Some(texts) = texts else { return Ok(Self { names: all().collect(), all: true }) };
        if texts.is_empty() || texts.len() > MAX_NAMES {
            return Err(RpcError::parameter("events", format!("name 1 to {MAX_NAMES} events, or leave it out")));
        }
        let (mut names, mut everything) = (BTreeSet::new(), false);
        for text in texts {
            if matches!(text.as_str(), "cluster.*" | "*") {
                names.extend(all());
                everything = true;
                continue;
            }
            let Some(spec) = EVENTS.iter().find(|spec| spec.name == text) else {
                let known: Vec<&str> = EVENTS.iter().map(|spec| spec.name).collect();
                let text = format!("there is no event {}; there are: cluster.*, {}", shown(text), known.join(", "));
                return Err(RpcError::parameter("events", text));
            };
            names.insert(spec.name);
        }
        Ok(Self { names, all: everything })
    }

    /// Whether the filter includes messages.
    pub(crate) fn messages(&self) -> bool {
        self.names.contains(event::MESSAGE)
    }

    fn takes(&self, name: &str) -> bool {
        name == event::GAP || self.names.contains(name) || (self.all && EVENTS.iter().all(|spec| spec.name != name))
    }
}

#[derive(Debug, Default)]
struct Open {
    closed: bool,
    last_id: u64,
    running: HashMap<u64, JoinHandle<()>>,
}

/// The state that the calls of one connection share.
pub(crate) struct Session {
    out: mpsc::Sender<Outgoing>,
    form: EventForm,
    unwritten: Arc<Budget>,
    open: Mutex<Open>,
}

/// How a connection carries events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum EventForm {
    /// As notifications of JSON-RPC.
    Notifications,
    /// As server-sent events.
    ServerSent,
    /// Not at all.
    Nothing,
}

impl Drop for Session {
    fn drop(&mut self) {
        self.close();
    }
}

impl Session {
    /// A session that writes to `out`, and counts unwritten bytes in `unwritten`.
    pub(crate) fn new(out: mpsc::Sender<Outgoing>, unwritten: Arc<Budget>) -> Self {
        Self { out, form: EventForm::Notifications, unwritten, open: Mutex::default() }
    }

    /// The session of a connection that carries one answer.
    pub(crate) fn without_events(unwritten: Arc<Budget>) -> Self {
        let mut session = Self::new(mpsc::channel(1).0, unwritten);
        session.form = EventForm::Nothing;
        session
    }

    /// Sends events as server-sent events.
    pub(crate) fn server_sent(mut self) -> Self {
        self.form = EventForm::ServerSent;
        self
    }

    /// The budget for unwritten bytes of the connection.
    pub(crate) fn unwritten(&self) -> &Arc<Budget> {
        &self.unwritten
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends all subscriptions; no new one can be opened.
    pub(crate) fn close(&self) {
        let mut open = self.lock();
        open.closed = true;
        open.running.drain().for_each(|(_, task)| task.abort());
    }

    /// Fails when the connection cannot carry events, or has reached [`MAX_SUBSCRIPTIONS`].
    pub(crate) fn check_room(&self) -> Result<(), RpcError> {
        if self.form == EventForm::Nothing {
            let text =
                "this connection carries one answer and no events; read them from GET /events, the socket or stdio";
            return Err(RpcError::new(ErrorKind::Forbidden, text));
        }
        Self::room(&self.lock())
    }

    fn room(open: &Open) -> Result<(), RpcError> {
        if open.closed {
            return Err(RpcError::overloaded("the connection is closing"));
        }
        if open.running.len() >= MAX_SUBSCRIPTIONS {
            let text = format!(
                "this connection has reached its limit of {MAX_SUBSCRIPTIONS} subscriptions; unsubscribe from some"
            );
            return Err(RpcError::overloaded(text));
        }
        Ok(())
    }

    /// Opens a subscription. Its first event waits until `start` is sent; dropping `start` ends it.
    pub(crate) fn open<N: Node>(
        self: &Arc<Self>,
        context: &Arc<Context<N>>,
        filter: Filter,
        feed: N::Feed,
    ) -> Result<(u64, oneshot::Sender<()>), RpcError> {
        let (start, started) = oneshot::channel();
        let mut open = self.lock();
        Self::room(&open)?;
        open.last_id += 1;
        let id = open.last_id;
        let (out, unwritten) = (self.out.clone(), Arc::clone(&self.unwritten));
        let form = self.form;
        let forwarder = Forwarder { id, form, filter, feed, context: Arc::clone(context), this: None, out, unwritten };
        let session = Arc::downgrade(self);
        // The lock is held until the task is stored, so that the task cannot remove itself before that.
        open.running.insert(id, tokio::spawn(watch_over(session, forwarder, started)));
        Ok((id, start))
    }

    /// Ends a subscription; false if there is none with that id. No event of it is queued after this returns.
    pub(crate) async fn end(&self, id: u64) -> bool {
        let task = self.lock().running.remove(&id);
        let Some(task) = task else { return false };
        task.abort();
        // An aborted task returns an error, which is expected.
        let _ = task.await;
        true
    }
}

async fn watch_over<N: Node>(session: Weak<Session>, forwarder: Forwarder<N>, started: oneshot::Receiver<()>) {
    let id = forwarder.id;
    if AssertUnwindSafe(forwarder.run(started)).catch_unwind().await.is_err() {
        tracing::error!(subscription = id, "a subscription failed unexpectedly and was ended");
    }
    if let Some(session) = session.upgrade() {
        session.lock().running.remove(&id);
    }
}

#[derive(Serialize)]
struct EventNotification<'a> {
    jsonrpc: &'static str,
    method: &'a str,
    params: EventParams,
}

#[derive(Serialize)]
struct EventParams {
    subscription: u64,
    result: AnyEvent,
}

struct Forwarder<N: Node> {
    id: u64,
    form: EventForm,
    filter: Filter,
    feed: N::Feed,
    context: Arc<Context<N>>,
    /// This node's id, if known; local events are about it.
    this: Option<NodeId>,
    out: mpsc::Sender<Outgoing>,
    unwritten: Arc<Budget>,
}

impl<N: Node> Forwarder<N> {
    async fn run(mut self, started: oneshot::Receiver<()>) {
        if started.await.is_err() {
            return;
        }
        while let Some(event) = self.feed.next().await {
            let name = event::name(&event);
            self.note_departure(&event);
            if !self.filter.takes(&name) {
                continue;
            }
            if matches!(event, Event::Local { .. }) && self.this.is_none() {
                self.this = self.own_id().await;
            }
            let position = match &event {
                Event::Cluster(event) => Some(event.seq),
                Event::Local { .. } => None,
            };
            let result = AnyEvent::new(event, &self.context.info.cluster, self.this.as_ref());
            let Some(text) = self.text(&name, position, result) else {
                tracing::error!(event = %name, "cannot write an event as JSON; skipped it");
                continue;
            };
            let held = vec![self.unwritten.take(text.len()).await];
            let outgoing = match self.form {
                // Its ends of lines are part of it.
                EventForm::ServerSent => Outgoing { lines: text.into_bytes(), after: Vec::new(), held },
                _ => Draft { text, after: Vec::new(), held }.into(),
            };
            if self.out.send(outgoing).await.is_err() {
                return;
            }
        }
    }

    /// The text of an event; `None`: it cannot be written as JSON.
    fn text(&self, name: &str, position: Option<EventSeq>, result: AnyEvent) -> Option<String> {
        if self.form == EventForm::ServerSent {
            let data = serde_json::to_string(&result).ok()?;
            // Without an id, a client keeps the last one: what is local to this node has no place in the order.
            let id = position.map_or_else(String::new, |seq| format!("id: {}\n", seq.entry_id()));
            return Some(format!("{id}data: {data}\n\n"));
        }
        let params = EventParams { subscription: self.id, result };
        serde_json::to_string(&EventNotification { jsonrpc: "2.0", method: name, params }).ok()
    }

    /// Forgets this node's id when it leaves (also by a rename), so that the next local event asks for it again.
    fn note_departure(&mut self, event: &Event) {
        if let Event::Cluster(event) = event
            && matches!(event.fact, ClusterFact::NodeLeft { .. })
            && self.this.as_ref() == Some(&event.node_id)
        {
            self.this = None;
        }
    }

    async fn own_id(&self) -> Option<NodeId> {
        let view = tokio::time::timeout(NAME_WAIT, self.context.node.state(false)).await;
        view.ok().and_then(Result::ok).and_then(|view| view.node_id)
    }
}

/// The error for an unknown subscription id.
pub(crate) fn unknown(name: &SubscriptionName) -> RpcError {
    let name: String = match name {
        SubscriptionName::Number(id) => id.to_string(),
        SubscriptionName::Text(text) => format!("{:?}", text.chars().take(40).collect::<String>()),
    };
    let text = format!("there is no subscription {name} on this connection; it may have ended already");
    RpcError::new(ErrorKind::NotFound, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_seen_only_by_those_who_name_them() {
        let filter = |texts: &[&str]| {
            let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
            Filter::new(Some(&texts))
        };
        for all in [Filter::new(None), filter(&["cluster.*"]), filter(&["*"])] {
            let all = all.unwrap();
            assert!(!all.messages() && all.takes("cluster.degraded") && all.takes("cluster.sync_complete"));
        }
        let some = filter(&["cluster.message", "cluster.node_left"]).unwrap();
        assert!(some.messages() && some.takes("cluster.gap") && !some.takes("cluster.node_joined"));
        assert!(filter(&["cluster.*", "cluster.message"]).unwrap().messages());
        let problem = filter(&["cluster.nope"]).unwrap_err().message;
        assert!(problem.contains("cluster.nope") && problem.contains("cluster.leader_elected"), "{problem}");
        assert!(filter(&[]).is_err());
    }
}
