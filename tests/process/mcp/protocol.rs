//! What a session says and answers.

use super::anonymous;
use serde_json::{Value, json};
use testkit::cluster::{online, stage};
use testkit::mcp::{McpSession, NEWEST, checked};
use testkit::schema::problem;
use testkit::wait::secs;
use testkit::{Launch, RedisServer, eventually};

/// What each request of 2026-07-28 carries.
fn meta() -> Value {
    json!({"io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "a test", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {}})
}

#[test]
fn a_host_of_2026_07_28_introduces_itself_in_each_request() {
    let redis = RedisServer::start();
    let dir = stage();
    let session = McpSession::silent(&anonymous(dir.path(), &redis), &["mcp"]);
    let call = |name: &str, arguments: Value| {
        session.process.ok("tools/call", json!({"name": name, "arguments": arguments, "_meta": meta()}))
    };
    session.process.ok("server/discover", json!({"_meta": meta()}));
    assert!(session.process.call("tools/list", json!({})).is_err(), "no request without its version");
    let tools = session.process.ok("tools/list", json!({"_meta": meta()}));
    assert!(tools["tools"].as_array().is_some_and(|tools| tools.len() > 20), "{tools}");
    eventually("it leads", secs(20.0), || {
        let state = call("distributed_get_cluster_state", json!({}));
        if state["structuredContent"]["role"] == "leader" { Ok(()) } else { Err(state) }
    });
    let read = session.process.ok("resources/read", json!({"uri": "cluster://state", "_meta": meta()}));
    assert!(read["contents"][0]["text"].as_str().is_some_and(|text| text.contains("leader")), "{read}");
    let follow = json!({"jsonrpc": "2.0", "id": "follows", "method": "subscriptions/listen", "params":
        {"notifications": {"resourceSubscriptions": ["cluster://state", "cluster://nope"]}, "_meta": meta()}});
    session.process.send_raw(format!("{follow}\n").as_bytes()).unwrap();
    call("distributed_get_cluster_state", json!({}));
    let second = Launch::new(dir.path(), "second").redis(&redis).brisk().start();
    let is_update = |method: &str, params: &Value| {
        method == "notifications/resources/updated" && params["uri"] == "cluster://state"
    };
    session.note("an update", secs(20.0), is_update);
    session.notify("notifications/cancelled", json!({"requestId": "follows", "_meta": meta()}));
    call("distributed_get_cluster_state", json!({}));
    second.until("both are there", secs(20.0), |state| online(state).len() == 2);
    call("distributed_get_cluster_state", json!({}));
    let before = session.count(is_update);
    call("distributed_elect_leader", json!({"candidate": "second", "force": true}));
    call("distributed_get_cluster_state", json!({"fresh": true}));
    assert_eq!(session.count(is_update), before, "the subscription ended");
    session.process.close_stdin();
    session.process.exit_clean(secs(5.0));
}

#[test]
fn texts_of_a_model_are_read_and_errors_name_tools() {
    let redis = RedisServer::start();
    let dir = stage();
    let session = McpSession::start(&anonymous(dir.path(), &redis));
    session.until("it leads", secs(20.0), |state| state["role"] == "leader");
    let sent = session
        .ok("distributed_sync_messages", json!({"messages": "[{\"id\": \"m\", \"payload\": \"5\"}]", "limit": "0"}));
    assert_eq!(sent["published"], 1, "{sent}");
    session.ok("distributed_get_cluster_state", json!({"fresh": "true"}));
    let task =
        json!({"kind": "k", "payload": "5", "id": "t", "priority": "7", "requires": "{\"capabilities\": \"[]\"}"});
    session.ok("distributed_submit_task", task);
    let task = session.ok("distributed_get_task", json!({"task_id": "t"}));
    assert_eq!((&task["payload"], &task["priority"]), (&json!("5"), &json!(7)), "a payload may be a text: {task}");
    session.ok("distributed_leave_cluster", json!({}));
    let error = session.refused("distributed_run_once", json!({"key": "k", "ttl_ms": "1000"}));
    let text = error["message"].as_str().expect("a text");
    assert!(text.contains("distributed_join_cluster") && !text.contains("distributed."), "{error}");
}

#[test]
fn the_list_of_tools_is_short_and_comes_in_sets() {
    let redis = RedisServer::start();
    let dir = stage();
    let launch = anonymous(dir.path(), &redis);
    let list = |arguments: &[&str]| {
        let session = McpSession::silent(&launch, arguments);
        session.introduce(NEWEST);
        let tools = session.process.ok("tools/list", json!({}))["tools"].clone();
        let other = session.call("distributed_get_history", json!({}));
        session.process.close_stdin();
        session.process.exit(secs(20.0));
        (tools.as_array().expect("a list").len(), tools.to_string().len(), other.is_ok())
    };
    let (all, bytes, other) = list(&["mcp"]);
    assert!(bytes < 780 * all && other, "{all} tools, {bytes} bytes");
    let (core, bytes, other) = list(&["mcp", "--tools", "core"]);
    assert!(core < all && bytes < 14_000 && !other, "{core} tools, {bytes} bytes");
}

#[test]
fn each_version_of_the_protocol_is_answered() {
    let redis = RedisServer::start();
    let dir = stage();
    let launch = anonymous(dir.path(), &redis);
    let versions = ["2024-11-05", "2025-03-26", "2025-06-18", NEWEST];
    for (asked, answered) in
        versions.iter().map(|v| (*v, *v)).chain([("2026-07-28", NEWEST), ("2099-01-01", NEWEST), ("1999", NEWEST)])
    {
        let session = McpSession::silent(&launch, &["mcp"]);
        // How hosts of later versions ask first; some introduce themselves nevertheless.
        let found = session.process.ok("server/discover", json!({"_meta": meta()}));
        let offered = found["supportedVersions"].as_array().expect("a list");
        assert!(offered.contains(&json!("2026-07-28")) && offered.contains(&json!(NEWEST)), "{found}");
        let said = session.introduce(asked);
        assert_eq!(said["protocolVersion"], answered, "{said}");
        assert_eq!(said["serverInfo"]["name"], "clawster");
        assert!(said["instructions"].as_str().is_some_and(|text| text.contains("role")), "{said}");
        let able = &said["capabilities"];
        assert!(able["tools"].is_object() && able["logging"].is_object(), "{able}");
        assert_eq!(able["resources"]["subscribe"], true);
        session.ok("distributed_get_cluster_state", json!({}));
        session.process.close_stdin();
        session.process.exit_clean(secs(5.0));
        session.process.assert_clean();
    }
}

#[test]
fn every_distributed_method_is_a_tool_with_schemas_that_answers_fit() {
    let redis = RedisServer::start();
    let dir = stage();
    let session = McpSession::start(&anonymous(dir.path(), &redis));
    session.until("it leads", secs(20.0), |state| state["role"] == "leader");
    let tools = session.process.ok("tools/list", json!({}))["tools"].clone();
    let names: Vec<&str> = tools.as_array().unwrap().iter().map(|tool| tool["name"].as_str().unwrap()).collect();
    let document: Value = serde_json::from_str(include_str!("../../../schemas/openrpc.json")).unwrap();
    let methods = document["methods"].as_array().unwrap().iter().map(|method| method["name"].as_str().unwrap());
    let wanted: Vec<String> =
        methods.filter(|name| name.starts_with("distributed.")).map(|name| name.replace('.', "_")).collect();
    assert_eq!(names, wanted);
    let committed: Value = serde_json::from_str(include_str!("../../../schemas/mcp/tools.json")).unwrap();
    assert_eq!(tools, committed["tools"]);
    for tool in tools.as_array().unwrap() {
        let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        assert!(tool["name"].as_str().is_some_and(|name| name.len() <= 64 && name.chars().all(allowed)), "{tool}");
        assert!(tool["title"].is_string() && tool["description"].is_string() && tool["annotations"].is_object());
        for schema in ["inputSchema", "outputSchema"] {
            assert_eq!(tool[schema]["type"], "object", "{tool}");
        }
    }
    let fits = |name: &str, content: &Value| {
        let tool = tools.as_array().unwrap().iter().find(|tool| tool["name"] == name).unwrap();
        assert_eq!(problem(&tool["outputSchema"], content, name), None);
        // Each field of a result is named; those of a failure are not.
        let named = |field: &String| tool["outputSchema"]["properties"].get(field).is_some();
        let fields = content.as_object().unwrap().keys();
        assert!(content.get("code").is_some() || fields.clone().all(named), "{name}: {content}");
    };
    for (name, arguments) in [
        ("distributed_get_cluster_state", json!({"fresh": true})),
        ("distributed_join_cluster", json!({"name": "Kitchen"})),
        ("distributed_elect_leader", json!({})),
        ("distributed_sync_messages", json!({"messages": [{"id": "m", "payload": [1, null]}]})),
        ("distributed_leave_cluster", json!({})),
    ] {
        fits(name, &session.ok(name, arguments));
    }
    for (name, arguments, code, kind) in [
        ("distributed_leave_cluster", json!({}), -32001, "not_joined"),
        ("distributed_elect_leader", json!({"candidate": "nobody", "force": true}), -32004, "unknown_node"),
        ("distributed_get_cluster_state", json!({"frech": true}), -32602, "invalid_params"),
        ("distributed_sync_messages", json!({"limit": "many"}), -32602, "invalid_params"),
    ] {
        let error = session.refused(name, arguments);
        fits(name, &error);
        assert_eq!((&error["code"], &error["data"]["kind"]), (&json!(code), &json!(kind)), "{error}");
        assert!(error["message"].is_string() && error["data"]["retryable"] == false, "{error}");
    }
    let unknown = session.call("distributed_frobnicate", json!({})).unwrap_err();
    assert_eq!(unknown.code, -32602, "{unknown:?}");
    assert!(session.process.call("tools/frobnicate", json!({})).is_err());
}

#[test]
fn resources_are_read_and_followed_and_events_are_messages() {
    let redis = RedisServer::start();
    let dir = stage();
    let session = McpSession::start(&anonymous(dir.path(), &redis));
    session.until("it leads", secs(20.0), |state| state["role"] == "leader");
    let listed = session.process.ok("resources/list", json!({}));
    let uris: Vec<&Value> = listed["resources"].as_array().unwrap().iter().map(|resource| &resource["uri"]).collect();
    assert_eq!(uris, ["cluster://state", "cluster://events"]);
    assert_eq!(session.read("cluster://state")["role"], "leader");
    assert!(session.process.call("resources/read", json!({"uri": "cluster://nope"})).is_err());
    for uri in &uris {
        session.process.ok("resources/subscribe", json!({ "uri": uri }));
    }
    let second = Launch::new(dir.path(), "second").redis(&redis).brisk().start();
    let is_join =
        |id: &str, params: &Value| params["data"]["event"] == "cluster.node_joined" && params["data"]["node_id"] == id;
    let joined = session.note("a message of the join", secs(20.0), |method, params| {
        method == "notifications/message" && is_join("second", params)
    });
    assert_eq!((&joined["level"], &joined["logger"]), (&json!("info"), &json!("clawster")));
    for uri in &uris {
        session.note("an update", secs(5.0), |method, params| {
            method == "notifications/resources/updated" && params["uri"] == **uri
        });
    }
    let has = |events: Value, name: &str| events.as_array().unwrap().iter().any(|event| event["event"] == name);
    assert!(has(session.read("cluster://events"), "cluster.leader_elected"), "what was before the session, too");
    assert_eq!(online(&session.read("cluster://state")).len(), 2);

    session.process.ok("logging/setLevel", json!({"level": "warning"}));
    session.process.ok("resources/unsubscribe", json!({"uri": "cluster://state"}));
    let third = Launch::new(dir.path(), "third").redis(&redis).brisk().start();
    second.until("three are there", secs(20.0), |state| online(state).len() == 3);
    third.kill9();
    let gone = session.note("a warning of the death", secs(20.0), |_, params| {
        params["data"]["event"] == "cluster.node_left" && params["data"]["node_id"] == "third"
    });
    assert_eq!((&gone["level"], &gone["data"]["reason"]), (&json!("warning"), &json!("process_died")));
    assert_eq!(session.count(|method, params| method == "notifications/message" && is_join("third", params)), 0);
    assert!(has(session.read("cluster://events"), "cluster.node_left"));
    let (updates, of_state) = (|method: &str| method == "notifications/resources/updated", json!("cluster://state"));
    let before = session.count(|method, params| updates(method) && params["uri"] == of_state);
    session.ok("distributed_elect_leader", json!({"force": true, "candidate": "second"}));
    session.until("the other one leads", secs(20.0), |state| state["leader_id"] == "second");
    assert_eq!(session.count(|method, params| updates(method) && params["uri"] == of_state), before, "unsubscribed");
}

#[test]
fn a_change_of_the_state_that_comes_with_no_event_is_told() {
    let redis = RedisServer::start();
    let dir = stage();
    let session = McpSession::start(&anonymous(dir.path(), &redis).timing(0.5, 60.0, 3.0));
    session.until("it leads", secs(20.0), |state| state["role"] == "leader");
    let second = Launch::new(dir.path(), "second").redis(&redis).brisk().start();
    session.until("both are there", secs(20.0), |state| online(state).len() == 2);
    session.process.ok("resources/subscribe", json!({"uri": "cluster://state"}));
    let events = |method: &str, _: &Value| method == "notifications/message";
    let before = session.count(events);
    second.stop();
    session.until("the frozen one is suspected", secs(20.0), |state| online(state).len() == 1);
    session.note("it is told", secs(20.0), |method, _| method == "notifications/resources/updated");
    assert_eq!(session.count(events), before, "by no event");
    second.cont();
}

#[test]
fn what_a_host_writes_never_ends_the_session() {
    let redis = RedisServer::start();
    let dir = stage();
    let session = McpSession::silent(&anonymous(dir.path(), &redis), &["mcp"]);
    let noise: [&[u8]; 9] = [
        b"what?\n\n\xff\xfe\n",
        b"{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}\n",
        b"{\"jsonrpc\":\"2.0\",\"id\":\"x\",\"result\":{}}\n",
        b"{\"a\":1}\n[]\n[1,null]\n7\nnull\n",
        b"{\"jsonrpc\":\"2.0\",\"id\":1.5,\"method\":\"ping\"}\n",
        b"{\"jsonrpc\":\"2.0\",\"id\":{},\"method\":\"initialize\",\"params\":[]}\n",
        b"{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\",\"params\":{\"requestId\":[]}}\n",
        b"{\"jsonrpc\":\"2.0\",\"id\":\"early\",\"method\":\"tools/call\",\"params\":{\"name\":3}}\n",
        b"{\"jsonrpc\":\"2.0\",\"id\":\"odd\",\"method\":8}\n",
    ];
    let make_noise = || {
        for bytes in noise {
            session.process.send_raw(bytes).unwrap();
        }
        let long = [vec![b'x'; 5 << 20], b"\n".to_vec()].concat();
        session.process.send_raw(&long).unwrap();
    };
    make_noise();
    session.introduce(NEWEST);
    make_noise();
    session.ok("distributed_get_cluster_state", json!({}));
    eventually("what has an id is refused under it", secs(10.0), || {
        let refused = session.process.mailbox().look(|inbox| inbox.answers.get("\"odd\"").cloned());
        refused.filter(|(_, answer)| answer["error"]["code"] == -32600).ok_or("nothing")
    });
    session.process.assert_clean();
    assert!(session.process.memory_kb("VmHWM") < 200 << 10, "a long line is not held");
    let batch = json!([{"jsonrpc": "2.0", "id": "b1", "method": "ping"}, {"jsonrpc": "2.0", "id": "b2", "method": "tools/list"}]);
    session.process.send_raw(format!("{batch}\n").as_bytes()).unwrap();
    eventually("both of a batch are answered", secs(10.0), || {
        session.process.mailbox().look(|inbox| {
            match inbox.answers.contains_key("\"b1\"") && inbox.answers.contains_key("\"b2\"") {
                true => Ok(()),
                false => Err("not yet"),
            }
        })
    });
}

#[test]
fn two_hundred_calls_at_once_are_all_answered() {
    let redis = RedisServer::start();
    let dir = stage();
    let session = McpSession::start(&anonymous(dir.path(), &redis));
    session.until("it is a member", secs(20.0), |state| online(state).len() == 1);
    let calls: Vec<_> = (0..200)
        .map(|n| match n % 4 {
            0 => session.begin(
                "distributed_sync_messages",
                json!({"messages": [{"id": format!("c{n}"), "payload": n}], "limit": 0}),
            ),
            1 => session.begin("distributed_get_cluster_state", json!({"fresh": true})),
            2 => session.begin("distributed_elect_leader", json!({"candidate": "nobody", "force": true})),
            _ => session.begin("distributed_get_cluster_state", json!({})),
        })
        .collect();
    for (n, call) in calls.into_iter().enumerate() {
        let answer = call.wait(secs(60.0)).expect("an answer").result.expect("a result");
        checked(&answer, n % 4 == 2);
    }
    session.process.assert_clean();
}

#[test]
fn a_cancelled_call_leaves_the_messages_to_the_next_one() {
    let redis = RedisServer::start();
    let dir = stage();
    let session = McpSession::start(&anonymous(dir.path(), &redis));
    let sender = Launch::new(dir.path(), "sender").redis(&redis).brisk().start();
    session.until("both are there", secs(20.0), |state| online(state).len() == 2);
    let line = json!({"jsonrpc": "2.0", "id": "waits", "method": "tools/call", "params":
        {"name": "distributed_sync_messages", "arguments": {"wait_ms": 600_000}}});
    session.process.send_raw(format!("{line}\n").as_bytes()).unwrap();
    session.ok("distributed_get_cluster_state", json!({}));
    session.notify("notifications/cancelled", json!({"requestId": "waits", "reason": "the person went away"}));
    session.ok("distributed_get_cluster_state", json!({}));
    sender.ok("distributed.sync_messages", json!({"messages": [{"id": "m", "payload": "for whom?"}], "limit": 0}));
    let next = session.begin("distributed_sync_messages", json!({"wait_ms": 10_000}));
    let got = next.wait(secs(20.0)).expect("not held up by the cancelled one").result.unwrap();
    assert_eq!(checked(&got, false)["received"][0]["payload"], "for whom?");
    assert!(session.process.mailbox().look(|inbox| !inbox.answers.contains_key("\"waits\"")));
}

fn wait_for_messages(session: &McpSession, id: &str, arguments: Value) {
    let params = json!({"name": "distributed_sync_messages", "arguments": arguments});
    let line = json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params});
    session.process.send_raw(format!("{line}\n").as_bytes()).unwrap();
    // An answer to a later call says that the earlier one is on its way.
    session.ok("distributed_get_cluster_state", json!({}));
}

