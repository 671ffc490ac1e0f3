//! What the outer layers may ask of the history.
//!
//! Not here: answering it (`crate::engine::history`).

use crate::cluster::history::Sample;
use crate::cluster::history::report::Report;
use crate::cluster::ids::NodeId;
use crate::engine::error::Error;
use crate::store::history::Source;
use std::time::Duration;

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryRequest {
    /// Only this node's heartbeats.
    pub node_id: Option<NodeId>,
    /// Only those of this time before now.
    pub since: Option<Duration>,
    /// At most so many heartbeats, the newest; 1 to [`crate::cluster::history::MAX_HISTORY_LIMIT`].
    pub limit: usize,
    /// Whether what the time adds up to is asked for, too.
    pub report: bool,
}

/// What there is.
#[derive(Debug, Clone)]
pub struct HistoryAnswer {
    /// Which store answered.
    pub source: Source,
    /// The heartbeats, the newest last.
    pub samples: Vec<Sample>,
    /// Whether older ones were left out.
    pub more: bool,
    /// What the time adds up to, for all nodes; a day, where no time was given.
    pub report: Option<Report>,
}

/// What a running node can tell of the past.
pub trait Past: Send + Sync + 'static {
    /// The newest heartbeats of one node or of all, as the store and this node know them.
    fn history(&self, request: HistoryRequest) -> impl Future<Output = Result<HistoryAnswer, Error>> + Send;
}
