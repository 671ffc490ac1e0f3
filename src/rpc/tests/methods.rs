//! Each method's parameters, result and errors.

use super::*;
use serde_json::from_value;

#[tokio::test]
async fn join_passes_its_parameters_and_shows_the_members() {
    let mut host = Host::start();
    let params = json!(["b", "Bee", "http://x", ["gpu"], {"zone": "1"}, true]);
    let answer = host.ask("distributed.join_cluster", params).await;
    let expected = json!({
        "cluster": "openclaw", "node_id": "a", "incarnation": 3, "joined_at_ms": 1000, "leader_id": null, "term": 7,
        "nodes": [{
            "node_id": "a", "name": "a", "status": "suspect", "role": "leader", "incarnation": 3, "endpoint": null,
            "capabilities": [], "labels": {}, "version": "0.1.0", "joined_at_ms": 1000, "last_seen_ms": 2000,
        }],
    });
    assert_eq!(answer["result"], expected);
    let asked = host.node.joins.lock().unwrap().pop().unwrap();
    assert_eq!(asked.node_id, Some(node_id("b")));
    assert_eq!((asked.name.as_deref(), asked.endpoint.as_deref()), (Some("Bee"), Some("http://x")));
    assert_eq!(
        (asked.capabilities.unwrap().len(), asked.labels.unwrap()["zone"].as_str(), asked.force),
        (1, "1", true)
    );

    host.ask("distributed.join_cluster", json!({"node_id": null})).await;
    let asked = host.node.joins.lock().unwrap().pop().unwrap();
    assert!(asked.node_id.is_none() && asked.capabilities.is_none() && !asked.force);
}

#[tokio::test]
async fn wrong_parameters_are_named() {
    let mut host = Host::start();
    for (method, params, part) in [
        ("distributed.join_cluster", json!({"node_id": "a b"}), "parameter node_id: node id \"a b\" is not allowed"),
        ("distributed.join_cluster", json!({"name": "x".repeat(257)}), "parameter name: it has 257 bytes"),
        ("distributed.join_cluster", json!({"name": "a\nb"}), "parameter name: it holds a control character"),
        ("distributed.join_cluster", json!({"capabilities": [""]}), "parameter capabilities: a capability is empty"),
        ("distributed.join_cluster", json!({"labels": {"a": 1}}), "parameter labels: invalid type: integer `1`"),
        ("distributed.join_cluster", json!({"nodeid": "a"}), "unknown parameter \"nodeid\"; there are: node_id, name"),
        ("distributed.leave_cluster", json!({"x": 1}), "unknown parameter \"x\"; there are none"),
        ("distributed.get_cluster_state", json!({"fresh": "yes"}), "parameter fresh: invalid type: string \"yes\""),
        ("distributed.elect_leader", json!([1]), "parameter candidate: invalid type: integer `1`"),
        ("cluster.unsubscribe", json!({}), "parameter subscription: it is missing"),
    ] {
        let answer = host.ask(method, params).await;
        let error = &answer["error"];
        assert_eq!((&error["code"], &error["data"]["kind"]), (&json!(-32602), &json!("invalid_params")), "{answer}");
        assert!(error["message"].as_str().unwrap().contains(part), "{error} does not hold {part:?}");
    }
}

#[tokio::test]
async fn state_leave_election_and_heartbeat() {
    let mut host = Host::start();
    let state = host.ask("distributed.get_cluster_state", json!({})).await["result"].clone();
    assert_eq!(state["redis"], json!({"status": "ok", "mode": "standalone"}));
    assert_eq!(
        (&state["role"], &state["lease_expires_at_ms"], &state["as_of_ms"]),
        (&json!("leader"), &json!(32_000), &json!(2_500))
    );
    let left = host.ask("distributed.leave_cluster", json!([])).await;
    assert_eq!((&left["error"]["code"], &left["error"]["data"]["kind"]), (&json!(-32001), &json!("not_joined")));
    let elected = host.ask("distributed.elect_leader", json!([null, true])).await;
    let expected = json!({"leader_id": "a", "term": 7, "changed": true, "lease_expires_at_ms": 32_000});
    assert_eq!(elected["result"], expected);
    for candidate in ["ghost", "no such id"] {
        let error = host.ask("distributed.elect_leader", json!({"candidate": candidate})).await["error"].clone();
        assert_eq!((&error["code"], &error["data"]["detail"]["node_ids"]), (&json!(-32004), &json!([candidate])));
    }
    let beat = host.ask("cluster.heartbeat", json!({})).await["result"].clone();
    let expected = json!({
        "node_id": "a", "incarnation": 3, "role": "follower", "term": 7, "leader_id": "b", "at_ms": 2_500,
        "round_trip_ms": 1.25, "attempts": 2,
    });
    assert_eq!(beat, expected);
}

#[tokio::test]
async fn the_document_names_every_method_with_its_parameters_in_order() {
    let mut host = Host::start();
    let document = host.ask("rpc.discover", json!({})).await["result"].clone();
    assert!(document["openrpc"].as_str().unwrap().starts_with("1.3."));
    assert_eq!(document["info"]["version"], "9.9.9");
    let methods: Vec<Value> = from_value(document["methods"].clone()).unwrap();
    let sync = methods.iter().find(|method| method["name"] == "distributed.sync_messages").unwrap();
    let names: Vec<&str> = sync["params"].as_array().unwrap().iter().map(|p| p["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["messages", "limit", "wait_ms", "auto_ack", "ack"]);
    let known: Vec<String> = from_value(document["x-notifications"].clone())
        .map(|all: Vec<Value>| all.iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect())
        .unwrap();
    assert!(known.contains(&"cluster.leader_elected".to_owned()));
    for method in &methods {
        for error in method["errors"].as_array().unwrap() {
            let path = error["$ref"].as_str().unwrap().trim_start_matches('#');
            assert!(document.pointer(path).is_some(), "{path}");
        }
        // What the document names can be called: whatever it answers, it is not that the method is unknown.
        let answer = host.ask(method["name"].as_str().unwrap(), json!({"no_such_parameter": 1})).await;
        assert_eq!(answer["error"]["code"], -32602, "{answer}");
    }
}

#[tokio::test]
async fn only_the_process_that_started_the_node_may_ask_to_be_watched() {
    let mut host = Host::start();
    let answer = host.ask("cluster.watch_host", json!({"within_ms": 60_000})).await;
    assert_eq!((&answer["error"]["code"], &answer["error"]["data"]["kind"]), (&json!(-32010), &json!("forbidden")));
}
