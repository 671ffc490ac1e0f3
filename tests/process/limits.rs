//! Limits across the cluster: a rate and a number of holders that three nodes share, whatever dies meanwhile.

use serde_json::{Value, json};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use testkit::wait::{Ends, secs};
use testkit::{Proxy, RedisServer, Trio, clawster, eventually, hold, stamp};

const TAKE: &str = "distributed.take_permits";
const ACQUIRE: &str = "distributed.acquire_slot";
const RELEASE: &str = "distributed.release_slot";

fn number(value: &Value, key: &str) -> u64 {
    value[key].as_u64().unwrap_or_else(|| panic!("no {key} in {value}"))
}

/// The times at which permits became valid keep a rate: in no span are there more than the burst and what the rate gives.
fn keeps_rate(mut at: Vec<u64>, rate: u64, per_ms: u64, burst: u64) -> Result<(), String> {
    at.sort_unstable();
    for (first, from) in at.iter().enumerate() {
        for (last, to) in at.iter().enumerate().skip(first) {
            let (count, span) = ((last - first + 1) as u64, to - from);
            // One millisecond more, because both times were rounded.
            let most = burst + (span + 1) * rate / per_ms + 1;
            if count > most {
                return Err(format!("{count} permits within {span} ms, at most {most} are allowed"));
            }
        }
    }
    Ok(())
}

#[test]
fn the_check_of_the_rate_refuses_one_that_is_exceeded() {
    assert_eq!(keeps_rate(vec![0, 0, 100, 200, 300], 10, 1000, 2), Ok(()));
    assert!(keeps_rate(vec![0, 0, 0, 0, 300], 10, 1000, 2).is_err());
    assert!(keeps_rate((0..40).map(|n| n * 50).collect(), 10, 1000, 2).is_err());
}

#[test]
fn a_thousand_calls_on_three_nodes_never_exceed_the_rate() {
    let redis = RedisServer::start();
    let trio = Trio::brisk(&redis);
    let (rate, per_ms, burst) = (200, 1_000, 20);
    let valid = Mutex::new(Vec::new());
    let (calls, refused) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for at in 0..12 {
            let (trio, valid, calls, refused) = (&trio, &valid, &calls, &refused);
            scope.spawn(move || {
                // Some wait, and some do not: those are answered at once, and must leave calls to the others.
                let (wait_ms, most) = if at % 4 == 3 { (0, 100) } else { (60_000, 1_000) };
                for _ in 0..most {
                    if calls.fetch_add(1, Ordering::SeqCst) >= 1_000 {
                        break;
                    }
                    let params =
                        json!({"name": "model", "rate": rate, "per_ms": per_ms, "burst": burst, "wait_ms": wait_ms});
                    let taken = trio.nodes[at % 3].ok(TAKE, params);
                    if taken["granted"] == true {
                        valid.lock().unwrap().push(number(&taken, "granted_at_ms"));
                    } else {
                        assert!(number(&taken, "retry_after_ms") > 0, "{taken}");
                        refused.fetch_add(1, Ordering::SeqCst);
                    }
                }
            });
        }
    });
    let valid = valid.into_inner().unwrap();
    assert_eq!(valid.len() + refused.load(Ordering::SeqCst), 1_000);
    assert!(valid.len() > 100, "who waits is served");
    keeps_rate(valid, rate, per_ms, burst).unwrap();
}

