//! The history, as the outer layers use it.
//!
//! Not here: answering the query (`crate::engine::history`).

use crate::cluster::history::Sample;
use crate::cluster::history::report::Report;
use crate::cluster::ids::NodeId;
use crate::engine::error::Error;
use crate::store::history::Source;
use std::time::Duration;

/// A query for history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryRequest {
    /// Only the heartbeats of this node.
    pub node_id: Option<NodeId>,
    /// Only those within this time before now.
    pub since: Option<Duration>,
    /// The maximum number of heartbeats; the newest are returned. 1 to [`crate::cluster::history::MAX_HISTORY_LIMIT`].
    pub limit: usize,
    /// Whether a report is requested, too.
    pub report: bool,
}

/// The answer to a query.
#[derive(Debug, Clone)]
pub struct HistoryAnswer {
    /// The store that answered.
    pub source: Source,
    /// The heartbeats, newest last.
    pub samples: Vec<Sample>,
    /// Whether older heartbeats were left out.
    pub more: bool,
    /// The report about all nodes, if requested; about one day if no time was given.
    pub report: Option<Report>,
}

/// The part of a node that reads history.
pub trait Past: Send + Sync + 'static {
    /// The newest heartbeats of one node or of all, from the store and this node.
    fn history(&self, request: HistoryRequest) -> impl Future<Output = Result<HistoryAnswer, Error>> + Send;
}
