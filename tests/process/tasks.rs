//! Tasks: each is done, none twice at a time, whatever dies meanwhile.
//!
//! `CLAWSTER_TEST_TASKS` sets how many the runs with killed workers submit (1,500 when unset); the ignored test submits 100,000.

use serde_json::{Value, json};
use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use testkit::cluster::{settled, stage};
use testkit::wait::{Ends, secs};
use testkit::{Launch, Proxy, RedisServer, Serve, Trio, eventually, hold, stamp};

const SUBMIT: &str = "distributed.submit_task";
const CLAIM: &str = "distributed.claim_tasks";
const COMPLETE: &str = "distributed.complete_task";

fn submit(node: &Serve, params: Value) -> String {
    node.ok(SUBMIT, params)["task_id"].as_str().expect("an id").to_owned()
}

fn claim(node: &Serve, kind: &str, limit: u64, wait_ms: u64) -> Vec<Value> {
    let answer = node.ok(CLAIM, json!({"kinds": [kind], "limit": limit, "wait_ms": wait_ms}));
    answer["tasks"].as_array().expect("tasks").clone()
}

fn state_of(node: &Serve, id: &str) -> Value {
    node.ok("distributed.get_task", json!([id]))
}

fn settle(node: &Serve, method: &str, task: &Value, more: Value) -> Value {
    let mut params = json!({"task_id": task["task_id"], "token": task["token"]});
    more.as_object().into_iter().flatten().for_each(|(key, value)| params[key] = value.clone());
    node.ok(method, params)
}

#[test]
fn a_task_goes_from_its_submission_to_its_result() {
    let redis = RedisServer::start();
    let trio = Trio::brisk(&redis);
    let [a, b, c] = [&trio.nodes[0], &trio.nodes[1], &trio.nodes[2]];
    let waiting = b.request(CLAIM, json!({"kinds": ["mail"], "wait_ms": 30_000})).expect("sent");
    let id = submit(a, json!({"id": "m-1", "kind": "mail", "payload": {"n": 1.5}}));
    assert_eq!(a.ok(SUBMIT, json!({"id": "m-1", "kind": "mail", "payload": 2}))["duplicate"], true);
    let answer = waiting.wait(secs(10.0)).expect("woken").result.expect("claimed");
    let task = &answer["tasks"][0];
    assert_eq!((&task["task_id"], &task["attempt"], &task["payload"]), (&json!(id), &json!(1), &json!({"n": 1.5})));
    assert_eq!(state_of(c, &id)["node_id"], "b");
    let until = settle(b, "distributed.extend_task", task, Value::Null);
    assert!(until["expires_at_ms"].as_u64() >= task["expires_at_ms"].as_u64());
    c.refused(COMPLETE, json!([id, task["token"].as_u64().unwrap() + 1]), -32007);
    assert_eq!(settle(b, COMPLETE, task, json!({"result": [1, "x"]}))["state"], "done");
    assert_eq!(settle(b, COMPLETE, task, json!({"result": [1, "x"]}))["state"], "done", "the same call again");
    let done = state_of(a, &id);
    assert_eq!((&done["state"], &done["result"], &done["attempts"]), (&json!("done"), &json!([1, "x"]), &json!(1)));
    a.refused("distributed.get_task", json!(["ghost"]), -32009);
    let error = a.refused(SUBMIT, json!({"kind": "big", "payload": "x".repeat(1 << 20)}), -32005);
    assert_eq!(error.data["kind"], "message_too_large");
    let listed = a.ok("distributed.list_tasks", json!({"state": "done", "kind": "mail"}));
    assert_eq!(listed["tasks"].as_array().unwrap().len(), 1, "{listed}");
}

