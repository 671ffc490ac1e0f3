//! The documents in `schemas/`: a schema for everything on the wire, the OpenRPC document and the MCP tools.
//!
//! Not here: the schemas of the configuration (`crate::config`).

use super::errors::ErrorData;
use super::mcp::tools;
use super::schema::schema_of_output;
use super::wire::event::EVENTS;
use super::{methods, openrpc};
use serde_json::Value;

/// Every document with its path below `schemas/`, sorted by path.
#[must_use]
pub fn documents() -> Vec<(String, Value)> {
    let mut documents = vec![("openrpc.json".to_owned(), openrpc::document(env!("CARGO_PKG_VERSION")))];
    for spec in methods::specs() {
        documents.push((format!("methods/{}.params.json", spec.name), spec.params));
        documents.push((format!("methods/{}.result.json", spec.name), spec.result));
    }
    for spec in &EVENTS {
        documents.push((format!("events/{}.json", spec.name), spec.schema()));
    }
    documents.push(("mcp/tools.json".to_owned(), tools::document()));
    documents.push(("error.json".to_owned(), schema_of_output::<ErrorData>()));
    documents.sort_by(|(a, _), (b, _)| a.cmp(b));
    documents
}
