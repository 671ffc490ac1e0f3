//! Questions between the agents of gateways, with the test in the place of the gateways' plugins.

use serde_json::{Value, json};
use std::time::Duration;
use testkit::cluster::stage;
use testkit::wait::secs;
use testkit::{Launch, RedisServer, Serve, eventually};

const ASK: &str = "distributed.ask_agent";
const TELL: &str = "distributed.tell_agent";
const TAKE: &str = "cluster.take_questions";

struct Pair {
    a: Serve,
    b: Serve,
    /// Starts `b` again after its death.
    of_b: Launch,
    _redis: RedisServer,
    _dir: tempfile::TempDir,
}

/// Node a may ask; node b accepts what `accept` says. Both know each other.
fn pair(ask: &str, accept: &str, tools: &str) -> Pair {
    let (redis, dir) = (RedisServer::start(), stage());
    let of_a = Launch::new(dir.path(), "a").redis(&redis).brisk().env("CLAWSTER__AGENTS__ASK", ask);
    let of_b = Launch::new(dir.path(), "b").redis(&redis).brisk();
    let of_b = of_b.env("CLAWSTER__AGENTS__ACCEPT_FROM", accept).env("CLAWSTER__AGENTS__TOOLS_FOR", tools);
    let (a, b) = (of_a.start(), of_b.start());
    known(&a, 2);
    known(&b, 2);
    Pair { a, b, of_b, _redis: redis, _dir: dir }
}

fn known(node: &Serve, count: usize) {
    eventually("the members know each other", secs(20.0), || {
        let state = node.call("distributed.get_cluster_state", json!({})).map_err(|error| format!("{error:?}"))?;
        let online = state["nodes"].as_array().into_iter().flatten().filter(|node| node["status"] == "online").count();
        if online == count { Ok(()) } else { Err(state.to_string()) }
    });
}

fn take(node: &Serve) -> Value {
    let taken = node.ok(TAKE, json!({"wait_ms": 20_000}));
    assert_eq!(taken["questions"].as_array().map(Vec::len), Some(1), "{taken}");
    taken["questions"][0].clone()
}

fn answer(node: &Serve, question: &Value, result: Value) {
    let params = json!({"task_id": question["task_id"], "token": question["token"], "result": result});
    node.ok("distributed.complete_task", params);
}

#[test]
fn a_question_reaches_the_other_gateway_and_its_reply_comes_back_once() {
    let pair = pair("true", "a", "");
    let params = json!({"to": "b", "message": "how is the disk?", "session": "ops", "request_id": "q1"});
    let asking = pair.a.request(ASK, params.clone()).expect("sent");
    let question = take(&pair.b);
    assert_eq!((&question["from"], &question["message"]), (&json!("a"), &json!("how is the disk?")));
    assert_eq!(
        (&question["session"], &question["tools"], &question["reply"]),
        (&json!("ops"), &json!(false), &json!(true))
    );
    answer(&pair.b, &question, json!({"state": "done", "reply": "fine"}));
    let asked = asking.wait(secs(20.0)).expect("answered").result.expect("asked");
    let expected = json!({"run_id": question["task_id"], "state": "done", "by": "b", "reply": "fine", "error": null});
    assert_eq!(asked, expected);
    assert_eq!(pair.a.ok(ASK, params), expected, "a repeated call asks nobody again");
    assert_eq!(pair.b.ok(TAKE, json!({}))["questions"], json!([]));
}

#[test]
fn neither_side_takes_part_unless_its_owner_allows_it() {
    let off = pair("false", "*", "*");
    let error = off.a.refused(ASK, json!({"to": "b", "message": "hello"}), -32010);
    assert_eq!((&error.data["kind"], &error.data["retryable"]), (&json!("forbidden"), &json!(false)));
    assert!(error.message.contains("agents.ask"), "{}", error.message);
    off.a.refused(TELL, json!({"message": "hello"}), -32010);

    let deaf = pair("true", "c", "");
    let asking = deaf.a.request(ASK, json!({"to": "b", "message": "hello"})).expect("sent");
    assert_eq!(deaf.b.ok(TAKE, json!({"wait_ms": 3_000}))["questions"], json!([]), "the gateway sees nothing of it");
    let asked = asking.wait(secs(20.0)).expect("answered").result.expect("asked");
    assert_eq!((&asked["state"], &asked["by"], &asked["reply"]), (&json!("refused"), &json!("b"), &Value::Null));
    assert!(asked["error"].as_str().unwrap().contains("agents.accept_from"), "{asked}");
}

#[test]
fn tools_are_allowed_by_sender_and_long_messages_by_neither_side() {
    let pair = pair("true", "*", "a");
    let asking = pair.a.request(ASK, json!({"to": "b", "message": "x".repeat(16 << 10)})).expect("sent");
    let question = take(&pair.b);
    assert_eq!(question["tools"], true);
    answer(&pair.b, &question, json!({"state": "failed", "error": "no model"}));
    let asked = asking.wait(secs(20.0)).expect("answered").result.expect("asked");
    assert_eq!((&asked["state"], &asked["error"]), (&json!("failed"), &json!("no model")));
    pair.a.refused(ASK, json!({"to": "b", "message": "x".repeat((16 << 10) + 1)}), -32005);
    pair.a.refused(ASK, json!({"to": "ghost", "message": "x"}), -32004);
    pair.a.refused(ASK, json!({"message": "x"}), -32602);
    pair.a.refused(ASK, json!({"to": "a", "message": "x"}), -32602);
}

