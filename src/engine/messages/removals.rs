//! Removes messages that were sent from the store, while the next ones are already on their way.
//!
//! 1. (S1) Only messages that the stream has are removed. A removal that is lost costs a message that is sent again and recognised.
//! 2. At most [`MAX_WAITING`] runs wait; then the sender waits for them.
//! 3. Between two removals is a pause, so that many small writes to Redis do not make as many transactions on disk.
//!
//! Not here: sending (`publisher.rs`), the store (`outbox`).

use super::store_holder::StoreHolder;
use crate::cluster::messages::message::{Producer, Run};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::task::JoinHandle;

/// The maximum number of runs that wait to be removed. Messages of several nodes that alternate in the stream make a run of each write.
const MAX_WAITING: usize = 256;

/// The pause after a removal. A kill meanwhile costs what any removal that is not durable yet costs: messages that are sent again and
/// recognised.
const PAUSE: Duration = Duration::from_millis(5);

#[derive(Debug, Default)]
struct Waiting {
    producer: Option<Producer>,
    runs: Vec<Run>,
    /// Whether a task removes them.
    working: bool,
}

/// See the head of this file.
pub(crate) struct Removals {
    store_holder: Arc<StoreHolder>,
    waiting: Arc<Mutex<Waiting>>,
    task: Option<JoinHandle<()>>,
}

fn locked(waiting: &Mutex<Waiting>) -> MutexGuard<'_, Waiting> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Removals {
    pub(crate) fn new(store_holder: Arc<StoreHolder>) -> Self {
        Self { store_holder, waiting: Arc::default(), task: None }
    }

    /// Removes these messages of a producer soon; returns at once, unless many wait.
    pub(crate) async fn add(&mut self, producer: Producer, runs: Vec<Run>) {
        let wait = {
            let waiting = locked(&self.waiting);
            waiting.runs.len() >= MAX_WAITING || waiting.producer.as_ref().is_some_and(|known| *known != producer)
        };
        if wait {
            self.finish().await;
        }
        let mut waiting = locked(&self.waiting);
        waiting.producer = Some(producer);
        runs.into_iter().for_each(|run| Run::add(&mut waiting.runs, run));
        if !std::mem::replace(&mut waiting.working, true) {
            self.task = Some(tokio::spawn(work(Arc::clone(&self.store_holder), Arc::clone(&self.waiting))));
        }
    }

    /// Waits until everything has been removed.
    pub(crate) async fn finish(&mut self) {
        if let Some(task) = self.task.take() {
            // It fails only where the process ends; then the messages are recognised as duplicates.
            let _ = task.await;
        }
    }
}

async fn work(store_holder: Arc<StoreHolder>, waiting: Arc<Mutex<Waiting>>) {
    loop {
        let (producer, runs) = {
            let mut waiting = locked(&waiting);
            let runs = std::mem::take(&mut waiting.runs);
            match waiting.producer.clone() {
                Some(producer) if !runs.is_empty() => (producer, runs),
                _ => {
                    waiting.working = false;
                    return;
                }
            }
        };
        if let Some(Err(error)) = store_holder.with(move |store| store.sent(&producer, runs)).await {
            tracing::error!(%error, "cannot remove sent messages from the outbox; they will be recognised as duplicates");
        }
        tokio::time::sleep(PAUSE).await;
    }
}
