//! A log line and its formats.
//!
//! 1. A rendered line contains exactly one line feed, at its end, and no other control characters except the colours added here.
//!
//! Not here: the source of lines (`collect.rs`), their destination (`queue.rs`).

use crate::config::{escape, escape_json_lines, is_unsafe};
use jiff::Timestamp;
use serde_json::{Map, Value};
use std::fmt::Write;
use std::sync::Arc;
use std::time::SystemTime;
use tracing::Level;

/// The format of a line.
#[derive(Debug, Clone, Copy)]
pub(super) enum Style {
    /// Plain text for people.
    Text {
        /// Whether the level is coloured.
        colour: bool,
    },
    /// One JSON object.
    Json,
}

/// The process that writes.
#[derive(Debug, Clone)]
pub(super) struct Context {
    pub(super) component: String,
    pub(super) pid: u32,
}

/// The fields of an event or a span.
pub(super) type FieldValues = Vec<(&'static str, Value)>;

/// The parts of a log line.
#[derive(Debug, Clone)]
pub(super) struct Line {
    pub(super) at: SystemTime,
    pub(super) level: Level,
    pub(super) target: &'static str,
    pub(super) message: String,
    pub(super) fields: FieldValues,
    /// The enclosing spans with their fields, innermost first.
    pub(super) spans: Vec<(&'static str, FieldValues)>,
}

impl Line {
    /// A warning of the logging itself.
    pub(super) fn warning(message: String) -> Arc<Self> {
        let target = module_path!();
        Arc::new(Self {
            at: crate::clock::wall(),
            level: Level::WARN,
            target,
            message,
            fields: Vec::new(),
            spans: Vec::new(),
        })
    }

    /// Renders the line, including its line feed.
    pub(super) fn render(&self, style: Style, context: &Context) -> String {
        match style {
            Style::Text { colour } => self.text(colour, context),
            Style::Json => self.json(context),
        }
    }

    /// Message and fields, then the fields of the enclosing spans; of fields with the same name only the innermost.
    pub(super) fn body(&self) -> String {
        let mut out = escape(&self.message);
        let all: Vec<_> = self.fields.iter().chain(self.spans.iter().flat_map(|(_, fields)| fields)).collect();
        for (at, (name, value)) in all.iter().enumerate() {
            if all.iter().take(at).any(|(before, _)| before == name) {
                continue;
            }
            let text = match value {
                Value::String(text) if is_plain(text) => text.clone(),
                Value::String(text) => format!("\"{}\"", escape(text).replace('"', "\\\"")),
                other => other.to_string(),
            };
            let gap = if out.is_empty() { "" } else { " " };
            let _ = write!(out, "{gap}{name}={text}");
        }
        out
    }

    fn text(&self, colour: bool, context: &Context) -> String {
        let (on, off) = match self.level {
            _ if !colour => ("", ""),
            Level::ERROR => ("\u{1b}[31m", "\u{1b}[0m"),
            Level::WARN => ("\u{1b}[33m", "\u{1b}[0m"),
            Level::INFO => ("\u{1b}[32m", "\u{1b}[0m"),
            _ => ("\u{1b}[2m", "\u{1b}[0m"),
        };
        let Context { component, pid } = context;
        let (stamp, level, target) = (stamp(self.at), self.level, self.target);
        format!("{stamp} {on}{level:>5}{off} {}[{pid}] {}: {}\n", escape(component), escape(target), self.body())
    }

    fn json(&self, context: &Context) -> String {
        let mut object = Map::new();
        object.insert("at".into(), stamp(self.at).into());
        object.insert("level".into(), self.level.to_string().to_lowercase().into());
        object.insert("component".into(), context.component.clone().into());
        object.insert("pid".into(), context.pid.into());
        object.insert("target".into(), self.target.into());
        object.insert("message".into(), self.message.clone().into());
        if !self.fields.is_empty() {
            let fields = self.fields.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
            object.insert("fields".into(), Value::Object(fields.collect()));
        }
        if !self.spans.is_empty() {
            let span = |(name, fields): &(&'static str, FieldValues)| {
                let fields = fields.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
                Value::Object(std::iter::once(("span".to_owned(), Value::from(*name))).chain(fields).collect())
            };
            object.insert("spans".into(), self.spans.iter().map(span).collect());
        }
        // serde_json escapes only the first 32 characters.
        let mut out = escape_json_lines(&Value::Object(object).to_string());
        out.push('\n');
        out
    }
}

fn is_plain(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| !is_unsafe(c) && !c.is_whitespace() && !matches!(c, '"' | '='))
}

/// The time as RFC 3339 in UTC, with milliseconds.
fn stamp(at: SystemTime) -> String {
    format!("{:.3}", timestamp(at))
}

/// The epoch if the clock is out of range.
fn timestamp(at: SystemTime) -> Timestamp {
    Timestamp::try_from(at).unwrap_or_default()
}

impl Line {
    /// The time in the format of RFC 3164, in UTC; local daemons replace it by their own.
    pub(super) fn syslog_stamp(&self) -> String {
        timestamp(self.at).strftime("%b %e %H:%M:%S").to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, UNIX_EPOCH};

    #[test]
    fn stamps_are_right_on_the_days_that_calendars_get_wrong() {
        for (seconds, expected) in [
            (0, "1970-01-01T00:00:00.007Z"),
            (951_782_399, "2000-02-28T23:59:59.007Z"),
            (951_782_400, "2000-02-29T00:00:00.007Z"),
            (1_735_689_599, "2024-12-31T23:59:59.007Z"),
            (4_107_542_400, "2100-03-01T00:00:00.007Z"),
        ] {
            assert_eq!(stamp(UNIX_EPOCH + Duration::from_millis(seconds * 1000 + 7)), expected);
        }
    }

    #[test]
    fn no_text_can_forge_a_line_in_any_style() {
        let nasty = "a\nERROR forged\r\u{1b}[2J\u{85}\u{2028}\u{202e}b";
        let context = Context { component: "serve".into(), pid: 7 };
        let line = Line {
            at: UNIX_EPOCH,
            level: Level::INFO,
            target: "clawster",
            message: nasty.into(),
            fields: vec![("field", nasty.into()), ("n", 3.into())],
            spans: vec![("request", vec![("method", nasty.into())])],
        };
        for style in [Style::Text { colour: false }, Style::Json] {
            let text = line.render(style, &context);
            assert!(!text.trim_end_matches('\n').chars().any(is_unsafe), "{text:?}");
            assert_eq!(text.matches('\n').count(), 1);
        }
        let json: Value = serde_json::from_str(&line.render(Style::Json, &context)).unwrap();
        assert_eq!(json["message"], nasty, "JSON gives the text back unchanged");
        assert_eq!(json["fields"]["n"], 3);
        assert_eq!(json["spans"][0]["span"], "request");
    }
}
