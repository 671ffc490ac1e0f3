//! JSON Schemas, generated from the Rust types on the wire.
//!
//! 1. Each schema is self-contained: it has no references, to other files or within itself.
//!
//! Not here: the documents that hold them (`documents.rs`), the schemas of the configuration (`crate::config`).

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::Value;

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
