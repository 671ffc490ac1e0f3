//! The timeline: the report as an SVG picture.
//!
//! 1. The file is self-contained: SVG 1.1 without scripts, style sheets, links or embedded fonts.
//! 2. Everything in it is also in the table and the JSON; a part without room for a label has a tooltip.
//!
//! `frame.rs` coordinates · `look.rs` sizes and colours · `legend.rs` header, legend and axis · `rows.rs` one row per node ·
//! `changes.rs` marks across all rows · `svg.rs` writes the SVG.
//!
//! Not here: the report (`crate::cluster::history::report`), the file (`super::file`).

mod changes;
mod frame;
mod legend;
mod look;
mod rows;
mod svg;

use crate::cluster::history::report::Report;
use frame::Frame;
use svg::{Px, Svg};

/// The names in the picture's header.
#[derive(Debug, Clone)]
pub(super) struct Caption {
    /// The cluster's name.
    pub(super) cluster: String,
    /// The store that the history was read from.
    pub(super) store: &'static str,
}

/// Draws a report.
pub(super) fn draw(report: &Report, caption: &Caption) -> String {
    let header = legend::height();
    let (flags, lanes) = changes::flags(&Frame::new(report, header, 0), report);
    let frame = Frame::new(report, header, lanes);
    let height = frame.bottom() + look::AXIS + 26.0;
    let mut svg = Svg::default();
    let view = format!("0 0 {} {}", look::WIDTH, Px(height));
    svg.open(
        "svg",
        &[
            ("xmlns", &"http://www.w3.org/2000/svg"),
            ("viewBox", &view),
            ("width", &look::WIDTH),
            ("height", &Px(height)),
            ("font-family", &look::FONT),
            ("role", &"img"),
        ],
    );
    legend::patterns(&mut svg);
    svg.leaf("rect", &[("width", &look::WIDTH), ("height", &Px(height)), ("fill", &look::PAPER)]);
    legend::head(&mut svg, report, caption);
    legend::ground(&mut svg, &frame, report);
    changes::draw_lines(&mut svg, &frame, &flags, report);
    rows::draw(&mut svg, &frame, report);
    changes::draw_labels(&mut svg, &frame, &flags, report);
    legend::foot(&mut svg, &frame, height);
    svg.finish()
}

#[cfg(test)]
mod tests;
