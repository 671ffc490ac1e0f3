//! Turns events, and spans when they end, into log lines.
//!
//! 1. Message and fields are cut to [`MAX_CHARS`] characters each.
//! 2. A span gives one line, when it ends, with its duration; lines of events within it carry its fields.
//! 3. A span below the log level costs nothing: this layer never sees it.
//!
//! Not here: the format of a line (`line.rs`), its destination (`queue.rs`).

use super::flood::Flood;
use super::line::{FieldValues, Line};
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

/// The most characters of a message or field; longer ones are cut.
const MAX_CHARS: usize = 16 * 1024;
/// The most requests that a span names as its causes.
const MAX_CAUSES: usize = 16;

/// Turns events and ended spans into lines and sends them to every queue.
pub(super) struct Collect {
    pub(super) senders: Vec<Sender>,
    pub(super) flood: Arc<Flood>,
}

/// The data of an open span.
struct Known {
    fields: FieldValues,
    began: Moment,
    /// The requests that caused it, although it is not nested in their spans.
    works_for: Vec<Value>,
}

impl Collect {
    fn send(
        &self,
        metadata: &Metadata<'static>,
        message: String,
        fields: FieldValues,
        spans: Vec<(&'static str, FieldValues)>,
    ) {
        let (level, target) = (*metadata.level(), metadata.target());
        let line = Line { at: clock::wall(), level, target, message, fields, spans };
        for line in self.flood.pass(metadata.callsite(), line) {
            self.senders.iter().for_each(|sender| sender.send(&line));
        }
    }
}

/// A span's name and fields, if this layer has seen its beginning.
fn fields_of<'a, S: LookupSpan<'a>>(span: &SpanRef<'a, S>) -> Option<(&'static str, FieldValues)> {
    span.extensions().get::<Known>().map(|known| (span.name(), known.fields.clone()))
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Collect {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        let known = Known { fields: fields.fields, began: clock::now(), works_for: Vec::new() };
        span.extensions_mut().insert(known);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let mut fields = Fields::default();
        values.record(&mut fields);
        if let Some(known) = span.extensions_mut().get_mut::<Known>() {
            known.fields.extend(fields.fields);
        }
    }

    fn on_follows_from(&self, id: &Id, cause: &Id, context: Context<'_, S>) {
        let (Some(span), Some(cause)) = (context.span(id), context.span(cause)) else { return };
        let requests = cause.scope().filter_map(|span| fields_of(&span)).flat_map(|(_, fields)| fields);
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
        let spans = context.event_scope(event).into_iter().flatten().filter_map(|span| fields_of(&span)).collect();
        self.send(event.metadata(), fields.message, fields.fields, spans);
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let Some(span) = context.span(&id) else { return };
        let Some(Known { mut fields, began, works_for }) = span.extensions_mut().remove::<Known>() else { return };
        let took = u64::try_from(clock::now().since(began).as_micros()).unwrap_or(u64::MAX);
        fields.push(("took_us", took.into()));
        if !works_for.is_empty() {
            fields.push(("requests", works_for.into()));
        }
        let spans = span.scope().skip(1).filter_map(|span| fields_of(&span)).collect();
        self.send(span.metadata(), format!("{} ended", span.name()), fields, spans);
    }
}

#[derive(Default)]
struct Fields {
    message: String,
    fields: FieldValues,
}

impl Fields {
    fn put(&mut self, field: &Field, value: Value) {
        match (field.name(), value) {
            ("message", Value::String(text)) => self.message = text,
            // Only for the export of spans.
            (name, _) if name.starts_with("otel.") => {}
            (name, value) => self.fields.push((name, value)),
        }
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let mut text = Bounded { text: String::new(), room: MAX_CHARS };
        // An error means that the text was cut.
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

/// A text with a maximum number of characters.
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
