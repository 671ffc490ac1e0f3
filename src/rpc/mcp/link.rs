//! The way to the node: which one the session is attached to, and calls to it.
//!
//! 1. A call is sent once. When the node goes away before it answered, the caller is told so and decides.
//! 2. A call that receives, or may wait for long, has a connection of its own, so that giving it up closes that connection,
//!    which ends the call at the node as well: what it would have been given stays unacknowledged, and keeps nobody else
//!    waiting. Beyond [`OWN_CONNECTIONS`] of them, further ones are refused after a moment.
//! 3. When the node is given up on, every call that waits for it is told.
//!
//! Not here: finding or running a node (`crate::cli`).

use super::tools::Failure;
use crate::rpc::client::{CallError, Client, ClientError, RpcFailure};
use crate::rpc::errors::{ErrorData, ErrorKind};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, watch};

/// How long a call waits for a node while the session has none.
const PATIENCE: Duration = Duration::from_secs(5);
/// When another try makes sense.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// The most connections of their own that calls have at a time.
const OWN_CONNECTIONS: usize = 32;
/// How long a call waits for one of them. Short, as the host's next requests may wait behind such calls.
const TURN_WITHIN: Duration = Duration::from_secs(1);

/// Where the calls of a session go.
#[derive(Debug, Clone, Default)]
pub enum Attachment {
    /// A node is being looked for, or started.
    #[default]
    Seeking,
    /// There is none, and why; it is looked for all the time.
    Trouble(String),
    /// To this node.
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
    /// Connects to the node that listens at a path.
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

    /// The connection that short calls share. It must not be subscribed on.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.shared
    }

    /// Says that the node does not answer any more, to every call that waits for it.
    pub fn give_up(&self) {
        self.given_up.send_replace(true);
    }

    fn is_lost(&self) -> bool {
        self.shared.is_lost() || *self.given_up.borrow()
    }

    async fn call(&self, method: &str, arguments: &Value) -> Result<Value, Failure> {
        let mut given_up = self.given_up.subscribe();
        let answer = async {
            if !receives_or_waits(method, arguments) {
                return told(self.shared.call_raw(method, arguments).await);
            }
            let Ok(_slot) = tokio::time::timeout(TURN_WITHIN, self.own.acquire()).await else { return Err(crowded()) };
            match Client::connect(&self.socket).await {
                Ok(client) => told(client.call_raw(method, arguments).await),
                Err(_) => Err(away("no_node", "the node of this host cannot be reached; it is looked for, call again")),
            }
        };
        tokio::select! {
            answer = answer => answer,
            _ = given_up.wait_for(|given_up| *given_up) => told(Err(CallError::Lost)),
        }
    }
}

/// Whether a call is given something that is lost when nobody takes it, or may wait for long.
fn receives_or_waits(method: &str, arguments: &Value) -> bool {
    let number = |name: &str| arguments.get(name).and_then(Value::as_f64);
    number("wait_ms").is_some_and(|wait| wait > 0.0)
        || (method == "distributed.sync_messages" && number("limit").is_none_or(|limit| limit > 0.0))
}

/// Calls a method of the node that the session is attached to.
pub(super) async fn call(
    attachment: &watch::Receiver<Attachment>,
    method: &str,
    arguments: &Value,
) -> Result<Value, Failure> {
    attached(attachment).await?.call(method, arguments).await
}

fn told(outcome: Result<Value, CallError>) -> Result<Value, Failure> {
    match outcome {
        Ok(result) => Ok(result),
        Err(CallError::Rpc(RpcFailure { code, message, data })) => Err(Failure { code, message, data }),
        Err(CallError::Lost) => Err(away(
            "node_lost",
            "the node went away before it answered, and whether the call was done is not known; look at the state of the \
             cluster, then call again",
        )),
        Err(CallError::Form(text)) => Err(Failure { code: ErrorKind::InternalError.code(), message: text, data: None }),
    }
}

/// The node's connection; waits for it, but not for ever.
async fn attached(attachment: &watch::Receiver<Attachment>) -> Result<Arc<Link>, Failure> {
    let mut attachment = attachment.clone();
    let live = |now: &Attachment| matches!(now, Attachment::Node(link) if !link.is_lost());
    // Whether it holds in the end is asked below; a sender that is gone means that the session ends.
    let _ = tokio::time::timeout(PATIENCE, attachment.wait_for(live)).await;
    let now = attachment.borrow().clone();
    match now {
        Attachment::Node(link) if !link.is_lost() => Ok(link),
        Attachment::Trouble(why) => Err(away("no_node", &why)),
        Attachment::Seeking | Attachment::Node(_) => {
            Err(away("no_node", "no node of this host answers yet; it is being started or looked for, call again"))
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
        "{OWN_CONNECTIONS} calls of this session wait or receive already; wait for one of them or cancel it, then call again"
    );
    Failure { code: ErrorKind::Overloaded.code(), message, data: Some(data) }
}

fn away(reason: &str, message: &str) -> Failure {
    let data = ErrorData {
        kind: ErrorKind::InternalError,
        // Unlike other internal errors: the session goes on looking for a node.
        retryable: true,
        retry_after_ms: Some(crate::cluster::time::millis(RETRY_AFTER)),
        detail: Some(json!({ "reason": reason })),
    };
    Failure { code: ErrorKind::InternalError.code(), message: message.to_owned(), data: Some(data) }
}
