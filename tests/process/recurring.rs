//! Tasks that come again by the clock: one for each slot, whichever node leads, and what becomes of missed slots.

use serde_json::{Value, json};
use std::collections::BTreeSet;
use testkit::wait::secs;
use testkit::{RedisServer, Serve, Trio, clawster, eventually, hold, stamp};

const SCHEDULE: &str = "distributed.schedule_task";
const LIST: &str = "distributed.list_schedules";
const PAUSE: &str = "distributed.pause_schedule";

fn schedule(node: &Serve, id: &str) -> Value {
    node.ok(LIST, json!({"id": id}))["schedules"][0].clone()
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("no number: {value}"))
}

/// The slots that have a task of this kind.
fn slots(node: &Serve, kind: &str) -> Vec<u64> {
    let tasks = node.ok("distributed.list_tasks", json!({"kind": kind, "limit": 1_000}))["tasks"].clone();
    let mut slots: Vec<u64> = tasks.as_array().unwrap().iter().map(|task| number(&task["scheduled_for_ms"])).collect();
    slots.sort_unstable();
    slots
}

fn until_slots(node: &Serve, kind: &str, count: usize) -> Vec<u64> {
    eventually(&format!("{count} tasks came"), secs(30.0), || {
        let there = slots(node, kind).len();
        if there >= count { Ok(()) } else { Err(there.to_string()) }
    });
    slots(node, kind)
}

/// Every slot has one task, and none is left out.
fn are_whole(slots: &[u64], every: u64) {
    assert_eq!(slots.iter().collect::<BTreeSet<_>>().len(), slots.len(), "a slot has two tasks: {slots:?}");
    assert!(slots.windows(2).all(|pair| pair[1] == pair[0] + every), "a slot has none: {slots:?}");
}

#[test]
fn every_slot_gets_one_task_though_leaders_are_killed() {
    let redis = RedisServer::start();
    let mut trio = Trio::brisk(&redis);
    let at = trio.settled(secs(20.0));
    let params = json!({"id": "often", "kind": "tick", "payload": {"n": 1}, "every_ms": 200, "missed": "all"});
    let planned = trio.others(at)[0].ok(SCHEDULE, params.clone());
    assert_eq!((&planned["schedule_id"], &planned["replaced"]), (&json!("often"), &json!(false)), "{planned}");
    until_slots(&trio.nodes[at], "tick", 8);
    assert_eq!(trio.nodes[at].ok(SCHEDULE, params)["replaced"], true, "the same again changes nothing");
    trio.nodes.remove(at).kill9();
    let nodes: Vec<&Serve> = trio.nodes.iter().collect();
    let next = testkit::cluster::settled(&nodes, secs(20.0));
    let there = slots(&trio.nodes[next], "tick").len();
    until_slots(&trio.nodes[next], "tick", there + 8);
    // A handover, with both nodes alive.
    let other = &trio.nodes[1 - next];
    other.ok("distributed.elect_leader", json!({"force": true}));
    let there = slots(other, "tick").len();
    let all = until_slots(other, "tick", there + 8);
    are_whole(&all, 200);
    let task = other.ok("distributed.get_task", json!([format!("often@{}", all[0])]));
    assert_eq!((&task["schedule_id"], &task["payload"]), (&json!("often"), &json!({"n": 1})), "{task}");
    other.ok("distributed.delete_schedule", json!(["often"]));
    other.refused("distributed.delete_schedule", json!(["often"]), -32009);
    other.refused(LIST, json!({"id": "often"}), -32009);
}

#[test]
fn a_new_schedule_does_not_wait_for_the_next_heartbeat_of_the_leader() {
    let redis = RedisServer::start();
    let trio = Trio::with(|launch| launch.redis(&redis).timing(20.0, 60.0, 60.0));
    let at = trio.settled(secs(30.0));
    let node = trio.others(at)[0];
    let begun = stamp();
    node.ok(SCHEDULE, json!({"id": "s", "kind": "soon", "payload": 1, "every_ms": 300}));
    until_slots(node, "soon", 3);
    let took = stamp() - begun;
    assert!(took < secs(10.0), "{took:?}");
}

/// Makes Redis say that the next slot of a schedule is this one, as after an outage.
fn set_next(redis: &RedisServer, id: &str, next: u64) {
    let next = next.to_string();
    redis.cli(&["HSET", &format!("clawster:{{openclaw}}:schedule:{id}"), "next", &next]);
    redis.cli(&["ZADD", "clawster:{openclaw}:schedules", &next, id]);
}

