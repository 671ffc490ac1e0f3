//! The connection that all calls share, opened again after a failure.
//!
//! 1. After a call without an answer in time the connection is closed, so that a late answer is never taken for another call's.
//! 2. A call is sent once. Only a script that the server does not know, and therefore has not run, is sent again with its text.
//! 3. At most one attempt to connect is under way; all waiting callers share its outcome.
//! 4. A connection to a server that is no longer the primary is not used again (`primary/`), and a call that waits for an answer on it
//!    ends: a server that hangs would hold it up for [`DEADLINE`].
//!
//! Not here: blocking reads (`follow.rs`) and subscriptions (`presence.rs`), which have separate connections.

use super::faults::{MOVED, breaks, fault};
use super::primary::Primary;
use super::target::{Address, DEADLINE, Target};
use crate::clock;
use crate::cluster::protocol::{Fault, ServerId};
use crate::cluster::time::Moment;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, RedisResult, Value};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};
use tokio::sync::Mutex;
use tokio::time::timeout;

/// An open connection, with the server process at its other end.
#[derive(Clone)]
pub(super) struct Standing {
    pub(super) connection: MultiplexedConnection,
    pub(super) server: Arc<ServerId>,
    pub(super) address: Arc<Address>,
    number: u64,
}

pub(super) struct Link {
    primary: Arc<Primary>,
    standing: Mutex<(u64, Option<Standing>)>,
    /// When the last attempt to connect failed, and how.
    failed: std::sync::Mutex<Option<(Moment, Fault)>>,
    /// The number of the other link's connection that this one was last used together with.
    beside: AtomicU64,
}

impl Link {
    pub(super) fn new(primary: Arc<Primary>) -> Self {
        Self {
            primary,
            standing: Mutex::new((0, None)),
            failed: std::sync::Mutex::default(),
            beside: AtomicU64::new(0),
        }
    }

    /// The connection to use together with another link's: it is closed when that one was replaced, because whatever broke that one, or
    /// led it to another server, also affects this one.
    pub(super) async fn get_beside(&self, other: &Standing) -> Result<Standing, Fault> {
        if self.beside.swap(other.number, Ordering::Relaxed) != other.number {
            self.standing.lock().await.1 = None;
        }
        self.get().await
    }

    /// The connection; opened if there is none.
    pub(super) async fn get(&self) -> Result<Standing, Fault> {
        let asked = clock::now();
        let mut guard = self.standing.lock().await;
        if let Some(standing) = guard.1.as_ref().filter(|standing| self.primary.is_current(&standing.address)) {
            return Ok(standing.clone());
        }
        guard.1 = None;
        let number = guard.0 + 1;
        if let Some(fault) = self.failed_since(asked) {
            return Err(fault);
        }
        let (connection, server, address) = match self.open().await {
            Ok(opened) => opened,
            Err(fault) => {
                let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
                *failed = Some((clock::now(), fault.clone()));
                return Err(fault);
            }
        };
        tracing::debug!(number, "connected to Redis");
        let standing = Standing { connection, server: Arc::new(server), address: Arc::new(address), number };
        *guard = (number, Some(standing.clone()));
        Ok(standing)
    }

    async fn open(&self) -> Result<(MultiplexedConnection, ServerId, Address), Fault> {
        let address = self.primary.find().await?;
        let opened = tokio::select! {
            opened = open(self.primary.target(), &address) => opened,
            () = self.primary.left(address.clone()) => Err(Fault::Unavailable(MOVED.to_owned())),
        };
        match opened {
            Ok((connection, server)) => {
                self.primary.opened(&address, &server);
                Ok((connection, server, address))
            }
            Err(fault) => {
                self.primary.suspect(&address);
                Err(fault)
            }
        }
    }

    /// The failure of an attempt that ended while the caller waited for its turn.
    fn failed_since(&self, asked: Moment) -> Option<Fault> {
        let failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        failed.as_ref().filter(|(at, _)| *at >= asked).map(|(_, fault)| fault.clone())
    }

