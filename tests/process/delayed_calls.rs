//! Calls that arrive at Redis after their clients were told that it cannot be used: nobody holds what they are granted.

use serde_json::{Value, json};
use testkit::proxy::Mode;
use testkit::wait::secs;
use testkit::{Launch, Proxy, RedisServer, Serve, eventually};

const ACQUIRE: &str = "distributed.acquire_lease";
const ONCE: &str = "distributed.run_once";
const SUBMIT: &str = "distributed.submit_task";
const CLAIM: &str = "distributed.claim_tasks";

/// A node behind a network that can hold calls up.
struct Scene {
    redis: RedisServer,
    proxy: Proxy,
    node: Serve,
    _dir: tempfile::TempDir,
}

impl Scene {
    fn start() -> Self {
        let redis = RedisServer::start();
        let proxy = Proxy::start(redis.port());
        let dir = tempfile::tempdir().expect("a folder");
        let node = Launch::new(dir.path(), "a").port(proxy.port()).brisk().start();
        node.until("it leads", secs(20.0), |state| state["role"] == "leader");
        Self { redis, proxy, node, _dir: dir }
    }

    /// A call that is refused because its answer does not come, and lies in the network until [`Proxy::let_go`].
    fn hold(&self, method: &str, params: Value) {
        self.proxy.set(Mode::BlackHoleUp);
        let error = self.node.refused(method, params, -32002);
        assert_eq!(error.data["retryable"], true);
        self.proxy.hold_open_ones();
        self.proxy.set(Mode::Pass);
        self.node.until("Redis is back", secs(20.0), |state| state["redis"]["status"] == "ok");
        eventually("the call is withdrawn", secs(10.0), || {
            let marks = self.redis.cli(&["KEYS", "*:withdrawn:*"]);
            if marks.contains("withdrawn") { Ok(()) } else { Err("no mark") }
        });
    }
}

#[test]
fn a_lease_is_not_granted_after_its_client_gave_up() {
    let scene = Scene::start();
    scene.node.ok(ACQUIRE, json!({"name": "other", "ttl_ms": 1_000}));
    for (name, request_id) in [("mine", None), ("named", Some("r-1"))] {
        let mut params = json!({"name": name, "ttl_ms": 600_000});
        if let Some(id) = request_id {
            params["request_id"] = json!(id);
        }
        scene.hold(ACQUIRE, params.clone());
        scene.proxy.let_go();
        let holder = scene.redis.cli(&["HGET", &format!("clawster:{{openclaw}}:lease:{name}"), "holder"]);
        assert!(["", "(nil)"].contains(&holder.as_str()), "{name} is held by {holder}");
        let lease = scene.node.ok(ACQUIRE, params);
        assert_eq!(lease["acquired"], true, "the same request is a new one: {lease}");
        scene.redis.cli(&[
            "EVAL",
            "for _, k in ipairs(redis.call('KEYS', '*:withdrawn:*')) do redis.call('DEL', k) end",
            "0",
        ]);
    }
}

#[test]
fn a_key_is_not_granted_after_its_client_gave_up() {
    let scene = Scene::start();
    for params in [json!({"key": "k", "ttl_ms": 600_000}), json!({"key": "n", "ttl_ms": 600_000, "request_id": "r"})] {
        scene.hold(ONCE, params.clone());
        scene.proxy.let_go();
        let answer = scene.node.ok(ONCE, json!({"key": params["key"], "ttl_ms": 600_000, "request_id": "another"}));
        assert_eq!(answer["granted"], true, "{params} was granted to nobody: {answer}");
        scene.redis.cli(&[
            "EVAL",
            "for _, k in ipairs(redis.call('KEYS', '*:withdrawn:*')) do redis.call('DEL', k) end",
            "0",
        ]);
    }
}

#[test]
fn a_key_that_a_repeated_request_was_granted_stays_granted() {
    let scene = Scene::start();
    let params = json!({"key": "k", "ttl_ms": 600_000, "request_id": "r"});
    scene.hold(ONCE, params.clone());
    assert_eq!(scene.node.ok(ONCE, params.clone())["granted"], true);
    scene.proxy.let_go();
    assert_eq!(scene.node.ok(ONCE, params)["granted"], true, "granted again to the same request");
    let other = scene.node.ok(ONCE, json!({"key": "k", "ttl_ms": 600_000, "request_id": "another"}));
    assert_eq!(other["granted"], false, "{other}");
}

#[test]
fn a_task_is_not_claimed_after_its_client_gave_up() {
    let scene = Scene::start();
    // A script that the server does not know yet is not run however late it is named.
    scene.node.ok(CLAIM, json!({"kinds": ["mail"]}));
    scene.hold(CLAIM, json!({"kinds": ["mail"]}));
    scene.node.ok(SUBMIT, json!({"id": "t", "kind": "mail", "payload": 1, "timeout_ms": 600_000}));
    scene.proxy.let_go();
    let claimed = scene.node.ok(CLAIM, json!({"kinds": ["mail"], "wait_ms": 10_000}));
    assert_eq!(claimed["tasks"][0]["task_id"], "t", "{claimed}");
    assert_eq!(claimed["tasks"][0]["attempt"], 1);
}

#[test]
fn a_submission_without_an_answer_names_the_id_to_repeat_it_with() {
    let scene = Scene::start();
    let submit = |id: Option<&Value>| {
        let mut task = json!({"kind": "mail", "payload": 1});
        if let Some(id) = id {
            task["id"] = id.clone();
        }
        task
    };
    scene.node.ok(SUBMIT, json!({"id": "warm", "kind": "other", "payload": 1}));
    scene.proxy.set(Mode::BlackHoleUp);
    let error = scene.node.refused(SUBMIT, submit(None), -32011);
    assert_eq!((&error.data["kind"], &error.data["retryable"]), (&json!("timeout"), &json!(false)));
    let id = &error.data["detail"]["task_id"];
    assert!(id.is_string(), "{error:?}");
    scene.node.refused(SUBMIT, submit(Some(&json!("mine"))), -32002);
    scene.proxy.set(Mode::Pass);
    scene.node.until("Redis is back", secs(20.0), |state| state["redis"]["status"] == "ok");
    scene.node.ok(SUBMIT, submit(Some(id)));
    assert_eq!(scene.node.ok(SUBMIT, submit(Some(id)))["duplicate"], true);
    let listed = scene.node.ok("distributed.list_tasks", json!({"kind": "mail"}));
    let ids =
        |of: &Value| listed["tasks"].as_array().expect("tasks").iter().filter(|task| task["task_id"] == *of).count();
    assert_eq!(ids(id), 1, "{listed}");
}
