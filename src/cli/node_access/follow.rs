//! Follows the cluster for `top` and `status --watch`: through this host's node, or directly on Redis if no node runs here.
//!
//! 1. It never ends by itself: when the node goes away, is replaced or freezes, or Redis does not answer, it reports that and keeps
//!    trying.
//! 2. It polls no faster than requested, and spends at most a tenth of the time on polling.
//! 3. Events have their own connection: a flood of events must not delay the answers.
//!
//! Not here: what is shown (`crate::cli::tui::top`, `crate::cli::watch`).

use super::attach::{ANSWER, Found, answer, find};
use super::direct::Observer;
use crate::cli::options::Global;
use crate::cli::outcome::Failure;
use crate::clock;
use crate::cluster::ids::EventSeq;
use crate::config::Config;
use crate::rpc::client::{CallError, Client, Notification};
use crate::rpc::errors::ErrorKind;
use crate::rpc::wire::event::{EVENTS, GAP, MESSAGE, SYNC_COMPLETE};
use crate::rpc::wire::state::{ClusterState, StateParams};
use crate::rpc::wire::subscription::SubscribeParams;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Interval, MissedTickBehavior};

/// How long a node may take to answer before it is reported as not answering.
const NODE_TIMEOUT: Duration = Duration::from_secs(3);
/// The pause before a node that went away is searched again.
const NODE_SEARCH_INTERVAL: Duration = Duration::from_millis(500);
/// The least interval between two requests for latencies, and how much each node adds to it.
const LATENCY_INTERVAL: (Duration, Duration) = (Duration::from_secs(5), Duration::from_millis(40));
/// How far back the newest heartbeats are searched for.
const LATENCY_WINDOW: Duration = Duration::from_secs(120);
/// The most events read from Redis in one call.
const CHUNK: usize = 1_000;

/// All events but messages, and those that a busy node emits by the thousand; a gap is always reported.
fn followed() -> Vec<String> {
    let names = EVENTS.iter().map(|spec| spec.name);
    names.filter(|name| ![MESSAGE, SYNC_COMPLETE, GAP].contains(name)).map(str::to_owned).collect()
}

/// Where the news comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// The node with this id, through its socket.
    Node(String),
    /// Redis directly; the text says why.
    Redis(String),
}

/// Metrics by name.
pub(crate) type Numbers = BTreeMap<String, f64>;

/// What the follower reports.
#[derive(Debug)]
pub(crate) enum News {
    /// The source of everything that follows.
    Source(Source),
    /// The cluster's state, and the node's metrics if the source is a node that has them.
    State(Box<ClusterState>, Option<Numbers>),
    /// An event.
    Event(Value),
    /// The round trip of each node's newest heartbeat.
    Latencies(BTreeMap<String, Duration>),
    /// Redis does not answer this process.
    RedisLost,
    /// There is no news at the moment; the text says why.
    Trouble(String),
}

/// See the module's text.
#[derive(Debug)]
pub(crate) struct Link {
    global: Global,
    config: Config,
    pace: Duration,
    /// Whether to follow events, metrics and latencies as well.
    everything: bool,
    /// The sequence number of the last forwarded event.
    seen: u64,
    has_numbers: bool,
    has_history: bool,
}

/// Why following a source ended.
enum End {
    /// The receiver of the news is gone.
    Over,
    /// The node or Redis is gone.
    Lost,
}

impl From<CallError> for End {
    fn from(_: CallError) -> Self {
        Self::Lost
    }
}

impl Link {
    /// Checks that there is something to follow. `pace`: the interval between two polls of the state.
    ///
    /// # Errors
    /// [`Failure::Usage`] for a wrong choice of a node, [`Failure::RedisUnreachable`] when neither a node nor Redis answers.
    pub(crate) async fn open(
        global: &Global,
        config: Config,
        pace: Duration,
        everything: bool,
    ) -> Result<Self, Failure> {
        match find(global, &config).await? {
            Found::Running { client, .. } => {
                let call = client.call::<ClusterState>("distributed.get_cluster_state", StateParams::default());
                answer(ANSWER, call).await?;
            }
            Found::Absent(why) if global.node.is_some() => return Err(Failure::Usage(why)),
            Found::Absent(_) => drop(Observer::new(&config).state().await?),
        }
        let global = global.clone();
        Ok(Self { global, config, pace, everything, seen: 0, has_numbers: true, has_history: true })
    }

