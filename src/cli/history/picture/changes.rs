//! Marks across all rows: changes of the leader, and losses of data.
//!
//! 1. A failover is a dashed line with a filled label that says how long there was no leader; a planned change is a dotted line
//!    with an outlined label. An arrow goes from the old leader's row to the new leader's.
//!
//! Not here: the bands of the leaders (`rows.rs`).

use super::frame::Frame;
use super::look;
use super::svg::{Attribute, Lanes, Px, Svg, bold, width_of};
use crate::cli::history::format;
use crate::cluster::event::ElectedReason;
use crate::cluster::history::report::{Failover, Report, Vacancy};
use crate::cluster::ids::NodeId;

/// The most rows of labels above the plot.
const LANES: usize = 4;

/// A change with the place of its label.
#[derive(Debug, Clone)]
pub(super) struct Flag<'a> {
    change: &'a Failover,
    /// The text, its x position, and its lane; `None`: there is no room for a label.
    label: Option<(String, f64, usize)>,
}

/// Places the labels and returns how many lanes they take. All labels are shortened together until they fit.
pub(super) fn flags<'a>(frame: &Frame, report: &'a Report) -> (Vec<Flag<'a>>, usize) {
    // Failovers first: they get the room if there is not enough for all.
    let mut order: Vec<&Failover> = report.failovers.iter().collect();
    order.sort_by_key(|change| change.is_planned());
    let mut flags = Vec::new();
    for (shorter, lanes) in [(0, 2), (1, 3), (2, LANES), (3, LANES)] {
        flags = place(frame, &order, shorter, lanes);
        if flags.iter().all(|flag| flag.label.is_some()) {
            break;
        }
    }
    let used = flags.iter().filter_map(|flag| flag.label.as_ref()).map(|(_, _, lane)| lane + 1).max().unwrap_or(0);
    (flags, used)
}

fn place<'a>(frame: &Frame, order: &[&'a Failover], shorter: usize, lanes: usize) -> Vec<Flag<'a>> {
    let mut lanes = Lanes::new(lanes);
    let flag = |change: &&'a Failover| {
        let x = frame.x(change.at);
        let texts = texts(change);
        let text = texts.get(shorter.min(texts.len() - 1)).cloned().unwrap_or_default();
        let width = bold(&text, look::SMALL) + 14.0;
        let a = (x - width / 2.0).min(frame.right - width).max(frame.left);
        let label = lanes.place(a, a + width).map(|lane| (text, a, lane));
        Flag { change, label }
    };
    order.iter().map(flag).collect()
}

/// The possible texts of a label, longest first.
fn texts(change: &Failover) -> Vec<String> {
    let word = word(change);
    let (from, to) = (&change.previous, &change.node_id);
    let moved = if from == to { format!("{word}: {to} again") } else { format!("{word}: {from} → {to}") };
    match change.vacancy() {
        Vacancy::Unknown => vec![moved, word.to_owned()],
        vacancy => {
            let (long, short) = match vacancy {
                Vacancy::AtMost(most) => (format::vacancy(change), format!("≤ {}", format::lasting(most))),
                _ => (format::vacancy(change), format::vacancy(change)),
            };
            vec![
                format!("{moved}, {long} without a leader"),
                format!("{moved}, {short}"),
                format!("{word} {short}"),
                word.to_owned(),
            ]
        }
    }
}

fn word(change: &Failover) -> &'static str {
    match change.reason {
        ElectedReason::Handover => "handover",
        ElectedReason::Resigned => "leader left",
        _ => "failover",
    }
}

