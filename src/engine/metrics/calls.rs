//! Metrics of calls to Redis: their number, outcome and duration.
//!
//! 1. A call that was never made is not in the text.
//!
//! Not here: making calls (`crate::store`).

use super::{Metrics, ROUND_TRIP_BUCKETS, labelled, spreads};
use crate::store::{CALLS, Ended, Meter};
use prometheus::{Error, Histogram, HistogramVec, IntCounter, IntCounterVec, Registry};
use std::collections::HashMap;
use std::sync::OnceLock;
use std::time::Duration;

/// The metrics of all calls.
pub(super) struct CallMeters {
    calls: IntCounterVec,
    seconds: HistogramVec,
    /// Created at the first call of each name.
    by_name: HashMap<&'static str, OnceLock<Option<CallMeter>>>,
}

struct CallMeter {
    ok: IntCounter,
    refused: IntCounter,
    unavailable: IntCounter,
    seconds: Histogram,
}

impl CallMeters {
    pub(super) fn registered(registry: &Registry) -> Result<Self, Error> {
        let calls = "Calls to Redis, by outcome: ok; unavailable, no answer or a lost connection; refused, an error.";
        let seconds = "Duration of calls that Redis answered.";
        Ok(Self {
            calls: labelled(registry, "clawster_redis_calls_total", calls, &["call", "outcome"])?,
            seconds: spreads(registry, "clawster_redis_call_seconds", seconds, &ROUND_TRIP_BUCKETS, "call")?,
            by_name: CALLS.iter().map(|name| (*name, OnceLock::new())).collect(),
        })
    }

    fn resolve(&self, name: &str) -> Option<CallMeter> {
        let calls = |outcome| self.calls.get_metric_with_label_values(&[name, outcome]).ok();
        Some(CallMeter {
            ok: calls("ok")?,
            refused: calls("refused")?,
            unavailable: calls("unavailable")?,
            seconds: self.seconds.get_metric_with_label_values(&[name]).ok()?,
        })
    }
}

impl Meter for Metrics {
    fn count(&self, call: &'static str, took: Duration, ended: Ended) {
        let meters = &self.calls;
        let Some(place) = meters.by_name.get(call) else { return };
        let Some(meter) = place.get_or_init(|| meters.resolve(call)) else { return };
        match ended {
            Ended::Answered => meter.ok.inc(),
            Ended::Refused => meter.refused.inc(),
            Ended::Unavailable => meter.unavailable.inc(),
        }
        if ended != Ended::Unavailable {
            meter.seconds.observe(took.as_secs_f64());
        }
    }
}
