//! Limits repeated log lines, for every place in the source at once, so that the code that logs need not care.
//!
//! 1. Each place in the source may write [`burst`] lines per level within a [`WINDOW`]. Further lines are dropped, and from then on
//!    one line passes per window, until a window has no more than one line.
//! 2. Dropped lines are counted: the next line of their place has the number (`left_out`). If no line follows, the newest dropped line
//!    is written after the window, together with the next line of any place, or at the end of the process.
//! 3. Lines of the levels debug and trace are never dropped: the user asked for all of them.
//!
//! Lines are grouped by their place, not by their text, which contains attempts, times or foreign text.
//!
//! Not here: lines that come too fast for their sink (`queue.rs`), lines with their own limit (`crate::clock::Seldom`).

use super::line::Line;
use crate::clock;
use crate::cluster::time::Moment;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tracing::Level;
use tracing::callsite::Identifier;

/// The time over which lines of a place are counted.
const WINDOW: Duration = Duration::from_secs(10);

/// How many lines of a place pass within a window, by level; `None`: no limit.
fn burst(level: Level) -> Option<u32> {
    match level {
        Level::ERROR | Level::WARN => Some(20),
        // High enough for a whole cluster that joins or leaves at once.
        Level::INFO => Some(400),
        _ => None,
    }
}

/// The counts of one place.
#[derive(Debug)]
struct Place {
    began: Moment,
    passed: u32,
    /// Whether the previous window exceeded the limit.
    flooding: bool,
    left_out: u64,
    newest: Option<Line>,
}

impl Place {
    fn new(now: Moment) -> Self {
        Self { began: now, passed: 0, flooding: false, left_out: 0, newest: None }
    }

    fn is_over(&self, now: Moment) -> bool {
        now.since(self.began) >= WINDOW
    }

    fn take(&mut self, line: Line, burst: u32, now: Moment) -> Option<Arc<Line>> {
        if self.is_over(now) {
            (self.began, self.passed, self.flooding) = (now, 0, self.left_out > 0);
        }
        if self.passed >= if self.flooding { 1 } else { burst } {
            self.left_out += 1;
            self.newest = Some(line);
            return None;
        }
        self.passed += 1;
        self.newest = None;
        Some(counted(line, std::mem::take(&mut self.left_out)))
    }

    /// The newest dropped line, to write if no other line follows.
    fn rest(&mut self, now: Moment) -> Option<Arc<Line>> {
        let line = self.newest.take()?;
        (self.began, self.passed, self.flooding) = (now, 1, true);
        Some(counted(line, std::mem::take(&mut self.left_out) - 1))
    }
}

fn counted(mut line: Line, left_out: u64) -> Arc<Line> {
    if left_out > 0 {
        line.fields.push(("left_out", left_out.into()));
    }
    Arc::new(line)
}

/// All places by their identifier. See the module's text.
#[derive(Debug)]
pub(super) struct Flood<K = Identifier> {
    places: Mutex<HashMap<K, Place>>,
    /// The number of places with a dropped line that is not written yet.
    holding: AtomicUsize,
}

impl<K: Eq + Hash> Flood<K> {
    /// No places yet.
    pub(super) fn new() -> Self {
        Self { places: Mutex::new(HashMap::new()), holding: AtomicUsize::new(0) }
    }

    /// The lines to write for a new line: the line itself if it passes, and dropped lines of other places that are due.
    pub(super) fn pass(&self, place: K, line: Line) -> Vec<Arc<Line>> {
        self.pass_at(place, line, clock::now())
    }

    fn pass_at(&self, place: K, line: Line, now: Moment) -> Vec<Arc<Line>> {
        let burst = burst(line.level);
        if burst.is_none() && self.holding.load(Ordering::Relaxed) == 0 {
            return vec![Arc::new(line)];
        }
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let mut lines = Vec::new();
        match burst {
            Some(burst) => lines.extend(places.entry(place).or_insert_with(|| Place::new(now)).take(line, burst, now)),
            None => lines.push(Arc::new(line)),
        }
        let over = places.values_mut().filter(|place| place.is_over(now));
        lines.extend(over.filter_map(|place| place.rest(now)));
        self.holding.store(places.values().filter(|place| place.newest.is_some()).count(), Ordering::Relaxed);
        lines
    }

    /// All dropped lines that are not written yet.
    pub(super) fn rest(&self, now: Moment) -> Vec<Arc<Line>> {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        self.holding.store(0, Ordering::Relaxed);
        places.values_mut().filter_map(|place| place.rest(now)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str, level: Level) -> Line {
        let mut line = Arc::unwrap_or_clone(Line::warning(text.to_owned()));
        line.level = level;
        line
    }

    fn left_out(line: &Line) -> u64 {
        line.fields.iter().find(|(name, _)| *name == "left_out").and_then(|(_, n)| n.as_u64()).unwrap_or(0)
    }

    fn at(ms: u64) -> Moment {
        Moment(Duration::from_millis(1_000 + ms))
    }

    #[test]
    fn a_flood_becomes_a_line_in_ten_seconds_and_every_line_is_counted() {
        let flood = Flood::new();
        let mut written = Vec::new();
        for n in 0..10_000u64 {
            written.extend(flood.pass_at("a place", line(&format!("attempt {n}"), Level::WARN), at(n * 10)));
        }
        assert_eq!(written.len(), 20 + 9, "100 s");
        written.extend(flood.rest(at(100_000)));
        assert_eq!(written.iter().map(|line| 1 + left_out(line)).sum::<u64>(), 10_000);
        assert_eq!(written.last().unwrap().message, "attempt 9999", "the newest one is always told");
        let again = |from: u64, each: u64| {
            (0..20)
                .map(|n| flood.pass_at("a place", line("again", Level::WARN), at(from + each * n)).len())
                .sum::<usize>()
        };
        assert_eq!(again(200_000, 1), 20);
        assert_eq!(again(300_000, 11_000), 20, "what fits its window passes");
        assert_eq!(again(600_000, 1), 20, "and a burst does so again");
    }

    #[test]
    fn a_flood_that_ends_is_told_with_the_next_line_of_another_place() {
        let (flood, noisy, other) = (Flood::new(), "noisy", "other");
        for n in 0..50u64 {
            flood.pass_at(noisy, line(&n.to_string(), Level::ERROR), at(n));
        }
        assert_eq!(flood.pass_at(other, line("x", Level::DEBUG), at(60)).len(), 1, "the window is not over");
        let lines = flood.pass_at(other, line("x", Level::DEBUG), at(11_000));
        let passed: Vec<_> = lines.iter().map(|line| (line.message.as_str(), left_out(line))).collect();
        assert_eq!(passed, [("x", 0), ("49", 29)]);
        assert_eq!(flood.pass_at(other, line("x", Level::DEBUG), at(50_000)).len(), 1, "told once");
    }

    #[test]
    fn places_do_not_share_their_bound_and_debug_has_none() {
        let (flood, one, other) = (Flood::new(), "one", "other");
        let passed =
            |place, level| (0..1_000).map(|n| flood.pass_at(place, line("x", level), at(n)).len()).sum::<usize>();
        assert_eq!(passed(&one, Level::WARN), 20);
        assert_eq!(passed(&other, Level::INFO), 400);
        assert_eq!(passed(&one, Level::DEBUG), 1_000);
    }
}