/// Draws the parts behind the bands: the times without a leader, and the lines.
pub(super) fn draw_lines(svg: &mut Svg, frame: &Frame, flags: &[Flag<'_>], report: &Report) {
    for flag in flags {
        let change = flag.change;
        let (x, colour) = (frame.x(change.at), colour(change));
        if let Some(since) = change.vacant_since.or(change.last_sign) {
            let a = frame.x(since);
            if x - a >= 2.0 {
                let height = frame.bottom() - frame.top;
                let attributes: [Attribute<'_>; 7] = [
                    ("class", &"vacancy"),
                    ("x", &Px(a)),
                    ("y", &Px(frame.top)),
                    ("width", &Px(x - a)),
                    ("height", &Px(height)),
                    ("fill", &colour),
                    ("fill-opacity", &"0.13"),
                ];
                svg.leaf("rect", &attributes);
            }
        }
        let (dashes, width) = if change.is_planned() { ("1.5 3", 1.4) } else { ("7 3", 2.0) };
        let top = flag.label.as_ref().map_or(frame.top - look::AXIS, |(_, _, lane)| lane_top(frame, *lane) + 16.0);
        let attributes: [Attribute<'_>; 8] = [
            ("class", &if change.is_planned() { "handover" } else { "failover" }),
            ("x1", &Px(x)),
            ("y1", &Px(top)),
            ("x2", &Px(x)),
            ("y2", &Px(frame.bottom())),
            ("stroke", &colour),
            ("stroke-width", &width),
            ("stroke-dasharray", &dashes),
        ];
        let full = texts(change).into_iter().next().unwrap_or_default();
        let at = format::time(change.at, "%Y-%m-%d %H:%M:%S UTC");
        svg.with_title("line", &attributes, &format!("{full}; {at}, term {}", change.term));
    }
    for at in &report.data_lost {
        let x = frame.x(*at);
        let (top, bottom) = (frame.top, frame.bottom());
        let attributes: [Attribute<'_>; 7] = [
            ("class", &"data-lost"),
            ("x1", &Px(x)),
            ("y1", &Px(top)),
            ("x2", &Px(x)),
            ("y2", &Px(bottom)),
            ("stroke", &look::INK),
            ("stroke-width", &3.0),
        ];
        svg.with_title("line", &attributes, "Redis lost its data; the cluster started over");
        let text = "Redis lost its data";
        let a = (x + 5.0).min(frame.right - width_of(text, look::SMALL));
        let y = Px(bottom - 5.0);
        svg.text("text", &[("x", &Px(a)), ("y", &y), ("font-size", &look::SMALL), ("fill", &look::INK)], text);
    }
}

/// Draws the parts in front of the bands: the arrows, and the labels.
pub(super) fn draw_labels(svg: &mut Svg, frame: &Frame, flags: &[Flag<'_>], report: &Report) {
    let row = |id: &NodeId| report.nodes.iter().position(|node| node.node_id == *id);
    for flag in flags {
        let change = flag.change;
        let (x, colour) = (frame.x(change.at), colour(change));
        if let (Some(from), Some(to)) = (row(&change.previous), row(&change.node_id))
            && from != to
        {
            arrow(svg, frame, x, from, to, colour);
        }
        let Some((text, a, lane)) = &flag.label else { continue };
        let (y, width) = (lane_top(frame, *lane), bold(text, look::SMALL) + 14.0);
        let (fill, ink) = if change.is_planned() { (look::PAPER, colour) } else { (colour, look::PAPER) };
        let pill: [Attribute<'_>; 8] = [
            ("class", &"flag"),
            ("x", &Px(*a)),
            ("y", &Px(y)),
            ("width", &Px(width)),
            ("height", &Px(17.0)),
            ("rx", &"4"),
            ("fill", &fill),
            ("stroke", &colour),
        ];
        svg.leaf("rect", &pill);
        let (x, y) = (Px(a + width / 2.0), Px(y + 12.5));
        let words: [Attribute<'_>; 6] = [
            ("x", &x),
            ("y", &y),
            ("font-size", &look::SMALL),
            ("font-weight", &"600"),
            ("text-anchor", &"middle"),
            ("fill", &ink),
        ];
        svg.text("text", &words, text);
    }
}

/// An arrow from the middle of a row to that of another one.
fn arrow(svg: &mut Svg, frame: &Frame, x: f64, from: usize, to: usize, colour: &str) {
    let middle = |row: usize| frame.y(row) + if frame.is_roomy() { 27.0 } else { frame.row / 2.0 - 1.0 };
    let (a, b) = (middle(from), middle(to));
    let size = if frame.row > 20.0 { 5.0 } else { 3.5 };
    let back = if b > a { -size * 1.7 } else { size * 1.7 };
    let line: [Attribute<'_>; 7] = [
        ("class", &"moved"),
        ("x1", &Px(x)),
        ("y1", &Px(a)),
        ("x2", &Px(x)),
        ("y2", &Px(b + back)),
        ("stroke", &colour),
        ("stroke-width", &if frame.row > 20.0 { 3.0 } else { 2.0 }),
    ];
    svg.leaf("line", &line);
    svg.leaf("circle", &[("cx", &Px(x)), ("cy", &Px(a)), ("r", &Px(size * 0.8)), ("fill", &colour)]);
    let points = format!("{},{} {},{} {},{}", Px(x), Px(b), Px(x - size), Px(b + back), Px(x + size), Px(b + back));
    svg.leaf("polygon", &[("points", &points), ("fill", &colour), ("stroke", &look::PAPER), ("stroke-width", &0.8)]);
}

fn lane_top(frame: &Frame, lane: usize) -> f64 {
    #[allow(clippy::cast_precision_loss)]
    let lane = lane as f64;
    frame.lanes + lane * look::LANE
}

fn colour(change: &Failover) -> &'static str {
    if change.is_planned() { look::HANDOVER } else { look::FAILOVER }
}
