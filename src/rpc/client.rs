//! The client of a running node: what the command line speaks through the unix socket.
//!
//! 1. Calls run concurrently on one connection; each answer finds its caller by its id.
//! 2. Once the connection is lost, every waiting and every later call says so; nothing waits for ever on it.
//! 3. A subscription's receiver stands before its first event is read. Its queue is bounded: while it is full, nothing
//!    else is read from this connection, so whoever subscribes must go on receiving (or call on another client).
//!
//! Not here: the wire's other end (`super::connection`).

use super::errors::ErrorData;
use super::framing::{Line, LineReader, LineSink, WriterSink};
use super::wire::subscription::SubscribeParams;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};
use std::collections::HashMap;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

/// The longest line that a client takes, in bytes: over twice the server's longest answer, whose line separators are
/// escaped on the way.
const MAX_ANSWER_BYTES: usize = 40 << 20;
/// How many requests wait to be written.
const REQUESTS_QUEUED: usize = 64;
/// How many notifications wait to be received.
const NOTIFICATIONS_QUEUED: usize = 1_024;

/// How long what is left is read once nothing can be written any more.
const LAST_WORDS: std::time::Duration = std::time::Duration::from_millis(200);

/// Why a client could not be connected.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No node listens there: the file is missing, or nobody answers on it.
    #[error("no node listens on {path}; start one with `clawster serve`")]
    NoNode {
        /// The socket's path.
        path: String,
    },
    /// A process of another user listens there: nothing it says is believed, and nothing is told to it.
    #[error(
        "{path} belongs to another user's process, which is not trusted; choose another state directory, or remove that file"
    )]
    Foreign {
        /// The socket's path.
        path: String,
    },
    /// Something else is in the way.
    #[error("cannot connect to {path}: {source}")]
    Connect {
        /// The socket's path.
        path: String,
        /// What the system says.
        source: std::io::Error,
    },
}

/// An error that the node answered with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct RpcFailure {
    /// The JSON-RPC error code.
    pub code: i32,
    /// What is wrong and what to do.
    pub message: String,
    /// Facts for programs; absent when the other side sends none, or others than ours.
    #[serde(default, deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub data: Option<ErrorData>,
}

fn lenient<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<ErrorData>, D::Error> {
    let value = Value::deserialize(deserializer)?;
    Ok(serde_json::from_value(value).ok())
}

/// Why a call has no result.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum CallError {
    /// The node refused the call.
    #[error(transparent)]
    Rpc(#[from] RpcFailure),
    /// The connection was lost before the answer came; whether the call was done is not known.
    #[error("the connection to the node was lost before it answered")]
    Lost,
    /// The parameters are no JSON, or the result is not of the expected form (another version of the node).
    #[error("{0}")]
    Form(String),
}

/// An event that came in.
#[derive(Debug, Clone, PartialEq)]
pub struct Notification {
    /// The event's name.
    pub method: String,
    /// The event.
    pub result: Value,
}

/// The id of a subscription, as the node gave it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SubscriptionId(pub u64);

type Answer = Result<Box<RawValue>, CallError>;
type Subscribed = Result<(SubscriptionId, mpsc::Receiver<Notification>), CallError>;

/// Who waits for an answer.
enum Waiting {
    Call(oneshot::Sender<Answer>),
    Subscription(oneshot::Sender<Subscribed>),
}

#[derive(Default)]
struct Waiters {
    lost: bool,
    /// An error that came while nobody waited; the next call is told.
    refusal: Option<RpcFailure>,
    by_id: HashMap<u64, Waiting>,
}

/// Whose an error without an id is.
enum Blamed {
    Caller(Waiting),
    NextCaller,
    Unknown,
}

#[derive(Default)]
struct Shared {
    waiters: Mutex<Waiters>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Waiters> {
        self.waiters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Finds whom an error without an id is for: the only one that waits.
    fn blame(&self, failure: RpcFailure) -> Blamed {
        let mut waiters = self.lock();
        let mut ids = waiters.by_id.keys().copied();
        match (ids.next(), ids.next()) {
            (Some(id), None) => waiters.by_id.remove(&id).map_or(Blamed::Unknown, Blamed::Caller),
            (Some(_), Some(_)) => Blamed::Unknown,
            (None, _) => {
                waiters.refusal = Some(failure);
                Blamed::NextCaller
            }
        }
    }

    fn lose(&self) {
        let mut waiters = self.lock();
        waiters.lost = true;
        // Their senders are dropped, which every waiting call sees as a lost connection.
        waiters.by_id.clear();
    }
}

/// A connection to a running node. Dropping it closes the connection.
pub struct Client {
    next_id: AtomicU64,
    requests: mpsc::Sender<String>,
    shared: Arc<Shared>,
    reader: JoinHandle<()>,
    writer: JoinHandle<()>,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.reader.abort();
        self.writer.abort();
    }
}

