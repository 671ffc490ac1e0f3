//! Monitoring a node, as the outer layers use it.
//!
//! Not here: collecting the values (`crate::engine::node::health`).

use crate::engine::metrics::Metrics;
use serde_json::Number;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The health of a node.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Health {
    /// Why the process must be restarted, in one sentence; `None`: it need not be.
    pub trouble: Option<String>,
    /// What is missing before the node can do its work, one clause each; empty: the node is ready.
    pub missing: Vec<String>,
}

/// The part of a node that can be monitored.
pub trait Observed: Send + Sync + 'static {
    /// The metrics, for counting requests.
    fn meters(&self) -> &Arc<Metrics>;
    /// All metrics, in Prometheus' text format 0.0.4.
    fn metrics_text(&self) -> impl Future<Output = String> + Send;
    /// The samples of that text, by name with labels.
    fn samples(&self) -> impl Future<Output = BTreeMap<String, Number>> + Send;
    /// The health of the node.
    fn health(&self) -> impl Future<Output = Health> + Send;
}
