//! The calendar of a schedule: which times its cron expression names in its time zone, or its period.
//!
//! 1. A time zone is taken from the system's database where there is one, else from the one in the program.
//! 2. A run at a fixed time that a change of the clocks leaves out comes right after that change, and one in an hour that comes
//!    twice comes once. Runs in steps (`*/5`) follow the time that passes: none is added for the hour that is left out, and those
//!    in the hour that comes twice come twice.
//!
//! Not here: what becomes of slots that passed (`crate::cluster::schedule`).

use crate::cluster::schedule::{Calendar, PERIOD, Recurrence};
use crate::cluster::time::{ServerTime, millis};
use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::tz::{TimeZone, TimeZoneDatabase};
use jiff::{Timestamp, Zoned};
use std::sync::OnceLock;

/// The longest cron expression and the longest name of a time zone, in bytes.
const LONGEST: (usize, usize) = (256, 64);

/// Why there is no such calendar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoCalendar {
    /// The parameter that is wrong: `cron`, `tz` or `every_ms`.
    pub parameter: &'static str,
    /// What is wrong with it, and what is allowed.
    pub problem: String,
}

/// The times of a schedule.
#[derive(Debug, Clone)]
pub enum Times {
    /// By a cron expression.
    Cron(Box<Cron>, TimeZone),
    /// In equal steps of so many milliseconds, counted from a time.
    Every(u64, u64),
}

impl Times {
    /// The calendar of a recurrence.
    ///
    /// # Errors
    /// [`NoCalendar`] when the expression, the time zone or the period is not valid.
    pub fn of(recurrence: &Recurrence) -> Result<Self, NoCalendar> {
        match recurrence {
            Recurrence::Cron { expression, zone } => Ok(Self::Cron(Box::new(cron(expression)?), time_zone(zone)?)),
            Recurrence::Every { period, anchor } => {
                if *period < PERIOD.0 || *period > PERIOD.1 {
                    let (least, most) = (millis(PERIOD.0), millis(PERIOD.1));
                    let problem = format!("it is {}, {least} to {most} is allowed", millis(*period));
                    return Err(NoCalendar { parameter: "every_ms", problem });
                }
                Ok(Self::Every(millis(*period), anchor.0))
            }
        }
    }
}

fn cron(expression: &str) -> Result<Cron, NoCalendar> {
    let wrong = |why: String| NoCalendar {
        parameter: "cron",
        problem: format!(
            "{why}; use five fields (minute, hour, day of the month, month, day of the week), or six with seconds first, such as \
             0 3 * * 1-5, or @hourly, @daily, @weekly, @monthly, @yearly"
        ),
    };
    if expression.len() > LONGEST.0 {
        return Err(wrong(format!("it has {} bytes, at most {} are allowed", expression.len(), LONGEST.0)));
    }
    let parser = CronParser::builder().seconds(Seconds::Optional).year(Year::Disallowed).build();
    parser.parse(expression).map_err(|why| wrong(why.to_string().trim_end_matches('.').to_owned()))
}

fn time_zone(name: &str) -> Result<TimeZone, NoCalendar> {
    static ZONES: OnceLock<(TimeZoneDatabase, TimeZoneDatabase)> = OnceLock::new();
    let (system, own) = ZONES.get_or_init(|| (TimeZoneDatabase::from_env(), TimeZoneDatabase::bundled()));
    let found = (name.len() <= LONGEST.1).then(|| system.get(name).or_else(|_| own.get(name)));
    match found {
        Some(Ok(zone)) => Ok(zone),
        _ => {
            let shown: String = name.chars().take(LONGEST.1).collect();
            let problem = format!(
                "there is no time zone {shown:?}; use a name of the IANA database, such as Europe/Berlin or UTC"
            );
            Err(NoCalendar { parameter: "tz", problem })
        }
    }
}

fn zoned(at: ServerTime, zone: &TimeZone) -> Option<Zoned> {
    let at = Timestamp::from_millisecond(i64::try_from(at.0).ok()?).ok()?;
    Some(at.to_zoned(zone.clone()))
}

fn server_time(at: &Zoned) -> Option<ServerTime> {
    u64::try_from(at.timestamp().as_millisecond()).ok().map(ServerTime)
}

impl Calendar for Times {
    fn after(&self, at: ServerTime) -> Option<ServerTime> {
        match self {
            Self::Cron(cron, zone) => server_time(&cron.find_next_occurrence(&zoned(at, zone)?, false).ok()?),
            Self::Every(period, anchor) => {
                let steps = at.0.saturating_sub(*anchor) / period + 1;
                anchor.checked_add(steps.checked_mul(*period)?).map(ServerTime)
            }
        }
    }