/// Whether the process that listens is this user's or root's; to root, also that of the user whose folder the socket lies in.
fn is_own_node(stream: &tokio::net::UnixStream, path: &Path) -> bool {
    let own = rustix::process::geteuid();
    let owner = || path.parent().and_then(|folder| folder.metadata().ok()).map(|folder| folder.uid());
    stream.peer_cred().is_ok_and(|peer| {
        peer.uid() == own.as_raw() || peer.uid() == 0 || (own.is_root() && owner() == Some(peer.uid()))
    })
}

impl Client {
    /// Connects to the socket of a running node.
    ///
    /// # Errors
    /// [`ClientError::NoNode`] when nobody listens, [`ClientError::Foreign`] when another user does, [`ClientError::Connect`] for
    /// anything else in the way.
    pub async fn connect(path: &Path) -> Result<Self, ClientError> {
        use std::io::ErrorKind::{ConnectionRefused, NotFound};
        let shown = path.display().to_string();
        match tokio::net::UnixStream::connect(path).await {
            Ok(stream) => {
                if !is_own_node(&stream, path) {
                    return Err(ClientError::Foreign { path: shown });
                }
                let (input, output) = stream.into_split();
                Ok(Self::over(input, output))
            }
            Err(e) if matches!(e.kind(), NotFound | ConnectionRefused) => Err(ClientError::NoNode { path: shown }),
            Err(source) => Err(ClientError::Connect { path: shown, source }),
        }
    }

    /// A client over any pair of streams. Must be called within a tokio runtime.
    pub fn over<R, W>(input: R, output: W) -> Self
    where
        R: AsyncRead + Unpin + Send + 'static,
        W: AsyncWrite + Unpin + Send + 'static,
    {
        let shared = Arc::new(Shared::default());
        let (requests, queue) = mpsc::channel(REQUESTS_QUEUED);
        let reader = tokio::spawn(read(LineReader::new(input, MAX_ANSWER_BYTES), Arc::clone(&shared)));
        let writer = tokio::spawn(write(queue, WriterSink(output), Arc::clone(&shared)));
        Self { next_id: AtomicU64::new(1), requests, shared, reader, writer }
    }

    /// Whether the connection is lost; every call fails then.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.shared.lock().lost
    }

    /// Calls a method; `params` is an object or a list, `()` for none.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn call<R: DeserializeOwned>(&self, method: &str, params: impl Serialize) -> Result<R, CallError> {
        let answer = self.call_text(method, params).await?;
        serde_json::from_str(answer.get())
            .map_err(|e| CallError::Form(format!("the node answered {method} in an unexpected form: {e}")))
    }

    /// Calls a method and takes whatever result it has.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn call_raw(&self, method: &str, params: impl Serialize) -> Result<Value, CallError> {
        self.call(method, params).await
    }

    /// Subscribes to events; see [`SubscribeParams`]. The receiver ends when the connection does. It must be read on:
    /// see the third invariant of this file.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn subscribe(&self, params: SubscribeParams) -> Subscribed {
        let (tx, rx) = oneshot::channel();
        self.send("cluster.subscribe", params, Waiting::Subscription(tx)).await?;
        rx.await.unwrap_or(Err(CallError::Lost))
    }

    /// Ends a subscription; false when it had ended already.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn unsubscribe(&self, id: SubscriptionId) -> Result<bool, CallError> {
        self.call("cluster.unsubscribe", [id]).await
    }

    async fn call_text(&self, method: &str, params: impl Serialize) -> Answer {
        let (tx, rx) = oneshot::channel();
        self.send(method, params, Waiting::Call(tx)).await?;
        rx.await.unwrap_or(Err(CallError::Lost))
    }

    async fn send(&self, method: &str, params: impl Serialize, waiting: Waiting) -> Result<(), CallError> {
        #[derive(Serialize)]
        struct Request<'a> {
            jsonrpc: &'static str,
            id: u64,
            method: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            params: Option<Box<RawValue>>,
        }
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let form = |e: serde_json::Error| CallError::Form(format!("the parameters of {method} are no JSON: {e}"));
        let params = Some(to_raw_value(&params).map_err(form)?).filter(|params| params.get() != "null");
        let text = serde_json::to_string(&Request { jsonrpc: "2.0", id, method, params }).map_err(form)?;
        {
            let mut waiters = self.shared.lock();
            if let Some(failure) = waiters.refusal.take() {
                return Err(CallError::Rpc(failure));
            }
            if waiters.lost {
                return Err(CallError::Lost);
            }
            waiters.by_id.insert(id, waiting);
        }
        // A caller that goes away here leaves its entry behind; the answer, or the end of the connection, removes it.
        self.requests.send(text).await.map_err(|_| CallError::Lost)
    }
}

