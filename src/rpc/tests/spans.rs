//! What a request leaves for those who trace it.

use super::*;
use std::collections::BTreeMap;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;

/// A span that ended: its name, its parent's, and its fields.
type Ended = (&'static str, Option<&'static str>, BTreeMap<&'static str, String>);

/// Keeps every span that ends.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<Ended>>>);

#[derive(Default)]
struct Texts(BTreeMap<&'static str, String>);

impl Visit for Texts {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.0.insert(field.name(), format!("{value:?}"));
    }
}

impl<S: tracing::Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Kept {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut texts = Texts::default();
        attributes.record(&mut texts);
        context.span(id).unwrap().extensions_mut().insert(texts);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        values.record(context.span(id).unwrap().extensions_mut().get_mut::<Texts>().unwrap());
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let span = context.span(&id).unwrap();
        let texts = span.extensions_mut().remove::<Texts>().unwrap();
        self.0.lock().unwrap().push((span.name(), span.parent().map(|parent| parent.name()), texts.0));
    }
}

#[tokio::test]
async fn a_request_is_a_span_without_what_it_carries() {
    let mut host = Host::start();
    // The process knows the span from here on. Where another test made it known while the subscriber comes, it would stay off.
    host.ask("distributed.get_cluster_state", json!({})).await;
    let kept = Kept::default();
    let _on = tracing::subscriber::set_default(tracing_subscriber::registry().with(kept.clone()));
    host.ask("distributed.get_cluster_state", json!({})).await;
    host.line(r#"{"jsonrpc":"2.0","id":1,"method":"hunter2","params":{"secret":"hunter3"}}"#).await;
    host.next().await;
    host.line(r#"{"jsonrpc":"2.0","method":"distributed.leave_cluster"}"#).await;
    host.assert_silent().await;
    until("four requests ended", || kept.0.lock().unwrap().len() >= 4).await;
    let spans = kept.0.lock().unwrap().clone();
    assert!(!format!("{spans:?}").contains("hunter"), "{spans:?}");
    let closed: Vec<[&str; 4]> = spans
        .iter()
        .map(|(name, parent, fields)| {
            assert_eq!((*name, *parent), ("request", None));
            ["method", "id_kind", "outcome", "connection"].map(|field| fields[field].trim_matches('"'))
        })
        .collect();
    let state = ["distributed.get_cluster_state", "text", "ok", "socket"];
    assert_eq!(
        closed,
        [
            state,
            ["unknown", "number", "error", "socket"],
            ["distributed.leave_cluster", "none", "error", "socket"],
            state
        ]
    );
    let numbers: std::collections::BTreeSet<&String> = spans.iter().map(|(_, _, fields)| &fields["request"]).collect();
    assert_eq!(numbers.len(), 4, "each has a number of its own");
}

#[tokio::test]
async fn no_span_is_made_that_nobody_wants() {
    let kept = Kept::default();
    let quiet = tracing_subscriber::filter::Targets::new().with_default(tracing::level_filters::LevelFilter::INFO);
    let _on = tracing::subscriber::set_default(tracing_subscriber::registry().with(quiet).with(kept.clone()));
    let mut host = Host::start();
    host.ask("distributed.get_cluster_state", json!({})).await;
    assert!(kept.0.lock().unwrap().is_empty());
}