#[test]
fn missed_slots_follow_the_policy() {
    let redis = RedisServer::start();
    let trio = Trio::brisk(&redis);
    let node = &trio.nodes[trio.settled(secs(20.0))];
    let hour = 3_600_000;
    for policy in ["skip", "once", "all"] {
        let params = json!({"id": policy, "kind": policy, "payload": 1, "cron": "0 * * * *", "missed": policy});
        let next = number(&node.ok(SCHEDULE, params)["next_at_ms"]);
        assert_eq!(next % hour, 0, "on the hour");
        set_next(&redis, policy, next - 5 * hour);
        eventually("the schedule moves on", secs(20.0), || {
            let now = number(&schedule(node, policy)["next_at_ms"]);
            if now >= next { Ok(()) } else { Err(now.to_string()) }
        });
        // The first minute of an hour is no missed slot; the test may run in it.
        let (got, last) = (slots(node, policy), next - hour);
        match policy {
            "skip" => assert!(got.is_empty() || got == [last], "{got:?}"),
            "once" => assert_eq!(got, [last]),
            _ => assert_eq!(got, (1..=5).map(|n| next - (6 - n) * hour).collect::<Vec<_>>()),
        }
    }
}

#[test]
fn a_paused_schedule_submits_nothing_and_goes_on_without_what_it_missed() {
    let redis = RedisServer::start();
    let trio = Trio::brisk(&redis);
    let [a, b] = [&trio.nodes[0], &trio.nodes[1]];
    a.ok(SCHEDULE, json!({"id": "s", "kind": "p", "payload": 1, "every_ms": 200, "missed": "all"}));
    until_slots(a, "p", 3);
    let paused = b.ok(PAUSE, json!(["s", true]));
    assert_eq!((&paused["paused"], &paused["next_at_ms"]), (&json!(true), &Value::Null));
    let before = slots(a, "p");
    hold(secs(1.0), "five slots pass while it is paused");
    assert_eq!(slots(a, "p"), before, "nothing comes");
    assert_eq!(schedule(b, "s")["paused"], true);
    let on = b.ok(PAUSE, json!(["s", false]));
    let next = number(&on["next_at_ms"]);
    let after = until_slots(a, "p", before.len() + 3).split_off(before.len());
    assert_eq!(after[0], next, "it goes on with its next slot");
    assert!(next - before[before.len() - 1] > 1_000, "those that passed are left out");
    are_whole(&after, 200);
    b.refused(PAUSE, json!(["ghost", true]), -32009);
}

#[test]
fn commands_keep_schedules() {
    let redis = RedisServer::start();
    let trio = Trio::brisk(&redis);
    let run = |arguments: &[&str]| clawster(&trio.launches[0], arguments);
    let set = ["schedule", "set", "nightly", "report", "{}", "--cron", "30 3 * * *", "--tz", "Europe/Berlin"];
    let stored = run(&set).expect(0);
    assert!(stored.stdout.starts_with("Stored nightly; its next task comes at "), "{stored:?}");
    assert!(run(&set).expect(0).stdout.starts_with("Replaced nightly"));
    run(&["schedule", "set", "poll", "fetch", "words", "--every", "1h", "--missed", "once"]).expect(0);
    let list = run(&["schedule", "list"]).expect(0).stdout;
    assert!(list.contains("30 3 * * * Europe/Berlin") && list.contains("every 3600000 ms"), "{list}");
    assert!(run(&["schedule", "pause", "poll"]).expect(0).stdout.contains("paused"));
    let shown: Value =
        serde_json::from_str(&run(&["schedule", "get", "poll", "--json"]).expect(0).stdout).expect("JSON");
    assert_eq!(
        (&shown["paused"], &shown["payload"], &shown["missed"]),
        (&json!(true), &json!("words"), &json!("once"))
    );
    assert!(run(&["schedule", "resume", "poll"]).expect(0).stdout.contains("next task comes at"));
    run(&["schedule", "delete", "poll"]).expect(0);
    run(&["schedule", "set", "x", "y", "{}"]).expect(2);
    run(&["schedule", "set", "x", "y", "{oops", "--every", "1h"]).expect(2);
    let node = &trio.nodes[0];
    let wrong = |params: Value| node.refused(SCHEDULE, params, -32602).message;
    let base = |more: Value| {
        let mut params = json!({"id": "x", "kind": "y", "payload": 1});
        more.as_object().unwrap().iter().for_each(|(key, value)| params[key] = value.clone());
        params
    };
    let text = wrong(base(json!({"cron": "61 * * * *"})));
    assert!(text.contains("parameter cron") && text.contains("five fields"), "{text}");
    let text = wrong(base(json!({"cron": "* * * * *", "tz": "Mars/Olympus"})));
    assert!(text.contains("parameter tz") && text.contains("Europe/Berlin"), "{text}");
    assert!(wrong(base(json!({}))).contains("cron or every_ms"));
    assert!(wrong(base(json!({"cron": "* * * * *", "every_ms": 1_000}))).contains("not both"));
    assert!(wrong(base(json!({"every_ms": 1}))).contains("100 to"));
    assert!(wrong(base(json!({"every_ms": 1_000, "missed": "some"}))).contains("missed"));
}