#[test]
fn a_failed_task_is_tried_again_and_dies_after_its_last_try() {
    let redis = RedisServer::start();
    let trio = Trio::brisk(&redis);
    let node = &trio.nodes[0];
    let id = submit(node, json!({"kind": "poison", "payload": 1, "max_attempts": 2}));
    let first = claim(node, "poison", 1, 5_000);
    let failed = settle(node, "distributed.fail_task", &first[0], json!({"error": "no luck"}));
    assert_eq!(failed["state"], "delayed");
    let again = claim(&trio.nodes[1], "poison", 1, 20_000);
    assert_eq!((&again[0]["task_id"], &again[0]["attempt"]), (&json!(id), &json!(2)));
    settle(&trio.nodes[1], "distributed.fail_task", &again[0], json!({"error": "no luck"}));
    let dead = state_of(node, &id);
    assert_eq!((&dead["state"], &dead["error"]), (&json!("dead"), &json!("no luck")), "{dead}");
    for other in &trio.nodes {
        let note = other.event("the death is told", secs(10.0), |event| event["event"] == "cluster.task_dead");
        assert_eq!((&note.event()["task_id"], &note.event()["kind"]), (&json!(id), &json!("poison")));
    }
    assert_eq!(node.ok("distributed.redrive_task", json!([id]))["state"], "waiting");
    assert_eq!(claim(node, "poison", 1, 5_000)[0]["attempt"], 1);
    let cancelled = node.ok("distributed.cancel_task", json!([id]));
    assert_eq!(cancelled["state"], "failed");
    assert_eq!(state_of(node, &id)["error"], "cancelled");
    let id = submit(node, json!({"kind": "poison", "payload": 1}));
    let once = claim(node, "poison", 1, 5_000);
    settle(node, "distributed.fail_task", &once[0], json!({"error": "for good", "retry": false}));
    assert_eq!(state_of(node, &id)["state"], "failed");
}

#[test]
fn what_is_due_between_two_beats_does_not_wait_for_the_next() {
    let redis = RedisServer::start();
    let trio = Trio::with(|launch| launch.redis(&redis).timing(20.0, 60.0, 60.0));
    let [a, b, c] = [&trio.nodes[0], &trio.nodes[1], &trio.nodes[2]];
    let begun = stamp();
    let delayed = submit(a, json!({"kind": "soon", "payload": 1, "delay_ms": 300}));
    let task = claim(b, "soon", 1, 30_000);
    assert_eq!(task[0]["task_id"], json!(delayed));
    settle(b, "distributed.fail_task", &task[0], json!({"error": "no luck"}));
    assert_eq!(claim(c, "soon", 1, 30_000)[0]["attempt"], 2, "tried again after its pause");
    let silent = submit(a, json!({"kind": "silent", "payload": 1, "timeout_ms": 300}));
    assert_eq!(claim(b, "silent", 1, 0)[0]["task_id"], json!(silent));
    assert_eq!(claim(c, "silent", 1, 30_000)[0]["attempt"], 2, "taken from its silent worker");
    let took = stamp() - begun;
    assert!(took < secs(8.0), "{took:?}");
}

