//! The connection of a session to its node, and calls to that node.
//!
//! 1. A call is sent once. If the node stops or freezes before it answers, the call may have taken effect, or may still do
//!    so: the caller gets `timeout`, which says whether repeating the call is safe.
//! 2. A call that receives messages, or may wait for long, has a connection of its own. Cancelling it closes that
//!    connection, which ends the call at the node as well: its messages stay unacknowledged, and no other caller has to
//!    wait for it. Beyond [`OWN_CONNECTIONS`] such calls, further ones are refused after [`OWN_CONNECTION_TIMEOUT`].
//! 3. When the session gives up on a node, every call that waits for that node fails.
//! 4. A call with a connection of its own that is cancelled has either its answer, or none that the node takes for written:
//!    nothing is granted, and lost on the way, at the moment of the cancellation.
//!
//! Not here: finding or running a node (`crate::cli`).

use super::tools::{Failure, in_tool_names};
use crate::rpc::client::{CallError, Client, ClientError, RpcFailure};
use crate::rpc::errors::{ErrorData, ErrorKind};
use crate::rpc::methods;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, watch};

/// How long a call waits for a node while the session has none.
const NODE_WAIT: Duration = Duration::from_secs(5);
/// When the host should call again.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// The maximum number of calls with a connection of their own at a time.
const OWN_CONNECTIONS: usize = 32;
/// How long a call waits for one of those connections. Short, because the next requests of the host may wait behind it.
const OWN_CONNECTION_TIMEOUT: Duration = Duration::from_secs(1);

/// What a call ended with.
pub(super) type Outcome = Result<Value, Failure>;

/// The node that the calls of a session go to.
#[derive(Debug, Clone, Default)]
pub enum Attachment {
    /// A node is being looked for or started.
    #[default]
    Seeking,
    /// There is no node; the text says why. The session keeps looking for one.
    Trouble(String),
    /// A connected node.
    Node(Arc<Link>),
}

/// A connection to a running node.
#[derive(Debug)]
pub struct Link {
    socket: PathBuf,
    shared: Client,
    own: Semaphore,
    given_up: watch::Sender<bool>,
}

impl Link {
    /// Connects to the node that listens on a socket.
    ///
    /// # Errors
    /// See [`Client::connect`].
    pub async fn connect(socket: &Path) -> Result<Self, ClientError> {
        let shared = Client::connect(socket).await?;
        Ok(Self {
            socket: socket.to_owned(),
            shared,
            own: Semaphore::new(OWN_CONNECTIONS),
            given_up: watch::Sender::new(false),
        })
    }

    /// The connection that short calls share. Do not subscribe on it.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.shared
    }

    /// Fails every call that waits for the node.
    pub fn give_up(&self) {
        self.given_up.send_replace(true);
    }

    /// Whether the node is gone, or was given up.
    pub(crate) fn is_lost(&self) -> bool {
        self.shared.is_lost() || *self.given_up.borrow()
    }

    async fn call(&self, method: &str, arguments: &Value, cancelled: impl Future<Output = ()>) -> Option<Outcome> {
        let mut given_up = self.given_up.subscribe();
        let result_of = |outcome| result_of(outcome, is_repeatable(method, arguments));
        let answer = async {
            if !receives_or_waits(method, arguments) {
                return tokio::select! {
                    outcome = self.shared.call_raw(method, arguments) => Some(result_of(outcome)),
                    () = cancelled => None,
                };
            }
            let mut cancelled = pin!(cancelled);
            let connection = async {
                let Ok(slot) = tokio::time::timeout(OWN_CONNECTION_TIMEOUT, self.own.acquire()).await else {
                    return Err(crowded());
                };
                match Client::connect(&self.socket).await {
                    Ok(client) => Ok((client, slot)),
                    Err(_) => Err(no_node("cannot reach the node on this host; looking for it, call again")),
                }
            };
            let (client, _slot) = tokio::select! {
                connection = connection => match connection {
                    Ok(connection) => connection,
                    Err(failure) => return Some(Err(failure)),
                },
                () = &mut cancelled => return None,
            };
            let mut asked = pin!(client.call_raw(method, arguments));
            tokio::select! {
                biased;
                outcome = &mut asked => return Some(result_of(outcome)),
                () = cancelled => client.refuse_answers(),
            }
            match asked.await {
                Err(CallError::Lost) => None,
                outcome => Some(result_of(outcome)),
            }
        };
        tokio::select! {
            answer = answer => answer,
            _ = given_up.wait_for(|given_up| *given_up) => Some(result_of(Err(CallError::Lost))),
        }
    }
}