    fn until(&self, at: ServerTime) -> Option<ServerTime> {
        match self {
            Self::Cron(cron, zone) => server_time(&cron.find_previous_occurrence(&zoned(at, zone)?, true).ok()?),
            Self::Every(period, anchor) => {
                let passed = at.0.checked_sub(*anchor)?;
                Some(ServerTime(anchor + passed / period * period))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn times(expression: &str, zone: &str) -> Times {
        Times::of(&Recurrence::Cron { expression: expression.to_owned(), zone: zone.to_owned() }).unwrap()
    }

    fn at(text: &str) -> ServerTime {
        let at: Timestamp = text.parse().unwrap();
        ServerTime(u64::try_from(at.as_millisecond()).unwrap())
    }

    /// The next slots after a time, in UTC.
    fn slots(times: &Times, from: &str, count: usize) -> Vec<String> {
        let following = std::iter::successors(times.after(at(from)), |slot| times.after(*slot));
        let text = |slot: ServerTime| Timestamp::from_millisecond(i64::try_from(slot.0).unwrap()).unwrap().to_string();
        following.take(count).map(text).collect()
    }

    #[test]
    fn a_time_zone_moves_the_slots() {
        let nightly = times("30 3 * * *", "Europe/Berlin");
        assert_eq!(slots(&nightly, "2026-01-10T00:00:00Z", 2), ["2026-01-10T02:30:00Z", "2026-01-11T02:30:00Z"]);
        assert_eq!(slots(&nightly, "2026-07-10T00:00:00Z", 1), ["2026-07-10T01:30:00Z"]);
        assert_eq!(slots(&times("30 3 * * *", "UTC"), "2026-07-10T00:00:00Z", 1), ["2026-07-10T03:30:00Z"]);
        let weekdays = times("0 9 * * 1-5", "Asia/Kolkata");
        assert_eq!(slots(&weekdays, "2026-07-10T04:00:00Z", 2), ["2026-07-13T03:30:00Z", "2026-07-14T03:30:00Z"]);
    }

    #[test]
    fn a_fixed_time_that_the_clocks_leave_out_comes_right_after() {
        // On 29 March 2026 the clocks of Berlin go from 2:00 to 3:00, at 1:00 UTC.
        let nightly = times("30 2 * * *", "Europe/Berlin");
        let expected = ["2026-03-28T01:30:00Z", "2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"];
        assert_eq!(slots(&nightly, "2026-03-28T00:00:00Z", 3), expected);
    }

    #[test]
    fn a_fixed_time_in_an_hour_that_comes_twice_comes_once() {
        // On 25 October 2026 the clocks of Berlin go from 3:00 back to 2:00, at 1:00 UTC.
        let nightly = times("30 2 * * *", "Europe/Berlin");
        let expected = ["2026-10-24T00:30:00Z", "2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"];
        assert_eq!(slots(&nightly, "2026-10-24T00:00:00Z", 3), expected);
    }

    #[test]
    fn steps_follow_the_time_that_passes() {
        let often = times("*/30 * * * *", "Europe/Berlin");
        let spring = ["2026-03-29T00:30:00Z", "2026-03-29T01:00:00Z", "2026-03-29T01:30:00Z"];
        assert_eq!(slots(&often, "2026-03-29T00:00:00Z", 3), spring);
        let autumn = ["2026-10-25T00:30:00Z", "2026-10-25T01:00:00Z", "2026-10-25T01:30:00Z", "2026-10-25T02:00:00Z"];
        assert_eq!(slots(&often, "2026-10-25T00:00:00Z", 4), autumn);
    }

    #[test]
    fn the_last_slot_is_found_also_right_at_it() {
        for (expression, zone) in
            [("*/5 * * * *", "UTC"), ("30 2 * * *", "Europe/Berlin"), ("15 10 1 * *", "America/New_York")]
        {
            let times = times(expression, zone);
            for from in ["2026-03-27T11:11:11Z", "2026-10-24T23:59:59Z", "2026-06-01T00:00:00Z"] {
                let next = times.after(at(from)).unwrap();
                assert_eq!(times.until(next), Some(next), "{expression} {zone} {from}");
                assert!(times.until(ServerTime(next.0 - 1)).unwrap() < next);
                assert_eq!(times.after(ServerTime(next.0 - 1)), Some(next));
            }
        }
    }

    #[test]
    fn seconds_can_come_first_and_nicknames_work() {
        assert_eq!(slots(&times("*/20 * * * * *", "UTC"), "2026-01-01T00:00:05Z", 1), ["2026-01-01T00:00:20Z"]);
        assert_eq!(slots(&times("@daily", "UTC"), "2026-01-01T00:00:05Z", 1), ["2026-01-02T00:00:00Z"]);
    }

    #[test]
    fn equal_steps_are_counted_from_their_anchor() {
        let of = |period, anchor| {
            Times::of(&Recurrence::Every { period: Duration::from_millis(period), anchor: ServerTime(anchor) })
        };
        let times = of(1000, 300).unwrap();
        let after = |at| times.after(ServerTime(at)).map(|slot| slot.0);
        assert_eq!([after(0), after(300), after(1299), after(1300)], [Some(1300), Some(1300), Some(1300), Some(2300)]);
        let until = |at| times.until(ServerTime(at)).map(|slot| slot.0);
        assert_eq!([until(299), until(300), until(1299), until(1300)], [None, Some(300), Some(300), Some(1300)]);
        assert_eq!(of(99, 0).unwrap_err().parameter, "every_ms");
    }

    #[test]
    fn what_is_no_expression_or_no_time_zone_is_told_with_what_is_allowed() {
        let refused = |expression: &str, zone: &str| {
            let recurrence = Recurrence::Cron { expression: expression.to_owned(), zone: zone.to_owned() };
            Times::of(&recurrence).map(|_| panic!("{expression:?} {zone:?} was taken")).unwrap_err()
        };
        for bad in ["", "* * * *", "61 * * * *", "* * * * * * *", "nonsense", "*/0 * * * *", &"1,".repeat(200)] {
            let error = refused(bad, "UTC");
            assert!(error.parameter == "cron" && error.problem.contains("five fields"), "{error:?}");
        }
        for bad in ["", "Berlin", "Europe/Nowhere", "../../etc/passwd", &"x".repeat(1000)] {
            let error = refused("* * * * *", bad);
            assert!(error.parameter == "tz" && error.problem.contains("Europe/Berlin"), "{error:?}");
        }
    }
}
