//! Tasks that are started and end while the node runs.
//!
//! 1. They end when the node is dropped: one of the node's own tasks owns them.
//!
//! Not here: the node's own tasks (`start.rs`).

use super::error::Error;
use super::refusals::RETRY_AFTER;
use std::pin::Pin;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// The maximum number of tasks that wait to be started; each waits for microseconds.
const WAITING: usize = 4_096;

type Child = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Starts tasks; see the head of this file.
#[derive(Clone)]
pub(super) struct BackgroundTasks {
    door: mpsc::Sender<Child>,
}

impl BackgroundTasks {
    /// The handle that starts tasks, and the queue that [`run`] takes them from.
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

/// Runs the tasks until the node is gone.
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