    /// Forwards news until the receiver is dropped.
    pub(crate) async fn run(mut self, news: mpsc::Sender<News>) {
        let mut observer: Option<Observer> = None;
        loop {
            let ended = match find(&self.global, &self.config).await {
                Ok(Found::Running { node_id, socket, client }) => {
                    observer = None;
                    let (id, found) = (node_id.to_string(), Source::Node(node_id.to_string()));
                    if news.send(News::Source(found)).await.is_err() {
                        return;
                    }
                    let ended = self.through(&client, &socket, &news).await;
                    match ended {
                        End::Over => ended,
                        End::Lost => report(&news, format!("node {id} is gone; looking for it")).await,
                    }
                }
                Ok(Found::Absent(why)) => {
                    if observer.is_none() && news.send(News::Source(Source::Redis(why))).await.is_err() {
                        return;
                    }
                    let observer = observer.get_or_insert_with(|| Observer::new(&self.config));
                    let began = clock::now();
                    let ended = self.directly(observer, &news).await;
                    tokio::time::sleep(self.pause(clock::now().since(began)).min(NODE_TIMEOUT.max(self.pace))).await;
                    ended
                }
                Err(failure) => report(&news, failure.to_string()).await,
            };
            if matches!(ended, End::Over) {
                return;
            }
            if observer.is_none() {
                tokio::time::sleep(NODE_SEARCH_INTERVAL).await;
            }
        }
    }

    fn pause(&self, took: Duration) -> Duration {
        self.pace.max(took.saturating_mul(10))
    }

    /// Follows a node until it is gone.
    async fn through(&mut self, client: &Client, socket: &Path, news: &mpsc::Sender<News>) -> End {
        // The node may be another version than the one before it.
        (self.has_numbers, self.has_history) = (true, true);
        let feed = match self.subscribe(socket).await {
            Ok(feed) => feed,
            Err(failure) => return report(news, failure.to_string()).await,
        };
        // The connection must be kept for as long as its events are read.
        let (_connection, mut events) = feed.map_or((None, None), |(client, events)| (Some(client), Some(events)));
        let (mut states, mut latencies) = (timer(self.pace), timer(LATENCY_INTERVAL.0));
        let mut nodes = 0;
        loop {
            let sent = tokio::select! {
                event = next(&mut events) => match event {
                    Some(event) => self.event(event.result, news).await,
                    None => return End::Lost,
                },
                _ = states.tick() => {
                    let began = clock::now();
                    let asked = tokio::time::timeout(NODE_TIMEOUT, self.state(client)).await;
                    // A call without an answer says nothing about the node's load.
                    let took = if asked.is_ok() { clock::now().since(began) } else { Duration::ZERO };
                    states.reset_after(self.pause(took));
                    match asked {
                        Ok(Ok((state, numbers))) => {
                            nodes = state.nodes.len();
                            news.send(News::State(Box::new(state), numbers)).await
                        }
                        Ok(Err(CallError::Lost)) => return End::Lost,
                        Ok(Err(error)) => news.send(News::Trouble(error.to_string())).await,
                        Err(_) => news.send(News::Trouble("the node does not answer".to_owned())).await,
                    }
                }
                _ = latencies.tick(), if self.everything && self.has_history => {
                    let asked = tokio::time::timeout(NODE_TIMEOUT, self.latencies(client, nodes)).await;
                    let each = LATENCY_INTERVAL.1.saturating_mul(u32::try_from(nodes).unwrap_or(u32::MAX));
                    latencies.reset_after(LATENCY_INTERVAL.0.max(each));
                    match asked {
                        Ok(Some(found)) => news.send(News::Latencies(found)).await,
                        Ok(None) | Err(_) => Ok(()),
                    }
                }
            };
            if sent.is_err() {
                return End::Over;
            }
        }
    }

    async fn subscribe(&self, socket: &Path) -> Result<Option<(Client, mpsc::Receiver<Notification>)>, Failure> {
        if !self.everything {
            return Ok(None);
        }
        let client = Client::connect(socket).await?;
        let params = SubscribeParams { events: Some(followed()), after: Some(format!("{}-0", self.seen)) };
        let (_, events) = answer(NODE_TIMEOUT, client.subscribe(params)).await?;
        Ok(Some((client, events)))
    }

