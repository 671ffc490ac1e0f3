//! All numbers at one moment: as the text that Prometheus reads, and as a map from the samples' names.
//!
//! 1. Both come from the same families, so they never disagree.

use super::Metrics;
use super::snapshot::Snapshot;
use prometheus::TextEncoder;
use prometheus::proto::MetricFamily;
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

    /// The text format 0.0.4.
    pub(in crate::engine) fn text(&self, snapshot: &Snapshot) -> String {
        TextEncoder::new().encode_to_string(&self.families(snapshot)).unwrap_or_default()
    }

    /// The samples of that text by their names, labels included.
    pub(in crate::engine) fn samples(&self, snapshot: &Snapshot) -> BTreeMap<String, f64> {
        let text = self.text(snapshot);
        let samples = text.lines().filter(|line| !line.starts_with('#'));
        let pairs = samples.filter_map(|line| line.rsplit_once(' '));
        pairs.filter_map(|(name, value)| Some((name.to_owned(), value.parse().ok()?))).collect()
    }

    /// How many lines the log dropped.
    pub(in crate::engine) fn dropped_lines(&self) -> u64 {
        self.log_lines_dropped.get().map_or(0, |read| read())
    }
}
