//! The tools of an MCP session, generated from the table of methods.
//!
//! 1. Every method `distributed.…` is a tool, with underscores in its name because hosts refuse dots; no other method is a
//!    tool.
//! 2. A schema is self-contained, of JSON Schema 2020-12, and has `type: object` at its root.
//! 3. A result and a failure both match `outputSchema`: hosts check both.
//! 4. A tool takes at most 780 bytes of the list on average: a host passes the list to its model with every turn.
//!
//! Not here: calling them (`server.rs`), shortening their schemas (`schemas.rs`).

use super::schemas;
use crate::rpc::errors::ErrorData;
use crate::rpc::methods::{self, Spec};
use rmcp::model::{Tool, ToolAnnotations};
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::Arc;

/// The prefix of the methods that are tools.
const PREFIX: &str = "distributed.";

/// The error object of a failed tool call.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Failure {
    /// The error code.
    pub(super) code: i32,
    /// What is wrong and what to do, in one sentence.
    pub(super) message: String,
    /// Facts for programs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) data: Option<ErrorData>,
}

/// Which methods are tools.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ToolSet {
    /// What most agents need: the state, messages, leases, tasks and other agents.
    Core,
    /// All methods.
    #[default]
    All,
}

/// The tools of [`ToolSet::Core`], as far as there are such methods.
const CORE: [&str; 18] = [
    "get_cluster_state",
    "elect_leader",
    "sync_messages",
    "acquire_lease",
    "renew_lease",
    "release_lease",
    "run_once",
    "submit_task",
    "claim_tasks",
    "extend_task",
    "complete_task",
    "fail_task",
    "get_task",
    "list_tasks",
    "ask_agent",
    "tell_agent",
    "notify",
    "take_permits",
];

/// The most bytes of one tool in the list, on average.
#[cfg(test)]
const MOST_BYTES: usize = 780;

/// The method of a tool, with the full schema of its parameters.
#[derive(Debug)]
pub(super) struct Method {
    pub(super) name: &'static str,
    pub(super) params: Value,
}

/// All tools, and the method of each.
#[derive(Debug, Clone)]
pub(super) struct Catalog {
    pub(super) tools: Vec<Tool>,
    methods: Arc<HashMap<String, Method>>,
}

impl Catalog {
    pub(super) fn new(set: ToolSet) -> Self {
        let is_core = |name: &str| name.strip_prefix(PREFIX).is_some_and(|name| CORE.contains(&name));
        let wanted = |spec: &Spec| spec.name.starts_with(PREFIX) && (set == ToolSet::All || is_core(spec.name));
        let specs: Vec<Spec> = methods::specs().into_iter().filter(wanted).collect();
        let method = |spec: &Spec| (tool_name(spec.name), Method { name: spec.name, params: spec.params.clone() });
        let methods = specs.iter().map(method).collect();
        Self { tools: specs.into_iter().map(tool).collect(), methods: Arc::new(methods) }
    }

    /// The method of a tool.
    pub(super) fn method(&self, tool: &str) -> Option<&Method> {
        self.methods.get(tool)
    }
}

/// The tools as `tools/list` answers them, for `schemas/`.
#[must_use]
pub fn document() -> Value {
    json!({ "tools": Catalog::new(ToolSet::All).tools })
}

fn tool_name(method: &str) -> String {
    method.replace('.', "_")
}

/// A text of the node for a caller of tools: methods are named as tools.
pub(super) fn in_tool_names(text: String) -> String {
    match text.contains(PREFIX) {
        true => text.replace(PREFIX, &tool_name(PREFIX)),
        false => text,
    }
}

fn tool(spec: Spec) -> Tool {
    let effect = spec.effect;
    // What equals the protocol's default is left out: not read-only, destructive, not idempotent.
    let mut annotations = ToolAnnotations::new();
    annotations.read_only_hint = effect.reads.then_some(true);
    annotations.destructive_hint = (!effect.destroys).then_some(false);
    annotations.idempotent_hint = effect.repeatable.then_some(true);
    // A tool can reach nothing but the cluster.
    annotations.open_world_hint = Some(false);
    Tool::new(
        tool_name(spec.name),
        in_tool_names(schemas::description(spec.description)),
        Arc::new(schemas::input(&spec.params)),
    )
    .with_title(spec.summary)
    .with_raw_output_schema(Arc::new(schemas::output(&spec.result)))
    .with_annotations(annotations)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_distributed_method_is_a_tool_that_hosts_take() {
        let catalog = Catalog::new(ToolSet::All);
        let methods: Vec<&str> =
            methods::specs().iter().map(|spec| spec.name).filter(|name| name.starts_with(PREFIX)).collect();
        assert_eq!(catalog.tools.len(), methods.len());
        for (tool, method) in catalog.tools.iter().zip(methods) {
            assert_eq!(catalog.method(&tool.name).map(|method| method.name), Some(method));
            let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
            assert!((1..=64).contains(&tool.name.len()) && tool.name.chars().all(allowed), "{}", tool.name);
            for schema in [&tool.input_schema, tool.output_schema.as_ref().unwrap()] {
                assert_eq!(schema["type"], "object", "{}", tool.name);
                let text = json!(schema).to_string();
                assert!(!text.contains("$ref"), "{}: the schema does not stand alone", tool.name);
            }
        }
        assert!(catalog.method("cluster_heartbeat").is_none());
        assert!(catalog.method("distributed.get_cluster_state").is_none());
    }

    #[test]
    fn the_list_is_short() {
        for set in [ToolSet::Core, ToolSet::All] {
            let tools = Catalog::new(set).tools;
            let bytes = serde_json::to_string(&tools).unwrap().len();
            assert!(bytes <= MOST_BYTES * tools.len(), "{set:?}: {bytes} bytes for {} tools", tools.len());
        }
        assert!(serde_json::to_string(&Catalog::new(ToolSet::Core).tools).unwrap().len() < 14_000);
    }

    #[test]
    fn the_core_is_a_part_of_all() {
        let names = |set| Catalog::new(set).tools.into_iter().map(|tool| tool.name).collect::<Vec<_>>();
        let (core, all) = (names(ToolSet::Core), names(ToolSet::All));
        assert!((10..all.len()).contains(&core.len()) && core.iter().all(|name| all.contains(name)), "{core:?}");
    }

    #[test]
    fn texts_name_tools() {
        let text = in_tool_names("not a member; call distributed.join_cluster first".to_owned());
        assert_eq!(text, "not a member; call distributed_join_cluster first");
    }

    #[test]
    fn a_tool_that_only_reads_says_so() {
        let hints = |name: &str| {
            let tool = Catalog::new(ToolSet::All).tools.into_iter().find(|tool| tool.name == name).unwrap();
            let hints = tool.annotations.unwrap();
            (hints.read_only_hint, hints.destructive_hint, hints.idempotent_hint, hints.open_world_hint)
        };
        assert_eq!(hints("distributed_get_cluster_state"), (Some(true), Some(false), Some(true), Some(false)));
        assert_eq!(hints("distributed_elect_leader"), (None, None, None, Some(false)));
        assert_eq!(hints("distributed_sync_messages"), (None, Some(false), None, Some(false)));
    }
}
