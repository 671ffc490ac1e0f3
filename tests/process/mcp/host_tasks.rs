//! Calls that wait for long, as tasks of the protocol's extension.

use super::anonymous;
use serde_json::{Value, json};
use std::time::Duration;
use testkit::cluster::{online, stage};
use testkit::mcp::{McpSession, checked};
use testkit::wait::secs;
use testkit::wire::RpcError;
use testkit::{Launch, RedisServer, Serve, eventually};

const ACQUIRE: &str = "distributed_acquire_lease";
const EXTENSION: &str = "io.modelcontextprotocol/tasks";

/// What each request of a host carries that takes tasks, or takes none.
fn meta(takes_tasks: bool) -> Value {
    let extensions = if takes_tasks { json!({ EXTENSION: {} }) } else { json!({}) };
    json!({"io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "a test", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {"extensions": extensions}})
}

/// A host that takes tasks.
struct Host(McpSession);

impl Host {
    fn start(launch: &Launch) -> Self {
        Self(McpSession::silent(launch, &["mcp"]))
    }

    fn call(&self, tool: &str, arguments: Value) -> Value {
        self.0.process.ok("tools/call", json!({"name": tool, "arguments": arguments, "_meta": meta(true)}))
    }

    /// Calls a tool that must answer with a task; returns its id.
    fn begin(&self, tool: &str, arguments: Value) -> String {
        let task = self.call(tool, arguments);
        assert_eq!((&task["resultType"], &task["status"]), (&json!("task"), &json!("working")), "{task}");
        assert!(task["ttlMs"].is_u64() && task["pollIntervalMs"].is_u64() && task["createdAt"].is_string(), "{task}");
        task["taskId"].as_str().expect("an id").to_owned()
    }

    fn ask(&self, method: &str, id: &str) -> Result<Value, RpcError> {
        let answers = if method == "tasks/update" { json!({"nobody asked": {}}) } else { json!({}) };
        self.0.process.call(method, json!({"taskId": id, "inputResponses": answers, "_meta": meta(true)}))
    }

    fn get(&self, id: &str) -> Value {
        let task = self.ask("tasks/get", id).expect("a task");
        assert_eq!((&task["resultType"], &task["taskId"]), (&json!("complete"), &json!(id)), "{task}");
        task
    }

    /// A task once it has ended.
    fn end_of(&self, id: &str) -> Value {
        eventually("the task ends", secs(20.0), || {
            let task = self.get(id);
            if task["status"] == "working" { Err(task) } else { Ok(task) }
        })
    }

    /// Waits until the node is a member; returns its state.
    fn until_member(&self) -> Value {
        eventually("it is a member", secs(20.0), || {
            let state = self.call("distributed_get_cluster_state", json!({}))["structuredContent"].clone();
            if state["leader_id"].is_string() && !online(&state).is_empty() { Ok(state) } else { Err(state) }
        })
    }
}

/// A node that holds the lease `held`, and the token.
fn holder(base: &std::path::Path, redis: &RedisServer) -> (Serve, Value) {
    let node = Launch::new(base, "holder").redis(redis).brisk().start();
    node.until("it is a member", secs(20.0), |state| !online(state).is_empty());
    let lease = node.ok("distributed.acquire_lease", json!({"name": "held", "ttl_ms": 600_000}));
    (node, lease["token"].clone())
}

fn waiting(redis: &RedisServer, count: usize) {
    eventually(&format!("{count} wait for the lease"), secs(10.0), || {
        let waiting = redis.cli(&["ZCARD", "clawster:{openclaw}:queue:held"]);
        if waiting == count.to_string() { Ok(()) } else { Err(waiting) }
    });
}

fn wait_for_the_lease() -> Value {
    json!({"name": "held", "ttl_ms": 600_000, "wait_ms": 600_000})
}

#[test]
fn only_hosts_that_take_tasks_get_them_and_only_for_calls_that_wait() {
    let redis = RedisServer::start();
    let dir = stage();
    let launch = anonymous(dir.path(), &redis);
    let host = Host::start(&launch);
    let found = host.0.process.ok("server/discover", json!({"_meta": meta(false)}));
    assert!(found["capabilities"]["extensions"][EXTENSION].is_object(), "{found}");
    host.until_member();
    let lease = |wait_ms: u64| json!({"name": "free", "ttl_ms": 600_000, "wait_ms": wait_ms});
    let plain = json!({"name": ACQUIRE, "arguments": lease(100), "_meta": meta(false)});
    assert_eq!(checked(&host.0.process.ok("tools/call", plain), false)["acquired"], true);
    for arguments in [lease(0), json!({"name": "other", "ttl_ms": 1_000})] {
        checked(&host.call(ACQUIRE, arguments), false);
    }
    // A wait that is not allowed is refused at once.
    assert_eq!(checked(&host.call(ACQUIRE, lease(99_999_999)), true)["code"], -32602);
    let id = host.begin(ACQUIRE, lease(600_000));
    let undeclared = json!({"taskId": id, "_meta": meta(false)});
    let error = host.0.process.call("tasks/get", undeclared).expect_err("a host that takes no tasks");
    assert!(error.code == -32021, "{error:?}");
    for method in ["tasks/get", "tasks/update", "tasks/cancel"] {
        let error = host.ask(method, "nothing").expect_err("no such task");
        assert!(error.code == -32602 && error.message.contains("no task \"nothing\""), "{error:?}");
        let error = host.0.process.call(method, json!({"taskId": 1, "_meta": meta(true)})).expect_err("no id");
        assert!(error.code == -32602 && error.message.contains(method), "{error:?}");
    }
    host.ask("tasks/update", &id).expect("unknown answers are ignored");

    let older = McpSession::silent(&launch, &["mcp"]);
    let about = json!({"protocolVersion": "2025-11-25", "capabilities": {"extensions": {EXTENSION: {}}},
        "clientInfo": {"name": "a test", "version": "1"}});
    let said = older.process.ok("initialize", about);
    assert!(said["capabilities"].get("extensions").is_none(), "{said}");
    older.notify("notifications/initialized", json!({}));
    let once = json!({"name": "for the older one", "ttl_ms": 1_000, "wait_ms": 100});
    assert_eq!(older.ok(ACQUIRE, once)["acquired"], true);
    older.process.refused("tasks/get", json!({"taskId": id}), -32601);
}

#[test]
fn a_lease_is_granted_to_a_task_and_its_result_stays_the_same() {
    let redis = RedisServer::start();
    let dir = stage();
    let (node, token) = holder(dir.path(), &redis);
    let host = Host::start(&anonymous(dir.path(), &redis));
    host.until_member();
    let id = host.begin(ACQUIRE, wait_for_the_lease());
    waiting(&redis, 1);
    assert_eq!(host.get(&id)["status"], "working");
    node.ok("distributed.release_lease", json!(["held", token]));
    let task = host.end_of(&id);
    assert_eq!(task["status"], "completed", "{task}");
    let lease = checked(&task["result"], false);
    assert!(lease["acquired"] == true && lease["token"].as_u64() > token.as_u64(), "{lease}");
    assert_eq!(host.get(&id), task, "asking again grants nothing else");
    host.ask("tasks/cancel", &id).expect("too late, and no error");
    assert_eq!(host.get(&id)["status"], "completed");
    let check = node.ok("distributed.check_lease", json!({"name": "held", "token": lease["token"]}));
    assert_eq!(check["valid"], true, "{check}");
}

#[test]
fn tasks_of_the_cluster_and_messages_are_waited_for() {
    let redis = RedisServer::start();
    let dir = stage();
    let sender = Launch::new(dir.path(), "sender").redis(&redis).brisk().start();
    let host = Host::start(&anonymous(dir.path(), &redis));
    host.until_member();
    let claims = host.begin("distributed_claim_tasks", json!({"kinds": ["k"], "wait_ms": 60_000}));
    sender.until("both are there", secs(20.0), |state| online(state).len() == 2);
    sender.ok("distributed.submit_task", json!({"id": "t", "kind": "k", "payload": 1}));
    let claimed = checked(&host.end_of(&claims)["result"], false);
    assert_eq!(claimed["tasks"][0]["task_id"], "t", "{claimed}");
    let done = json!({"task_id": "t", "token": claimed["tasks"][0]["token"]});
    checked(&host.call("distributed_complete_task", done), false);

    let send =
        |id: &str| sender.ok("distributed.sync_messages", json!({"messages": [{"id": id, "payload": id}], "limit": 0}));
    let received = |id: &str| checked(&host.end_of(id)["result"], false)["received"].clone();
    let first = host.begin("distributed_sync_messages", json!({"wait_ms": 60_000}));
    send("one");
    assert_eq!(received(&first)[0]["payload"], "one");
    let given_up = host.begin("distributed_sync_messages", json!({"wait_ms": 60_000}));
    host.ask("tasks/cancel", &given_up).expect("cancelled");
    assert_eq!(host.end_of(&given_up)["status"], "cancelled");
    let next = host.begin("distributed_sync_messages", json!({"wait_ms": 60_000}));
    send("two");
    assert_eq!(received(&next)[0]["payload"], "two", "left by the cancelled one");
    // Nobody submits one; the time passes.
    let nothing = host.begin("distributed_claim_tasks", json!({"kinds": ["k"], "wait_ms": 200}));
    assert_eq!(checked(&host.end_of(&nothing)["result"], false)["tasks"], json!([]));
}

#[test]
fn a_cancelled_task_leaves_the_queue_and_takes_no_lease_along() {
    let redis = RedisServer::start();
    let dir = stage();
    let (node, mut token) = holder(dir.path(), &redis);
    let host = Host::start(&anonymous(dir.path(), &redis));
    host.until_member();
    let id = host.begin(ACQUIRE, wait_for_the_lease());
    waiting(&redis, 1);
    host.ask("tasks/cancel", &id).expect("cancelled");
    let task = host.end_of(&id);
    assert!(task["status"] == "cancelled" && task.get("result").is_none(), "{task}");
    waiting(&redis, 0);

    // Now the lease is released at about the moment of the cancellation: it goes to the task or to nobody.
    let (mut completed, mut cancelled) = (0, 0);
    for round in 0..40_u64 {
        let id = host.begin(ACQUIRE, wait_for_the_lease());
        waiting(&redis, 1);
        std::thread::scope(|scope| {
            scope.spawn(|| node.ok("distributed.release_lease", json!(["held", token])));
            std::thread::sleep(Duration::from_micros(round * 100));
            host.ask("tasks/cancel", &id).expect("cancelled");
        });
        let task = host.end_of(&id);
        if task["status"] == "completed" {
            completed += 1;
            let lease = checked(&task["result"], false);
            checked(&host.call("distributed_release_lease", json!({"name": "held", "token": lease["token"]})), false);
        } else {
            cancelled += 1;
            assert_eq!(task["status"], "cancelled", "{task}");
        }
        let lease = node.ok("distributed.acquire_lease", json!({"name": "held", "ttl_ms": 600_000, "wait_ms": 10_000}));
        assert_eq!(lease["acquired"], true, "round {round}: lost to {task}");
        token = lease["token"].clone();
    }
    println!("{completed} were granted the lease, {cancelled} were not");
}

#[test]
fn a_session_keeps_so_many_tasks_and_nothing_waits_after_its_end() {
    let redis = RedisServer::start();
    let dir = stage();
    let launch = Launch::new(dir.path(), "gateway").redis(&redis).brisk();
    let node = launch.start();
    node.until("it is a member", secs(20.0), |state| !online(state).is_empty());
    let (_holder, token) = holder(dir.path(), &redis);
    let host = Host::start(&launch);
    assert_eq!(host.until_member()["node_id"], "gateway");
    let ids: Vec<String> = (0..24).map(|_| host.begin(ACQUIRE, wait_for_the_lease())).collect();
    waiting(&redis, 24);
    let error = checked(&host.call(ACQUIRE, wait_for_the_lease()), true);
    assert_eq!((&error["code"], &error["data"]["retryable"]), (&json!(-32006), &json!(true)), "{error}");
    assert!(error["message"].as_str().is_some_and(|text| text.contains("24 tasks")), "{error}");
    // A call that is no task may still wait.
    let plain = json!({"name": "distributed_sync_messages", "arguments": {"wait_ms": 100}, "_meta": meta(false)});
    checked(&host.0.process.ok("tools/call", plain), false);
    host.ask("tasks/cancel", &ids[7]).expect("cancelled");
    assert_eq!(host.end_of(&ids[7])["status"], "cancelled");
    host.begin(ACQUIRE, wait_for_the_lease());
    assert_eq!(host.ask("tasks/get", &ids[7]).expect_err("it made room").code, -32602);
    waiting(&redis, 24);
    host.0.process.close_stdin();
    host.0.process.exit_clean(secs(5.0));
    waiting(&redis, 0);
    assert!(token.is_u64() && node.runs());
}
