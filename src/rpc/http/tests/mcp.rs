//! MCP over HTTP: what a host without a session gets, and which tools it may call.

use super::*;
use serde_json::{Value, json};

async fn message(server: &Server, text: &Value, headers: &str) -> (String, String) {
    let text = text.to_string();
    let answer = exchange(
        server.address,
        &format!(
            "POST /mcp HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
             accept: application/json, text/event-stream\r\n{headers}content-length: {}\r\n\r\n{text}",
            text.len()
        ),
    )
    .await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
}

fn request(method: &str, params: Value) -> Value {
    json!({"jsonrpc": "2.0", "id": 7, "method": method, "params": params})
}

fn parsed(body: &str) -> Value {
    serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {body:?}"))
}

#[tokio::test]
async fn a_host_without_a_session_is_introduced_and_lists_the_tools() {
    let server = serve("127.0.0.1:0");
    let hello =
        json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "a test", "version": "1"}});
    let (head, body) = message(&server, &request("initialize", hello), "").await;
    assert!(head.starts_with("HTTP/1.1 200") && !head.contains("mcp-session-id"), "{head} {body}");
    let answer = parsed(&body);
    assert_eq!(answer["result"]["serverInfo"]["name"], "clawster", "{answer}");
    assert!(answer["result"]["capabilities"].get("logging").is_none(), "{answer}");
    let ready = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
    assert!(message(&server, &ready, "mcp-protocol-version: 2025-11-25\r\n").await.0.starts_with("HTTP/1.1 202"));
    let (_, body) = message(&server, &request("tools/list", json!({})), "mcp-protocol-version: 2025-11-25\r\n").await;
    let tools = parsed(&body);
    assert!(tools["result"]["tools"].as_array().unwrap().len() > 10, "{tools}");
    for method in ["GET", "DELETE", "PUT"] {
        let answer = exchange(server.address, &format!("{method} /mcp HTTP/1.1\r\nhost: localhost\r\n\r\n")).await;
        assert!(answer.starts_with("HTTP/1.1 405"), "{answer}");
    }
}

#[tokio::test]
async fn a_host_without_a_session_gets_no_tasks() {
    let server = serve("127.0.0.1:0");
    let meta = json!({"io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "a test", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {"extensions": {"io.modelcontextprotocol/tasks": {}}}});
    let ask = async |method: &str, name: &str, mut params: Value| {
        params["_meta"] = meta.clone();
        let headers = format!(
            "mcp-protocol-version: 2026-07-28\r\nmcp-method: {method}\r\n{name}authorization: Bearer {TOKEN}\r\n"
        );
        parsed(&message(&server, &request(method, params), &headers).await.1)
    };
    let found = ask("server/discover", "", json!({})).await;
    assert!(found["result"]["capabilities"]["tools"].is_object(), "{found}");
    assert!(found["result"]["capabilities"].get("extensions").is_none(), "{found}");
    let call =
        json!({"name": "distributed_acquire_lease", "arguments": {"name": "a", "ttl_ms": 1_000, "wait_ms": 100}});
    let answer = ask("tools/call", "mcp-name: distributed_acquire_lease\r\n", call).await;
    assert_eq!(answer["result"]["resultType"], "complete", "{answer}");
    let refused = ask("tasks/get", "mcp-name: a\r\n", json!({"taskId": "a"})).await;
    assert_eq!(refused["error"]["code"], -32601, "{refused}");
}

#[tokio::test]
async fn a_tool_that_changes_something_needs_the_token() {
    let server = serve("127.0.0.1:0");
    let bearer = format!("authorization: Bearer {TOKEN}\r\n");
    let call = |tool: &str| request("tools/call", json!({"name": tool, "arguments": {}}));
    let (_, body) = message(&server, &call("distributed_leave_cluster"), "").await;
    let refused = parsed(&body);
    assert_eq!(refused["result"]["structuredContent"]["code"], -32010, "{refused}");
    // With the token, and for reading, it gets as far as the node, which a test has not.
    for (tool, headers) in [("distributed_leave_cluster", bearer.as_str()), ("distributed_get_task", "")] {
        let (_, body) = message(&server, &call(tool), headers).await;
        let answer = parsed(&body);
        assert_eq!(answer["result"]["structuredContent"]["code"], -32002, "{tool}: {answer}");
        assert!(body.contains("a test has no socket"), "{body}");
    }
    let foreign = message(&server, &call("distributed_get_task"), "origin: http://evil.example\r\n").await.0;
    assert!(foreign.starts_with("HTTP/1.1 403"), "{foreign}");
}
