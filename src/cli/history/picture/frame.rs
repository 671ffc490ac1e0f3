//! The picture's coordinates: time from left to right, one row per node from top to bottom.
//!
//! Not here: what is drawn there.

use super::look;
use super::svg::{bold, width_of};
use crate::cluster::history::report::{Report, Window};
use crate::cluster::time::ServerTime;

/// See the module's text. All lengths are pixels.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frame {
    pub(super) window: Window,
    /// The plot's left and right end.
    pub(super) left: f64,
    pub(super) right: f64,
    /// The top of the lanes with the failovers' labels.
    pub(super) lanes: f64,
    /// The top of the first row.
    pub(super) top: f64,
    /// The height of a row.
    pub(super) row: f64,
    /// The number of rows.
    pub(super) rows: usize,
}

/// A mark on the time axis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tick {
    pub(super) at: ServerTime,
    /// The `strftime` pattern of its label.
    pub(super) pattern: &'static str,
    /// Whether a day begins here.
    pub(super) midnight: bool,
}

/// The possible distances between marks, in seconds.
const STEPS: [u64; 24] = [
    1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 10_800, 21_600, 43_200, 86_400, 172_800, 432_000,
    864_000, 2_592_000, 8_640_000, 31_536_000,
];
const DAY: u64 = 86_400;

impl Frame {
    /// The frame of a report, below a header of this height.
    pub(super) fn new(report: &Report, header: f64, lanes: usize) -> Self {
        let rows = report.nodes.len();
        let row = match rows {
            0..=12 => 52.0,
            13..=30 => 34.0,
            _ => 18.0,
        };
        let widest = |wide: f64, node: &crate::cluster::history::report::NodeReport| {
            let id = bold(node.node_id.as_str(), look::LABEL);
            wide.max(id).max(width_of(&node.name, look::SMALL))
        };
        let names = report.nodes.iter().fold(84.0, widest).min(look::NAMES);
        let left = look::MARGIN + names + 14.0;
        #[allow(clippy::cast_precision_loss)]
        let top = header + lanes as f64 * look::LANE + look::AXIS;
        let right = look::WIDTH - look::MARGIN - look::FIGURES;
        Self { window: report.window, left, right, lanes: header, top, row, rows }
    }

    /// The x position of a time; a time outside the window is at the window's edge.
    pub(super) fn x(&self, at: ServerTime) -> f64 {
        let length = self.window.length().as_secs_f64().max(0.001);
        let share = at.since(self.window.from).as_secs_f64() / length;
        self.left + share.min(1.0) * (self.right - self.left)
    }

    /// The top of a row.
    pub(super) fn y(&self, row: usize) -> f64 {
        #[allow(clippy::cast_precision_loss)]
        let row = row as f64;
        self.top + row * self.row
    }

    /// The bottom of the last row.
    pub(super) fn bottom(&self) -> f64 {
        self.y(self.rows.max(1))
    }

    /// Whether rows have room for labels.
    pub(super) fn is_roomy(&self) -> bool {
        self.row > 40.0
    }

    /// The marks of the time axis, at least 78 pixels apart.
    pub(super) fn ticks(&self) -> Vec<Tick> {
        let length = self.window.length().as_secs().max(1);
        #[allow(clippy::cast_precision_loss)]
        let pixels = |step: u64| (self.right - self.left) * step as f64 / length as f64;
        let step = STEPS.into_iter().find(|step| pixels(*step) >= 78.0).unwrap_or(31_536_000);
        let pattern = match step {
            0..60 => "%H:%M:%S",
            60..DAY => "%H:%M",
            _ => "%d %b",
        };
        let first = (self.window.from.0 / 1_000).div_ceil(step) * step;
        let last = self.window.to.0 / 1_000;
        let tick = |at: u64| Tick { at: ServerTime(at * 1_000), pattern, midnight: at.is_multiple_of(DAY) };
        (first..=last).step_by(usize::try_from(step).unwrap_or(1)).map(tick).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::history::report::Evidence;

    fn frame(seconds: u64) -> Frame {
        let from = ServerTime(1_700_000_000_000);
        let window = Window { from, to: ServerTime(from.0 + seconds * 1_000) };
        let evidence = Evidence { summaries: &[], events: &[], members: None, leader: None, interval: None };
        Frame::new(&Report::of(window, &evidence), 100.0, 1)
    }

    #[test]
    fn every_window_has_marks_with_room_between_them() {
        for seconds in [1, 7, 60, 600, 3_600, 86_400, 7 * 86_400, 30 * 86_400, 3_650 * 86_400] {
            let frame = frame(seconds);
            let ticks = frame.ticks();
            assert!((1..=15).contains(&ticks.len()), "{seconds} s: {}", ticks.len());
            let apart = ticks.windows(2).all(|pair| frame.x(pair[1].at) - frame.x(pair[0].at) >= 77.0);
            assert!(apart, "{seconds} s");
        }
        assert_eq!((frame(600).ticks()[0].pattern, frame(30 * 86_400).ticks()[0].pattern), ("%H:%M", "%d %b"));
    }

    #[test]
    fn times_outside_the_window_are_at_its_edges() {
        let frame = frame(600);
        let near = |a: f64, b: f64| (a - b).abs() < 1e-9;
        assert!(near(frame.x(ServerTime(0)), frame.left) && near(frame.x(ServerTime(u64::MAX)), frame.right));
        assert!(near(frame.x(ServerTime(1_700_000_300_000)), (frame.left + frame.right) / 2.0));
    }
}
