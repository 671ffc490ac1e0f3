//! One row per node: its name, its band, and its numbers.
//!
//! 1. Leadership is a high dark band, membership a low pale one, an outage an empty hatched box, a clean leave a dotted line: they
//!    differ in shape, not only in colour.
//! 2. A very short outage is drawn wide enough to be visible, and a flap has its own mark.
//!
//! Not here: marks across all rows (`changes.rs`).

use super::frame::Frame;
use super::look;
use super::svg::{Attribute, Lanes, Px, Svg, bold, width_of};
use crate::cli::history::format;
use crate::cli::terminal::many;
use crate::cluster::history::Between;
use crate::cluster::history::report::{Absence, Gap, LeaderTerm, NodeReport, ReignEnd, Report, Standing};
use crate::cluster::ids::Term;

/// The minimum width of an outage's box.
const MIN_OUTAGE: f64 = 5.0;
/// Marks closer together than this are drawn as one.
const NEAR: f64 = 2.0;

/// Draws all rows.
pub(super) fn draw(svg: &mut Svg, frame: &Frame, report: &Report) {
    let terms = Terms::of(&report.reigns);
    for (at, node) in report.nodes.iter().enumerate() {
        let row = Row::new(frame, at);
        svg.open("g", &[("class", &"node"), ("data-node", &node.node_id)]);
        row.name(svg, node);
        row.stays(svg, node);
        let [mut labels, mut below] = [(); 2].map(|()| Lanes::new(usize::from(frame.is_roomy())));
        let reigns: Vec<&LeaderTerm> = report.reigns.iter().filter(|reign| reign.node_id == node.node_id).collect();
        row.reigns(svg, &reigns, &terms);
        row.absences(svg, node, &mut labels, &mut below);
        row.terms(svg, &reigns, &terms, &mut labels);
        row.gaps(svg, node, &mut below);
        row.figures(svg, node);
        svg.close();
    }
}

/// Formats terms: they are long numbers, shown by as many last digits as tell them apart.
struct Terms {
    digits: usize,
}

impl Terms {
    fn of(reigns: &[LeaderTerm]) -> Self {
        let mut terms: Vec<String> =
            reigns.iter().filter_map(|reign| reign.term).map(|term| term.to_string()).collect();
        terms.sort();
        terms.dedup();
        let longest = terms.iter().map(String::len).max().unwrap_or(0);
        let differ = |digits: &usize| {
            let mut ends: Vec<&str> = terms.iter().map(|term| end(term, *digits)).collect();
            ends.sort_unstable();
            ends.windows(2).all(|pair| pair.first() != pair.last())
        };
        // Cutting two or three digits off a short number saves nothing.
        Self { digits: if longest <= 6 { 6 } else { (4..longest).find(differ).unwrap_or(longest) } }
    }

    fn write(&self, term: Option<Term>) -> String {
        match term.map(|term| term.to_string()) {
            None => "term not recorded".to_owned(),
            Some(term) if term.len() <= self.digits => format!("term {term}"),
            Some(term) => format!("term …{}", end(&term, self.digits)),
        }
    }
}

/// The last digits of a number.
fn end(number: &str, digits: usize) -> &str {
    number.get(number.len().saturating_sub(digits)..).unwrap_or(number)
}

/// The coordinates of a row's parts.
struct Row<'a> {
    frame: &'a Frame,
    /// The top of the band, and its height.
    band: f64,
    height: f64,
}

impl<'a> Row<'a> {
    fn new(frame: &'a Frame, at: usize) -> Self {
        let top = frame.y(at);
        let (band, height) = match frame.row {
            row if row > 40.0 => (18.0, 18.0),
            row if row > 20.0 => (8.0, 16.0),
            _ => (3.0, 10.0),
        };
        Self { frame, band: top + band, height }
    }

    fn middle(&self) -> f64 {
        self.band + self.height / 2.0
    }

    fn span(&self, (from, to): Between) -> (f64, f64) {
        (self.frame.x(from), self.frame.x(to))
    }

