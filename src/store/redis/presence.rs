//! The presence connection, which shows that a node is alive: the Redis server notices when it is gone.
//!
//! 1. Its channel is named by a random nonce, new for every connection, so only this connection subscribes to that channel.
//! 2. An answered ping proves that the subscription existed when the ping was sent.
//! 3. It ends when the primary is another server: the former one would keep it, and answer its pings.
//!
//! Not here: the effect of a lost presence (`crate::cluster::node`).

use super::faults::{MOVED, fault};
use super::keys::Keys;
use super::primary::Primary;
use super::target::DEADLINE;
use crate::clock;
use crate::cluster::ids::Nonce;
use crate::cluster::protocol::Fault;
use crate::store::{Ended, Meter, Notice};
use futures_util::StreamExt;
use redis::Value;
use redis::aio::{PubSubSink, PubSubStream};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;
use tracing::{Instrument, debug_span, trace_span};

/// The sending half: pings and subscriptions.
pub struct PresenceSink {
    sink: PubSubSink,
    keys: Keys,
    meter: Option<Arc<dyn Meter>>,
}

/// The receiving half: notices.
pub struct PresenceNotices {
    stream: PubSubStream,
    left: Pin<Box<dyn Future<Output = ()> + Send + Sync>>,
}

/// Opens a presence connection and subscribes to the nonce's channel and the cluster's channel.
///
/// # Errors
/// [`Fault::Unavailable`] when it does not open within the deadline.
pub(super) async fn open(
    primary: &Primary,
    keys: Keys,
    nonce: &Nonce,
    meter: Option<Arc<dyn Meter>>,
) -> Result<(PresenceSink, PresenceNotices), Fault> {
    let address = primary.find().await?;
    let client = primary.target().client_at(&address)?;
    let opening = async {
        let mut pubsub = client.get_async_pubsub().await?;
        pubsub.subscribe(keys.presence_channel(nonce)).await?;
        pubsub.subscribe(keys.all_channel()).await?;
        Ok(pubsub)
    };
    let opening = within(DEADLINE, opening).instrument(debug_span!("redis_call", call = "presence"));
    let opened = tokio::select! {
        opened = opening => opened,
        () = primary.left(address.clone()) => Err(Fault::Unavailable(MOVED.to_owned())),
    };
    let pubsub = opened.inspect_err(|_| primary.suspect(&address))?;
    let (sink, stream) = pubsub.split();
    let left = Box::pin(primary.left(address));
    Ok((PresenceSink { sink, keys, meter }, PresenceNotices { stream, left }))
}

async fn within<T>(deadline: Duration, work: impl Future<Output = redis::RedisResult<T>>) -> Result<T, Fault> {
    match timeout(deadline, work).await {
        Ok(outcome) => outcome.map_err(|why| fault(&why)),
        Err(_) => Err(Fault::Unavailable("no answer in time".to_owned())),
    }
}

impl PresenceSink {
    /// Sends a ping and waits for its answer.
    ///
    /// # Errors
    /// [`Fault::Unavailable`] when there is no answer within `deadline`; the connection must be dropped then.
    pub async fn ping(&mut self, deadline: Duration) -> Result<(), Fault> {
        let began = clock::now();
        let span = trace_span!("redis_call", call = "ping");
        let outcome = within(deadline, self.sink.ping::<Value>()).instrument(span).await.map(|_| ());
        if let Some(meter) = &self.meter {
            meter.count("ping", clock::now().since(began), Ended::of(&outcome));
        }
        outcome
    }

    /// Subscribes to the leader channel, or unsubscribes from it.
    ///
    /// # Errors
    /// [`Fault::Unavailable`] when it was not confirmed within the deadline.
    pub async fn hold_leader_channel(&mut self, hold: bool) -> Result<(), Fault> {
        let channel = self.keys.leader_channel();
        if hold {
            within(DEADLINE, self.sink.subscribe(channel)).await
        } else {
            within(DEADLINE, self.sink.unsubscribe(channel)).await
        }
    }
}

impl PresenceNotices {
    /// The next notice; `None` once the connection is gone.
    pub async fn next(&mut self) -> Option<Notice> {
        loop {
            let message = tokio::select! {
                message = self.stream.next() => message?,
                () = &mut self.left => return None,
            };
            match message.get_payload_bytes() {
                b"register" => return Some(Notice::Register),
                b"handover" => return Some(Notice::HandOver),
                b"schedule" => return Some(Notice::Schedule),
                b"drain" => return Some(Notice::Drain),
                other => {
                    let ticket = other.strip_prefix(b"lease ").and_then(|ticket| std::str::from_utf8(ticket).ok());
                    if let Some(ticket) = ticket.and_then(|ticket| Nonce::new(ticket).ok()) {
                        return Some(Notice::Lease(ticket));
                    }
                }
            }
        }
    }
}