#[test]
fn a_question_without_a_reply_in_time_is_cancelled() {
    let pair = pair("true", "a", "");
    let asking = pair.a.request(ASK, json!({"to": "b", "message": "hello", "timeout_ms": 3_000})).expect("sent");
    let question = take(&pair.b);
    let asked = asking.wait(secs(20.0)).expect("answered").result.expect("asked");
    assert_eq!((&asked["state"], &asked["by"]), (&json!("timeout"), &json!("b")), "{asked}");
    let params = json!({"task_id": question["task_id"], "token": question["token"]});
    pair.b.refused("distributed.extend_task", params, -32007);
    let late =
        pair.a.ok(ASK, json!({"to": "b", "message": "hello", "timeout_ms": 1, "wait": false, "request_id": "late"}));
    std::thread::sleep(Duration::from_millis(10)); // The question must be older than its time.
    assert_eq!(pair.b.ok(TAKE, json!({"wait_ms": 2_000}))["questions"], json!([]), "{late}");
    let again = json!({"to": "b", "message": "hello", "timeout_ms": 1, "wait": false, "request_id": "late"});
    assert_eq!(pair.a.ok(ASK, again)["state"], "timeout");
}

#[test]
fn a_question_survives_the_death_of_the_node_that_has_it() {
    let Pair { a, b, of_b, _redis, _dir } = pair("true", "a", "");
    let asking = a.request(ASK, json!({"to": "b", "message": "hello"})).expect("sent");
    let first = take(&b);
    b.kill9();
    let b = of_b.start();
    let second = take(&b);
    assert_eq!(first["task_id"], second["task_id"]);
    answer(&b, &second, json!({"state": "done", "reply": "hi"}));
    let asked = asking.wait(secs(20.0)).expect("answered").result.expect("asked");
    assert_eq!((&asked["state"], &asked["reply"]), (&json!("done"), &json!("hi")));
}

#[test]
fn a_question_survives_the_death_of_the_node_that_asks() {
    let (redis, dir) = (RedisServer::start(), stage());
    let of_a = Launch::new(dir.path(), "a").redis(&redis).brisk().env("CLAWSTER__AGENTS__ASK", "true");
    let of_b = Launch::new(dir.path(), "b").redis(&redis).brisk().env("CLAWSTER__AGENTS__ACCEPT_FROM", "a");
    let (a, b) = (of_a.start(), of_b.start());
    known(&a, 2);
    let params = json!({"to": "b", "message": "hello", "request_id": "q"});
    let _lost = a.request(ASK, params.clone()).expect("sent");
    let question = take(&b);
    a.kill9();
    let a = of_a.start();
    known(&a, 2);
    answer(&b, &question, json!({"state": "done", "reply": "hi"}));
    let asked = a.ok(ASK, params);
    assert_eq!((&asked["state"], &asked["reply"]), (&json!("done"), &json!("hi")), "the same question, its reply kept");
}

#[test]
fn a_question_can_be_cancelled() {
    let pair = pair("true", "a", "");
    let asking = pair.a.request(ASK, json!({"to": "b", "message": "hello", "request_id": "q"})).expect("sent");
    let question = take(&pair.b);
    pair.a.ok("distributed.cancel_task", json!([question["task_id"]]));
    let asked = asking.wait(secs(20.0)).expect("answered").result.expect("asked");
    assert_eq!((&asked["state"], &asked["error"]), (&json!("failed"), &json!("cancelled")));
    let params = json!({"task_id": question["task_id"], "token": question["token"]});
    pair.b.refused("distributed.extend_task", params, -32007);
}

#[test]
fn a_message_without_a_reply_reaches_every_other_member() {
    let pair = pair("true", "a", "");
    let told = pair.a.ok(TELL, json!({"message": "going down at noon", "request_id": "t1"}));
    assert_eq!(told["delivered_to"], json!(["b"]));
    let question = take(&pair.b);
    assert_eq!((&question["message"], &question["reply"]), (&json!("going down at noon"), &json!(false)));
    assert!(question["task_id"].as_str().unwrap().starts_with(told["run_id"].as_str().unwrap()));
    pair.a.ok(TELL, json!({"to": ["b"], "message": "going down at noon", "request_id": "t1"}));
    assert_eq!(pair.b.ok(TAKE, json!({}))["questions"], json!([]), "a repeated call tells nothing again");
    pair.a.refused(TELL, json!({"to": "ghost", "message": "x"}), -32004);
}

#[test]
fn clients_can_neither_claim_a_question_nor_submit_one_past_the_policy() {
    let pair = pair("true", "a", "");
    pair.a.ok(ASK, json!({"to": "b", "message": "hello", "wait": false}));
    assert_eq!(pair.b.ok("distributed.claim_tasks", json!({"limit": 10}))["tasks"], json!([]), "of any kind");
    pair.b.refused("distributed.claim_tasks", json!({"kinds": ["clawster.agent_question"]}), -32602);
    pair.b.refused("distributed.submit_task", json!({"kind": "clawster.agent_question", "payload": {}}), -32602);
    take(&pair.b);
}
