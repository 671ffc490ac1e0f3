//! JSON Schemas of everything on the wire, generated from the Rust types.
//!
//! 1. Each schema is self-contained: it has no references, to other files or within itself.
//!
//! Not here: the OpenRPC document (`openrpc.rs`), the schemas of the configuration (`crate::config`).

use super::methods;
use super::wire::event::EVENTS;
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

/// The schema of an input: an optional member may be absent or null.
pub(crate) fn schema_of_input<T: JsonSchema>() -> Value {
    generate::<T>(SchemaSettings::draft2020_12())
}

/// The schema of an output: a member that is always present is required, even if it may be null.
pub(crate) fn schema_of_output<T: JsonSchema>() -> Value {
    generate::<T>(SchemaSettings::draft2020_12().for_serialize())
}

fn generate<T: JsonSchema>(mut settings: SchemaSettings) -> Value {
    settings.inline_subschemas = true;
    settings.into_generator().into_root_schema_for::<T>().to_value()
}

/// The schema of an event, with its name as the only value of `event`.
pub(crate) fn event_schema(spec: &super::wire::event::EventSpec) -> Value {
    let mut schema = (spec.schema)();
    if let Some(event) = schema.pointer_mut("/properties/event").and_then(Value::as_object_mut) {
        event.insert("const".to_owned(), json!(spec.name));
    }
    schema
}

/// Every document with its path below `schemas/`, sorted by path.
#[must_use]
pub fn documents() -> Vec<(String, Value)> {
    let mut documents = vec![("openrpc.json".to_owned(), super::openrpc::document(env!("CARGO_PKG_VERSION")))];
    for spec in methods::specs() {
        documents.push((format!("methods/{}.params.json", spec.name), spec.params));
        documents.push((format!("methods/{}.result.json", spec.name), spec.result));
    }
    for spec in &EVENTS {
        documents.push((format!("events/{}.json", spec.name), event_schema(spec)));
    }
    documents.push(("mcp/tools.json".to_owned(), super::mcp::tools::document()));
    documents.push(("error.json".to_owned(), schema_of_output::<super::errors::ErrorData>()));
    documents.sort_by(|(a, _), (b, _)| a.cmp(b));
    documents
}
