//! The cluster inside the chat: the page of the protocol's extension for pages.

use super::anonymous;
use serde_json::json;
use testkit::RedisServer;
use testkit::cluster::stage;
use testkit::mcp::{McpSession, NEWEST};

#[test]
fn a_host_that_shows_pages_is_offered_one_of_the_cluster() {
    let redis = RedisServer::start();
    let dir = stage();
    let launch = anonymous(dir.path(), &redis);
    let (page, tool) = ("ui://clawster/cluster", "distributed_get_cluster_state");
    for version in ["2025-11-25", "2026-07-28"] {
        for shows in [true, false] {
            let able = if shows {
                json!({"extensions": {"io.modelcontextprotocol/ui": {"mimeTypes": ["text/html;profile=mcp-app"]}}})
            } else {
                json!({})
            };
            let session = McpSession::silent(&launch, &["mcp"]);
            let host = json!({"name": "a test", "version": "1"});
            let meta = if version == NEWEST {
                let about = json!({"protocolVersion": version, "capabilities": able, "clientInfo": host});
                session.process.ok("initialize", about);
                session.notify("notifications/initialized", json!({}));
                json!({})
            } else {
                json!({"io.modelcontextprotocol/protocolVersion": version,
                    "io.modelcontextprotocol/clientInfo": host,
                    "io.modelcontextprotocol/clientCapabilities": able})
            };
            let tools = session.process.ok("tools/list", json!({"_meta": meta}))["tools"].clone();
            let named = tools.as_array().unwrap().iter().find(|listed| listed["name"] == tool).unwrap();
            assert_eq!(named["_meta"]["ui"]["resourceUri"] == page, shows, "{named}");
            let listed = session.process.ok("resources/list", json!({"_meta": meta}))["resources"].clone();
            assert_eq!(listed.as_array().unwrap().iter().any(|listed| listed["uri"] == page), shows, "{listed}");
            let read = session.process.call("resources/read", json!({"uri": page, "_meta": meta}));
            assert_eq!(read.is_ok(), shows, "{read:?}");
            if let Ok(read) = read {
                let content = &read["contents"][0];
                assert_eq!(
                    (&content["uri"], &content["mimeType"]),
                    (&json!(page), &json!("text/html;profile=mcp-app"))
                );
                assert!(content["text"].as_str().is_some_and(|text| text.contains("ui/initialize")), "{content}");
            }
        }
    }
}
