//! The connection for calls: shared by all of them, rebuilt when it is in doubt.
//!
//! 1. A connection on which one call had no answer in time is given up: what comes late on it is nobody's answer.
//! 2. A call is sent once. Only a script that the server did not know, and so did not run, is sent again with its text.
//! 3. At most one attempt to connect is under way; those who wait for it share its outcome.
//!
//! Not here: blocking reads (`follow.rs`) and subscriptions (`presence.rs`), which have connections of their own.

use super::faults::{at, breaks, fault};
use super::target::{DEADLINE, Target};
use crate::clock;
use crate::cluster::protocol::{Fault, ServerId};
use crate::cluster::time::Moment;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, RedisResult, Value};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};
use tokio::sync::Mutex;
use tokio::time::timeout;

/// A connection that stands, and to which server.
#[derive(Clone)]
pub(super) struct Standing {
    pub(super) connection: MultiplexedConnection,
    pub(super) server: Arc<ServerId>,
    number: u64,
}

pub(super) struct Link {
    target: Target,
    standing: Mutex<(u64, Option<Standing>)>,
    /// When the last attempt to connect failed, and how.
    failed: std::sync::Mutex<Option<(Moment, Fault)>>,
    /// The number of the other link's connection beside which this one was used last.
    beside: AtomicU64,
}

impl Link {
    pub(super) fn new(target: Target) -> Self {
        Self { target, standing: Mutex::new((0, None)), failed: std::sync::Mutex::default(), beside: AtomicU64::new(0) }
    }

    /// The connection beside one of another link: given up with it, because what broke that one, or led it to another server,
    /// concerns this one, too.
    pub(super) async fn get_beside(&self, other: &Standing) -> Result<Standing, Fault> {
        if self.beside.swap(other.number, Ordering::Relaxed) != other.number {
            self.standing.lock().await.1 = None;
        }
        self.get().await
    }

    /// The connection, opened when there is none.
    pub(super) async fn get(&self) -> Result<Standing, Fault> {
        let asked = clock::now();
        let mut guard = self.standing.lock().await;
        if let Some(standing) = &guard.1 {
            return Ok(standing.clone());
        }
        let number = guard.0 + 1;
        if let Some(fault) = self.failed_since(asked) {
            return Err(fault);
        }
        let (connection, server) = match open(&self.target).await {
            Ok(opened) => opened,
            Err(fault) => {
                let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
                *failed = Some((clock::now(), fault.clone()));
                return Err(fault);
            }
        };
        tracing::debug!(number, "a connection to Redis stands");
        let standing = Standing { connection, server: Arc::new(server), number };
        *guard = (number, Some(standing.clone()));
        Ok(standing)
    }

    /// What came of an attempt that ended while the caller waited for its turn.
    fn failed_since(&self, asked: Moment) -> Option<Fault> {
        let failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        failed.as_ref().filter(|(at, _)| *at >= asked).map(|(_, fault)| fault.clone())
    }

    /// Judges the outcome of a call: a connection that failed is given up.
    pub(super) async fn judge<T>(&self, used: &Standing, outcome: RedisResult<T>) -> Result<T, Fault> {
        match outcome {
            Ok(value) => Ok(value),
            Err(error) => {
                let fault = fault(&error);
                if breaks(&error, &fault) {
                    let mut guard = self.standing.lock().await;
                    if guard.0 == used.number {
                        guard.1 = None;
                    }
                }
                Err(at(fault, &self.target))
            }
        }
    }
}

/// Opens a connection with deadlines and asks the server who it is.
pub(super) async fn open(target: &Target) -> Result<(MultiplexedConnection, ServerId), Fault> {
    let late = |_| Fault::Unavailable("no answer in time".to_owned());
    let config =
        AsyncConnectionConfig::new().set_connection_timeout(Some(DEADLINE)).set_response_timeout(Some(DEADLINE));
    let client = target.client()?;
    let opening = client.get_multiplexed_async_connection_with_config(&config);
    let mut connection = timeout(DEADLINE, opening).await.map_err(late)?.map_err(|why| fault(&why))?;
    let asking = redis::cmd("INFO").arg("server").query_async::<Value>(&mut connection).await;
    let info = match asking.map_err(|why| fault(&why))? {
        Value::BulkString(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Value::VerbatimString { text, .. } => text,
        _ => String::new(),
    };
    let run_id = info.lines().find_map(|line| line.strip_prefix("run_id:")).unwrap_or_default();
    Ok((connection, ServerId(run_id.trim().to_owned())))
}