    fn name(&self, svg: &mut Svg, node: &NodeReport) {
        let (at, room) = (look::MARGIN, self.frame.left - look::MARGIN - 12.0);
        let standing = match node.now {
            Standing::Online => None,
            Standing::Offline => Some("down now"),
            Standing::Left => Some("left"),
        };
        let named = (node.name != node.node_id.as_str()).then_some(node.name.as_str());
        let below: Vec<&str> = [named, standing].into_iter().flatten().collect();
        let (size, weight) = if self.frame.row > 20.0 { (look::LABEL, "600") } else { (look::SMALL, "400") };
        let y = if self.frame.is_roomy() && !below.is_empty() { self.middle() - 2.0 } else { self.middle() + 4.5 };
        let id = fit(node.node_id.as_str(), size, room);
        let attributes: [Attribute<'_>; 5] =
            [("x", &Px(at)), ("y", &Px(y)), ("font-size", &size), ("font-weight", &weight), ("fill", &look::INK)];
        svg.text("text", &attributes, &id);
        if self.frame.is_roomy() && !below.is_empty() {
            let text = fit(&below.join(" · "), look::SMALL, room);
            let fill = if node.now == Standing::Offline { look::DOWN } else { look::QUIET };
            let y = self.middle() + 13.0;
            svg.text("text", &[("x", &Px(at)), ("y", &Px(y)), ("font-size", &look::SMALL), ("fill", &fill)], &text);
        }
    }

    fn stays(&self, svg: &mut Svg, node: &NodeReport) {
        let height = (self.height * 0.55).round();
        for stay in &node.online {
            let (a, b) = self.span((stay.from, stay.to));
            let title = format!("{} online for {}", node.node_id, format::lasting(stay.to.since(stay.from)));
            let (y, width) = (self.middle() - height / 2.0, (b - a).max(1.0));
            let attributes: [Attribute<'_>; 7] = [
                ("class", &"online"),
                ("x", &Px(a)),
                ("y", &Px(y)),
                ("width", &Px(width)),
                ("height", &Px(height)),
                ("fill", &look::ONLINE),
                ("stroke", &look::ONLINE_EDGE),
            ];
            svg.with_title("rect", &attributes, &title);
        }
    }

    fn reigns(&self, svg: &mut Svg, reigns: &[&LeaderTerm], terms: &Terms) {
        for reign in reigns {
            let (a, b) = self.span((reign.from, reign.until));
            let width = (b - a).max(2.0);
            let lasting = format::lasting(reign.until.since(reign.from));
            let term = reign.term.map_or_else(|| "not recorded".to_owned(), |term| term.to_string());
            let title = format!("{} leader for {lasting}, term {term}", reign.node_id);
            let attributes: [Attribute<'_>; 6] = [
                ("class", &"leads"),
                ("x", &Px(a)),
                ("y", &Px(self.band)),
                ("width", &Px(width)),
                ("height", &Px(self.height)),
                ("fill", &look::LEADS),
            ];
            svg.with_title("rect", &attributes, &title);
            if let Some(text) = inside(reign, terms, width).filter(|_| self.height > 12.0) {
                let (x, y) = (Px(a + 7.0), Px(self.middle() + 4.0));
                svg.text("text", &[("x", &x), ("y", &y), ("font-size", &look::SMALL), ("fill", &look::PAPER)], &text);
            }
        }
    }

    /// The terms that do not fit into their band.
    fn terms(&self, svg: &mut Svg, reigns: &[&LeaderTerm], terms: &Terms, labels: &mut Lanes) {
        for reign in reigns {
            let (a, b) = self.span((reign.from, reign.until));
            if inside(reign, terms, (b - a).max(2.0)).is_none() {
                self.label(svg, a + 3.0, &terms.write(reign.term), look::LEADS, labels);
            }
        }
    }

    fn absences(&self, svg: &mut Svg, node: &NodeReport, labels: &mut Lanes, below: &mut Lanes) {
        let mut drawn = f64::NEG_INFINITY;
        for absence in &node.away {
            let (a, b) = self.span((absence.from, absence.to));
            if !absence.is_down() {
                self.goodbye(svg, node, absence, a, b);
                continue;
            }
            let width = (b - a).max(MIN_OUTAGE);
            let x =
                (if b - a < MIN_OUTAGE { (a + b - MIN_OUTAGE) / 2.0 } else { a }).min(self.frame.right - MIN_OUTAGE);
            if x + width < drawn + NEAR && !absence.flap {
                continue;
            }
            drawn = x + width;
            let (lasting, reason) = (format::lasting(absence.to.since(absence.from)), format::gone(absence.reason));
            let word = if absence.flap { "flap" } else { "down" };
            let class = if absence.flap { "down flap" } else { "down" };
            let attributes: [Attribute<'_>; 8] = [
                ("class", &class),
                ("x", &Px(x)),
                ("y", &Px(self.band)),
                ("width", &Px(width)),
                ("height", &Px(self.height)),
                ("fill", &"url(#down)"),
                ("stroke", &look::DOWN),
                ("stroke-width", &1.4),
            ];
            svg.with_title("rect", &attributes, &format!("{} {word} for {lasting}: {reason}", node.node_id));
            if absence.flap {
                self.flap(svg, x + width / 2.0);
                below.place(x - 4.0, x + width + 4.0);
            }
            let texts = [format!("{word} {lasting}: {reason}"), format!("{word} {lasting}"), word.to_owned()];
            for text in &texts {
                if self.within(svg, x, width, text) || self.label(svg, x + 4.0, text, look::DOWN, labels) {
                    break;
                }
            }
        }
    }

    /// A dotted line while a node has left cleanly.
    fn goodbye(&self, svg: &mut Svg, node: &NodeReport, absence: &Absence, a: f64, b: f64) {
        let y = Px(self.middle());
        let title = format!("{} left, for {}", node.node_id, format::lasting(absence.to.since(absence.from)));
        let attributes: [Attribute<'_>; 8] = [
            ("class", &"left"),
            ("x1", &Px(a + 2.0)),
            ("y1", &y),
            ("x2", &Px((b - 2.0).max(a + 3.0))),
            ("y2", &y),
            ("stroke", &look::QUIET),
            ("stroke-width", &1.6),
            ("stroke-dasharray", &"1.6 4"),
        ];
        svg.with_title("line", &attributes, &title);
        let text = if absence.back { "left, came back" } else { "left" };
        if self.height > 12.0 && width_of(text, look::SMALL) + 14.0 < b - a {
            let (x, y) = (Px(a + 7.0), Px(self.middle() - 4.0));
            svg.text("text", &[("x", &x), ("y", &y), ("font-size", &look::SMALL), ("fill", &look::QUIET)], text);
        }
    }

    /// A triangle below the band that points at it.
    fn flap(&self, svg: &mut Svg, x: f64) {
        let size = if self.frame.row > 20.0 { 5.5 } else { 3.0 };
        let top = self.band + self.height + 1.5;
        let points = format!(
            "{},{} {},{} {},{}",
            Px(x),
            Px(top),
            Px(x - size),
            Px(top + size * 1.6),
            Px(x + size),
            Px(top + size * 1.6)
        );
        svg.leaf("polygon", &[("class", &"flap-mark"), ("points", &points), ("fill", &look::DOWN)]);
    }

    /// Writes a text within a box; false if it does not fit.
    fn within(&self, svg: &mut Svg, x: f64, width: f64, text: &str) -> bool {
        let room = bold(text, look::SMALL) + 8.0;
        if self.height < 12.0 || room + 8.0 > width {
            return false;
        }
        let ground: [Attribute<'_>; 5] = [
            ("x", &Px(x + 4.0)),
            ("y", &Px(self.band + 2.0)),
            ("width", &Px(room)),
            ("height", &Px(self.height - 4.0)),
            ("fill", &look::DOWN_PAPER),
        ];
        svg.leaf("rect", &ground);
        strong(svg, x + 8.0, self.middle() + 4.0, text, look::DOWN);
        true
    }

    /// Writes a text above the band, starting at `x`; false if there is no room.
    fn label(&self, svg: &mut Svg, x: f64, text: &str, fill: &str, labels: &mut Lanes) -> bool {
        let width = bold(text, look::SMALL);
        let a = x.min(self.frame.right - width).max(self.frame.left);
        let placed = labels.place(a, a + width).is_some();
        if placed {
            strong(svg, a, self.band - 4.5, text, fill);
        }
        placed
    }

    fn gaps(&self, svg: &mut Svg, node: &NodeReport, below: &mut Lanes) {
        let top = self.band + self.height + 2.0;
        let depth = if self.frame.row > 20.0 { 6.0 } else { 3.0 };
        let mut drawn = f64::NEG_INFINITY;
        for Gap { from, to, missed } in &node.gaps {
            let (a, b) = self.span((*from, *to));
            if b < drawn + NEAR {
                continue;
            }
            drawn = b;
            let middle = f64::midpoint(a, b);
            // A label never covers a mark; marks may cover each other.
            below.place(a, b);
            let path = if b - a < 3.0 {
                format!("M{} {} v{depth}", Px(middle), Px(top))
            } else {
                format!("M{} {} v{depth} H{} v-{depth}", Px(a), Px(top), Px(b))
            };
            let lasting = format::lasting(to.since(*from));
            let title = format!("{}: about {missed} heartbeats missing in {lasting}", node.node_id);
            let attributes: [Attribute<'_>; 5] =
                [("class", &"gap"), ("d", &path), ("fill", &"none"), ("stroke", &look::GAP), ("stroke-width", &2.0)];
            svg.with_title("path", &attributes, &title);
            let text = format!("{missed} missed");
            let begin = b.max(middle + 2.0) + 8.0;
            let end = begin + width_of(&text, look::SMALL);
            if end < self.frame.right && below.place(begin, end).is_some() {
                let (x, y) = (Px(begin), Px(top + 8.0));
                let attributes: [Attribute<'_>; 4] =
                    [("x", &x), ("y", &y), ("font-size", &look::SMALL), ("fill", &look::GAP)];
                svg.text("text", &attributes, &text);
            }
        }
    }

    fn figures(&self, svg: &mut Svg, node: &NodeReport) {
        let x = self.frame.right + 16.0;
        let dense = self.frame.row <= 20.0;
        let size = if dense { look::SMALL } else { 13.0 };
        let counts: Vec<String> = [(node.flaps(), "flap"), (node.gaps.len(), "gap")]
            .into_iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, noun)| many(count, noun))
            .collect();
        let below = self.frame.is_roomy() && !counts.is_empty();
        let y = if below { self.middle() - 2.0 } else { self.middle() + 4.5 };
        let weight = if node.availability().is_some_and(|share| share < 1.0) { "700" } else { "400" };
        let attributes: [Attribute<'_>; 5] =
            [("x", &Px(x)), ("y", &Px(y)), ("font-size", &size), ("font-weight", &weight), ("fill", &look::INK)];
        svg.text("text", &attributes, &format::share(node.availability()));
        if let Some(delay) = node.delay(0.95) {
            let attributes: [Attribute<'_>; 4] =
                [("x", &Px(x + 72.0)), ("y", &Px(y)), ("font-size", &size), ("fill", &look::INK)];
            svg.text("text", &attributes, &format::delay(delay));
        }
        if below {
            let y = Px(self.middle() + 13.0);
            let attributes: [Attribute<'_>; 4] =
                [("x", &Px(x)), ("y", &y), ("font-size", &look::SMALL), ("fill", &look::QUIET)];
            svg.text("text", &attributes, &counts.join(", "));
        }
    }
}

/// A short text in bold.
fn strong(svg: &mut Svg, x: f64, y: f64, text: &str, fill: &str) {
    let attributes: [Attribute<'_>; 5] =
        [("x", &Px(x)), ("y", &Px(y)), ("font-size", &look::SMALL), ("font-weight", &"600"), ("fill", &fill)];
    svg.text("text", &attributes, text);
}

/// The text inside a leadership band; `None` if not even the term fits.
fn inside(reign: &LeaderTerm, terms: &Terms, width: f64) -> Option<String> {
    let term = terms.write(reign.term);
    let long = format!("{}, {term}", if reign.end == ReignEnd::Leads { "leads" } else { "led" });
    [long, term].into_iter().find(|text| width_of(text, look::SMALL) + 14.0 < width)
}

/// A text, cut to a width.
fn fit(text: &str, size: f64, room: f64) -> String {
    if bold(text, size) <= room {
        return text.to_owned();
    }
    let mut cut = String::new();
    for c in text.chars() {
        if bold(&cut, size) + 1.6 * size > room {
            break;
        }
        cut.push(c);
    }
    cut + "…"
}
