//! What those who watch a node may ask of it.
//!
//! Not here: collecting it (`crate::engine::node::health`).

use crate::engine::metrics::Metrics;
use serde_json::Number;
use std::collections::BTreeMap;
use std::sync::Arc;

/// How a node is at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Health {
    /// Why the process is of no use any more, in one sentence; `None`: it is.
    pub trouble: Option<String>,
    /// What it lacks to do its work, a clause each; nothing: it is ready.
    pub missing: Vec<String>,
}

/// What a node shows of itself.
pub trait Observed: Send + Sync + 'static {
    /// Where requests are counted.
    fn meters(&self) -> &Arc<Metrics>;
    /// All numbers, in Prometheus' text format 0.0.4.
    fn metrics_text(&self) -> impl Future<Output = String> + Send;
    /// The samples of that text, by their names with labels.
    fn samples(&self) -> impl Future<Output = BTreeMap<String, Number>> + Send;
    /// Whether it is well.
    fn health(&self) -> impl Future<Output = Health> + Send;
}