#[test]
fn no_more_hold_a_slot_than_there_are_though_nodes_are_killed() {
    let redis = RedisServer::start();
    let mut trio = Trio::brisk(&redis);
    let (inside, most, entries) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
    let over = AtomicBool::new(false);
    let killed = trio.nodes.remove(2);
    // The node that will be killed holds two of three slots.
    for _ in 0..2 {
        assert_eq!(killed.ok(ACQUIRE, json!({"name": "gpu", "slots": 3, "ttl_ms": 600_000}))["acquired"], true);
    }
    std::thread::scope(|scope| {
        let _ends = Ends(&over);
        for at in 0..6 {
            let node = &trio.nodes[at % 2];
            let (inside, most, entries, over) = (&inside, &most, &entries, &over);
            scope.spawn(move || {
                while !over.load(Ordering::SeqCst) {
                    let params = json!({"name": "gpu", "slots": 3, "ttl_ms": 600_000, "wait_ms": 60_000});
                    let slot = node.ok(ACQUIRE, params);
                    assert_eq!(slot["acquired"], true, "{slot}");
                    assert!(number(&slot, "in_use") <= 3, "{slot}");
                    let there = inside.fetch_add(1, Ordering::SeqCst) + 1;
                    most.fetch_max(there, Ordering::SeqCst);
                    entries.fetch_add(1, Ordering::SeqCst);
                    hold(secs(0.002), "others may come in meanwhile");
                    inside.fetch_sub(1, Ordering::SeqCst);
                    node.ok(RELEASE, json!(["gpu", slot["token"]]));
                }
            });
        }
        eventually("some work is done in the slot that is left", secs(20.0), || {
            if entries.load(Ordering::SeqCst) > 20 { Ok(()) } else { Err(entries.load(Ordering::SeqCst).to_string()) }
        });
        assert_eq!(most.load(Ordering::SeqCst), 1, "the other two are held");
        killed.kill9();
        eventually("the slots of the killed node are used", secs(30.0), || {
            let most = most.load(Ordering::SeqCst);
            if most > 1 { Ok(()) } else { Err(format!("{most} at once")) }
        });
    });
    assert!(most.load(Ordering::SeqCst) <= 3, "{most:?} were inside");
    eventually("all slots are free in the end", secs(10.0), || {
        match redis.cli(&["ZCARD", "clawster:{openclaw}:slot:gpu"]).as_str() {
            "0" => Ok(()),
            other => Err(other.to_owned()),
        }
    });
}

#[test]
fn waiters_for_a_slot_are_served_by_arrival_and_those_that_go_away_are_forgotten() {
    let redis = RedisServer::start();
    let trio = Trio::brisk(&redis);
    let params = |wait_ms: u64| json!({"name": "s", "slots": 1, "ttl_ms": 60_000, "wait_ms": wait_ms});
    let queued = |count: usize| {
        eventually(&format!("{count} wait"), secs(10.0), || {
            let waiting = redis.cli(&["ZCARD", "clawster:{openclaw}:slot_queue:s"]);
            if waiting == count.to_string() { Ok(()) } else { Err(waiting) }
        });
    };
    let mut held = trio.nodes[0].ok(ACQUIRE, params(0));
    let none = trio.nodes[1].ok(ACQUIRE, params(200));
    assert_eq!((&none["acquired"], &none["token"], &none["in_use"]), (&json!(false), &Value::Null, &json!(1)));
    queued(0);
    let mut child = std::process::Command::new(testkit::program())
        .args(["slots", "acquire", "s", "--slots", "1", "--wait", "60s"])
        .env_clear()
        .envs(trio.launches[1].environment())
        .current_dir(&trio.launches[1].home)
        .stdout(std::process::Stdio::null())
        .spawn()
        .expect("the command starts");
    queued(1);
    child.kill().expect("killed");
    child.wait().expect("ended");
    queued(0);
    let order = [2, 1, 0];
    let mut waiting = Vec::new();
    for (place, at) in order.into_iter().enumerate() {
        waiting.push(trio.nodes[at].request(ACQUIRE, params(60_000)).expect("sent"));
        queued(place + 1);
    }
    let mut holder = 0;
    for (at, pending) in order.into_iter().zip(waiting) {
        trio.nodes[holder].ok(RELEASE, json!(["s", held["token"]]));
        let next = pending.wait(secs(10.0)).expect("the next one is served").result.expect("granted");
        assert!(number(&next, "token") > number(&held, "token"));
        (holder, held) = (at, next);
    }
    trio.nodes[1].refused(RELEASE, json!(["s", held["token"]]), -32007);
    trio.nodes[1].refused("distributed.renew_slot", json!(["s", held["token"]]), -32007);
    let until =
        number(&trio.nodes[0].ok("distributed.renew_slot", json!(["s", held["token"], 90_000])), "expires_at_ms");
    assert!(until > number(&held, "expires_at_ms"));
}