    async fn event(&mut self, event: Value, news: &mpsc::Sender<News>) -> Result<(), mpsc::error::SendError<News>> {
        self.seen = event.get("seq").and_then(Value::as_u64).unwrap_or(0).max(self.seen);
        news.send(News::Event(event)).await
    }

    /// Asks for the state, with metrics if the node supports them.
    async fn state(&mut self, client: &Client) -> Result<(ClusterState, Option<Numbers>), CallError> {
        let wants = self.everything && self.has_numbers;
        let params = if wants { json!({"metrics": true}) } else { json!({}) };
        let mut answered = match client.call_raw("distributed.get_cluster_state", params).await {
            // A node of an older version, which does not know `metrics`.
            Err(CallError::Rpc(failure)) if wants && failure.code == ErrorKind::InvalidParams.code() => {
                self.has_numbers = false;
                client.call_raw("distributed.get_cluster_state", json!({})).await?
            }
            other => other?,
        };
        let numbers = answered.get_mut("metrics").map(Value::take);
        let numbers = numbers.and_then(|numbers| serde_json::from_value(numbers).ok());
        let state = serde_json::from_value(answered).map_err(|error| CallError::Form(error.to_string()))?;
        Ok((state, numbers))
    }

    async fn latencies(&mut self, client: &Client, nodes: usize) -> Option<BTreeMap<String, Duration>> {
        let limit = nodes.saturating_mul(3).clamp(50, 10_000);
        let since = u64::try_from(LATENCY_WINDOW.as_millis()).unwrap_or(u64::MAX);
        let params = json!({"since_ms": since, "limit": limit});
        match client.call_raw("distributed.get_history", params).await {
            Ok(page) => Some(newest(&page)),
            Err(CallError::Rpc(failure)) if failure.code == ErrorKind::MethodNotFound.code() => {
                self.has_history = false;
                None
            }
            Err(_) => None,
        }
    }

    /// Reads Redis once.
    async fn directly(&mut self, observer: &Observer, news: &mpsc::Sender<News>) -> End {
        let sent = match observer.state().await {
            Ok(state) => news.send(News::State(Box::new(state), None)).await,
            Err(_) => news.send(News::RedisLost).await,
        };
        if sent.is_err() {
            return End::Over;
        }
        while self.everything
            && let Ok(events) = observer.events(EventSeq(self.seen), CHUNK).await
        {
            let full = events.len() == CHUNK;
            for event in events {
                let Ok(event) = serde_json::to_value(event) else { continue };
                if self.event(event, news).await.is_err() {
                    return End::Over;
                }
            }
            if !full {
                break;
            }
        }
        End::Lost
    }
}

async fn report(news: &mpsc::Sender<News>, trouble: String) -> End {
    if news.send(News::Trouble(trouble)).await.is_err() { End::Over } else { End::Lost }
}

async fn next(events: &mut Option<mpsc::Receiver<Notification>>) -> Option<Notification> {
    match events {
        Some(events) => events.recv().await,
        None => std::future::pending().await,
    }
}

fn timer(every: Duration) -> Interval {
    let mut timer = tokio::time::interval(every);
    timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
    timer
}

/// The newest round trip of each node in a page of history, whose newest entries are last.
fn newest(page: &Value) -> BTreeMap<String, Duration> {
    let entries = page.get("entries").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let read = |entry: &Value| {
        let millis = entry.get("round_trip_ms")?.as_f64()?;
        let round_trip = Duration::try_from_secs_f64(millis / 1_000.0).ok()?;
        Some((entry.get("node_id")?.as_str()?.to_owned(), round_trip))
    };
    entries.iter().filter_map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_round_trip_of_each_node_counts() {
        let entry = |id: &str, millis: f64| json!({"node_id": id, "at_ms": 1, "round_trip_ms": millis});
        let page = json!({"source": "redis", "more": false,
            "entries": [entry("a", 1.5), entry("b", 2.0), entry("a", 0.25), {"node_id": "c"}, entry("d", -1.0)]});
        let expected = [("a", 250), ("b", 2_000)].map(|(id, micros)| (id.to_owned(), Duration::from_micros(micros)));
        assert_eq!(newest(&page), expected.into());
        assert_eq!(newest(&json!({})), BTreeMap::new());
    }
}
