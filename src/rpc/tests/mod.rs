//! The behaviour of the whole layer, over pipes in memory and a node that is played by [`Stub`].

mod delivery;
mod hand_over;
mod history;
mod methods;
mod noise;
mod observed;
mod protocol;
mod schemas;
mod spans;
mod subscriptions;
mod transcripts;
mod work;
mod work_stub;

use super::connection::{Ended, Limits, serve};
use super::context::ServerInfo;
use super::framing::WriterSink;
use super::module::Module;
use crate::clock;
use crate::cluster::event::Event;
use crate::cluster::ids::{ClusterName, Incarnation, MessageSeq, NodeId, Term};
use crate::cluster::members::member::{Member, Metadata, PresenceKind, Status, StoredStatus};
use crate::cluster::messages::message::Received;
use crate::cluster::time::{Moment, ServerTime};
use crate::engine::agents::Policy;
use crate::engine::error::Error;
use crate::engine::events::{EventFeed, FeedOptions};
use crate::engine::metrics::Metrics;
use crate::engine::node::handle::*;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream, Lines};
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio::task::JoinHandle;

/// How long anything may take before a test fails.
const DEADLINE: Duration = Duration::from_secs(60);

/// A node for tests: it answers at once, notes what it was asked, and holds `get_cluster_state(fresh)` at a gate.
pub(crate) struct Stub {
    pub(crate) gate: Semaphore,
    pub(crate) joins: Mutex<Vec<JoinRequest>>,
    pub(crate) syncs: Mutex<Vec<SyncRequest>>,
    pub(crate) inbox: Mutex<Vec<Received>>,
    pub(crate) receipts: Mutex<Vec<oneshot::Receiver<()>>>,
    pub(crate) feeds: Mutex<Vec<(FeedOptions, mpsc::Sender<Event>)>>,
    pub(crate) work: work_stub::Asked,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) health: Mutex<Health>,
    pub(crate) past: history::Asked,
    pub(crate) transcripts: transcripts::Asked,
}

pub(crate) fn node_id(text: &str) -> NodeId {
    NodeId::new(text).unwrap()
}

fn view() -> NodeView {
    let member = Member {
        node_id: node_id("a"),
        incarnation: Incarnation(3),
        metadata: Metadata { version: "0.1.0".into(), ..Metadata::default() },
        status: StoredStatus::Online,
        presence: PresenceKind::Connection,
        joined_at: ServerTime(1_000),
        last_seen: ServerTime(2_000),
    };
    NodeView { member, status: Status::Suspect, role: Role::Leader }
}

/// A feed that a test fills by hand.
pub(crate) struct Fed(mpsc::Receiver<Event>);

impl EventFeed for Fed {
    async fn next(&mut self) -> Option<Event> {
        self.0.recv().await
    }
}

impl Node for Stub {
    type Feed = Fed;
    type Work = Self;
    type Limits = Self;
    type Schedules = Self;

    fn schedules(&self) -> &Self {
        self
    }

    fn limits(&self) -> &Self {
        self
    }

    fn work(&self) -> &Self {
        self
    }

    async fn join(&self, request: JoinRequest) -> Result<Joined, Error> {
        self.joins.lock().unwrap().push(request);
        Ok(Joined {
            cluster: ClusterName::new("openclaw").unwrap(),
            node_id: node_id("a"),
            incarnation: Incarnation(3),
            joined_at: ServerTime(1_000),
            leader_id: None,
            term: Term(7),
            nodes: vec![view()],
        })
    }

    async fn leave(&self) -> Result<Left, Error> {
        Err(Error::NotJoined)
    }

    async fn known_state(&self) -> Result<Arc<KnownState>, Error> {
        let state = self.state(false).await?;
        Ok(Arc::new(KnownState::new(state, clock::now(), Moment(Duration::MAX))))
    }

    async fn state(&self, fresh: bool) -> Result<StateView, Error> {
        if fresh {
            self.gate.acquire().await.unwrap().forget();
        }
        Ok(StateView {
            cluster: ClusterName::new("openclaw").unwrap(),
            node_id: Some(node_id("a")),
            role: Role::Leader,
            leader_id: Some(node_id("a")),
            term: Term(7),
            lease_expires_at: Some(ServerTime(32_000)),
            nodes: vec![view()],
            redis_ok: true,
            redis_trouble: None,
            servers: crate::store::redis::Servers::default(),
            age: std::time::Duration::ZERO,
            as_of: ServerTime(2_500),
            peers: None,
        })
    }

    async fn notify(&self, request: crate::engine::node::handle::NotifyRequest) -> Result<Vec<NodeId>, Error> {
        Ok(request.to.unwrap_or_default().into_iter().map(|id| node_id(&id)).collect())
    }

    async fn elect(&self, request: ElectRequest) -> Result<Elected, Error> {
        match request.candidate.as_ref().map(NodeId::as_str) {
            Some("panic") => panic!("asked for by a test"),
            Some(other) => Err(Error::UnknownNode { names: vec![other.to_owned()] }),
            None => Ok(Elected {
                leader_id: node_id("a"),
                term: Term(7),
                changed: request.force,
                lease_expires_at: ServerTime(32_000),
            }),
        }
    }

