//! Tasks that come and go while the node runs, and end with it.
//!
//! 1. Dropping the node drops them: they belong to one of its own tasks.
//!
//! Not here: the node's own tasks (`start.rs`).

use super::error::Error;
use super::refusals::RETRY_AFTER;
use std::pin::Pin;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// How many may wait to be taken in; each waits for microseconds.
const WAITING: usize = 4_096;

type Child = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Where tasks are brought.
#[derive(Clone)]
pub(super) struct BackgroundTasks {
    door: mpsc::Sender<Child>,
}

impl BackgroundTasks {
    /// A nursery, and what [`run`] takes children from.
    pub(super) fn new() -> (Self, mpsc::Receiver<Child>) {
        let (door, children) = mpsc::channel(WAITING);
        (Self { door }, children)
    }

    /// Runs a task beside all others.
    pub(super) fn bring(&self, child: impl Future<Output = ()> + Send + 'static) -> Result<(), Error> {
        self.door.try_send(Box::pin(child)).map_err(|_| {
            let what = "too many requests arrive at this node at once".to_owned();
            Error::Overloaded { what, retry_after: RETRY_AFTER }
        })
    }
}

/// Runs the children until the node is gone.
pub(super) async fn run(mut door: mpsc::Receiver<Child>) {
    let mut children = JoinSet::new();
    loop {
        tokio::select! {
            child = door.recv() => match child {
                Some(child) => drop(children.spawn(child)),
                // The node is being stopped, and this task with it.
                None => std::future::pending().await,
            },
            Some(ended) = children.join_next() => if let Err(error) = ended {
                tracing::error!(%error, "a request failed unexpectedly; its client gets no answer");
            },
        }
    }
}
