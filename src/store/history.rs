//! The interface of a history store, in the terms of `crate::cluster::history`.
//!
//! 1. A sample is stored once, however often it is recorded.
//! 2. A store that does not answer delays its callers by their own timeout at most; it never affects the cluster's state.
//!
//! Two stores exist: `mongodb` where it is configured, else `redis`, which keeps the last day; one contract suite runs on both.
//!
//! Not here: when something is recorded (`crate::engine`).

use crate::cluster::event::ClusterEvent;
use crate::cluster::history::{HistoryPage, HistoryQuery, Sample, Summary};
use crate::cluster::ids::EventSeq;
use crate::cluster::time::ServerTime;

/// Data to record together.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Batch {
    /// Heartbeats.
    pub samples: Vec<Sample>,
    /// The current summaries that these samples belong to; a store that computes summaries on demand ignores them.
    pub summaries: Vec<Summary>,
    /// Whether some samples may already be recorded, by a call without an answer or by a killed process.
    pub unsure: bool,
}

/// The kind of store.
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
    /// The kind of this store.
    fn source(&self) -> Source;

    /// Records a batch. Samples that are already stored stay unchanged.
    ///
    /// # Errors
    /// [`HistoryFault`]; a part of the batch may be recorded.
    fn record(&self, batch: &Batch) -> impl Future<Output = Result<(), HistoryFault>> + Send;

    /// Records events of the cluster from the data set `epoch`; several nodes may record the same ones.
    ///
    /// # Errors
    /// [`HistoryFault`]; a part of them may be recorded.
    fn record_events(
        &self,
        epoch: &str,
        events: &[ClusterEvent],
    ) -> impl Future<Output = Result<(), HistoryFault>> + Send;

    /// The last recorded event of the data set `epoch`; zero: none.
    ///
    /// # Errors
    /// [`HistoryFault`].
    fn last_event(&self, epoch: &str) -> impl Future<Output = Result<EventSeq, HistoryFault>> + Send;

    /// The newest samples of a query.
    ///
    /// # Errors
    /// [`HistoryFault`].
    fn samples(&self, query: &HistoryQuery) -> impl Future<Output = Result<HistoryPage, HistoryFault>> + Send;

    /// All summaries whose ten minutes end after `since`, ordered by node, incarnation and time.
    ///
    /// # Errors
    /// [`HistoryFault`].
    fn summaries(&self, since: ServerTime) -> impl Future<Output = Result<Vec<Summary>, HistoryFault>> + Send;

    /// All stored events since then, ordered by time.
    ///
    /// # Errors
    /// [`HistoryFault`].
    fn events(&self, since: ServerTime) -> impl Future<Output = Result<Vec<ClusterEvent>, HistoryFault>> + Send;
}
