//! The cluster inside the chat: a page of the protocol's extension `io.modelcontextprotocol/ui` (MCP Apps), which the host shows
//! with the result of `distributed_get_cluster_state`.
//!
//! 1. Only a host that declares the extension, with pages of this kind, is offered the page.
//! 2. The page holds no data: the host passes it the results of the tool. It loads nothing, and shows names as text.
//!
//! Not here: answering the host (`server.rs`).

use rmcp::model::{ClientCapabilities, JsonObject, MetaObject, Resource, ResourceContents, Tool};
use serde_json::{Value, json};

/// The address of the page.
pub(super) const URI: &str = "ui://clawster/cluster";
/// The tool whose results the page shows.
const TOOL: &str = "distributed_get_cluster_state";
const EXTENSION: &str = "io.modelcontextprotocol/ui";
const MIME_TYPE: &str = "text/html;profile=mcp-app";
const PAGE: &str = include_str!("app.html");
/// What stands in the file for the version of this program.
const VERSION: &str = "{{version}}";

/// Whether a host shows such pages.
pub(super) fn is_shown_by(host: Option<&ClientCapabilities>) -> bool {
    let settings = host.and_then(|host| host.extensions.as_ref()?.get(EXTENSION));
    settings
        .and_then(|settings| settings.get("mimeTypes")?.as_array())
        .is_some_and(|types| types.contains(&json!(MIME_TYPE)))
}

fn ui(settings: Value) -> MetaObject {
    MetaObject(JsonObject::from_iter([("ui".to_owned(), settings)]))
}

/// Names the page in the tool that it belongs to.
pub(super) fn name_in(tools: &mut [Tool]) {
    for tool in tools.iter_mut().filter(|tool| tool.name == TOOL) {
        tool.meta = Some(ui(json!({ "resourceUri": URI })));
    }
}

/// The page in the list of resources.
pub(super) fn resource() -> Resource {
    Resource::new(URI, "cluster")
        .with_title("The cluster, as a page")
        .with_description("Shows the nodes, the leader and the term from the result of distributed_get_cluster_state")
        .with_mime_type(MIME_TYPE)
}

/// The page itself.
pub(super) fn contents() -> ResourceContents {
    let page = PAGE.replace(VERSION, env!("CARGO_PKG_VERSION"));
    ResourceContents::text(page, URI).with_mime_type(MIME_TYPE).with_meta(ui(json!({ "prefersBorder": true })))
}

#[cfg(test)]
mod tests {
    use super::super::tools::{Catalog, ToolSet};
    use super::*;

    #[test]
    fn the_page_loads_nothing_and_reads_no_name_as_markup() {
        assert!(PAGE.len() < 10 << 10 && PAGE.contains(VERSION) && PAGE.contains(TOOL), "{} bytes", PAGE.len());
        for word in [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            "http://",
            "https://",
            "src=",
            "href=",
            "onclick=",
        ] {
            assert!(!PAGE.contains(word), "{word}");
        }
        let text = json!(contents());
        assert!(text["text"].as_str().is_some_and(|text| !text.contains("{{")), "a place was left");
        assert_eq!((&text["mimeType"], &text["_meta"]["ui"]["prefersBorder"]), (&json!(MIME_TYPE), &json!(true)));
    }

    #[test]
    fn only_hosts_that_declare_pages_of_this_kind_are_offered_it() {
        let host = |extensions: Value| serde_json::from_value(json!({ "extensions": extensions })).unwrap();
        assert!(is_shown_by(Some(&host(json!({ EXTENSION: {"mimeTypes": ["text/plain", MIME_TYPE]} })))));
        for other in [json!({}), json!({ EXTENSION: {} }), json!({ EXTENSION: {"mimeTypes": ["text/html"]} })] {
            assert!(!is_shown_by(Some(&host(other))));
        }
        assert!(!is_shown_by(None));
    }

    #[test]
    fn the_tool_that_the_page_belongs_to_names_it() {
        for set in [ToolSet::Core, ToolSet::All] {
            let mut tools = Catalog::new(set).tools;
            name_in(&mut tools);
            let named: Vec<&str> = tools.iter().filter(|tool| tool.meta.is_some()).map(|tool| &*tool.name).collect();
            assert_eq!(named, [TOOL]);
        }
    }
}
