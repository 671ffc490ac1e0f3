//! The node's metrics as a view shows them: counters as rates, gauges unchanged.
//!
//! 1. A missing metric is shown as "-", never as zero.
//! 2. A restarted node counts from zero again; that never gives a negative rate.
//!
//! Not here: the counting (`crate::engine`).

use crate::cli::node_access::follow::Numbers;
use crate::cli::terminal::Tint;
use crate::cluster::time::Moment;
use std::collections::VecDeque;
use std::time::Duration;

/// The time over which rates are computed.
const WINDOW: Duration = Duration::from_secs(5);
/// The most readings that are kept.
const MAX_READINGS: usize = 64;
const SENT: &str = "clawster_messages_sent_total";
const RECEIVED: &str = "clawster_messages_received_total";
/// The states of tasks, and whether a task in that state needs attention.
const TASKS: [(&str, bool); 6] =
    [("waiting", false), ("delayed", false), ("running", false), ("done", false), ("failed", true), ("dead", true)];

/// See the module's text.
#[derive(Debug, Clone, Default)]
pub(super) struct Counters {
    readings: VecDeque<(Moment, Numbers)>,
}

impl Counters {
    /// Adds a reading; `None` forgets all earlier readings.
    pub(super) fn take(&mut self, numbers: Option<Numbers>, now: Moment) {
        let Some(numbers) = numbers else {
            self.readings.clear();
            return;
        };
        let restarted = |name: &str| {
            let before = self.readings.back().and_then(|(_, numbers)| numbers.get(name));
            numbers.get(name).zip(before).is_some_and(|(now, before)| now < before)
        };
        if restarted(SENT) || restarted(RECEIVED) {
            self.readings.clear();
        }
        self.readings.push_back((now, numbers));
        // The newest reading older than the window stays, so that rates span at least the window.
        while self.readings.get(1).is_some_and(|(at, _)| now.since(*at) >= WINDOW) || self.readings.len() > MAX_READINGS
        {
            self.readings.pop_front();
        }
    }

    fn number(&self, name: &str) -> Option<f64> {
        self.readings.back()?.1.get(name).copied()
    }

    /// A counter's increase per second.
    fn rate(&self, name: &str) -> Option<f64> {
        let ((begun, first), (ended, last)) = (self.readings.front()?, self.readings.back()?);
        let passed = ended.since(*begun).as_secs_f64();
        let risen = last.get(name)? - first.get(name)?;
        (passed > 0.0).then(|| risen / passed)
    }

    /// Messages and leases: names and values.
    pub(super) fn messages(&self) -> [(&'static str, Tint, String); 5] {
        let lag = self.number("clawster_message_lag");
        let outbox = self.number("clawster_outbox_messages");
        let tint =
            |number: Option<f64>| if number.is_some_and(|number| number > 0.0) { Tint::Yellow } else { Tint::Plain };
        [
            ("sent", Tint::Plain, per_second(self.rate(SENT))),
            ("received", Tint::Plain, per_second(self.rate(RECEIVED))),
            ("lag", tint(lag), whole(lag)),
            ("outbox", tint(outbox), whole(outbox)),
            ("leases", Tint::Plain, whole(self.number("clawster_leases"))),
        ]
    }

    /// The number of tasks by state: names and values.
    pub(super) fn tasks(&self) -> [(&'static str, Tint, String); 6] {
        TASKS.map(|(state, bad)| {
            let number = self.number(&format!("clawster_tasks{{state=\"{state}\"}}"));
            let tint = if bad && number.is_some_and(|number| number > 0.0) { Tint::Red } else { Tint::Plain };
            (state, tint, whole(number))
        })
    }
}

fn per_second(rate: Option<f64>) -> String {
    match rate {
        None => "-".to_owned(),
        Some(rate) if rate < 100.0 => format!("{rate:.1}/s"),
        Some(rate) => format!("{}/s", whole(Some(rate))),
    }
}

/// A count in short form: `1235k`, `45M`.
fn whole(number: Option<f64>) -> String {
    match number {
        None => "-".to_owned(),
        Some(number) if number < 100_000.0 => format!("{number:.0}"),
        Some(number) if number < 10_000_000.0 => format!("{:.0}k", number / 1e3),
        Some(number) => format!("{:.0}M", number / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::tui::screen::samples::at;

    fn reading(sent: f64) -> Option<Numbers> {
        let numbers = [(SENT, sent), ("clawster_message_lag", 7.0), ("clawster_tasks{state=\"dead\"}", 2.0)];
        Some(numbers.map(|(name, number)| (name.to_owned(), number)).into())
    }

    #[test]
    fn what_is_not_there_is_not_zero() {
        let counters = Counters::default();
        assert!(counters.messages().iter().all(|(_, _, text)| text == "-"));
        assert!(counters.tasks().iter().all(|(_, _, text)| text == "-"));
    }

    #[test]
    fn rates_are_taken_over_the_window_and_a_restart_begins_anew() {
        let mut counters = Counters::default();
        counters.take(reading(1_000.0), at(0));
        assert_eq!(counters.messages()[0].2, "-", "one reading has no rate");
        for second in 1..=20_u32 {
            counters.take(reading(1_000.0 + 12.5 * f64::from(second)), at(1_000 * u64::from(second)));
        }
        assert_eq!(counters.messages()[0].2, "12.5/s");
        assert!(counters.readings.len() <= 7, "{}", counters.readings.len());
        assert_eq!(counters.messages()[2], ("lag", Tint::Yellow, "7".to_owned()));
        assert_eq!(counters.tasks()[5], ("dead", Tint::Red, "2".to_owned()));
        assert_eq!(counters.tasks()[0].2, "-");
        counters.take(reading(3.0), at(21_000));
        assert_eq!(counters.messages()[0].2, "-");
        counters.take(reading(5.0), at(22_000));
        assert_eq!(counters.messages()[0].2, "2.0/s");
        counters.take(None, at(23_000));
        assert_eq!(counters.messages()[2].2, "-");
    }

    #[test]
    fn large_numbers_are_short() {
        assert_eq!([whole(Some(99_999.0)), whole(Some(1_234_567.0)), whole(Some(4.5e7))], ["99999", "1235k", "45M"]);
        assert_eq!(per_second(Some(43_210.0)), "43210/s");
    }
}
