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

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Starts tasks; see the head of this file.
#[derive(Clone)]
pub(super) struct BackgroundTasks {
    queue: mpsc::Sender<Task>,
}

impl BackgroundTasks {
    /// The handle that starts tasks, and the queue that [`run`] takes them from.
    pub(super) fn new() -> (Self, mpsc::Receiver<Task>) {
        let (queue, tasks) = mpsc::channel(WAITING);
        (Self { queue }, tasks)
    }

    /// Runs a task beside all others.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> Result<(), Error> {
        self.queue.try_send(Box::pin(task)).map_err(|_| {
            let what = "too many requests arrive at this node at once".to_owned();
            Error::Overloaded { what, retry_after: RETRY_AFTER }
        })
    }
}

/// Runs the tasks until the node is gone.
pub(super) async fn run(mut queue: mpsc::Receiver<Task>) {
    let mut tasks = JoinSet::new();
    loop {
        tokio::select! {
            task = queue.recv() => match task {
                Some(task) => drop(tasks.spawn(task)),
                // The node is being stopped, and this task with it.
                None => std::future::pending().await,
            },
            Some(ended) = tasks.join_next() => if let Err(error) = ended {
                tracing::error!(%error, "a request failed unexpectedly; its client gets no answer");
            },
        }
    }
}