#[test]
fn tasks_wait_for_their_time_and_for_a_node_that_fits() {
    let redis = RedisServer::start();
    let trio = Trio::brisk(&redis);
    trio.nodes[1].ok("distributed.join_cluster", json!({"capabilities": ["gpu"], "labels": {"zone": "eu"}}));
    let fits = submit(&trio.nodes[0], json!({"kind": "k", "payload": 1, "requires": {"capabilities": ["gpu"]}}));
    let named = submit(&trio.nodes[0], json!({"kind": "k", "payload": 1, "requires": {"node_id": "c"}}));
    let urgent = submit(&trio.nodes[0], json!({"kind": "p", "payload": 1}));
    let more_urgent = submit(&trio.nodes[0], json!({"kind": "p", "payload": 1, "priority": 5}));
    let ids = |tasks: Vec<Value>| tasks.iter().map(|t| t["task_id"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
    assert_eq!(ids(claim(&trio.nodes[0], "k", 10, 0)), [""; 0]);
    assert_eq!(ids(claim(&trio.nodes[1], "k", 10, 0)), [fits]);
    assert_eq!(ids(claim(&trio.nodes[2], "k", 10, 0)), [named]);
    assert_eq!(ids(claim(&trio.nodes[0], "p", 10, 0)), [more_urgent, urgent]);
    let begun = stamp();
    let later = submit(&trio.nodes[0], json!({"kind": "later", "payload": 1, "delay_ms": 1_500}));
    assert_eq!(ids(claim(&trio.nodes[2], "later", 1, 20_000)), [later]);
    let took = stamp() - begun;
    assert!(took >= secs(1.4) && took < secs(6.0), "{took:?}");
}

#[test]
fn large_payloads_come_in_several_claims() {
    let redis = RedisServer::start();
    let trio = Trio::brisk(&redis);
    for n in 0..9 {
        submit(&trio.nodes[0], json!({"id": format!("t{n}"), "kind": "large", "payload": "x".repeat(900_000)}));
    }
    let mut got = Vec::new();
    while got.len() < 9 {
        let claimed = claim(&trio.nodes[1], "large", 100, 5_000);
        assert!((1..=3).contains(&claimed.len()), "{} at once", claimed.len());
        got.extend(claimed.iter().map(|task| (task["task_id"].clone(), task["attempt"].clone())));
    }
    let each = (0..9).map(|n| (json!(format!("t{n}")), json!(1)));
    assert_eq!(got, each.collect::<Vec<_>>());
}

#[test]
fn a_task_of_a_killed_worker_goes_to_another_node() {
    let redis = RedisServer::start();
    let trio = Trio::brisk(&redis);
    let id = submit(&trio.nodes[0], json!({"kind": "k", "payload": 1, "timeout_ms": 600_000}));
    let first = claim(&trio.nodes[1], "k", 1, 5_000);
    trio.nodes[1].kill9();
    let second = claim(&trio.nodes[2], "k", 1, 30_000);
    assert_eq!((&second[0]["task_id"], &second[0]["attempt"]), (&json!(id), &json!(2)), "{second:?}");
    let stale = json!([id, first[0]["token"]]);
    trio.nodes[2].refused(COMPLETE, stale, -32007);
    settle(&trio.nodes[2], COMPLETE, &second[0], Value::Null);
}

#[test]
fn an_overdue_task_is_taken_from_its_worker() {
    let redis = RedisServer::start();
    let trio = Trio::brisk(&redis);
    let id = submit(&trio.nodes[0], json!({"kind": "slow", "payload": 1, "timeout_ms": 500}));
    let first = claim(&trio.nodes[0], "slow", 1, 5_000);
    let second = claim(&trio.nodes[1], "slow", 1, 20_000);
    assert_eq!((&second[0]["task_id"], &second[0]["attempt"]), (&json!(id), &json!(2)));
    trio.nodes[0].refused(COMPLETE, json!([id, first[0]["token"]]), -32007);
}

#[test]
fn a_lost_reply_loses_no_task_and_doubles_none() {
    let redis = RedisServer::start();
    let proxy = Proxy::start(redis.port());
    let port = proxy.port();
    let trio = Trio::with(|launch| {
        let launch = launch.redis(&redis).brisk();
        if launch.label == "a" { launch.port(port) } else { launch }
    });
    let node = &trio.nodes[0];
    let mut lost = 0;
    for round in 0..15 {
        proxy.drop_replies(1);
        let draft = json!({"id": format!("t{round}"), "kind": "k", "payload": round});
        let submitted = node.ok(SUBMIT, draft.clone());
        let id = &submitted["task_id"];
        assert_eq!(submitted["duplicate"], false, "round {round}: the node's own repeat is no duplicate");
        assert_eq!(node.ok(SUBMIT, draft)["duplicate"], true, "round {round}: the client's is");
        proxy.drop_replies(1);
        let claimed = claim(node, "k", 10, 10_000);
        assert_eq!(claimed.len(), 1, "round {round}: one task, claimed once: {claimed:?}");
        assert_eq!((&claimed[0]["task_id"], &claimed[0]["attempt"]), (&json!(id), &json!(1)));
        proxy.drop_replies(1);
        assert_eq!(settle(node, COMPLETE, &claimed[0], Value::Null)["state"], "done");
        lost += usize::from(proxy.replies_to_drop() == 0);
        proxy.drop_replies(0);
    }
    assert!(lost >= 8, "only {lost} of 15 replies were lost");
    assert!(claim(&trio.nodes[1], "k", 10, 0).is_empty());
    let done = node.ok("distributed.list_tasks", json!({"kind": "k", "limit": 100}));
    assert_eq!(done["tasks"].as_array().unwrap().len(), 15);
}

/// Submits `count` tasks, of which every hundredth fails each time, has `workers` nodes do them while one is killed every
/// `every`, and checks that each ended as it should.
fn done_though_workers_die(count: usize, workers: usize, every: Duration) {
    let redis = RedisServer::start();
    let dir = stage();
    let launches: Vec<Launch> =
        (0..=workers).map(|n| Launch::new(dir.path(), &format!("w{n}")).redis(&redis).brisk()).collect();
    let nodes: Vec<Mutex<Arc<Serve>>> = launches.iter().map(|launch| Mutex::new(Arc::new(launch.start()))).collect();
    let started: Vec<Arc<Serve>> = nodes.iter().map(|node| Arc::clone(&node.lock().unwrap())).collect();
    settled(&started.iter().map(|node| &**node).collect::<Vec<_>>(), secs(30.0));
    drop(started);
    let boss = Arc::clone(&nodes[0].lock().unwrap());
    let (over, completed) = (AtomicBool::new(false), AtomicUsize::new(0));
    let accepted: Mutex<HashMap<String, usize>> = Mutex::default();
    std::thread::scope(|scope| {
        let _ends = Ends(&over);
        for at in 1..=workers {
            let (nodes, over, completed, accepted) = (&nodes, &over, &completed, &accepted);
            scope.spawn(move || {
                while !over.load(Ordering::SeqCst) {
                    let node = Arc::clone(&nodes[at].lock().unwrap());
                    let params = json!({"kinds": ["job"], "limit": 50, "wait_ms": 500});
                    let Ok(claimed) = node.ask(CLAIM, params, secs(5.0)) else { continue };
                    let Ok(claimed) = claimed.result else { continue };
                    let tasks = claimed["tasks"].as_array().cloned().unwrap_or_default();
                    let settling: Vec<_> = tasks
                        .iter()
                        .filter_map(|task| {
                            let poison = task["payload"].as_u64().unwrap_or(0) % 100 == 99;
                            let (id, token) = (&task["task_id"], &task["token"]);
                            let pending = if poison {
                                node.request("distributed.fail_task", json!([id, token, "poison"]))
                            } else {
                                node.request(COMPLETE, json!([id, token]))
                            };
                            Some((task, poison, pending.ok()?))
                        })
                        .collect();
                    for (task, poison, pending) in settling {
                        let Ok(answer) = pending.wait(secs(5.0)) else { continue };
                        if answer.result.is_ok() && !poison {
                            completed.fetch_add(1, Ordering::SeqCst);
                            let id = task["task_id"].as_str().unwrap().to_owned();
                            *accepted.lock().unwrap().entry(id).or_default() += 1;
                        }
                    }
                }
            });
        }
        let pending: Vec<_> = (0..count)
            .map(|n| {
                let params = json!({"id": format!("t{n}"), "kind": "job", "payload": n, "max_attempts": if n % 100 == 99 { 2 } else { 1_000 }});
                boss.request(SUBMIT, params).expect("sent")
            })
            .collect();
        for one in pending {
            one.wait(secs(60.0)).expect("answered").result.expect("submitted");
        }
        let mut victim = 0;
        let end = stamp() + secs(600.0);
        let poisoned = count / 100;
        let left = |state: &str| {
            let list = boss.ok("distributed.list_tasks", json!({"state": state, "limit": 1_000, "kind": "job"}));
            list["tasks"].as_array().unwrap().len()
        };
        // A task may change its state between two lists, and be in neither: only the dead tell that all is over.
        while left("waiting") + left("running") + left("delayed") > 0 || left("dead") < poisoned {
            assert!(stamp() < end, "{} of {count} done", completed.load(Ordering::SeqCst));
            hold(every, "between the deaths of two workers");
            victim = victim % workers + 1;
            let mut slot = nodes[victim].lock().unwrap();
            slot.kill9();
            *slot = Arc::new(launches[victim].start());
        }
        over.store(true, Ordering::SeqCst);
        assert_eq!(left("dead").min(1_000), poisoned.min(1_000), "those that always fail are dead");
    });
    let accepted = accepted.into_inner().unwrap();
    let twice: Vec<_> = accepted.iter().filter(|(_, count)| **count > 1).collect();
    assert!(twice.is_empty(), "completed twice: {twice:?}");
    let all: HashSet<String> = (0..count).filter(|n| n % 100 != 99).map(|n| format!("t{n}")).collect();
    // A completion whose answer died with its worker counts as well: Redis has it.
    let unheard: Vec<&String> = all.iter().filter(|id| !accepted.contains_key(*id)).collect();
    for id in unheard {
        match boss.call("distributed.get_task", json!([id])) {
            Ok(task) => assert_eq!(task["state"], "done", "{task}"),
            // Of those that are done, only the newest 10,000 are kept.
            Err(error) => assert!(count > 10_000 && error.code == -32009, "{id}: {error:?}"),
        }
    }
}

#[test]
fn every_task_is_done_once_though_workers_are_killed() {
    let count = std::env::var("CLAWSTER_TEST_TASKS").ok().map_or(1_500, |text| text.parse().expect("a number"));
    done_though_workers_die(count, 3, secs(1.0));
}

#[test]
#[ignore = "takes minutes; run by make long"]
fn a_hundred_thousand_tasks_are_done_once_though_workers_are_killed() {
    done_though_workers_die(100_000, 8, secs(2.0));
}

#[test]
fn waiting_workers_cost_redis_next_to_nothing() {
    let redis = RedisServer::alone();
    let dir = stage();
    let launches: Vec<Launch> = (0..10).map(|n| Launch::new(dir.path(), &format!("n{n}")).redis(&redis)).collect();
    let nodes: Vec<Serve> = launches.iter().map(Launch::start).collect();
    settled(&nodes.iter().collect::<Vec<_>>(), secs(60.0));
    // What nodes send; what their scripts call inside the server is not counted.
    let calls = || ["evalsha", "xread", "xrange", "ping"].map(|command| redis.calls(command)).iter().sum::<u64>();
    let each_second = |why| {
        let before = calls();
        hold(secs(10.0), why);
        (calls() - before) as f64 / 10.0
    };
    let without = each_second("calls without workers are counted for 10 s");
    let waiting: Vec<_> = nodes
        .iter()
        .flat_map(|node| {
            (0..10).map(|_| node.request(CLAIM, json!({"kinds": ["k"], "wait_ms": 120_000})).expect("sent"))
        })
        .collect();
    hold(secs(2.0), "all workers have asked once and wait");
    let with = each_second("calls with 100 workers that wait are counted for 10 s");
    println!("{without} calls a second without workers, {with} with 100 that wait");
    let scripts = redis.calls("evalsha");
    submit(&nodes[0], json!({"kind": "k", "payload": 1}));
    eventually("one of them gets the task", secs(10.0), || {
        let got = waiting.iter().any(|one| one.wait(Duration::ZERO).is_ok());
        if got { Ok(()) } else { Err("nobody") }
    });
    println!("{} scripts for one task", redis.calls("evalsha") - scripts);
    assert!(
        with < 50.0 && with < without + 10.0,
        "{with} calls a second while nothing happens, {without} without workers"
    );
}