    async fn sync(&self, request: SyncRequest) -> Result<Synced, Error> {
        let received = self.inbox.lock().unwrap().clone();
        let delivery = (request.auto_ack && !received.is_empty()).then(|| {
            let (delivery, receipt) = Delivery::new();
            self.receipts.lock().unwrap().push(receipt);
            delivery
        });
        let entries = (1..=request.messages.len()).map(|n| Some(MessageSeq(n as u64))).collect();
        let published = request.messages.len();
        self.syncs.lock().unwrap().push(request);
        let cursor = received.last().map_or(MessageSeq(0), |last| last.seq);
        Ok(Synced { published, duplicates: 0, queued: 0, entries, received, cursor, more: false, gap: None, delivery })
    }

    async fn beat(&self) -> Result<Beat, Error> {
        Ok(Beat {
            node_id: node_id("a"),
            incarnation: Incarnation(3),
            role: Role::Follower,
            term: Term(7),
            leader_id: Some(node_id("b")),
            at: ServerTime(2_500),
            round_trip: Duration::from_micros(1_250),
            attempts: 2,
        })
    }

    async fn feed(&self, options: FeedOptions) -> Result<Fed, Error> {
        let (tx, rx) = mpsc::channel(16);
        self.feeds.lock().unwrap().push((options, tx));
        Ok(Fed(rx))
    }
}

/// A stub node and its methods.
pub(crate) fn module() -> (Arc<Stub>, Module) {
    let node = Arc::new(Stub {
        gate: Semaphore::new(0),
        joins: Mutex::default(),
        syncs: Mutex::default(),
        inbox: Mutex::default(),
        receipts: Mutex::default(),
        feeds: Mutex::default(),
        work: work_stub::Asked::default(),
        metrics: Metrics::new().unwrap(),
        health: Mutex::default(),
        past: history::Asked::default(),
        transcripts: transcripts::Asked::default(),
    });
    let cluster = ClusterName::new("openclaw").unwrap();
    let info =
        ServerInfo { cluster, redis_mode: "standalone".into(), version: "9.9.9".into(), agents: Policy::default() };
    let module = Module::new(Arc::clone(&node), info).unwrap();
    (node, module)
}

/// A client on raw lines, and the server that serves it.
pub(crate) struct Host {
    pub(crate) node: Arc<Stub>,
    pub(crate) input: Option<DuplexStream>,
    pub(crate) output: Option<Lines<BufReader<DuplexStream>>>,
    pub(crate) stop: watch::Sender<bool>,
    server: JoinHandle<Ended>,
}

impl Host {
    pub(crate) fn start() -> Self {
        Self::with(Limits::default(), 1 << 20)
    }

    /// A server whose output pipe holds `pipe` bytes.
    pub(crate) fn with(limits: Limits, pipe: usize) -> Self {
        let (node, module) = module();
        let (input, server_in) = tokio::io::duplex(1 << 20);
        let (server_out, output) = tokio::io::duplex(pipe);
        let (stop, stopped) = watch::channel(false);
        let server =
            tokio::spawn(async move { serve(&module, server_in, WriterSink(server_out), &limits, stopped).await });
        Self { node, input: Some(input), output: Some(BufReader::new(output).lines()), stop, server }
    }

    pub(crate) async fn write(&mut self, bytes: &[u8]) {
        self.input.as_mut().unwrap().write_all(bytes).await.unwrap();
    }

    pub(crate) async fn line(&mut self, text: &str) {
        self.write(format!("{text}\n").as_bytes()).await;
    }

    /// Sends a request and does not wait.
    pub(crate) async fn send(&mut self, id: impl Into<Value>, method: &str, params: Value) {
        self.line(&json!({"jsonrpc": "2.0", "id": id.into(), "method": method, "params": params}).to_string()).await;
    }

    /// The next line as text; `None` at the end.
    pub(crate) async fn next_text(&mut self) -> Option<String> {
        let line = self.output.as_mut().unwrap().next_line();
        tokio::time::timeout(DEADLINE, line).await.expect("no line came in time").unwrap()
    }

    pub(crate) async fn next(&mut self) -> Value {
        serde_json::from_str(&self.next_text().await.expect("the output ended")).unwrap()
    }

    /// Sends a request and takes the next line as its answer.
    pub(crate) async fn ask(&mut self, method: &str, params: Value) -> Value {
        self.send("asked", method, params).await;
        let answer = self.next().await;
        assert_eq!(answer["id"], "asked", "{answer}");
        answer
    }

    /// Whether the server still serves, and no line was written before.
    pub(crate) async fn assert_silent(&mut self) {
        let answer = self.ask("distributed.get_cluster_state", json!({})).await;
        assert_eq!(answer["result"]["node_id"], "a");
    }

    pub(crate) async fn ended(self) -> Ended {
        drop((self.input, self.output));
        tokio::time::timeout(DEADLINE, self.server).await.expect("the server did not end").unwrap()
    }
}

/// Waits until something holds.
pub(crate) async fn until(what: &str, holds: impl Fn() -> bool) {
    let wait = async {
        while !holds() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(DEADLINE, wait).await.unwrap_or_else(|_| panic!("not in time: {what}"));
}

pub(crate) fn received(seq: u64, payload: &str) -> Received {
    let message = &crate::cluster::messages::message::Message {
        id: format!("m{seq}"),
        topic: None,
        to: None,
        payload: serde_json::value::RawValue::from_string(payload.to_owned()).unwrap(),
    };
    Received { seq: MessageSeq(seq), from: node_id("b"), sent_at: ServerTime(5), message: message.into() }
}
