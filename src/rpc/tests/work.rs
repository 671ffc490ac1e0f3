//! The methods of leases, tasks and draining.

use super::*;

fn error(answer: &Value) -> (i64, &str, &str) {
    let error = &answer["error"];
    (error["code"].as_i64().unwrap(), error["data"]["kind"].as_str().unwrap(), error["message"].as_str().unwrap())
}

#[tokio::test]
async fn a_lease_is_granted_and_told_who_holds_it() {
    let mut host = Host::start();
    let answer = host.ask("distributed.acquire_lease", json!(["mine", 30_000, 500, "r1"])).await;
    let expected = json!({"name": "mine", "acquired": true, "token": 41, "holder": "a", "expires_at_ms": 9_000});
    assert_eq!(answer["result"], expected);
    let asked = host.node.work.acquired.lock().unwrap().pop().unwrap();
    assert_eq!((asked.ttl, asked.wait), (Duration::from_secs(30), Duration::from_millis(500)));
    assert_eq!(asked.request_id.as_deref(), Some("r1"));
    let answer = host.ask("distributed.acquire_lease", json!({"name": "other", "ttl_ms": 100})).await;
    assert_eq!((&answer["result"]["acquired"], &answer["result"]["holder"]), (&json!(false), &json!("b")));
    let answer = host.ask("distributed.acquire_lease", json!({"name": "free", "ttl_ms": 100})).await;
    let expected = json!({"name": "free", "acquired": false, "token": null, "holder": null, "expires_at_ms": null});
    assert_eq!(answer["result"], expected);
    assert_eq!(*host.node.work.taken_back.lock().unwrap(), 0, "its answer was written");
}

#[tokio::test]
async fn a_lease_is_renewed_checked_and_released_by_its_token() {
    let mut host = Host::start();
    let renewed = host.ask("distributed.renew_lease", json!(["mine", 41, 2_000])).await;
    assert_eq!(renewed["result"], json!({"name": "mine", "token": 41, "expires_at_ms": 12_000}));
    let released = host.ask("distributed.release_lease", json!(["mine", 41])).await;
    assert_eq!(released["result"], json!({"name": "mine", "released": true}));
    for (token, valid) in [(41, true), (40, false)] {
        let checked = host.ask("distributed.check_lease", json!({"name": "mine", "token": token})).await;
        assert_eq!(checked["result"], json!({"valid": valid}));
    }
    for method in ["distributed.renew_lease", "distributed.release_lease"] {
        let stale = host.ask(method, json!(["mine", 40])).await;
        assert_eq!((error(&stale).0, error(&stale).1), (-32007, "stale_token"), "{stale}");
        assert_eq!(stale["error"]["data"]["detail"], json!({"name": "mine", "token": 40}));
    }
}

#[tokio::test]
async fn one_key_or_several_run_once() {
    let mut host = Host::start();
    let one = host.ask("distributed.run_once", json!(["k", 1_000])).await;
    assert_eq!(one["result"], json!({"granted": true, "by": "a", "at_ms": 5}));
    let several = host.ask("distributed.run_once", json!({"keys": ["x", "taken"], "ttl_ms": 1})).await;
    let expected = json!({"results": [
        {"key": "x", "granted": true, "by": "a", "at_ms": 5}, {"key": "taken", "granted": false, "by": "a", "at_ms": 5}
    ]});
    assert_eq!(several["result"], expected);
}

