//! An MCP host with a session of `clawster mcp` over real pipes.
//!
//! Not here: the process and its pipes (`serve.rs`).

use crate::serve::{Launch, Pending, Serve};
use crate::wait::eventually;
use crate::wire::RpcError;
use serde_json::{Value, json};
use std::time::Duration;

/// The newest version of the protocol that the session speaks.
pub const NEWEST: &str = "2025-11-25";

/// A session.
#[derive(Debug)]
pub struct McpSession {
    /// Its process.
    pub process: Serve,
}

impl McpSession {
    /// Starts a session and introduces the host.
    #[track_caller]
    pub fn start(launch: &Launch) -> Self {
        let session = Self::silent(launch, &["mcp"]);
        session.introduce(NEWEST);
        session
    }

    /// Starts a session and says nothing yet.
    #[track_caller]
    pub fn silent(launch: &Launch, args: &[&str]) -> Self {
        Self { process: launch.run(args) }
    }

    /// Introduces the host; returns what the session says of itself.
    #[track_caller]
    pub fn introduce(&self, version: &str) -> Value {
        let host = json!({"name": "a test", "version": "1"});
        let about = json!({"protocolVersion": version, "capabilities": {}, "clientInfo": host});
        let said = self.process.ok("initialize", about);
        self.notify("notifications/initialized", json!({}));
        said
    }

    /// Sends a notification.
    pub fn notify(&self, method: &str, params: Value) {
        let line = json!({"jsonrpc": "2.0", "method": method, "params": params});
        self.process.send_raw(format!("{line}\n").as_bytes()).expect("the session reads");
    }

    /// Calls a tool and does not wait.
    pub fn begin(&self, tool: &str, arguments: Value) -> Pending {
        let params = json!({"name": tool, "arguments": arguments});
        self.process.request("tools/call", params).expect("the session reads")
    }

    /// Calls a tool; its result as the host sees it, or the protocol's error.
    #[track_caller]
    pub fn call(&self, tool: &str, arguments: Value) -> Result<Value, RpcError> {
        self.process.call("tools/call", json!({"name": tool, "arguments": arguments}))
    }

    /// Calls a tool that must succeed; returns its structured content.
    #[track_caller]
    pub fn ok(&self, tool: &str, arguments: Value) -> Value {
        checked(&self.call(tool, arguments).expect("a result"), false)
    }

    /// Calls a tool that must fail; returns the error object.
    #[track_caller]
    pub fn refused(&self, tool: &str, arguments: Value) -> Value {
        checked(&self.call(tool, arguments).expect("a result"), true)
    }

    /// The state of the cluster, as soon as there is one that `look` wants.
    #[track_caller]
    pub fn until(&self, what: &str, within: Duration, look: impl Fn(&Value) -> bool) -> Value {
        eventually(what, within, || {
            let answer = self.call("distributed_get_cluster_state", json!({})).expect("a result");
            let state = &answer["structuredContent"];
            if answer["isError"] != true && look(state) { Ok(state.clone()) } else { Err(answer.to_string()) }
        })
    }

    /// Reads a resource that holds JSON.
    #[track_caller]
    pub fn read(&self, uri: &str) -> Value {
        let read = self.process.ok("resources/read", json!({ "uri": uri }));
        let content = &read["contents"][0];
        assert_eq!((&content["uri"], &content["mimeType"]), (&json!(uri), &json!("application/json")));
        serde_json::from_str(content["text"].as_str().expect("text")).expect("JSON")
    }

    /// How many notifications came so far that `pick` wants.
    pub fn count(&self, pick: impl Fn(&str, &Value) -> bool) -> usize {
        self.process.notes().iter().filter(|note| pick(&note.method, &note.params)).count()
    }

    /// Waits for a notification; returns its parameters.
    #[track_caller]
    pub fn note(&self, what: &str, within: Duration, pick: impl Fn(&str, &Value) -> bool) -> Value {
        let found = self.process.mailbox().wait(within, |inbox| {
            let note = inbox.notes.iter().find(|note| pick(&note.method, &note.params));
            note.map(|note| note.params.clone())
        });
        found.unwrap_or_else(|| panic!("no notification: {what}; seen: {:?}", self.process.notes()))
    }
}

/// The structured content of a tool's answer, which must be there twice, as structure and as text.
#[track_caller]
pub fn checked(answer: &Value, failed: bool) -> Value {
    assert_eq!(answer["isError"], failed, "{answer}");
    let text = answer["content"][0]["text"].as_str().expect("text");
    assert_eq!(serde_json::from_str::<Value>(text).expect("JSON"), answer["structuredContent"]);
    answer["structuredContent"].clone()
}
