//! Waiting for what comes next in both streams, on a connection of its own.
//!
//! 1. A blocked read has a deadline a little longer than its wait; past it the connection is given up.
//!
//! Not here: what the news mean (`crate::engine`).

use super::faults::fault;
use super::keys::Keys;
use super::streams;
use super::target::{DEADLINE, Target};
use crate::cluster::event::ClusterEvent;
use crate::cluster::ids::{EventSeq, MessageSeq};
use crate::cluster::protocol::{Entry, Fault};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Value};
use std::time::Duration;
use tokio::time::timeout;
use tracing::{Instrument, trace_span};

/// What came in.
#[derive(Debug, Default)]
pub struct News {
    /// New events.
    pub events: Vec<ClusterEvent>,
    /// New message entries.
    pub messages: Vec<Entry>,
}

/// A reader of both streams.
pub struct Follower {
    connection: MultiplexedConnection,
    keys: Keys,
}

impl Follower {
    /// Opens the connection.
    ///
    /// # Errors
    /// [`Fault::Unavailable`] when it does not stand within the deadline.
    pub async fn open(target: &Target, keys: Keys) -> Result<Self, Fault> {
        let late = |_| Fault::Unavailable("no answer in time".to_owned());
        let config = AsyncConnectionConfig::new().set_connection_timeout(Some(DEADLINE)).set_response_timeout(None);
        let client = target.client()?;
        let opening = client.get_multiplexed_async_connection_with_config(&config);
        let connection = timeout(DEADLINE, opening).await.map_err(late)?.map_err(|why| fault(&why))?;
        Ok(Self { connection, keys })
    }

    /// Waits up to `wait` for events behind `events` and, if asked for, message entries behind `messages`. Empty news
    /// mean that nothing came. After an error the follower is of no more use.
    ///
    /// # Errors
    /// [`Fault`] when the server did not answer, or not as expected.
    pub async fn next(
        &mut self,
        events: EventSeq,
        messages: Option<MessageSeq>,
        count: usize,
        wait: Duration,
    ) -> Result<News, Fault> {
        let mut read = redis::cmd("XREAD");
        read.arg("COUNT").arg(count).arg("BLOCK").arg(crate::cluster::time::millis(wait).max(1)).arg("STREAMS");
        read.arg(self.keys.events());
        if messages.is_some() {
            read.arg(self.keys.messages());
        }
        read.arg(events.entry_id());
        if let Some(messages) = messages {
            read.arg(messages.entry_id());
        }
        let reading = read.query_async::<Value>(&mut self.connection);
        let answer = timeout(wait + DEADLINE, reading.instrument(trace_span!("redis_call", call = "follow"))).await;
        let value =
            answer.map_err(|_| Fault::Unavailable("no answer in time".to_owned()))?.map_err(|why| fault(&why))?;
        self.news(value).map_err(|why| Fault::Refused(why.to_string()))
    }

    fn news(&self, value: Value) -> Result<News, super::fields::Malformed> {
        let mut news = News::default();
        if value == Value::Nil {
            return Ok(news);
        }
        let Value::Array(all) = value else { return Ok(news) };
        for stream in all {
            let Value::Array(mut pair) = stream else { continue };
            let (Some(entries), Some(name)) = (pair.pop(), pair.pop()) else { continue };
            let is = |key: &str| matches!(&name, Value::BulkString(bytes) if bytes == key.as_bytes());
            if is(self.keys.events()) {
                news.events = streams::entries(entries, streams::event)?;
            } else if is(self.keys.messages()) {
                news.messages = streams::entries(entries, streams::message)?;
            }
        }
        Ok(news)
    }
}
