//! Where history is kept, in the verbs of `crate::cluster::history`.
//!
//! 1. A sample that was recorded is there once, however often it is brought.
//! 2. A store that does not answer costs its callers their own time limit at most; it never touches the cluster's state.
//!
//! Two stores exist: `mongodb` where it is configured, else `redis`, which keeps the last day; one contract suite runs on both.
//!
//! Not here: when something is recorded (`crate::engine`).

use crate::cluster::event::ClusterEvent;
use crate::cluster::history::{HistoryPage, HistoryQuery, Sample, Summary};
use crate::cluster::ids::EventSeq;
use crate::cluster::time::ServerTime;

/// What is to be recorded at once.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Batch {
    /// Heartbeats.
    pub samples: Vec<Sample>,
    /// The summaries that these belong to, as they are now; stores that make summaries when they are asked leave them out.
    pub summaries: Vec<Summary>,
    /// Some of the samples may have been recorded already, by a call that was not answered or a process that was killed.
    pub unsure: bool,
}

/// Which store answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// MongoDB.
    Mongodb,
    /// Redis, the last day.
    Redis,
}

/// Why history was not recorded or not read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HistoryFault {
    /// The store did not answer, or the connection was lost: whether something was recorded is unknown.
    #[error("{0}")]
    Unavailable(String),
    /// The store answered that it will not: a full disk, no permission, a collection of another kind.
    #[error("{0}")]
    Refused(String),
}

/// A store of history.
pub trait HistoryStore: Send + Sync + 'static {
    /// Which one it is.
    fn source(&self) -> Source;

    /// Records a batch. What it holds already stays as it is.
    ///
    /// # Errors
    /// [`HistoryFault`]; a part of the batch may be recorded.
    fn record(&self, batch: &Batch) -> impl Future<Output = Result<(), HistoryFault>> + Send;

    /// Records events of the cluster, of the data set `epoch`; several nodes may bring the same ones.
    ///
    /// # Errors
    /// [`HistoryFault`]; a part of them may be recorded.
    fn record_events(
        &self,
        epoch: &str,
        events: &[ClusterEvent],
    ) -> impl Future<Output = Result<(), HistoryFault>> + Send;

    /// The last event of the data set `epoch` that was recorded; zero: none.
    ///
    /// # Errors
    /// [`HistoryFault`].
    fn last_event(&self, epoch: &str) -> impl Future<Output = Result<EventSeq, HistoryFault>> + Send;

    /// The newest samples that the query asks for.
    ///
    /// # Errors
    /// [`HistoryFault`].
    fn samples(&self, query: &HistoryQuery) -> impl Future<Output = Result<HistoryPage, HistoryFault>> + Send;

    /// All summaries of the cluster whose ten minutes end behind `since`, in order of node, life and time.
    ///
    /// # Errors
    /// [`HistoryFault`].
    fn summaries(&self, since: ServerTime) -> impl Future<Output = Result<Vec<Summary>, HistoryFault>> + Send;

    /// All events of the cluster since then that are kept, in order of their time.
    ///
    /// # Errors
    /// [`HistoryFault`].
    fn events(&self, since: ServerTime) -> impl Future<Output = Result<Vec<ClusterEvent>, HistoryFault>> + Send;
}