#[test]
fn lost_replies_cost_no_slot_and_no_permit_of_a_named_request() {
    let redis = RedisServer::start();
    let proxy = Proxy::start(redis.port());
    let port = proxy.port();
    let trio = Trio::with(|launch| if launch.label == "a" { launch.port(port) } else { launch.redis(&redis) }.brisk());
    let (node, mut lost) = (&trio.nodes[0], 0);
    for round in 0..20 {
        proxy.drop_replies(1);
        let slot = node.ok(ACQUIRE, json!({"name": "s", "slots": 1, "ttl_ms": 600_000}));
        lost += usize::from(proxy.replies_to_drop() == 0);
        assert_eq!((&slot["acquired"], &slot["in_use"]), (&json!(true), &json!(1)), "{slot}");
        proxy.drop_replies(1);
        assert_eq!(node.ok(RELEASE, json!(["s", slot["token"]]))["released"], true);
        proxy.drop_replies(1);
        let request = format!("r{round}");
        let named = json!({"name": "p", "rate": 1, "per_ms": 3_600_000, "burst": 50, "request_id": request});
        let taken = node.ok(TAKE, named);
        assert_eq!(number(&taken, "remaining"), 49 - round, "{taken}");
    }
    assert!(lost > 10, "only {lost} of 20 replies were lost");
    proxy.drop_replies(0);
}

#[test]
fn commands_take_permits_and_slots() {
    let redis = RedisServer::start();
    let trio = Trio::brisk(&redis);
    let run = |arguments: &[&str]| clawster(&trio.launches[0], arguments);
    let take = ["permits", "take", "mail", "--rate", "1", "--per", "1h", "--burst", "2"];
    let first = run(&take);
    assert_eq!((first.code, first.stdout.as_str()), (Some(0), "Took 1 of mail (1 left).\n"), "{first:?}");
    run(&take);
    let refused = run(&[&take[..], &["--json"]].concat());
    assert_eq!(refused.code, Some(4), "{refused:?}");
    let answer: Value = serde_json::from_str(&refused.stdout).expect("JSON");
    assert!(answer["granted"] == false && number(&answer, "retry_after_ms") > 3_000_000, "{answer}");
    let begun = stamp();
    assert_eq!(run(&[&take[..], &["--wait", "30s"]].concat()).code, Some(4));
    assert!(stamp() - begun < Duration::from_secs(20), "who cannot be served in time is told at once");
    let token = run(&["slots", "acquire", "gpu", "--slots", "1", "--quiet"]);
    assert_eq!(token.code, Some(0), "{token:?}");
    let token = token.stdout.trim().to_owned();
    assert_eq!(run(&["slots", "acquire", "gpu", "--slots", "1"]).code, Some(4));
    assert_eq!(run(&["slots", "renew", "gpu", &token, "--ttl", "1m"]).code, Some(0));
    assert_eq!(run(&["slots", "release", "gpu", &token]).code, Some(0));
    let node = &trio.nodes[0];
    let wrong = |method: &str, params: Value| node.refused(method, params, -32602).message;
    let text = wrong(TAKE, json!({"name": "x", "rate": 0, "per_ms": 1_000, "burst": 1}));
    assert!(text.contains("rate") && text.contains("1 to 1000000"), "{text}");
    let text = wrong(TAKE, json!({"name": "x", "rate": 1, "per_ms": 1_000, "burst": 2, "permits": 3}));
    assert!(text.contains("permits") && text.contains("burst (2)"), "{text}");
    let text = wrong(ACQUIRE, json!({"name": "x y", "slots": 1, "ttl_ms": 1_000}));
    assert!(text.contains("name") && text.contains("without spaces"), "{text}");
    let text = wrong(ACQUIRE, json!({"name": "x", "slots": 0, "ttl_ms": 1_000}));
    assert!(text.contains("slots") && text.contains("1 to 10000"), "{text}");
}
