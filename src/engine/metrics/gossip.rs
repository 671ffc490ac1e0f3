//! The metrics of gossip; they exist only while gossip is configured.
//!
//! Not here: when they change (`crate::engine::gossip`).

use crate::cluster::gossip::Dropped;
use prometheus::{IntCounterVec, IntGauge};

/// The metrics of gossip.
#[derive(Debug, Clone)]
pub(crate) struct GossipMeters {
    /// Datagrams by what became of them.
    pub(crate) datagrams: IntCounterVec,
    /// Nodes that answer.
    pub(crate) reachable: IntGauge,
    /// Notes that were received.
    pub(crate) notes: prometheus::IntCounter,
}

/// Every outcome of a datagram.
pub(crate) const OUTCOMES: [&str; 8] =
    ["sent", "unsent", "received", "foreign", "sealed", "repeated", "unbound", "malformed"];

impl GossipMeters {
    /// Counts a datagram that was received, or why it was dropped.
    pub(crate) fn received(&self, outcome: Result<(), Dropped>) {
        self.count(match outcome {
            Ok(()) => "received",
            Err(Dropped::Foreign) => "foreign",
            Err(Dropped::Sealed) => "sealed",
            Err(Dropped::Repeated) => "repeated",
            Err(Dropped::Unbound) => "unbound",
            Err(Dropped::Malformed) => "malformed",
        });
    }

    /// Counts a datagram that was sent, or that the system did not take.
    pub(crate) fn sent(&self, sent: bool) {
        self.count(if sent { "sent" } else { "unsent" });
    }

    fn count(&self, outcome: &'static str) {
        if let Ok(counter) = self.datagrams.get_metric_with_label_values(&[outcome]) {
            counter.inc();
        }
    }
}
