//! The OpenRPC document that `rpc.discover` answers with.
//!
//! 1. It is generated from the tables of methods, events and errors only.
//!
//! Not here: the schemas within it (`schema.rs`).

use super::errors::{ERROR_KINDS, ErrorKind};
use super::methods::{self, Spec};
use super::wire::event::EVENTS;
use serde_json::{Value, json};

/// The version of OpenRPC that the document follows.
const OPENRPC: &str = "1.3.2";

/// The OpenRPC document; `version` is that of this program.
#[must_use]
pub fn document(version: &str) -> Value {
    let methods: Vec<Value> = methods::specs().iter().map(method).collect();
    let notifications: Vec<Value> = EVENTS
        .iter()
        .map(|spec| {
            json!({
                "name": spec.name,
                "summary": spec.summary,
                "params": [
                    {
                        "name": "subscription",
                        "description": "The subscription id that cluster.subscribe returned",
                        "required": true,
                        "schema": { "type": "integer", "minimum": 0 },
                    },
                    { "name": "result", "description": "The event", "required": true, "schema": spec.schema() },
                ],
            })
        })
        .collect();
    let errors: serde_json::Map<String, Value> =
        ERROR_KINDS.iter().map(|kind| (kind.name().to_owned(), error(*kind))).collect();
    json!({
        "openrpc": OPENRPC,
        "info": {
            "title": "clawster",
            "version": version,
            "description": "Membership, one leader, messages and events for a cluster of OpenClaw gateways.",
            "license": { "name": "MIT" },
        },
        "methods": methods,
        "components": { "errors": errors },
        "x-notifications": notifications,
    })
}

fn method(spec: &Spec) -> Value {
    let required = spec.params.get("required").and_then(Value::as_array);
    let params: Vec<Value> = spec
        .positions
        .iter()
        .map(|name| {
            let schema = spec.params.pointer(&format!("/properties/{name}")).cloned().unwrap_or(Value::Bool(true));
            let description = schema.get("description").cloned().unwrap_or_default();
            let required = required.is_some_and(|names| names.iter().any(|given| given == name));
            json!({ "name": name, "description": description, "required": required, "schema": schema })
        })
        .collect();
    let errors: Vec<Value> = [ErrorKind::InvalidParams, ErrorKind::InternalError]
        .iter()
        .chain(spec.errors)
        .map(|kind| json!({ "$ref": format!("#/components/errors/{}", kind.name()) }))
        .collect();
    json!({
        "name": spec.name,
        "summary": spec.summary,
        "description": spec.description,
        "paramStructure": "either",
        "params": params,
        "result": { "name": "result", "schema": spec.result },
        "errors": errors,
    })
}

fn error(kind: ErrorKind) -> Value {
    json!({
        "code": kind.code(),
        "message": kind.summary(),
        "data": { "kind": kind.name(), "retryable": kind.retryable() },
    })
}
