//! Packs calls of many clients into one call to the store, while another one is under way.
//!
//! 1. Every item gets one answer: its own, or the error of its call.
//! 2. Without a call under way, an item is sent at once; items that arrive during a call are sent together, in order.
//! 3. The queue is bounded: if it is full, the client waits for room.
//! 4. A packed call is not part of a request; its span names the requests that it serves.
//!
//! Not here: the items (`mod.rs`), messages (`crate::engine::messages::publisher`).

use crate::cluster::protocol::{Identity, Instance, Transition};
use crate::engine::error::Error;
use crate::engine::store_calls::{Caller, gone};
use crate::store::redis::Scripted;
use std::marker::PhantomData;
use std::sync::atomic::AtomicBool;
use tokio::sync::{mpsc, oneshot};
use tracing::field::Empty;
use tracing::{Instrument, Span, debug_span};

/// The maximum number of items in the queue.
const WAITING: usize = 1_024;
/// The maximum number of items, and of their bytes, in one call.
const BATCH: (usize, usize) = (500, 2 << 20);

/// A kind of call that can be packed.
pub(crate) trait Pack: Send + Sync + 'static {
    /// The request of one client.
    type Item: Clone + Send + Sync + 'static;
    /// The answer to one client.
    type Answer: Send + 'static;

    /// The approximate number of bytes of an item.
    fn bytes(item: &Self::Item) -> usize;
    /// The call.
    type Call: Scripted + Send + Sync;
    /// One call for all of the items.
    fn call(instance: Instance, items: Vec<Self::Item>) -> Self::Call;
    /// Its answers, one for each item; or why the store does not know the caller.
    fn judge(reply: <Self::Call as Transition>::Reply) -> Result<Vec<Self::Answer>, Identity>;
}

/// Why there is no answer, and whether Redis may still execute the call.
pub(super) type Unanswered = (Error, bool);
type Client<P> = oneshot::Sender<Result<<P as Pack>::Answer, Unanswered>>;
type Entry<P> = (<P as Pack>::Item, Client<P>, Span);

/// The side of the clients.
pub(super) struct Packer<P: Pack> {
    queue: mpsc::Sender<Entry<P>>,
}

/// The side that packs and calls.
pub(crate) struct Packing<P: Pack> {
    queue: mpsc::Receiver<Entry<P>>,
    caller: Caller,
    sort: PhantomData<P>,
}

impl<P: Pack> Packer<P> {
    /// A packer, and the task that serves it.
    pub(super) fn new(caller: Caller) -> (Self, Packing<P>) {
        let (sender, queue) = mpsc::channel(WAITING);
        (Self { queue: sender }, Packing { queue, caller, sort: PhantomData })
    }

    /// Sends one item and waits for its answer.
    pub(super) async fn ask(&self, item: P::Item) -> Result<P::Answer, Unanswered> {
        let (client, answer) = oneshot::channel();
        self.queue.send((item, client, Span::current())).await.map_err(|_| (gone(), false))?;
        answer.await.map_err(|_| (gone(), true))?
    }
}

impl<P: Pack> Packing<P> {
    /// Packs and calls until the node is gone.
    pub(crate) async fn run(mut self) {
        // An item that did not fit starts the next call.
        let mut next = self.queue.recv().await;
        while let Some(first) = next.take() {
            let (item, client, request) = first;
            let mut bytes = P::bytes(&item);
            let span = debug_span!(parent: None, "packed", count = Empty);
            span.follows_from(&request);
            // The span ends with its request, not with the next one.
            drop(request);
            let (mut items, mut clients) = (vec![item], vec![client]);
            while items.len() < BATCH.0
                && next.is_none()
                && let Ok(entry) = self.queue.try_recv()
            {
                bytes += P::bytes(&entry.0);
                if bytes > BATCH.1 {
                    next = Some(entry);
                } else {
                    span.follows_from(&entry.2);
                    items.push(entry.0);
                    clients.push(entry.1);
                }
            }
            span.record("count", items.len());
            self.one(items, clients, &mut next).instrument(span).await;
            if next.is_none() {
                next = self.queue.recv().await;
            }
        }
        // There is no client any more: the node is being stopped, and this task with it.
        std::future::pending::<()>().await;
    }

    async fn one(&mut self, items: Vec<P::Item>, clients: Vec<Client<P>>, next: &mut Option<Entry<P>>) {
        let unsure = AtomicBool::new(false);
        match self.caller.repeat_noting(|instance| P::call(instance, items.clone()), P::judge, &unsure).await {
            Ok(answers) => {
                // A client that is gone needs no answer.
                clients.into_iter().zip(answers).for_each(|(client, answer)| drop(client.send(Ok(answer))));
            }
            Err(why) => {
                let unsure = unsure.into_inner();
                clients.into_iter().for_each(|client| drop(client.send(Err((why.clone(), unsure)))));
                if matches!(why, Error::RedisUnavailable { .. }) {
                    // Items that arrived in the meantime have waited, too, and would fail in the same way.
                    let waiting = next.take().into_iter().chain(std::iter::from_fn(|| self.queue.try_recv().ok()));
                    waiting.for_each(|(_, client, _)| drop(client.send(Err((why.clone(), false)))));
                }
            }
        }
    }
}
