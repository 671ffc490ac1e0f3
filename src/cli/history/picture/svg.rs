//! Writes SVG: elements with attributes, and escaped text.
//!
//! 1. The output is well-formed XML for any text.
//! 2. A viewer fetches and runs nothing: no script, no style sheet, no font, no image.
//!
//! Not here: what is drawn.

use std::fmt::{Display, Write};

/// An attribute: name and value.
pub(super) type Attribute<'a> = (&'a str, &'a dyn Display);

/// The document so far.
#[derive(Debug, Default)]
pub(super) struct Svg {
    text: String,
    open: Vec<&'static str>,
}

impl Svg {
    /// Opens an element.
    pub(super) fn open(&mut self, name: &'static str, attributes: &[Attribute<'_>]) {
        self.begin(name, attributes);
        self.text.push_str(">\n");
        self.open.push(name);
    }

    /// Closes the element that was opened last.
    pub(super) fn close(&mut self) {
        if let Some(name) = self.open.pop() {
            self.indent();
            self.put(format_args!("</{name}>\n"));
        }
    }

    /// An element without content.
    pub(super) fn leaf(&mut self, name: &'static str, attributes: &[Attribute<'_>]) {
        self.begin(name, attributes);
        self.text.push_str("/>\n");
    }

    /// An element with a text in it.
    pub(super) fn text(&mut self, name: &'static str, attributes: &[Attribute<'_>], text: &str) {
        self.begin(name, attributes);
        let text = escape(text);
        self.put(format_args!(">{text}</{name}>\n"));
    }

    /// An element with a tooltip.
    pub(super) fn with_title(&mut self, name: &'static str, attributes: &[Attribute<'_>], title: &str) {
        self.begin(name, attributes);
        let title = escape(title);
        self.put(format_args!("><title>{title}</title></{name}>\n"));
    }

    /// Closes all open elements and returns the document.
    pub(super) fn finish(mut self) -> String {
        while !self.open.is_empty() {
            self.close();
        }
        self.text
    }

    fn begin(&mut self, name: &str, attributes: &[Attribute<'_>]) {
        self.indent();
        self.put(format_args!("<{name}"));
        for (key, value) in attributes {
            let value = escape(&value.to_string());
            self.put(format_args!(" {key}=\"{value}\""));
        }
    }

    fn indent(&mut self) {
        self.text.extend(std::iter::repeat_n(' ', self.open.len()));
    }

    /// Writing into a text cannot fail.
    fn put(&mut self, text: std::fmt::Arguments<'_>) {
        let _ = self.text.write_fmt(text);
    }
}

/// A length in pixels, to a tenth.
#[derive(Debug, Clone, Copy)]
pub(super) struct Px(pub(super) f64);

impl Display for Px {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let tenths = (self.0 * 10.0).round() / 10.0;
        // Without the sign of a zero that was rounded down to.
        write!(f, "{}", tenths + 0.0)
    }
}

/// Escapes a text for XML and replaces the characters that XML does not allow.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            c if crate::config::is_unsafe(c) => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

/// The approximate width of a text in a common font of this size. Wide scripts take about twice as much.
pub(super) fn width_of(text: &str, size: f64) -> f64 {
    let ems: f64 = text
        .chars()
        .map(|c| match c {
            'i' | 'l' | 'j' | 't' | 'f' | 'r' | ' ' | '.' | ',' | ':' | '\'' | '|' | '-' => 0.36,
            'm' | 'w' | 'M' | 'W' | '→' | '…' | '%' => 0.95,
            'A'..='Z' => 0.7,
            c if u32::from(c) >= 0x1100 => 1.05,
            _ => 0.635,
        })
        .sum();
    ems * size
}

/// The same for a bold text.
pub(super) fn bold(text: &str, size: f64) -> f64 {
    width_of(text, size) * 1.13
}

/// Rows of labels that must not overlap.
#[derive(Debug)]
pub(super) struct Lanes {
    taken: Vec<Vec<(f64, f64)>>,
}

/// The minimum distance between two labels.
const APART: f64 = 7.0;

impl Lanes {
    /// This many empty rows.
    pub(super) fn new(count: usize) -> Self {
        Self { taken: vec![Vec::new(); count] }
    }

    /// Reserves room for a label from `a` to `b` and returns its row; `None` if no row has room.
    pub(super) fn place(&mut self, a: f64, b: f64) -> Option<usize> {
        let free = |lane: &Vec<(f64, f64)>| lane.iter().all(|(from, to)| b + APART <= *from || *to + APART <= a);
        let at = self.taken.iter().position(free)?;
        self.taken.get_mut(at)?.push((a, b));
        Some(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_and_attributes_are_escaped() {
        let mut svg = Svg::default();
        svg.open("g", &[("id", &"a\"b'<")]);
        svg.with_title("rect", &[("x", &Px(-0.01))], "1 < 2 & \u{1}3");
        svg.text("text", &[], "</text>");
        let text = svg.finish();
        assert!(text.contains("id=\"a&quot;b&#39;&lt;\"") && text.contains("1 &lt; 2 &amp; \u{fffd}3"), "{text}");
        assert!(text.contains("x=\"0\"") && text.contains("&lt;/text&gt;") && text.ends_with("</g>\n"), "{text}");
    }

    #[test]
    fn labels_do_not_cover_each_other() {
        let mut lanes = Lanes::new(2);
        assert_eq!(
            [lanes.place(0.0, 50.0), lanes.place(40.0, 90.0), lanes.place(45.0, 60.0)],
            [Some(0), Some(1), None]
        );
        assert_eq!(lanes.place(60.0, 80.0), Some(0));
    }
}
