//! The client of a running node, which the command line uses over the unix socket.
//!
//! 1. Calls run concurrently on one connection; an answer is matched to its call by its id.
//! 2. Once the connection is lost, every pending and every later call fails; no call waits for ever.
//! 3. The receiver of a subscription exists before its first event is read. Its queue is bounded: while it is full, nothing
//!    else is read from this connection. A subscriber must keep receiving, or make its calls on another client.
//!
//! Not here: the server side (`super::connection`).

mod errors;

pub use errors::{CallError, ClientError, RpcFailure};

use super::framing::{Line, LineReader, LineSink, WriterSink};
use super::wire::subscription::SubscribeParams;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};
use std::collections::HashMap;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

/// The maximum length of a line, in bytes: over twice the longest answer, because line separators in it are escaped.
const MAX_ANSWER_BYTES: usize = 40 << 20;
/// The maximum number of requests that wait to be written.
const REQUESTS_QUEUED: usize = 64;
/// The maximum number of notifications that wait to be received.
const NOTIFICATIONS_QUEUED: usize = 1_024;

/// How long the client still reads after a write has failed.
const READ_AFTER_FAILED_WRITE: std::time::Duration = std::time::Duration::from_millis(200);

/// An event from a subscription.
#[derive(Debug, Clone, PartialEq)]
pub struct Notification {
    /// The name of the event.
    pub method: String,
    /// The event.
    pub result: Value,
}

/// The id of a subscription, as the node returned it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SubscriptionId(pub u64);

type Answer = Result<Box<RawValue>, CallError>;
type Subscribed = Result<(SubscriptionId, mpsc::Receiver<Notification>), CallError>;

/// What a pending request waits for.
enum Waiting {
    Call(oneshot::Sender<Answer>),
    Subscription(oneshot::Sender<Subscribed>),
}

#[derive(Default)]
struct Waiters {
    lost: bool,
    /// An error that arrived while no call was pending; the next call returns it.
    refusal: Option<RpcFailure>,
    by_id: HashMap<u64, Waiting>,
}

/// The call that an error without an id belongs to.
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

    /// Finds the call that an error without an id belongs to: the only pending one, if there is exactly one.
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

    fn mark_lost(&self) {
        let mut waiters = self.lock();
        waiters.lost = true;
        // Dropping their senders makes every pending call report a lost connection.
        waiters.by_id.clear();
    }
}

/// A connection to a running node. Dropping it closes the connection. Cheap to share by reference; calls run concurrently.
pub struct Client {
    next_id: AtomicU64,
    requests: mpsc::Sender<String>,
    shared: Arc<Shared>,
    reader: JoinHandle<()>,
    writer: JoinHandle<()>,
    /// The socket, for [`Client::refuse_answers`]; `None`: the streams are no socket.
    socket: Option<OwnedFd>,
    process: Option<i32>,
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

/// Whether the listening process belongs to this user or root; for root, also to the user who owns the socket's folder.
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
    /// See [`ClientError`].
    pub async fn connect(path: &Path) -> Result<Self, ClientError> {
        use std::io::ErrorKind::{ConnectionRefused, NotFound};
        let shown = path.display().to_string();
        match tokio::net::UnixStream::connect(path).await {
            Ok(stream) => {
                if !is_own_node(&stream, path) {
                    return Err(ClientError::Foreign { path: shown });
                }
                let socket = stream.as_fd().try_clone_to_owned().ok();
                // 0: a process of another namespace.
                let process = stream.peer_cred().ok().and_then(|peer| peer.pid()).filter(|pid| *pid > 0);
                let (input, output) = stream.into_split();
                let mut client = Self::over(input, output);
                client.socket = socket;
                client.process = process;
                Ok(client)
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
        Self { next_id: AtomicU64::new(1), requests, shared, reader, writer, socket: None, process: None }
    }

    /// The id of the node's process; `None`: it is in another namespace, or the streams are no socket.
    #[must_use]
    pub fn process(&self) -> Option<i32> {
        self.process
    }

    /// Lets the node write no further answer on this connection. Pending calls get the answers that it wrote before, or
    /// fail with [`CallError::Lost`]; what the node could not write, it takes back, such as a granted lease. Systems other
    /// than Linux throw away an answer that was written and not read yet.
    pub fn refuse_answers(&self) {
        let refused = self.socket.as_ref().map(|socket| rustix::net::shutdown(socket, rustix::net::Shutdown::Read));
        if refused.is_none_or(|refused| refused.is_err()) {
            self.shared.mark_lost();
        }
    }

    /// Whether the connection is lost; then every call fails with [`CallError::Lost`].
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

    /// Calls a method and returns its result as JSON.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn call_raw(&self, method: &str, params: impl Serialize) -> Result<Value, CallError> {
        self.call(method, params).await
    }

    /// Subscribes to events. The receiver ends when the connection does. Keep receiving: see invariant 3 of this file.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn subscribe(&self, params: SubscribeParams) -> Subscribed {
        let (tx, rx) = oneshot::channel();
        self.send("cluster.subscribe", params, Waiting::Subscription(tx)).await?;
        rx.await.unwrap_or(Err(CallError::Lost))
    }

    /// Ends a subscription; false if it had already ended.
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
        let form =
            |e: serde_json::Error| CallError::Form(format!("cannot write the parameters of {method} as JSON: {e}"));
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
        // A caller that is cancelled here leaves its entry behind; the answer, or the end of the connection, removes it.
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
            // Read what the node sent before it closed: it says more than a lost connection.
            tokio::time::sleep(READ_AFTER_FAILED_WRITE).await;
            break;
        }
    }
    shared.mark_lost();
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

/// Distinguishes a member that is null from one that is absent.
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
    // A line that is too long or not JSON means that the two sides do not understand each other: stop.
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
            // The error is about a line that the node could not read, or about the whole connection (too many clients).
            (None, None) => {
                let Some(failure) = incoming.error else { break };
                match shared.blame(failure.clone()) {
                    Blamed::Caller(waiting) => settle(Some(waiting), Err(CallError::Rpc(failure)), &mut feeds),
                    Blamed::NextCaller => {}
                    // The error may belong to any of them: all pending calls fail.
                    Blamed::Unknown => break,
                }
            }
        }
    }
    shared.mark_lost();
}

fn settle(waiting: Option<Waiting>, answer: Answer, feeds: &mut HashMap<SubscriptionId, mpsc::Sender<Notification>>) {
    match waiting {
        // The caller may have been cancelled.
        Some(Waiting::Call(caller)) => drop(caller.send(answer)),
        Some(Waiting::Subscription(caller)) => {
            let id = answer.and_then(|raw| {
                serde_json::from_str(raw.get())
                    .map_err(|e| CallError::Form(format!("the node answered without a valid subscription id: {e}")))
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