#[test]
fn a_cancelled_call_that_waits_for_its_turn_takes_no_message() {
    let redis = RedisServer::start();
    let dir = stage();
    let session = McpSession::start(&anonymous(dir.path(), &redis));
    let sender = Launch::new(dir.path(), "sender").redis(&redis).brisk().start();
    session.until("both are there", secs(20.0), |state| online(state).len() == 2);
    wait_for_messages(&session, "first", json!({"wait_ms": 600_000, "limit": 1}));
    wait_for_messages(&session, "cancelled", json!({}));
    session.notify("notifications/cancelled", json!({"requestId": "cancelled"}));
    session.ok("distributed_get_cluster_state", json!({}));
    sender.ok("distributed.sync_messages", json!({"messages": ["one", "two"], "limit": 0}));
    let next = session.ok("distributed_sync_messages", json!({"wait_ms": 10_000}));
    let first = session.process.mailbox().look(|inbox| inbox.answers.get("\"first\"").cloned()).expect("an answer").1;
    assert_eq!(first["result"]["structuredContent"]["received"][0]["payload"], "one", "{first}");
    assert_eq!(next["received"][0]["payload"], "two", "{next}");
}

#[test]
fn masses_of_calls_that_wait_hold_up_neither_others_nor_the_end() {
    let redis = RedisServer::start();
    let dir = stage();
    let session = McpSession::start(&anonymous(dir.path(), &redis));
    session.until("it is a member", secs(20.0), |state| online(state).len() == 1);
    let mut waiting: Vec<_> =
        (0..400).map(|_| session.begin("distributed_sync_messages", json!({"wait_ms": 600_000}))).collect();
    let pong = session.process.request("ping", json!({})).expect("the session reads");
    pong.wait(secs(20.0)).expect("an answer").result.expect("a result");
    let last = waiting.pop().unwrap().wait(secs(20.0)).expect("an answer");
    let error = checked(&last.result.unwrap(), true);
    assert_eq!((&error["code"], &error["data"]["retryable"]), (&json!(-32006), &json!(true)), "{error}");
    session.process.close_stdin();
    session.process.exit_clean(secs(5.0));
}

#[test]
fn wrong_parameters_are_told_from_unknown_methods() {
    let redis = RedisServer::start();
    let dir = stage();
    let session = McpSession::start(&anonymous(dir.path(), &redis));
    for (method, params) in [
        ("tools/call", json!({"name": 3})),
        ("tools/call", json!({"name": "distributed_get_cluster_state", "arguments": []})),
        ("logging/setLevel", json!({"level": "loud"})),
        ("resources/read", json!({})),
        ("resources/subscribe", json!({"uri": 1})),
    ] {
        let error = session.process.refused(method, params, -32602);
        assert!(error.message.contains(method), "{error:?}");
    }
    session.process.refused("nonsense", json!({}), -32601);
    session.process.refused("prompts/list", json!({}), -32601);
    session.process.refused("resources/read", json!({"uri": "cluster://nowhere"}), -32002);
}