/// Whether the result of a call is lost if the client does not receive it, or the call may wait for long.
fn receives_or_waits(method: &str, arguments: &Value) -> bool {
    let number = |name: &str| arguments.get(name).and_then(Value::as_f64);
    number("wait_ms").is_some_and(|wait| wait > 0.0)
        || (method == "distributed.sync_messages" && number("limit").is_none_or(|limit| limit > 0.0))
}

/// Calls a method of the session's node. `None`: the call was cancelled, and has no answer.
pub(super) async fn call(
    attachment: &watch::Receiver<Attachment>,
    method: &str,
    arguments: &Value,
    cancelled: impl Future<Output = ()>,
) -> Option<Outcome> {
    let mut cancelled = pin!(cancelled);
    let link = tokio::select! {
        link = attached(attachment) => link,
        () = &mut cancelled => return None,
    };
    match link {
        Ok(link) => link.call(method, arguments, cancelled).await,
        Err(failure) => Some(Err(failure)),
    }
}

/// Whether a call that may have taken effect can be repeated without taking effect twice.
fn is_repeatable(method: &str, arguments: &Value) -> bool {
    let receives = || arguments.get("messages").and_then(Value::as_array).is_none_or(Vec::is_empty);
    methods::effect_of(method).is_some_and(|effect| effect.repeatable)
        || (method == "distributed.sync_messages" && receives())
}

fn result_of(outcome: Result<Value, CallError>, repeatable: bool) -> Result<Value, Failure> {
    match outcome {
        Ok(result) => Ok(result),
        Err(CallError::Rpc(RpcFailure { code, message, data })) => {
            Err(Failure { code, message: in_tool_names(message), data })
        }
        Err(CallError::Lost) => {
            let what = "the node stopped or froze before it answered, and the call may have taken effect; check the state of the \
                        cluster, then call again";
            Err(failure(ErrorKind::Timeout, repeatable, "node_lost", what))
        }
        Err(CallError::Form(text)) => Err(Failure { code: ErrorKind::InternalError.code(), message: text, data: None }),
    }
}

/// The connection to the node; waits for at most [`NODE_WAIT`].
async fn attached(attachment: &watch::Receiver<Attachment>) -> Result<Arc<Link>, Failure> {
    let mut attachment = attachment.clone();
    let live = |now: &Attachment| matches!(now, Attachment::Node(link) if !link.is_lost());
    // The result is checked below; a dropped sender means that the session ends.
    let _ = tokio::time::timeout(NODE_WAIT, attachment.wait_for(live)).await;
    let now = attachment.borrow().clone();
    match now {
        Attachment::Node(link) if !link.is_lost() => Ok(link),
        Attachment::Trouble(why) => Err(no_node(&why)),
        Attachment::Seeking | Attachment::Node(_) => {
            Err(no_node("no node on this host answers yet; one is being started or looked for, call again"))
        }
    }
}

fn crowded() -> Failure {
    let data = ErrorData {
        kind: ErrorKind::Overloaded,
        retryable: true,
        retry_after_ms: Some(crate::cluster::time::millis(RETRY_AFTER)),
        detail: Some(json!({ "max": OWN_CONNECTIONS })),
    };
    let message = format!(
        "{OWN_CONNECTIONS} calls of this session are already waiting or receiving; wait for one to finish or cancel one, then call again"
    );
    Failure { code: ErrorKind::Overloaded.code(), message, data: Some(data) }
}

/// The call did nothing, and the same call may succeed soon, as when a node cannot reach Redis.
fn no_node(message: &str) -> Failure {
    failure(ErrorKind::RedisUnavailable, true, "no_node", message)
}

fn failure(kind: ErrorKind, retryable: bool, reason: &str, message: &str) -> Failure {
    let data = ErrorData {
        kind,
        retryable,
        retry_after_ms: retryable.then_some(crate::cluster::time::millis(RETRY_AFTER)),
        detail: Some(json!({ "reason": reason })),
    };
    Failure { code: kind.code(), message: message.to_owned(), data: Some(data) }
}
