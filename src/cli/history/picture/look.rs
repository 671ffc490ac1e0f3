//! The picture's sizes and colours. The colours can be told apart without seeing red or green.
//!
//! 1. Nothing is shown by colour alone: each thing also has its own shape.
//! 2. Text has a contrast of at least 4.5 to its background.
//!
//! Not here: positions (`frame.rs`).

pub(super) const WIDTH: f64 = 1_280.0;
pub(super) const MARGIN: f64 = 24.0;
/// The maximum width of the names.
pub(super) const NAMES: f64 = 210.0;
/// The width of the numbers at the right.
pub(super) const FIGURES: f64 = 150.0;
/// The height of a row of failover labels.
pub(super) const LANE: f64 = 21.0;
/// The height of the time axis.
pub(super) const AXIS: f64 = 42.0;

/// Font sizes.
pub(super) const TITLE: f64 = 22.0;
pub(super) const LABEL: f64 = 14.0;
pub(super) const SMALL: f64 = 11.5;

pub(super) const FONT: &str = "system-ui, 'Segoe UI', 'DejaVu Sans', Helvetica, Arial, sans-serif";

pub(super) const PAPER: &str = "#ffffff";
/// Every second row.
pub(super) const SHADE: &str = "#f5f6f8";
pub(super) const INK: &str = "#1b1f24";
/// Less important text.
pub(super) const QUIET: &str = "#57606a";
pub(super) const GRID: &str = "#d5d9de";
/// Where a day begins.
pub(super) const DAY: &str = "#a3abb5";
pub(super) const LEADS: &str = "#0b3d6b";
pub(super) const ONLINE: &str = "#9fcbe6";
pub(super) const ONLINE_EDGE: &str = "#6fa8c9";
pub(super) const DOWN: &str = "#b83200";
pub(super) const DOWN_PAPER: &str = "#fff1ea";
/// Missing heartbeats.
pub(super) const GAP: &str = "#5b3a00";
pub(super) const FAILOVER: &str = "#8a0f5c";
/// Planned changes of the leader.
pub(super) const HANDOVER: &str = "#45505c";
