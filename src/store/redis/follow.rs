//! Waits for new entries of a stream, on a separate connection.
//!
//! 1. A blocking read has a deadline slightly longer than its wait; after the deadline the connection is closed.
//!
//! Not here: the handling of the entries (`crate::engine`).

use super::faults::{MOVED, fault};
use super::keys::Keys;
use super::primary::Primary;
use super::streams::{self, Page, Place};
use super::target::{Address, DEADLINE};
use super::unreadable::What;
use crate::cluster::event::ClusterEvent;
use crate::cluster::protocol::{Entry, Fault};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Value};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;
use tracing::{Instrument, trace_span};

/// A reader of one stream at a time.
pub struct Follower {
    connection: MultiplexedConnection,
    primary: Arc<Primary>,
    address: Address,
    keys: Keys,
}

impl Follower {
    /// Opens the connection.
    ///
    /// # Errors
    /// [`Fault::Unavailable`] when the connection does not open within the deadline.
    pub(super) async fn open(primary: Arc<Primary>, keys: Keys) -> Result<Self, Fault> {
        let late = |_| Fault::Unavailable("no answer in time".to_owned());
        let config = AsyncConnectionConfig::new().set_connection_timeout(Some(DEADLINE)).set_response_timeout(None);
        let address = primary.find().await?;
        let client = primary.target().client_at(&address)?;
        let opening = client.get_multiplexed_async_connection_with_config(&config);
        let opened =
            timeout(DEADLINE, opening).await.map_err(late).and_then(|opened| opened.map_err(|why| fault(&why)));
        let connection = opened.inspect_err(|_| primary.suspect(&address))?;
        Ok(Self { connection, primary, address, keys })
    }

    /// Waits up to `wait` for events after `behind`, at most `count`. An empty page means that none came. After an error the follower
    /// must be dropped.
    ///
    /// # Errors
    /// [`Fault`] when the server did not answer, or answered with something unexpected.
    pub async fn events(&mut self, behind: Place, count: usize, wait: Duration) -> Result<Page<ClusterEvent>, Fault> {
        let key = self.keys.events().to_owned();
        let value = self.read(&key, behind, count, wait, DEADLINE).await?;
        Page::read(value, What::Event, streams::event).map_err(|why| Fault::Refused(why.to_string()))
    }

    /// The same for message entries, which may be large: `deadline` is the time for receiving them after the wait.
    ///
    /// # Errors
    /// [`Fault`] when the server did not answer, or answered with something unexpected.
    pub async fn messages(
        &mut self,
        behind: Place,
        count: usize,
        wait: Duration,
        deadline: Duration,
    ) -> Result<Page<Entry>, Fault> {
        let key = self.keys.messages().to_owned();
        let value = self.read(&key, behind, count, wait, deadline).await?;
        Page::read(value, What::Message, streams::message).map_err(|why| Fault::Refused(why.to_string()))
    }

    async fn read(
        &mut self,
        key: &str,
        behind: Place,
        count: usize,
        wait: Duration,
        deadline: Duration,
    ) -> Result<Value, Fault> {
        let mut read = redis::cmd("XREAD");
        read.arg("COUNT").arg(count).arg("BLOCK").arg(crate::cluster::time::millis(wait).max(1)).arg("STREAMS");
        read.arg(key).arg(behind.to_string());
        let reading = read.query_async::<Value>(&mut self.connection);
        let reading = timeout(wait + deadline, reading.instrument(trace_span!("redis_call", call = "follow")));
        let answer = tokio::select! {
            answer = reading => answer.map_err(|_| Fault::Unavailable("no answer in time".to_owned()))?,
            () = self.primary.left(self.address.clone()) => {
                return Err(Fault::Unwritable(MOVED.to_owned()));
            }
        };
        let value = answer.map_err(|error| {
            if !self.primary.follows(&error, &self.address) {
                self.primary.suspect(&self.address);
            }
            fault(&error)
        })?;
        // The answer for one stream: [[name, entries]], or nothing.
        let Value::Array(mut all) = value else { return Ok(Value::Nil) };
        let Some(Value::Array(mut pair)) = all.pop() else { return Ok(Value::Nil) };
        Ok(pair.pop().unwrap_or(Value::Nil))
    }
}