    /// Waits for the answer to a call on a connection to this address.
    ///
    /// # Errors
    /// [`Fault::Unavailable`] when another server became the primary first: nobody knows whether the former one did it.
    pub(super) async fn answered<T>(
        &self,
        address: &Address,
        asked: impl Future<Output = RedisResult<T>>,
    ) -> Result<RedisResult<T>, Fault> {
        if self.primary.target().is_one_server() {
            return Ok(asked.await);
        }
        // On the heap: with one server no call carries the room for it.
        let left: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(self.primary.left(address.clone()));
        tokio::select! {
            biased;
            outcome = asked => Ok(outcome),
            () = left => Err(Fault::Unavailable(MOVED.to_owned())),
        }
    }

    /// Translates the outcome of a call, and closes the connection if it is broken.
    pub(super) async fn judge<T>(&self, used: &Standing, outcome: RedisResult<T>) -> Result<T, Fault> {
        match outcome {
            Ok(value) => Ok(value),
            Err(error) => {
                let fault = fault(&error);
                if breaks(&error, &fault) {
                    self.primary.suspect(&used.address);
                    self.close(used).await;
                }
                Err(at(fault, self.primary.target()))
            }
        }
    }

    /// Closes a connection that is still the current one.
    async fn close(&self, used: &Standing) {
        let mut guard = self.standing.lock().await;
        if guard.0 == used.number {
            guard.1 = None;
        }
    }

    /// Whether the server answered that another one is the primary, and did nothing: then the call is to be sent there.
    pub(super) fn is_elsewhere<T>(&self, used: &Standing, outcome: &RedisResult<T>) -> bool {
        outcome.as_ref().is_err_and(|error| self.primary.follows(error, &used.address))
    }
}

/// Opens a connection with deadlines and asks the server who it is.
async fn open(target: &Target, address: &Address) -> Result<(MultiplexedConnection, ServerId), Fault> {
    let late = |_| Fault::Unavailable("no answer in time".to_owned());
    let config =
        AsyncConnectionConfig::new().set_connection_timeout(Some(DEADLINE)).set_response_timeout(Some(DEADLINE));
    let client = target.client_at(address)?;
    let opening = client.get_multiplexed_async_connection_with_config(&config);
    let mut connection = timeout(DEADLINE, opening).await.map_err(late)?.map_err(|why| fault(&why))?;
    let asking = redis::cmd("INFO").arg("server").query_async::<Value>(&mut connection).await;
    let info = match asking.map_err(|why| at_once(fault(&why), address))? {
        Value::BulkString(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Value::VerbatimString { text, .. } => text,
        _ => String::new(),
    };
    // Valkey calls it the mode of the server.
    if info.lines().any(|line| matches!(line.trim(), "redis_mode:sentinel" | "server_mode:sentinel")) {
        return Err(Fault::Unavailable(
            "this is a sentinel; set redis.mode to sentinel, and redis.nodes to the sentinels".to_owned(),
        ));
    }
    let run_id = info.lines().find_map(|line| line.strip_prefix("run_id:")).unwrap_or_default();
    Ok((connection, ServerId(run_id.trim().to_owned())))
}

/// Adds what a server probably means that closes a new connection without a word.
fn at_once(fault: Fault, address: &Address) -> Fault {
    match (fault, address) {
        (Fault::Unavailable(why), Address::Tcp { tls: false, .. }) if why == "the connection was lost" => {
            Fault::Unavailable(format!("{why} before the first answer; if this port expects TLS, set redis.tls: true"))
        }
        (other, _) => other,
    }
}

/// Adds the server's address, without a password, to the fault.
fn at(fault: Fault, target: &Target) -> Fault {
    match fault {
        Fault::Unwritable(why) => match why.strip_prefix("Redis ") {
            Some(rest) => Fault::Unwritable(format!("Redis at {target} {rest}")),
            None => Fault::Unwritable(why),
        },
        other => other,
    }
}
