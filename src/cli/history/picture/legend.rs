//! The picture's header, legend, background with the time axis, and footer.
//!
//! Not here: what is drawn on the background (`rows.rs`, `changes.rs`).

use super::Caption;
use super::frame::Frame;
use super::look;
use super::svg::{Attribute, Px, Svg, width_of};
use crate::cli::history::format;
use crate::cli::terminal::many;
use crate::cluster::history::report::Report;
use crate::cluster::time::ServerTime;

/// The y position of the legend's line.
const LEGEND: f64 = 92.0;

/// The height of the header, including the legend.
pub(super) fn height() -> f64 {
    LEGEND + 26.0
}

/// Defines the hatch patterns.
pub(super) fn patterns(svg: &mut Svg) {
    svg.open("defs", &[]);
    hatch(svg, "down", look::DOWN_PAPER, look::DOWN, "M-2 2 l4 -4 M0 8 l8 -8 M6 10 l4 -4", 1.3);
    hatch(svg, "unrecorded", look::PAPER, look::GRID, "M-2 6 l4 4 M0 0 l8 8 M6 -2 l4 4", 1.6);
    svg.close();
}

fn hatch(svg: &mut Svg, id: &str, paper: &str, ink: &str, path: &str, width: f64) {
    let attributes: [Attribute<'_>; 4] =
        [("id", &id), ("width", &"8"), ("height", &"8"), ("patternUnits", &"userSpaceOnUse")];
    svg.open("pattern", &attributes);
    svg.leaf("rect", &[("width", &"8"), ("height", &"8"), ("fill", &paper)]);
    svg.leaf("path", &[("d", &path), ("stroke", &ink), ("stroke-width", &width), ("fill", &"none")]);
    svg.close();
}

/// Draws the title, the summary and the legend.
pub(super) fn head(svg: &mut Svg, report: &Report, caption: &Caption) {
    let length = format::window(report.window.length());
    let title = format!("Cluster {}, the last {length}", caption.cluster);
    svg.text("title", &[], &title);
    svg.text("desc", &[], &summary(report).join(", "));
    let at = |y: f64| (Px(look::MARGIN), Px(y));
    let (x, y) = at(38.0);
    let attributes: [Attribute<'_>; 5] =
        [("x", &x), ("y", &y), ("font-size", &look::TITLE), ("font-weight", &"700"), ("fill", &look::INK)];
    svg.text("text", &attributes, &title);
    let stamp = |at| format::time(at, "%Y-%m-%d %H:%M");
    let (from, to) = (stamp(report.window.from), stamp(report.window.to));
    let about = format!("{from} to {to} UTC  ·  {}  ·  history from {}", summary(report).join(", "), caption.store);
    let (x, y) = at(62.0);
    svg.text("text", &[("x", &x), ("y", &y), ("font-size", &13.0), ("fill", &look::QUIET)], &about);
    legend(svg);
}

/// The counts for the summary line.
fn summary(report: &Report) -> Vec<String> {
    let failovers = report.failovers.iter().filter(|change| !change.is_planned()).count();
    let handovers = report.failovers.len() - failovers;
    let down = report.nodes.iter().flat_map(|node| &node.away).filter(|absence| absence.is_down()).count();
    let flaps: usize = report.nodes.iter().map(|node| node.flaps()).sum();
    let mut all = vec![many(report.nodes.len(), "node"), many(failovers, "failover")];
    if handovers > 0 {
        all.push(many(handovers, "planned change"));
    }
    let flaps = if flaps > 0 { format!(" ({})", many(flaps, "flap")) } else { String::new() };
    all.push(format!("{}{flaps}", many(down, "outage")));
    all
}

fn legend(svg: &mut Svg) {
    let mut x = look::MARGIN;
    let mut entry = |sample: &dyn Fn(&mut Svg, f64), width: f64, text: &str| {
        sample(svg, x);
        let at = Px(x + width + 7.0);
        let attributes: [Attribute<'_>; 4] =
            [("x", &at), ("y", &Px(LEGEND + 4.0)), ("font-size", &12.0), ("fill", &look::INK)];
        svg.text("text", &attributes, text);
        x += width + 7.0 + width_of(text, 12.0) + 20.0;
    };
    let boxed = |fill: &'static str, stroke: &'static str, height: f64| {
        move |svg: &mut Svg, x: f64| {
            let y = Px(LEGEND - height / 2.0);
            let attributes: [Attribute<'_>; 6] =
                [("x", &Px(x)), ("y", &y), ("width", &"26"), ("height", &height), ("fill", &fill), ("stroke", &stroke)];
            svg.leaf("rect", &attributes);
        }
    };
    let drawn = |path: &'static str, stroke: &'static str, fill: &'static str, dashes: &'static str, width: f64| {
        move |svg: &mut Svg, x: f64| {
            let place = format!("translate({} {})", Px(x), Px(LEGEND));
            let attributes: [Attribute<'_>; 6] = [
                ("transform", &place),
                ("d", &path),
                ("stroke", &stroke),
                ("fill", &fill),
                ("stroke-dasharray", &dashes),
                ("stroke-width", &width),
            ];
            svg.leaf("path", &attributes);
        }
    };
    entry(&boxed(look::LEADS, look::LEADS, 16.0), 26.0, "leads");
    entry(&boxed(look::ONLINE, look::ONLINE_EDGE, 9.0), 26.0, "online");
    entry(&boxed("url(#down)", look::DOWN, 16.0), 26.0, "down");
    entry(&drawn("M6 -5 l-5.5 9 h11 z", "none", look::DOWN, "none", 1.0), 13.0, "flap: down and back within 5 min");
    entry(&drawn("M0 0 h26", look::QUIET, "none", "1.6 4", 1.6), 26.0, "left cleanly");
    entry(&drawn("M2 -4 v7 h16 v-7", look::GAP, "none", "none", 2.0), 20.0, "heartbeats missing");
    entry(&drawn("M6 -10 v20", look::FAILOVER, "none", "7 3", 2.0), 10.0, "failover");
    entry(&drawn("M6 -10 v20", look::HANDOVER, "none", "1.5 3", 1.6), 10.0, "planned change");
    entry(&boxed("url(#unrecorded)", look::GRID, 16.0), 26.0, "no events recorded");
}

/// Draws the rows' background, the time axis above and below, and the times without recorded events.
pub(super) fn ground(svg: &mut Svg, frame: &Frame, report: &Report) {
    let (top, bottom, right) = (frame.top, frame.bottom(), look::WIDTH - look::MARGIN);
    for row in (0..frame.rows).step_by(2) {
        let attributes: [Attribute<'_>; 5] = [
            ("x", &Px(look::MARGIN - 8.0)),
            ("y", &Px(frame.y(row))),
            ("width", &Px(right - look::MARGIN + 16.0)),
            ("height", &Px(frame.row)),
            ("fill", &look::SHADE),
        ];
        svg.leaf("rect", &attributes);
    }
    for (from, to) in &report.unrecorded {
        let (a, b) = (frame.x(*from), frame.x(*to));
        let attributes: [Attribute<'_>; 6] = [
            ("class", &"unrecorded"),
            ("x", &Px(a)),
            ("y", &Px(top)),
            ("width", &Px((b - a).max(1.0))),
            ("height", &Px(bottom - top)),
            ("fill", &"url(#unrecorded)"),
        ];
        svg.with_title("rect", &attributes, "no events are recorded for this time");
    }
    let mut shown_date: Option<String> = None;
    for tick in frame.ticks() {
        let x = frame.x(tick.at);
        let (stroke, width) =
            if tick.midnight && tick.pattern != "%d %b" { (look::DAY, 1.2) } else { (look::GRID, 1.0) };
        let line: [Attribute<'_>; 6] = [
            ("x1", &Px(x)),
            ("y1", &Px(top - 5.0)),
            ("x2", &Px(x)),
            ("y2", &Px(bottom + 5.0)),
            ("stroke", &stroke),
            ("stroke-width", &width),
        ];
        svg.leaf("line", &line);
        let text = format::time(tick.at, tick.pattern);
        for y in [top - 9.0, bottom + 18.0] {
            axis(svg, x, y, &text, look::INK);
        }
        // The date is shown where it changes.
        let date = format::time(tick.at, "%d %b %Y");
        if shown_date.as_ref() != Some(&date) && tick.pattern != "%d %b" {
            for y in [top - 24.0, bottom + 33.0] {
                axis(svg, x, y, &date, look::QUIET);
            }
            shown_date = Some(date);
        }
    }
    let edge = |svg: &mut Svg, y: f64| {
        let attributes: [Attribute<'_>; 5] = [
            ("x1", &Px(frame.left)),
            ("y1", &Px(y)),
            ("x2", &Px(frame.right)),
            ("y2", &Px(y)),
            ("stroke", &look::QUIET),
        ];
        svg.leaf("line", &attributes);
    };
    edge(svg, top);
    edge(svg, bottom);
    if frame.rows == 0 {
        let (x, y) = (Px(f64::midpoint(frame.left, frame.right)), Px(f64::midpoint(top, bottom) + 5.0));
        let attributes: [Attribute<'_>; 5] =
            [("x", &x), ("y", &y), ("font-size", &look::LABEL), ("text-anchor", &"middle"), ("fill", &look::INK)];
        svg.text("text", &attributes, "No node was a member during this time.");
        return;
    }
    let heading = |svg: &mut Svg, x: f64, text: &str| {
        let attributes: [Attribute<'_>; 4] =
            [("x", &Px(x)), ("y", &Px(top - 24.0)), ("font-size", &look::SMALL), ("fill", &look::QUIET)];
        svg.text("text", &attributes, text);
    };
    heading(svg, look::MARGIN, "node");
    heading(svg, frame.right + 16.0, "available");
    if report.nodes.iter().any(|node| node.beats > 0) {
        heading(svg, frame.right + 88.0, "delay p95");
    }
}

fn axis(svg: &mut Svg, x: f64, y: f64, text: &str, fill: &str) {
    let attributes: [Attribute<'_>; 5] =
        [("x", &Px(x)), ("y", &Px(y)), ("font-size", &look::SMALL), ("text-anchor", &"middle"), ("fill", &fill)];
    svg.text("text", &attributes, text);
}

/// Draws the footer: time zone, end of the window, program version.
pub(super) fn foot(svg: &mut Svg, frame: &Frame, height: f64) {
    let drawn: ServerTime = frame.window.to;
    let at = format::time(drawn, "%Y-%m-%d %H:%M:%S");
    let text = format!(
        "All times are UTC, by the Redis server's clock; the window ends at {at}. Drawn by clawster {}.",
        env!("CARGO_PKG_VERSION")
    );
    let y = Px(height - 12.0);
    let attributes: [Attribute<'_>; 4] =
        [("x", &Px(look::MARGIN)), ("y", &y), ("font-size", &look::SMALL), ("fill", &look::QUIET)];
    svg.text("text", &attributes, &text);
}
