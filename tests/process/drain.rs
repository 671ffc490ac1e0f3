//! Draining: no new work, leadership handed over, what runs goes on; and a rolling restart that loses and doubles nothing.

use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use testkit::cluster::member;
use testkit::wait::{Ends, secs};
use testkit::{Launch, RedisServer, Serve, Trio, clawster, eventually};

const CLAIM: &str = "distributed.claim_tasks";

fn drain(node: &Serve, enabled: bool) -> Value {
    node.ok("distributed.drain", json!({"enabled": enabled}))
}

#[test]
fn a_drain_that_a_full_redis_refuses_did_not_begin() {
    let redis = RedisServer::start();
    let dir = testkit::cluster::stage();
    let node = Launch::new(dir.path(), "alone").redis(&redis).brisk().start();
    node.until("it leads", secs(20.0), |state| state["role"] == "leader");
    redis.cli(&["CONFIG", "SET", "maxmemory", "100000"]);
    node.refused("distributed.drain", json!({"enabled": true}), -32002);
    redis.cli(&["CONFIG", "SET", "maxmemory", "0"]);
    let works = |state: &Value| {
        state["role"] == "leader" && member(state, "alone").is_some_and(|row| row["status"] == "online")
    };
    node.until("it leads and does not drain", secs(20.0), works);
    drain(&node, true);
    redis.cli(&["CONFIG", "SET", "maxmemory", "100000"]);
    drain(&node, false);
    redis.cli(&["CONFIG", "SET", "maxmemory", "0"]);
    node.until("it leads again", secs(20.0), works);
}

#[test]
fn a_draining_leader_hands_over_and_takes_no_new_work() {
    let redis = RedisServer::start();
    let trio = Trio::brisk(&redis);
    let at = trio.settled(secs(20.0));
    let (node, other) = (&trio.nodes[at], trio.others(at)[0]);
    let term = node.state()["term"].clone();
    let lease = node.ok("distributed.acquire_lease", json!(["kept", 60_000]));
    node.ok("distributed.submit_task", json!({"id": "t1", "kind": "k", "payload": 1}));
    let claimed = node.ok(CLAIM, json!({"kinds": ["k"]}));
    let drained = drain(node, true);
    let expected = json!({"node_id": node.label, "draining": true, "running_tasks": 1, "leases": 1});
    assert_eq!(drained, expected);
    assert_ne!(node.state()["role"], "leader", "it stops leading before it answers");
    other.until("another one leads", secs(10.0), |state| {
        state["leader_id"].is_string() && state["leader_id"] != node.label.as_str() && state["term"] != term
    });
    other.until("it is shown as draining", secs(10.0), |state| {
        member(state, &node.label).is_some_and(|row| row["status"] == "draining")
    });
    // New work is refused, what runs goes on.
    let refused = node.ok("distributed.acquire_lease", json!(["new", 60_000, 300]));
    assert_eq!(refused["acquired"], false);
    other.ok("distributed.submit_task", json!({"id": "t2", "kind": "k", "payload": 1}));
    assert_eq!(node.ok(CLAIM, json!({"kinds": ["k"], "wait_ms": 300})), json!({"tasks": []}));
    node.ok("distributed.renew_lease", json!(["kept", lease["token"]]));
    let task = &claimed["tasks"][0];
    node.ok("distributed.complete_task", json!([task["task_id"], task["token"]]));
    node.ok("distributed.release_lease", json!(["kept", lease["token"]]));
    let drained = drain(node, true);
    assert_eq!((&drained["running_tasks"], &drained["leases"]), (&json!(0), &json!(0)), "{drained}");
    // And back again: a claim that waits is served, and it may lead.
    let waiting = node.request(CLAIM, json!({"kinds": ["k"], "wait_ms": 30_000})).expect("sent");
    assert_eq!(drain(node, false)["draining"], false);
    let answer = waiting.wait(secs(10.0)).expect("served").result.expect("claimed");
    assert_eq!(answer["tasks"][0]["task_id"], "t2");
    node.ok("distributed.elect_leader", json!({"force": true}));
    assert_eq!(node.state()["role"], "leader");
}

#[test]
fn draining_outlives_a_loss_of_data_but_not_the_process() {
    let redis = RedisServer::start();
    let trio = Trio::brisk(&redis);
    drain(&trio.nodes[0], true);
    redis.cli(&["FLUSHALL"]);
    let draining = |state: &Value| member(state, "a").is_some_and(|row| row["status"] == "draining");
    trio.nodes[1].until("it drains again", secs(20.0), draining);
    trio.nodes[0].close_stdin();
    trio.nodes[0].exit_clean(secs(5.0));
    let again = trio.launches[0].start();
    again.until("a new process takes part", secs(20.0), |state| {
        member(state, "a").is_some_and(|row| row["status"] == "online")
    });
}

