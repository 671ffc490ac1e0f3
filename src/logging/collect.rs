//! Events as lines, and the ends of spans.
//!
//! 1. A line has at most [`MAX_CHARS`] characters of message and as many of each field.
//! 2. A span is written once, when it ends, with how long it took; what happens within it names it.
//! 3. A span that the level leaves out costs nothing here: it is never told of.
//!
//! Not here: how a line looks (`line.rs`), where lines go (`queue.rs`).

use super::flood::Flood;
use super::line::{Line, Said};
use super::queue::Sender;
use crate::clock;
use crate::cluster::time::Moment;
use serde_json::Value;
use std::fmt::{self, Write};
use std::sync::Arc;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::{LookupSpan, SpanRef};

/// Longer texts are cut.
const MAX_CHARS: usize = 16 * 1024;
/// How many spans that led to one are named.
const MAX_CAUSES: usize = 16;

/// Turns events and ended spans into lines and hands them to every queue.
pub(super) struct Collect {
    pub(super) senders: Vec<Sender>,
    pub(super) flood: Arc<Flood>,
}

/// What is known of an open span.
struct Known {
    said: Said,
    began: Moment,
    /// The requests that it works for without being one of their parts.
    works_for: Vec<Value>,
}

impl Collect {
    fn send(&self, metadata: &Metadata<'static>, message: String, fields: Said, spans: Vec<(&'static str, Said)>) {
        let (level, target) = (*metadata.level(), metadata.target());
        let line = Line { at: clock::wall(), level, target, message, fields, spans };
        for line in self.flood.pass(metadata.callsite(), line) {
            self.senders.iter().for_each(|sender| sender.send(&line));
        }
    }
}

/// What the span says, if it was seen from its beginning.
fn said<'a, S: LookupSpan<'a>>(span: &SpanRef<'a, S>) -> Option<(&'static str, Said)> {
    span.extensions().get::<Known>().map(|known| (span.name(), known.said.clone()))
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Collect {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        let known = Known { said: fields.fields, began: clock::now(), works_for: Vec::new() };
        span.extensions_mut().insert(known);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let mut fields = Fields::default();
        values.record(&mut fields);
        if let Some(known) = span.extensions_mut().get_mut::<Known>() {
            known.said.extend(fields.fields);
        }
    }

    fn on_follows_from(&self, id: &Id, cause: &Id, context: Context<'_, S>) {
        let (Some(span), Some(cause)) = (context.span(id), context.span(cause)) else { return };
        let requests = cause.scope().filter_map(|span| said(&span)).flat_map(|(_, said)| said);
        let Some((_, request)) = requests.into_iter().find(|(name, _)| *name == "request") else { return };
        if let Some(known) = span.extensions_mut().get_mut::<Known>()
            && known.works_for.len() < MAX_CAUSES
        {
            known.works_for.push(request);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let spans = context.event_scope(event).into_iter().flatten().filter_map(|span| said(&span)).collect();
        self.send(event.metadata(), fields.message, fields.fields, spans);
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let Some(span) = context.span(&id) else { return };
        let Some(Known { mut said, began, works_for }) = span.extensions_mut().remove::<Known>() else { return };
        let took = u64::try_from(clock::now().since(began).as_micros()).unwrap_or(u64::MAX);
        said.push(("took_us", took.into()));
        if !works_for.is_empty() {
            said.push(("requests", works_for.into()));
        }
        let spans = span.scope().skip(1).filter_map(|span| self::said(&span)).collect();
        self.send(span.metadata(), format!("{} ended", span.name()), said, spans);
    }
}

#[derive(Default)]
struct Fields {
    message: String,
    fields: Said,
}

impl Fields {
    fn put(&mut self, field: &Field, value: Value) {
        match (field.name(), value) {
            ("message", Value::String(text)) => self.message = text,
            // For those who export spans.
            (name, _) if name.starts_with("otel.") => {}
            (name, value) => self.fields.push((name, value)),
        }
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let mut text = Bounded { text: String::new(), room: MAX_CHARS };
        // An error means that the room is used up; what fitted is kept.
        if write!(text, "{value:?}").is_err() {
            text.text.push('…');
        }
        self.put(field, text.text.into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        let mut text: String = value.chars().take(MAX_CHARS).collect();
        if text.len() < value.len() {
            text.push('…');
        }
        self.put(field, text.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value.into());
    }
}

/// A text that takes so many characters and no more.
struct Bounded {
    text: String,
    room: usize,
}

impl Write for Bounded {
    fn write_str(&mut self, more: &str) -> fmt::Result {
        let count = more.chars().count();
        self.text.extend(more.chars().take(self.room));
        let fits = count <= self.room;
        self.room = self.room.saturating_sub(count);
        if fits { Ok(()) } else { Err(fmt::Error) }
    }
}
