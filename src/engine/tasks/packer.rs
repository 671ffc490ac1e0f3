//! Packs calls of many clients into one call to the store while one is under way.
//!
//! 1. Every item gets one answer: its own, or the error of the call that carried it.
//! 2. Nothing waits while no call is under way; what comes meanwhile goes out together, in the order in which it came.
//! 3. The queue is bounded: who finds it full waits for room.
//! 4. A packed call is no request's part; its span names those that it works for.
//!
//! Not here: what is packed (`mod.rs`), messages (`crate::engine::messages::publisher`).

use crate::cluster::protocol::{Call, Instance, Reply};
use crate::engine::error::Error;
use crate::engine::store_calls::{Caller, Verdict, gone};
use std::marker::PhantomData;
use std::sync::atomic::AtomicBool;
use tokio::sync::{mpsc, oneshot};
use tracing::field::Empty;
use tracing::{Instrument, Span, debug_span};

/// How many items wait at most.
const WAITING: usize = 1_024;
/// How many items, and how many bytes of them, one call carries.
const BATCH: (usize, usize) = (500, 2 << 20);

/// A sort of calls that can be packed.
pub(crate) trait Pack: Send + Sync + 'static {
    /// What one client asks.
    type Item: Clone + Send + Sync + 'static;
    /// What it is answered.
    type Answer: Send + 'static;

    /// About how many bytes an item has.
    fn bytes(item: &Self::Item) -> usize;
    /// One call for all of them.
    fn call(instance: Instance, items: Vec<Self::Item>) -> Call;
    /// Its answers, one for each item.
    fn judge(reply: Reply) -> Verdict<Vec<Self::Answer>>;
}

/// Why there is no answer, and whether the call may be made all the same.
pub(super) type Unanswered = (Error, bool);
type Client<P> = oneshot::Sender<Result<<P as Pack>::Answer, Unanswered>>;
type Entry<P> = (<P as Pack>::Item, Client<P>, Span);

/// The door for clients.
pub(super) struct Packer<P: Pack> {
    queue: mpsc::Sender<Entry<P>>,
}

/// The other side of the door.
pub(crate) struct Packing<P: Pack> {
    queue: mpsc::Receiver<Entry<P>>,
    caller: Caller,
    sort: PhantomData<P>,
}

impl<P: Pack> Packer<P> {
    /// A door, and what works behind it.
    pub(super) fn new(caller: Caller) -> (Self, Packing<P>) {
        let (sender, queue) = mpsc::channel(WAITING);
        (Self { queue: sender }, Packing { queue, caller, sort: PhantomData })
    }

    /// Asks one thing.
    pub(super) async fn ask(&self, item: P::Item) -> Result<P::Answer, Unanswered> {
        let (client, answer) = oneshot::channel();
        self.queue.send((item, client, Span::current())).await.map_err(|_| (gone(), false))?;
        answer.await.map_err(|_| (gone(), true))?
    }
}

impl<P: Pack> Packing<P> {
    /// Packs and calls until the node is gone.
    pub(crate) async fn run(mut self) {
        // An item that did not fit begins the next call.
        let mut next = self.queue.recv().await;
        while let Some(first) = next.take() {
            let (item, client, request) = first;
            let mut bytes = P::bytes(&item);
            let span = debug_span!(parent: None, "packed", count = Empty);
            span.follows_from(&request);
            // It ends when its request does, not when the next one comes.
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
        // Nobody asks any more: the node is being stopped, and this task with it.
        std::future::pending::<()>().await;
    }

    async fn one(&mut self, items: Vec<P::Item>, clients: Vec<Client<P>>, next: &mut Option<Entry<P>>) {
        let count = items.len();
        let judge = |reply| match P::judge(reply) {
            Verdict::Done(answers) if answers.len() != count => Verdict::Unexpected,
            verdict => verdict,
        };
        let unsure = AtomicBool::new(false);
        match self.caller.repeat_noting(|instance| P::call(instance, items.clone()), judge, &unsure).await {
            Ok(answers) => {
                // A client that is gone needs no answer.
                clients.into_iter().zip(answers).for_each(|(client, answer)| drop(client.send(Ok(answer))));
            }
            Err(why) => {
                let unsure = unsure.into_inner();
                clients.into_iter().for_each(|client| drop(client.send(Err((why.clone(), unsure)))));
                if matches!(why, Error::RedisUnavailable { .. }) {
                    // Whoever came meanwhile has waited as well, and would fare no better.
                    let waiting = next.take().into_iter().chain(std::iter::from_fn(|| self.queue.try_recv().ok()));
                    waiting.for_each(|(_, client, _)| drop(client.send(Err((why.clone(), false)))));
                }
            }
        }
    }
}
