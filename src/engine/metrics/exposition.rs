//! All metrics at one moment: as the text that Prometheus reads, and as a map by name.
//!
//! 1. Both are generated from the same families, so they never disagree.

use super::Metrics;
use super::snapshot::Snapshot;
use prometheus::TextEncoder;
use prometheus::proto::MetricFamily;
use serde_json::Number;
use std::collections::BTreeMap;

impl Metrics {
    fn families(&self, snapshot: &Snapshot) -> Vec<MetricFamily> {
        let mut all: Vec<MetricFamily> = self
            .registry
            .gather()
            .into_iter()
            .chain(snapshot.families())
            .filter(|f| !f.get_metric().is_empty())
            .collect();
        all.sort_by(|a, b| a.name().cmp(b.name()));
        all
    }

    /// The metrics in Prometheus' text format 0.0.4.
    pub(crate) fn text(&self, snapshot: &Snapshot) -> String {
        TextEncoder::new().encode_to_string(&self.families(snapshot)).unwrap_or_default()
    }

    /// The samples of that text by name, labels included.
    pub(crate) fn samples(&self, snapshot: &Snapshot) -> BTreeMap<String, Number> {
        let text = self.text(snapshot);
        let samples = text.lines().filter(|line| !line.starts_with('#'));
        let pairs = samples.filter_map(|line| line.rsplit_once(' '));
        pairs.filter_map(|(name, value)| Some((name.to_owned(), number(value)?))).collect()
    }

    /// The text of the metrics that are counted here, without those that are read from a node.
    #[must_use]
    pub fn counters(&self) -> String {
        TextEncoder::new().encode_to_string(&self.registry.gather()).unwrap_or_default()
    }

    /// The number of lines that the log dropped.
    pub(crate) fn dropped_lines(&self) -> u64 {
        self.log_lines_dropped.get().map_or(0, |read| read())
    }
}

/// The value of a sample; `None` if JSON has no such number.
fn number(text: &str) -> Option<Number> {
    text.parse::<u64>().map(Number::from).ok().or_else(|| Number::from_f64(text.parse().ok()?))
}
