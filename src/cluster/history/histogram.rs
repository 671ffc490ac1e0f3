//! A histogram of durations, which can be merged with others.
//!
//! 1. A quantile is accurate to 10 %, between 0.1 ms and two days.
//! 2. Merging two histograms gives the histogram of all their durations.
//!
//! There are four buckets per doubling; the idea is that of HdrHistogram, with a fixed relative width.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// The number of buckets per doubling.
const STEPS: f64 = 4.0;
/// The upper end of the first bucket.
const FIRST: Duration = Duration::from_micros(100);
/// The number of buckets; the last one holds all longer durations.
const BUCKETS: u16 = 128;

/// A histogram of durations; see the head of this file. Empty buckets use no memory.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Histogram {
    /// The number of durations by bucket.
    counts: BTreeMap<u16, u64>,
}

impl Histogram {
    /// Adds a duration.
    pub fn add(&mut self, duration: Duration) {
        *self.counts.entry(bucket(duration)).or_default() += 1;
    }

    /// Adds all durations of another histogram.
    pub fn merge(&mut self, other: &Self) {
        for (bucket, count) in &other.counts {
            let sum = self.counts.entry(*bucket).or_default();
            *sum = sum.saturating_add(*count);
        }
    }

    /// The number of durations.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.values().fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// The duration that the fraction `quantile` (0 to 1) of all durations does not exceed; `None`: the histogram is empty.
    #[must_use]
    pub fn quantile(&self, quantile: f64) -> Option<Duration> {
        let count = self.count();
        #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let wanted = ((count as f64 * quantile.clamp(0.0, 1.0)).ceil() as u64).max(1);
        let mut seen = 0_u64;
        for (bucket, count) in &self.counts {
            seen = seen.saturating_add(*count);
            if seen >= wanted {
                return Some(middle(*bucket));
            }
        }
        None
    }

    /// The counts by bucket, for a store.
    pub fn buckets(&self) -> impl Iterator<Item = (u16, u64)> {
        self.counts.iter().map(|(bucket, count)| (*bucket, *count))
    }

    /// A histogram from the counts of a store; counts of unknown buckets go into the last one.
    #[must_use]
    pub fn from_buckets(buckets: impl IntoIterator<Item = (u16, u64)>) -> Self {
        let mut counts = BTreeMap::new();
        for (bucket, count) in buckets {
            let sum: &mut u64 = counts.entry(bucket.min(BUCKETS - 1)).or_default();
            *sum = sum.saturating_add(count);
        }
        counts.retain(|_, count| *count > 0);
        Self { counts }
    }
}

/// The bucket of a duration: 0 up to [`FIRST`], then [`STEPS`] per doubling.
fn bucket(duration: Duration) -> u16 {
    let ratio = duration.as_secs_f64() / FIRST.as_secs_f64();
    if ratio <= 1.0 {
        return 0;
    }
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let index = (ratio.log2() * STEPS).ceil() as u16;
    index.min(BUCKETS - 1)
}

/// The geometric middle of a bucket.
fn middle(bucket: u16) -> Duration {
    FIRST.mul_f64(((f64::from(bucket) - 0.5).max(0.0) / STEPS).exp2())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_quantile_is_a_tenth_off_at_most(mut micros in prop::collection::vec(100_u64..100_000_000_000, 1..200), q in 0.0..1.0_f64) {
            let mut histogram = Histogram::default();
            for micros in &micros {
                histogram.add(Duration::from_micros(*micros));
            }
            micros.sort_unstable();
            #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            let at = ((micros.len() as f64 * q).ceil() as usize).max(1) - 1;
            let exact = Duration::from_micros(micros[at]).as_secs_f64();
            let estimate = histogram.quantile(q).expect("not empty").as_secs_f64();
            prop_assert!((estimate / exact - 1.0).abs() <= 0.1, "{estimate} for {exact}");
        }

        #[test]
        fn a_sum_is_the_histogram_of_all(a in prop::collection::vec(0_u64..10_000_000, 0..50), b in prop::collection::vec(0_u64..10_000_000, 0..50)) {
            let of = |micros: &[u64]| {
                let mut histogram = Histogram::default();
                micros.iter().for_each(|micros| histogram.add(Duration::from_micros(*micros)));
                histogram
            };
            let mut sum = of(&a);
            sum.merge(&of(&b));
            prop_assert_eq!(&sum, &of(&[a, b].concat()));
            prop_assert_eq!(Histogram::from_buckets(sum.buckets()), sum);
        }
    }

    #[test]
    fn an_empty_one_has_no_quantile_and_the_ends_are_taken() {
        assert_eq!(Histogram::default().quantile(0.5), None);
        let mut histogram = Histogram::default();
        histogram.add(Duration::ZERO);
        histogram.add(Duration::MAX);
        assert_eq!((histogram.count(), histogram.quantile(0.0)), (2, Some(FIRST)));
        assert!(histogram.quantile(1.0) > Some(Duration::from_secs(24 * 3600)));
    }
}