#[tokio::test]
async fn a_task_is_submitted_with_defaults_and_claimed_with_its_own_payload() {
    let mut host = Host::start();
    let answer = host.ask("distributed.submit_task", json!({"kind": "mail", "payload": null})).await;
    assert_eq!(answer["result"], json!({"task_id": "generated", "duplicate": false}));
    let draft = host.node.work.drafts.lock().unwrap().pop().unwrap();
    assert_eq!((draft.payload.get(), draft.max_attempts, draft.timeout), ("null", 3, Duration::from_secs(30)));
    let requires = json!({"capabilities": ["gpu"], "labels": {"zone": "eu"}, "node_id": "b"});
    let params = json!(["id-1", "mail", [1, 2], requires, 5, 1_000, 1, 60_000]);
    let answer = host.ask("distributed.submit_task", params).await;
    assert_eq!(answer["result"], json!({"task_id": "id-1", "duplicate": true}));
    let draft = host.node.work.drafts.lock().unwrap().pop().unwrap();
    assert_eq!((draft.priority.get(), draft.delay, draft.max_attempts), (5, Duration::from_secs(1), 1));
    assert_eq!(draft.requires.canonical(), r#"{"capabilities":["gpu"],"labels":{"zone":"eu"},"node_id":"b"}"#);

    host.line(r#"{"jsonrpc":"2.0","id":1,"method":"distributed.claim_tasks","params":[["mail"],5,100]}"#).await;
    let text = host.next_text().await.unwrap();
    assert!(text.contains(r#""payload":{"n": 1.10}"#), "{text}");
    let claimed: Value = serde_json::from_str(&text).unwrap();
    let task = &claimed["result"]["tasks"][0];
    assert_eq!((&task["task_id"], &task["attempt"], &task["token"]), (&json!("t1"), &json!(2), &json!(41)));
    let claim = host.node.work.claims.lock().unwrap().pop().unwrap();
    assert_eq!((claim.limit, claim.wait, claim.kinds.len()), (5, Duration::from_millis(100), 1));
    assert_eq!(*host.node.work.taken_back.lock().unwrap(), 0);
}

#[tokio::test]
async fn leases_are_listed_and_more_of_them_are_told() {
    let mut host = Host::start();
    let list = host.ask("distributed.list_leases", json!([2])).await;
    let expected = json!({
        "leases": [
            {"name": "mine", "holder": "b", "token": 41, "expires_at_ms": 9_000, "waiting": 2},
            {"name": "kept", "holder": null, "token": 41, "expires_at_ms": null, "waiting": 2},
        ],
        "more": true,
    });
    assert_eq!(list["result"], expected);
    assert_eq!(host.ask("distributed.list_leases", json!({})).await["result"]["more"], false);
    for wrong in [0, 1_001] {
        assert_eq!(error(&host.ask("distributed.list_leases", json!({"limit": wrong})).await).0, -32602);
    }
}

#[tokio::test]
async fn tasks_are_settled_shown_and_listed() {
    let mut host = Host::start();
    for (method, params, state) in [
        ("complete_task", json!(["t1", 41, {"n": 1}]), "done"),
        ("fail_task", json!(["t1", 41, "no"]), "delayed"),
        ("fail_task", json!(["t1", 41, "no", false]), "failed"),
        ("cancel_task", json!(["t1"]), "failed"),
        ("redrive_task", json!({"task_id": "t1"}), "waiting"),
    ] {
        let answer = host.ask(&format!("distributed.{method}"), params).await;
        assert_eq!(answer["result"], json!({"task_id": "t1", "state": state}), "{method}");
    }
    let extended = host.ask("distributed.extend_task", json!(["t1", 41])).await;
    assert_eq!(extended["result"], json!({"task_id": "t1", "expires_at_ms": 50_000}));
    let stale = host.ask("distributed.complete_task", json!(["t1", 40])).await;
    assert_eq!(error(&stale).0, -32007);
    let ghost = host.ask("distributed.cancel_task", json!(["ghost"])).await;
    assert_eq!((error(&ghost).0, error(&ghost).1), (-32009, "not_found"));
    let listed = json!({
        "task_id": "t1", "state": "dead", "attempts": 3, "max_attempts": 3, "kind": "mail", "priority": -7,
        "requires": {"capabilities": [], "labels": {}}, "timeout_ms": 30_000, "submitted_by": "a", "node_id": "b", "token": 41,
        "error": "no", "created_at_ms": 1, "changed_at_ms": 2, "due_at_ms": null, "waits_for": null,
        "after": [], "concurrency_key": null, "max_concurrent": null, "schedule_id": null, "scheduled_for_ms": null,
    });
    let list = host.ask("distributed.list_tasks", json!(["dead", 1])).await;
    assert_eq!(list["result"], json!({"tasks": [listed], "more": true}));
    let mut whole = listed;
    whole["payload"] = json!([1]);
    whole["result"] = Value::Null;
    assert_eq!(host.ask("distributed.get_task", json!(["t1"])).await["result"], whole);
    let drained = host.ask("distributed.drain", json!([true])).await;
    assert_eq!(drained["result"], json!({"node_id": "a", "draining": true, "running_tasks": 2, "leases": 1}));
}

#[tokio::test]
async fn what_cannot_be_told_is_taken_back() {
    let mut host = Host::with(Limits { drain: Duration::from_millis(50), ..Limits::default() }, 16);
    host.send(1, "distributed.claim_tasks", json!({})).await;
    host.send(2, "distributed.acquire_lease", json!(["mine", 1_000])).await;
    until("both were asked", || {
        host.node.work.claims.lock().unwrap().len() + host.node.work.acquired.lock().unwrap().len() == 2
    })
    .await;
    let taken_back = Arc::clone(&host.node.work.taken_back);
    assert_eq!(host.ended().await, Ended::InputClosed);
    assert_eq!(*taken_back.lock().unwrap(), 2);
}

#[tokio::test]
async fn wrong_parameters_of_work_are_named() {
    let mut host = Host::start();
    for (method, params, part) in [
        ("acquire_lease", json!(["a*b", 1_000]), "parameter name: lease name \"a*b\" is not allowed"),
        ("acquire_lease", json!(["a", 99]), "parameter ttl_ms: it is 99, 100 to 86400000 is allowed"),
        ("acquire_lease", json!({"name": "a", "ttl_ms": 100, "wait_ms": 3_600_001}), "parameter wait_ms"),
        ("acquire_lease", json!({"name": "a", "ttl_ms": 100, "request_id": ""}), "parameter request_id"),
        ("run_once", json!({"ttl_ms": 1}), "parameter key: it is missing"),
        ("run_once", json!({"key": "a", "keys": ["b"], "ttl_ms": 1}), "parameter keys: give key or keys"),
        ("run_once", json!({"keys": [], "ttl_ms": 1}), "parameter keys: 0 keys were given"),
        ("run_once", json!({"key": "", "ttl_ms": 1}), "parameter key: a key has 0 bytes"),
        ("submit_task", json!({"kind": "a b", "payload": 1}), "parameter kind: kind \"a b\" is not allowed"),
        ("submit_task", json!({"kind": "a"}), "parameter payload: it is missing"),
        ("submit_task", json!({"kind": "a", "payload": 1, "priority": 1_001}), "parameter priority: priority 1001"),
        ("submit_task", json!({"kind": "a", "payload": 1, "max_attempts": 0}), "parameter max_attempts: it is 0"),
        (
            "submit_task",
            json!({"kind": "a", "payload": 1, "requires": {"gpu": 1}}),
            "parameter requires: unknown field",
        ),
        (
            "submit_task",
            json!({"kind": "a", "payload": 1, "requires": []}),
            "parameter requires: invalid type: sequence",
        ),
        ("claim_tasks", json!({"kinds": []}), "parameter kinds: name 1 to 100"),
        ("claim_tasks", json!({"limit": 1_001}), "parameter limit: it is 1001"),
        ("list_tasks", json!({"state": "lost"}), "parameter state: unknown variant"),
        ("get_task", json!({"task_id": ""}), "parameter task_id"),
        ("drain", json!({}), "parameter enabled: it is missing"),
    ] {
        let answer = host.ask(&format!("distributed.{method}"), params).await;
        assert_eq!(error(&answer).0, -32602, "{answer}");
        assert!(error(&answer).2.contains(part), "{answer} does not hold {part:?}");
    }
}
