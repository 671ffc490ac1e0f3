//! Follows both streams on a connection of its own: events to the node and its subscribers, messages to the inbox.
//!
//! 1. Events are handed on in the stream's order, none twice.
//! 2. Messages are read only while the inbox has room.
//!
//! Not here: what is missing between two events (`hub.rs` tells it as a gap).

use super::driver::Msg;
use super::hub::Hub;
use super::sync::Sync;
use crate::cluster::ids::EventSeq;
use crate::cluster::protocol::{Call, DataSet, Fault, Reply, View};
use crate::store::Store;
use crate::store::redis::RedisStore;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// How long one read waits for news.
const WAIT: Duration = Duration::from_secs(5);
/// How long one read waits while the inbox is full.
const SHORT: Duration = Duration::from_millis(200);
/// How many entries of each stream one read takes.
///
/// Few, because an entry may hold 256 KiB or one large message: a read must be answered within its deadline also over a
/// slow link.
pub(super) const COUNT: usize = 16;
/// The pauses between attempts to connect: the first, and the longest.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_millis(500));

/// Reads until the node is gone.
pub(super) async fn run(store: Arc<RedisStore>, hub: Arc<Hub>, sync: Arc<Sync>, node: mpsc::Sender<Msg>) {
    let mut position: Option<EventSeq> = None;
    let mut pause = BACKOFF.0;
    loop {
        let began = follow(&store, &hub, &sync, &node, &mut position).await;
        match began {
            Ok(()) => return,
            Err(why) => tracing::debug!(%why, "following the streams was interrupted"),
        }
        tokio::time::sleep(pause).await;
        pause = if sync.is_linked() { BACKOFF.0 } else { (pause * 2).min(BACKOFF.1) };
    }
}

/// What the data set looks like now.
pub(super) async fn data_set(store: &RedisStore) -> Result<DataSet, Fault> {
    let view = View { epoch: String::new(), version: 0, floor: 0, rows: 0, beats: 0 };
    match store.call(Call::View(view)).await?.reply {
        Reply::View(view) => Ok(view.data),
        _ => Err(Fault::Refused("a view was answered with something else".to_owned())),
    }
}

async fn follow(
    store: &RedisStore,
    hub: &Hub,
    sync: &Sync,
    node: &mpsc::Sender<Msg>,
    position: &mut Option<EventSeq>,
) -> Result<(), Fault> {
    let mut follower = store.follow().await?;
    let mut at = match *position {
        Some(at) => at,
        None => EventSeq(data_set(store).await?.numbers.event),
    };
    *position = Some(at);
    hub.begin(at);
    loop {
        let messages = sync.wants();
        let wait = if messages.is_some() || !sync.is_member() { WAIT } else { SHORT };
        let news = tokio::select! {
            news = follower.next(at, messages, COUNT, wait) => news?,
            // Membership brings messages: read both streams from now on, on a connection that waits for nothing else.
            () = sync.member(), if !sync.is_member() => return Err(Fault::Unavailable("a member now".to_owned())),
        };
        for event in news.events {
            if event.seq <= at {
                continue;
            }
            at = event.seq;
            *position = Some(at);
            if node.send(Msg::News(event)).await.is_err() {
                return Ok(());
            }
        }
        if let Some(asked) = messages.filter(|_| !news.messages.is_empty()) {
            sync.take_entries(store, asked, &news.messages).await?;
        }
    }
}
