//! Metrics of clients' requests: their number, outcome and duration.
//!
//! 1. A method that was never called is not in the text.
//!
//! Not here: the methods (`crate::rpc`).

use prometheus::{Histogram, HistogramVec, IntCounter, IntCounterVec};
use std::sync::OnceLock;
use std::time::Duration;

/// The metrics of one method.
pub struct RequestMeter {
    method: &'static str,
    requests: IntCounterVec,
    seconds: HistogramVec,
    /// Created at the first request.
    ok: OnceLock<Option<(IntCounter, Histogram)>>,
}

impl std::fmt::Debug for RequestMeter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RequestMeter").field("method", &self.method).finish_non_exhaustive()
    }
}

impl RequestMeter {
    pub(super) fn new(method: &'static str, requests: &IntCounterVec, seconds: &HistogramVec) -> Self {
        Self { method, requests: requests.clone(), seconds: seconds.clone(), ok: OnceLock::new() }
    }

    /// Counts a request that succeeded or failed with an error kind, which must come from a closed table.
    pub fn count(&self, took: Duration, error: Option<&'static str>) {
        let resolve = || {
            let requests = self.requests.get_metric_with_label_values(&[self.method, "ok"]).ok()?;
            Some((requests, self.seconds.get_metric_with_label_values(&[self.method]).ok()?))
        };
        let Some((ok, seconds)) = self.ok.get_or_init(resolve) else { return };
        seconds.observe(took.as_secs_f64());
        match error {
            None => ok.inc(),
            Some(kind) => {
                if let Ok(failed) = self.requests.get_metric_with_label_values(&[self.method, kind]) {
                    failed.inc();
                }
            }
        }
    }
}
