//! How the picture looks: sizes, and colours that also those can tell apart who see no red or no green.
//!
//! 1. Nothing is told by colour alone: each thing has a shape of its own, too.
//! 2. Texts have a contrast of at least 4.5 to what they stand on.
//!
//! Not here: where things stand (`frame.rs`).

pub(super) const WIDTH: f64 = 1_280.0;
pub(super) const MARGIN: f64 = 24.0;
/// The most room for names.
pub(super) const NAMES: f64 = 210.0;
/// The room for figures at the right.
pub(super) const FIGURES: f64 = 150.0;
/// A row of failovers' labels.
pub(super) const LANE: f64 = 21.0;
/// The room for the time axis.
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
/// Changes that were asked for.
pub(super) const HANDOVER: &str = "#45505c";
