//! What keeps a task back, from outside: tasks that must be done first, how many of a key run at once, and why one does not run.

use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use testkit::wait::secs;
use testkit::{RedisServer, Serve, Trio, clawster, eventually};

const SUBMIT: &str = "distributed.submit_task";
const CLAIM: &str = "distributed.claim_tasks";
const COMPLETE: &str = "distributed.complete_task";
const GET: &str = "distributed.get_task";

fn claim(node: &Serve, kind: &str, wait_ms: u64) -> Option<Value> {
    let answer = node.ok(CLAIM, json!({"kinds": [kind], "wait_ms": wait_ms}));
    answer["tasks"].get(0).cloned()
}

fn reason(node: &Serve, id: &str) -> String {
    let task = node.ok(GET, json!([id]));
    assert!(task["waits_for"]["detail"].as_str().is_none_or(|text| !text.is_empty()), "{task}");
    task["waits_for"]["reason"].as_str().unwrap_or("none").to_owned()
}

#[test]
fn a_chain_of_tasks_runs_in_order_on_three_nodes_though_one_is_killed() {
    let redis = RedisServer::start();
    let trio = Trio::brisk(&redis);
    let count = 30;
    for n in 0..count {
        let after: Vec<String> = (n > 0).then(|| format!("step-{}", n - 1)).into_iter().collect();
        let params =
            json!({"id": format!("step-{n}"), "kind": "step", "payload": n, "after": after, "max_attempts": 9});
        trio.nodes[n % 3].ok(SUBMIT, params);
    }
    assert_eq!((reason(&trio.nodes[0], "step-0"), reason(&trio.nodes[1], "step-9")), ("worker".into(), "after".into()));
    // The node that dies takes a task with it.
    let lost = claim(&trio.nodes[2], "step", 10_000).expect("the first step");
    assert_eq!(lost["task_id"], "step-0");
    trio.nodes[2].kill9();
    let order = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for node in &trio.nodes[..2] {
            scope.spawn(|| {
                while order.lock().unwrap().len() < count {
                    let Some(task) = claim(node, "step", 500) else { continue };
                    let n = task["payload"].as_u64().expect("its number");
                    if n > 0 {
                        let before = node.ok(GET, json!([format!("step-{}", n - 1)]));
                        assert_eq!((&before["state"], &before["result"]), (&json!("done"), &json!({"was": n - 1})));
                    }
                    order.lock().unwrap().push(n);
                    let result = json!({"task_id": task["task_id"], "token": task["token"], "result": {"was": n}});
                    node.ok(COMPLETE, result);
                }
            });
        }
    });
    assert_eq!(order.into_inner().unwrap(), (0..count as u64).collect::<Vec<_>>());
}