#[test]
fn drain_from_the_command_line_waits_until_nothing_runs() {
    let redis = RedisServer::start();
    let trio = Trio::brisk(&redis);
    let (node, launch) = (&trio.nodes[0], &trio.launches[0]);
    node.ok("distributed.submit_task", json!({"kind": "k", "payload": 1}));
    let claimed = node.ok(CLAIM, json!({"kinds": ["k"], "wait_ms": 5_000}));
    let text = clawster(launch, &["drain"]).expect(0).stdout;
    assert!(text.contains("1 task running"), "{text}");
    let refused = clawster(launch, &["drain", "--wait", "--timeout", "100ms"]).expect(4).stderr;
    assert!(refused.contains("still draining: 1 task running"), "{refused}");
    for ask in
        [["lease", "acquire", "l", "--ttl", "5s"].as_slice(), &["slots", "acquire", "s", "--slots", "1", "--ttl", "5s"]]
    {
        let refused = clawster(launch, ask).expect(4).stderr;
        assert!(refused.ends_with("this node is draining\n"), "{refused}");
    }
    let task = claimed["tasks"][0].clone();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| clawster(launch, &["drain", "--wait", "--json"]).expect(0));
        trio.nodes[1]
            .until("it drains", secs(10.0), |state| member(state, "a").is_some_and(|row| row["status"] == "draining"));
        assert!(!waiting.is_finished());
        node.ok("distributed.complete_task", json!([task["task_id"], task["token"]]));
        let drained = waiting.join().unwrap();
        assert_eq!(drained.json()["running_tasks"], 0);
    });
    assert!(clawster(launch, &["drain", "--off"]).expect(0).stdout.contains("takes new work"));
}

/// A node's place: it is restarted while others use it.
struct Place {
    launch: Launch,
    node: Mutex<Arc<Serve>>,
}

impl Place {
    fn get(&self) -> Arc<Serve> {
        Arc::clone(&self.node.lock().unwrap())
    }
}

#[test]
fn a_rolling_restart_under_load_loses_and_doubles_nothing() {
    const COUNT: usize = 1_200;
    let redis = RedisServer::start();
    let mut trio = Trio::brisk(&redis);
    let nodes = std::mem::take(&mut trio.nodes);
    let places: Vec<Place> = nodes
        .into_iter()
        .zip(&trio.launches)
        .map(|(node, launch)| Place { launch: launch.clone(), node: Mutex::new(Arc::new(node)) })
        .collect();
    let over = AtomicBool::new(false);
    let done: Mutex<HashMap<String, usize>> = Mutex::default();
    let attempts: Mutex<Vec<u64>> = Mutex::default();
    std::thread::scope(|scope| {
        let _ends = Ends(&over);
        for place in &places {
            let (over, done, attempts) = (&over, &done, &attempts);
            scope.spawn(move || {
                while !over.load(Ordering::SeqCst) {
                    let node = place.get();
                    let params = json!({"kinds": ["job"], "limit": 5, "wait_ms": 200});
                    let Ok(Ok(claimed)) = node.ask(CLAIM, params, secs(10.0)).map(|answer| answer.result) else {
                        std::thread::yield_now();
                        continue;
                    };
                    for task in claimed["tasks"].as_array().into_iter().flatten() {
                        let (id, token) = (task["task_id"].as_str().unwrap(), &task["token"]);
                        let settled = node.ok("distributed.complete_task", json!([id, token]));
                        assert_eq!(settled["state"], "done");
                        *done.lock().unwrap().entry(id.to_owned()).or_default() += 1;
                        attempts.lock().unwrap().push(task["attempt"].as_u64().unwrap());
                    }
                }
            });
        }
        let (places_too, over_too) = (&places, &over);
        let submitting = scope.spawn(move || {
            for n in 0..COUNT {
                let params = json!({"id": format!("t{n}"), "kind": "job", "payload": n});
                loop {
                    let node = places_too[n % 3].get();
                    match node.ask("distributed.submit_task", params.clone(), secs(10.0)).map(|answer| answer.result) {
                        Ok(Ok(_)) => break,
                        _ => assert!(!over_too.load(Ordering::SeqCst)),
                    }
                }
            }
        });
        for (at, place) in places.iter().enumerate() {
            let outcome = clawster(&place.launch, &["drain", "--wait", "--json"]).expect(0).json();
            assert_eq!((&outcome["running_tasks"], &outcome["leases"]), (&json!(0), &json!(0)), "{outcome}");
            {
                let mut slot = place.node.lock().unwrap();
                slot.sigterm();
                slot.exit_clean(secs(10.0));
                *slot = Arc::new(place.launch.start());
            }
            let id = place.launch.label.clone();
            places[(at + 1) % 3].get().until("it is back", secs(20.0), |state| {
                member(state, &id).is_some_and(|row| row["status"] == "online")
            });
        }
        submitting.join().unwrap();
        eventually("every task is done", secs(120.0), || {
            let count = done.lock().unwrap().len();
            if count == COUNT { Ok(()) } else { Err(format!("{count} of {COUNT}")) }
        });
        over.store(true, Ordering::SeqCst);
    });
    let done = done.into_inner().unwrap();
    assert!(done.values().all(|count| *count == 1), "{done:?}");
    let again = attempts.into_inner().unwrap().iter().filter(|attempt| **attempt > 1).count();
    assert_eq!(again, 0, "a drained node had finished what it had claimed");
}