async fn write<W: AsyncWrite + Unpin + Send + 'static>(
    mut queue: mpsc::Receiver<String>,
    mut sink: WriterSink<W>,
    shared: Arc<Shared>,
) {
    while let Some(text) = queue.recv().await {
        if sink.write_line(&text).await.is_err() {
            // What the node said before it closed is still read; it tells more than a lost connection.
            tokio::time::sleep(LAST_WORDS).await;
            break;
        }
    }
    shared.lose();
}

#[derive(Deserialize)]
struct Incoming<'a> {
    id: Option<u64>,
    method: Option<String>,
    #[serde(borrow)]
    params: Option<&'a RawValue>,
    #[serde(default, borrow, deserialize_with = "present")]
    result: Option<&'a RawValue>,
    error: Option<RpcFailure>,
}

/// Tells a member that is null from one that is absent.
fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

#[derive(Deserialize)]
struct EventParams {
    subscription: SubscriptionId,
    result: Value,
}

async fn read<R: AsyncRead + Unpin>(mut lines: LineReader<R>, shared: Arc<Shared>) {
    let mut feeds: HashMap<SubscriptionId, mpsc::Sender<Notification>> = HashMap::new();
    // A line over the bound or one that is no JSON means that the two sides do not understand each other: stop.
    while let Ok(Some(Line::Complete(line))) = lines.next().await {
        let Ok(incoming) = serde_json::from_slice::<Incoming<'_>>(&line) else { break };
        match (incoming.method, incoming.id) {
            (Some(method), _) => {
                let params = incoming.params.and_then(|raw| serde_json::from_str::<EventParams>(raw.get()).ok());
                let Some(EventParams { subscription, result }) = params else { continue };
                if let Some(feed) = feeds.get(&subscription)
                    && feed.send(Notification { method, result }).await.is_err()
                {
                    feeds.remove(&subscription);
                }
            }
            (None, Some(id)) => {
                let waiting = shared.lock().by_id.remove(&id);
                let answer = match (incoming.result, incoming.error) {
                    (_, Some(failure)) => Err(CallError::Rpc(failure)),
                    (Some(result), None) => Ok(result.to_owned()),
                    (None, None) => Err(CallError::Form("the node sent neither a result nor an error".to_owned())),
                };
                settle(waiting, answer, &mut feeds);
            }
            // About a line that the node could not read, or about the whole connection (too many clients).
            (None, None) => {
                let Some(failure) = incoming.error else { break };
                match shared.blame(failure.clone()) {
                    Blamed::Caller(waiting) => settle(Some(waiting), Err(CallError::Rpc(failure)), &mut feeds),
                    Blamed::NextCaller => {}
                    // Nobody can say which call it was; all of them are told that their answer may not come.
                    Blamed::Unknown => break,
                }
            }
        }
    }
    shared.lose();
}

fn settle(waiting: Option<Waiting>, answer: Answer, feeds: &mut HashMap<SubscriptionId, mpsc::Sender<Notification>>) {
    match waiting {
        // A caller that went away does not want the answer.
        Some(Waiting::Call(caller)) => drop(caller.send(answer)),
        Some(Waiting::Subscription(caller)) => {
            let id = answer.and_then(|raw| {
                serde_json::from_str(raw.get()).map_err(|e| CallError::Form(format!("no subscription id: {e}")))
            });
            let subscribed = id.map(|id: SubscriptionId| {
                let (tx, rx) = mpsc::channel(NOTIFICATIONS_QUEUED);
                feeds.insert(id, tx);
                (id, rx)
            });
            drop(caller.send(subscribed));
        }
        None => {}
    }
}