#[test]
fn so_many_tasks_of_a_key_run_at_once_on_three_nodes() {
    let redis = RedisServer::start();
    let trio = Trio::brisk(&redis);
    let (keys, count) = (["one", "two"], 60);
    for n in 0..count {
        let max = 1 + n % 2;
        let params = json!({"kind": "crawl", "payload": n % 2, "concurrency_key": keys[n % 2], "max_concurrent": max});
        trio.nodes[n % 3].ok(SUBMIT, params);
    }
    let running = Mutex::new(BTreeMap::<u64, (usize, usize)>::new());
    let done = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for at in 0..9 {
            let (node, running, done) = (&trio.nodes[at % 3], &running, &done);
            scope.spawn(move || {
                while done.load(Ordering::SeqCst) < count {
                    let Some(task) = claim(node, "crawl", 300) else { continue };
                    let key = task["payload"].as_u64().expect("its key");
                    {
                        let mut running = running.lock().unwrap();
                        let (now, most) = running.entry(key).or_default();
                        *now += 1;
                        *most = (*most).max(*now);
                    }
                    assert_eq!(node.ok(GET, json!([task["task_id"]]))["state"], "running");
                    running.lock().unwrap().get_mut(&key).unwrap().0 -= 1;
                    node.ok(COMPLETE, json!([task["task_id"], task["token"]]));
                    done.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
    });
    let most: Vec<usize> = running.into_inner().unwrap().values().map(|(_, most)| *most).collect();
    assert!(most[0] <= 1 && most[1] <= 2, "{most:?} ran at once");
}

#[test]
fn a_task_says_why_it_does_not_run() {
    let redis = RedisServer::start();
    let trio = Trio::brisk(&redis);
    let node = &trio.nodes[0];
    let submit = |params: Value| node.ok(SUBMIT, params);
    submit(json!({"id": "ready", "kind": "a", "payload": 1}));
    submit(json!({"id": "gpu", "kind": "a", "payload": 1, "requires": {"capabilities": ["gpu"]}}));
    submit(json!({"id": "later", "kind": "a", "payload": 1, "delay_ms": 600_000}));
    submit(json!({"id": "behind", "kind": "a", "payload": 1, "after": ["later"]}));
    submit(json!({"id": "k1", "kind": "b", "payload": 1, "concurrency_key": "k"}));
    submit(json!({"id": "k2", "kind": "b", "payload": 1, "concurrency_key": "k"}));
    let first = claim(node, "b", 0).expect("the first of its key");
    assert_eq!(claim(node, "b", 0), None);
    let expected = [
        ("ready", "worker"),
        ("gpu", "requires"),
        ("later", "delay"),
        ("behind", "after"),
        ("k1", "none"),
        ("k2", "concurrency"),
    ];
    for (id, why) in expected {
        assert_eq!(reason(&trio.nodes[1], id), why, "{id}");
    }
    let shown = clawster(&trio.launches[0], &["tasks", "list"]).expect(0);
    assert!(shown.stdout.contains("capability gpu") && shown.stdout.contains("must be done first: later"), "{shown:?}");
    let shown = clawster(&trio.launches[0], &["tasks", "get", "behind"]).expect(0);
    assert!(shown.stdout.contains("Waits for these tasks must be done first: later"), "{shown:?}");
    node.ok("distributed.fail_task", json!([first["task_id"], first["token"], "no luck"]));
    assert_eq!(reason(node, "k1"), "retry");
    let next = claim(node, "b", 5_000).expect("the second of its key");
    assert_eq!(next["task_id"], "k2");
    node.ok("distributed.cancel_task", json!(["later"]));
    eventually("the one behind it fails", secs(5.0), || {
        let task = node.ok(GET, json!(["behind"]));
        let error = task["error"].as_str().unwrap_or_default();
        if error == "task later, which must be done first, was cancelled" { Ok(()) } else { Err(task.to_string()) }
    });
    let unknown = node.refused(SUBMIT, json!({"kind": "a", "payload": 1, "after": ["ready", "ghost"]}), -32009);
    assert!(unknown.message.contains("ghost"), "{unknown:?}");
    let alone = node.refused(SUBMIT, json!({"kind": "a", "payload": 1, "max_concurrent": 2}), -32602);
    assert!(alone.message.contains("concurrency_key"), "{alone:?}");
}

#[test]
fn a_mistyped_payload_is_not_submitted_as_a_text() {
    let redis = RedisServer::start();
    let trio = Trio::brisk(&redis);
    let run = |arguments: &[&str]| clawster(&trio.launches[0], arguments);
    let refused = run(&["tasks", "submit", "mail", "{\"to\": \"a\",}"]).expect(2);
    assert!(refused.stderr.contains("not valid JSON") && refused.stderr.contains("--text"), "{refused:?}");
    run(&["tasks", "submit", "mail", "{\"to\": \"a\",}", "--text"]).expect(0);
    run(&["tasks", "submit", "mail", "plain words"]).expect(0);
    assert_eq!(trio.nodes[0].ok("distributed.list_tasks", json!({}))["tasks"].as_array().map(Vec::len), Some(2));
}
