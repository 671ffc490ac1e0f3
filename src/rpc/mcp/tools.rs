//! The tools of an MCP session, generated from the table of methods.
//!
//! 1. Every method `distributed.…` is a tool, with underscores in its name because hosts refuse dots; no other method is a
//!    tool.
//! 2. A schema is self-contained, of JSON Schema 2020-12, and has `type: object` at its root. Formats that only Rust knows
//!    are removed: hosts warn about each of them.
//! 3. A result and a failure both match `outputSchema`: hosts check both.
//!
//! Not here: calling them (`server.rs`).

use crate::rpc::errors::ErrorData;
use crate::rpc::methods::{self, Spec};
use crate::rpc::schema::schema_of_output;
use rmcp::model::{JsonObject, Tool, ToolAnnotations};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::Arc;

/// The prefix of the methods that are tools.
const PREFIX: &str = "distributed.";

/// The error object of a failed tool call.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(super) struct Failure {
    /// The error code.
    pub(super) code: i32,
    /// What is wrong and what to do, in one sentence.
    pub(super) message: String,
    /// Facts for programs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) data: Option<ErrorData>,
}

/// All tools, and the method of each.
#[derive(Debug, Clone)]
pub(super) struct Catalog {
    pub(super) tools: Vec<Tool>,
    methods: Arc<HashMap<String, &'static str>>,
}

impl Catalog {
    pub(super) fn new() -> Self {
        let specs: Vec<Spec> = methods::specs().into_iter().filter(|spec| spec.name.starts_with(PREFIX)).collect();
        let methods = specs.iter().map(|spec| (tool_name(spec.name), spec.name)).collect();
        Self { tools: specs.into_iter().map(tool).collect(), methods: Arc::new(methods) }
    }

    /// The method of a tool.
    pub(super) fn method(&self, tool: &str) -> Option<&'static str> {
        self.methods.get(tool).copied()
    }
}

/// The tools as `tools/list` answers them, for `schemas/`.
#[must_use]
pub fn document() -> Value {
    json!({ "tools": Catalog::new().tools })
}

fn tool_name(method: &str) -> String {
    method.replace('.', "_")
}

fn tool(spec: Spec) -> Tool {
    let text = format!("{}. {}", spec.summary, spec.description);
    let effect = spec.effect;
    let annotations = ToolAnnotations::with_title(spec.summary)
        .read_only(effect.reads)
        .destructive(effect.destroys)
        .idempotent(effect.repeatable)
        // A tool can reach nothing but the cluster.
        .open_world(false);
    Tool::new(tool_name(spec.name), text, Arc::new(object(spec.params)))
        .with_title(spec.summary)
        .with_raw_output_schema(Arc::new(answer_schema(spec.result)))
        .with_annotations(annotations)
}

/// The schema of a tool's structured content: its result, or the error object.
fn answer_schema(result: Value) -> JsonObject {
    let mut result = object(result);
    let dialect = result.remove("$schema");
    let mut failure = object(schema_of_output::<Failure>());
    failure.remove("$schema");
    let mut schema = JsonObject::new();
    schema.extend(dialect.map(|dialect| ("$schema".to_owned(), dialect)));
    schema.insert("type".to_owned(), json!("object"));
    schema.insert("anyOf".to_owned(), json!([result, failure]));
    schema
}

fn object(mut schema: Value) -> JsonObject {
    leave_out_formats(&mut schema);
    match schema {
        Value::Object(schema) => schema,
        // A schema may also be `true`; MCP requires an object.
        _ => JsonObject::from_iter([("type".to_owned(), json!("object"))]),
    }
}

/// Removes the formats of Rust's number types; `type`, `minimum` and `maximum` say the same.
fn leave_out_formats(schema: &mut Value) {
    match schema {
        Value::Object(rules) => {
            let of_rust =
                |format: &Value| format.as_str().is_some_and(|text| text.trim_start_matches('u').starts_with("int"));
            rules.retain(|rule, wanted| rule != "format" || !of_rust(wanted));
            rules.values_mut().for_each(leave_out_formats);
        }
        Value::Array(schemas) => schemas.iter_mut().for_each(leave_out_formats),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_distributed_method_is_a_tool_that_hosts_take() {
        let catalog = Catalog::new();
        let methods: Vec<&str> =
            methods::specs().iter().map(|spec| spec.name).filter(|name| name.starts_with(PREFIX)).collect();
        assert_eq!(catalog.tools.len(), methods.len());
        for (tool, method) in catalog.tools.iter().zip(methods) {
            assert_eq!(catalog.method(&tool.name), Some(method));
            let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
            assert!((1..=64).contains(&tool.name.len()) && tool.name.chars().all(allowed), "{}", tool.name);
            for schema in [&tool.input_schema, tool.output_schema.as_ref().unwrap()] {
                assert_eq!(schema["type"], "object", "{}", tool.name);
                assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema", "{}", tool.name);
                let text = json!(schema).to_string();
                assert!(!text.contains("$ref"), "{}: the schema does not stand alone", tool.name);
                assert!(!text.contains(r#""format":"uint"#), "{}: {text}", tool.name);
            }
        }
        assert_eq!(catalog.method("cluster_heartbeat"), None);
        assert_eq!(catalog.method("distributed.get_cluster_state"), None);
    }

    #[test]
    fn a_tool_that_only_reads_says_so() {
        let hints = |name: &str| {
            let tool = Catalog::new().tools.into_iter().find(|tool| tool.name == name).unwrap();
            let hints = tool.annotations.unwrap();
            (hints.read_only_hint, hints.destructive_hint, hints.idempotent_hint, hints.open_world_hint)
        };
        assert_eq!(hints("distributed_get_cluster_state"), (Some(true), Some(false), Some(true), Some(false)));
        assert_eq!(hints("distributed_elect_leader"), (Some(false), Some(true), Some(false), Some(false)));
        assert_eq!(hints("distributed_sync_messages"), (Some(false), Some(false), Some(false), Some(false)));
    }
}
