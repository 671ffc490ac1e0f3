//! Leases and what runs once: one holder, tokens that rise, a fair queue, and no grant lost or doubled by lost replies.

use serde_json::{Value, json};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;
use testkit::proxy::Mode;
use testkit::wait::secs;
use testkit::wire::Answer;
use testkit::{Launch, Proxy, RedisServer, Serve, Trio, clawster, eventually, hold};

const ACQUIRE: &str = "distributed.acquire_lease";
const RELEASE: &str = "distributed.release_lease";
const ONCE: &str = "distributed.run_once";

fn acquire(node: &Serve, name: &str, ttl_ms: u64, wait_ms: u64) -> Value {
    node.ok(ACQUIRE, json!({"name": name, "ttl_ms": ttl_ms, "wait_ms": wait_ms}))
}

fn token(lease: &Value) -> u64 {
    assert_eq!(lease["acquired"], true, "{lease}");
    lease["token"].as_u64().expect("a token")
}

/// Waits until so many wait for a lease.
fn queued(redis: &RedisServer, name: &str, count: usize) {
    let key = format!("clawster:{{openclaw}}:queue:{name}");
    eventually(&format!("{count} wait for {name}"), secs(10.0), || {
        let waiting = redis.cli(&["ZCARD", &key]);
        if waiting == count.to_string() { Ok(()) } else { Err(waiting) }
    });
}

#[test]
fn one_of_three_nodes_holds_a_lease_at_a_time_and_tokens_rise() {
    let redis = RedisServer::start();
    let trio = Trio::brisk(&redis);
    let (inside, highest, entries) = (AtomicBool::new(false), AtomicU64::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for node in &trio.nodes {
            for _ in 0..2 {
                scope.spawn(|| {
                    for _ in 0..15 {
                        let token = token(&acquire(node, "critical", 30_000, 60_000));
                        assert!(!inside.swap(true, Ordering::SeqCst), "two were inside");
                        assert!(highest.fetch_max(token, Ordering::SeqCst) < token, "the token did not rise");
                        entries.fetch_add(1, Ordering::SeqCst);
                        assert!(inside.swap(false, Ordering::SeqCst));
                        node.ok(RELEASE, json!(["critical", token]));
                    }
                });
            }
        }
    });
    assert_eq!(entries.load(Ordering::SeqCst), 90);
}

#[test]
fn waiters_are_served_in_the_order_in_which_they_came() {
    let redis = RedisServer::start();
    let trio = Trio::brisk(&redis);
    let mut holder = (0, token(&acquire(&trio.nodes[0], "fair", 60_000, 0)));
    let order = [1, 2, 0, 1];
    let mut waiting = Vec::new();
    for (place, at) in order.into_iter().enumerate() {
        let params = json!({"name": "fair", "ttl_ms": 60_000, "wait_ms": 60_000});
        waiting.push(trio.nodes[at].request(ACQUIRE, params).expect("sent"));
        queued(&redis, "fair", place + 1);
    }
    for (at, pending) in order.into_iter().zip(waiting) {
        trio.nodes[holder.0].ok(RELEASE, json!(["fair", holder.1]));
        let Answer { result, .. } = pending.wait(secs(10.0)).expect("the next one is served");
        holder = (at, token(&result.expect("granted")));
    }
}

#[test]
fn a_waiter_is_woken_by_a_release_and_by_the_death_of_the_holder() {
    let redis = RedisServer::alone();
    let trio = Trio::start(&redis);
    let held = token(&acquire(&trio.nodes[0], "wake", 600_000, 0));
    let pending = trio.nodes[1].request(ACQUIRE, json!(["wake", 600_000, 60_000])).expect("sent");
    queued(&redis, "wake", 1);
    let released = testkit::stamp();
    trio.nodes[0].ok(RELEASE, json!(["wake", held]));
    let answer = pending.wait(secs(10.0)).expect("woken");
    let took = answer.answered - released;
    assert!(took < Duration::from_millis(300), "woken by the release after {took:?}");
    let second = token(&answer.result.expect("granted"));
    assert!(second > held);
    let pending = trio.nodes[2].request(ACQUIRE, json!(["wake", 600_000, 60_000])).expect("sent");
    queued(&redis, "wake", 1);
    let killed = trio.nodes[1].kill9();
    let answer = pending.wait(secs(20.0)).expect("woken");
    let took = answer.answered - killed;
    // The leader notices the death after the grace of 1 s; if it was the leader that died, another one is elected first.
    assert!(took < secs(4.0), "woken by the death after {took:?}");
    assert!(token(&answer.result.expect("granted")) > second);
}

#[test]
fn a_waiter_that_goes_away_is_forgotten() {
    let redis = RedisServer::start();
    let trio = Trio::brisk(&redis);
    let held = token(&acquire(&trio.nodes[0], "left", 60_000, 0));
    // At the end of its wait.
    let none = acquire(&trio.nodes[1], "left", 60_000, 200);
    assert_eq!((&none["acquired"], &none["holder"]), (&json!(false), &json!("a")), "{none}");
    queued(&redis, "left", 0);
    // And when its client is gone: a command that is killed while it waits.
    let mut child = std::process::Command::new(testkit::program())
        .args(["lease", "acquire", "left", "--wait", "60s"])
        .env_clear()
        .envs(trio.launches[1].environment())
        .current_dir(&trio.launches[1].home)
        .stdout(std::process::Stdio::null())
        .spawn()
        .expect("the command starts");
    queued(&redis, "left", 1);
    child.kill().expect("killed");
    child.wait().expect("ended");
    queued(&redis, "left", 0);
    trio.nodes[0].ok(RELEASE, json!(["left", held]));
    token(&acquire(&trio.nodes[2], "left", 60_000, 0));
}

#[test]
fn a_lease_ends_by_itself_unless_it_is_renewed() {
    let redis = RedisServer::start();
    let trio = Trio::brisk(&redis);
    let held = token(&acquire(&trio.nodes[0], "short", 1_000, 0));
    for _ in 0..4 {
        hold(secs(0.5), "half of the lease passes before each renewal");
        trio.nodes[0].ok("distributed.renew_lease", json!(["short", held]));
    }
    let next = acquire(&trio.nodes[2], "short", 1_000, 10_000);
    assert!(token(&next) > held);
    let stale = trio.nodes[0].refused("distributed.renew_lease", json!(["short", held]), -32007);
    assert_eq!(stale.data["kind"], "stale_token");
    trio.nodes[0].refused(RELEASE, json!(["short", held]), -32007);
    let valid = |token: u64| trio.nodes[0].ok("distributed.check_lease", json!(["short", token]))["valid"] == true;
    assert!(!valid(held));
}

#[test]
fn the_leadership_is_a_lease_that_is_not_given_to_those_who_ask() {
    let redis = RedisServer::start();
    let trio = Trio::brisk(&redis);
    let at = trio.settled(secs(20.0));
    let (leader, other) = (&trio.nodes[at], trio.others(at)[0]);
    let asked = acquire(other, "leader", 10_000, 0);
    assert_eq!((&asked["acquired"], &asked["holder"]), (&json!(false), &json!(leader.label)), "{asked}");
    let term = token(&acquire(leader, "leader", 10_000, 0));
    assert_eq!(other.ok("distributed.check_lease", json!(["leader", term]))["valid"], true);
    leader.ok("distributed.renew_lease", json!(["leader", term]));
    other.refused(RELEASE, json!(["leader", term]), -32007);
    assert_eq!(leader.ok(RELEASE, json!(["leader", term]))["released"], true);
    other.until("another term", secs(20.0), |state| {
        state["term"].as_u64() > Some(term) && state["leader_id"].is_string()
    });
}

/// A trio whose node a reaches Redis through a network that loses replies.
fn through_a_proxy(redis: &RedisServer) -> (Proxy, Trio) {
    let proxy = Proxy::start(redis.port());
    let port = proxy.port();
    let trio = Trio::with(|launch| {
        let launch = launch.redis(redis).brisk();
        if launch.label == "a" { launch.port(port) } else { launch }
    });
    (proxy, trio)
}

#[test]
fn a_lost_reply_costs_no_lease_and_no_key() {
    let redis = RedisServer::start();
    let (proxy, trio) = through_a_proxy(&redis);
    let (node, other) = (&trio.nodes[0], &trio.nodes[1]);
    let mut lost = 0;
    for round in 0..20 {
        let name = format!("l{round}");
        proxy.drop_replies(1);
        let lease = acquire(node, &name, 60_000, 0);
        lost += usize::from(proxy.replies_to_drop() == 0);
        // Granted once, to its caller: it can be given back, and is free then.
        node.ok(RELEASE, json!([name, token(&lease)]));
        let next = token(&acquire(other, &name, 60_000, 0));
        other.ok(RELEASE, json!([name, next]));
        proxy.drop_replies(1);
        let once = node.ok(ONCE, json!([name, 60_000]));
        assert_eq!((&once["granted"], &once["by"]), (&json!(true), &json!("a")), "{once}");
        assert_eq!(other.ok(ONCE, json!([name, 60_000]))["granted"], false);
    }
    assert!(lost > 10, "only {lost} of 20 replies were lost");
    proxy.drop_replies(0);
}

#[test]
fn a_request_id_is_granted_once() {
    let redis = RedisServer::start();
    let trio = Trio::brisk(&redis);
    let params = json!({"name": "r", "ttl_ms": 60_000, "request_id": "deploy-7"});
    let first = trio.nodes[0].ok(ACQUIRE, params.clone());
    assert_eq!(trio.nodes[0].ok(ACQUIRE, params.clone()), first);
    trio.nodes[0].ok(RELEASE, json!(["r", token(&first)]));
    acquire(&trio.nodes[1], "r", 60_000, 0);
    assert_eq!(trio.nodes[0].ok(ACQUIRE, params), first, "the first answer, whoever holds the lease now");
    let key = json!({"key": "k", "ttl_ms": 60_000, "request_id": "deploy-7"});
    let first = trio.nodes[0].ok(ONCE, key.clone());
    assert_eq!(trio.nodes[0].ok(ONCE, key.clone()), first, "granted again, with the first time");
    assert_eq!(trio.nodes[1].ok(ONCE, key)["granted"], false);
}

#[test]
fn what_is_remembered_of_a_request_without_an_id_is_soon_forgotten() {
    let redis = RedisServer::start();
    let trio = Trio::brisk(&redis);
    let remembered = || {
        let keys = redis.cli(&["KEYS", "*:request:*"]);
        keys.lines().filter(|key| !key.is_empty()).map(str::to_owned).collect::<Vec<_>>()
    };
    for _ in 0..5 {
        let held = acquire(&trio.nodes[0], "brief", 200, 0);
        trio.nodes[0].ok(RELEASE, json!(["brief", token(&held)]));
    }
    eventually("nothing is left of them", secs(5.0), || {
        let keys = remembered();
        if keys.is_empty() { Ok(()) } else { Err(keys.join(" ")) }
    });
    trio.nodes[0].ok(ACQUIRE, json!({"name": "brief", "ttl_ms": 200, "request_id": "mine"}));
    let keys = remembered();
    assert_eq!(keys.len(), 1, "{keys:?}");
    let kept: u64 = redis.cli(&["PTTL", &keys[0]]).trim().parse().expect("a time");
    assert!(kept > 3_000_000, "{kept}");
}

#[test]
fn each_key_runs_once_in_the_cluster() {
    let redis = RedisServer::start();
    let trio = Trio::brisk(&redis);
    let keys: Vec<String> = (0..1_000).map(|n| format!("job-{n}")).collect();
    let granted = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for node in &trio.nodes {
            scope.spawn(|| {
                let answer = node.ok(ONCE, json!({"keys": keys, "ttl_ms": 60_000}));
                let results = answer["results"].as_array().expect("results");
                assert_eq!(results.len(), keys.len());
                let mine = results.iter().filter(|result| result["granted"] == true);
                granted.fetch_add(mine.count(), Ordering::SeqCst);
            });
        }
    });
    assert_eq!(granted.load(Ordering::SeqCst), 1_000);
    assert_eq!(trio.nodes[0].ok(ONCE, json!(["brief", 50]))["granted"], true);
    eventually("the key is free again", secs(5.0), || {
        let again = trio.nodes[1].ok(ONCE, json!(["brief", 50]));
        if again["granted"] == true { Ok(()) } else { Err(again) }
    });
}

#[test]
fn a_waiter_survives_an_outage_and_redis_that_is_away_is_told() {
    let redis = RedisServer::start();
    let (proxy, trio) = through_a_proxy(&redis);
    let held = token(&acquire(&trio.nodes[1], "out", 60_000, 0));
    let pending = trio.nodes[0].request(ACQUIRE, json!(["out", 60_000, 60_000])).expect("sent");
    queued(&redis, "out", 1);
    proxy.set(Mode::Drop);
    proxy.cut();
    let error = trio.nodes[0].refused(ACQUIRE, json!(["else", 1_000]), -32002);
    assert_eq!(error.data["retryable"], true);
    proxy.set(Mode::Pass);
    trio.nodes[1].ok(RELEASE, json!(["out", held]));
    let answer = pending.wait(secs(20.0)).expect("it goes on waiting");
    token(&answer.result.expect("granted"));
}

#[test]
fn a_grant_whose_answer_was_lost_for_good_is_given_back() {
    let redis = RedisServer::start();
    let trio = Trio::brisk(&redis);
    // The call lies in the server's buffer while it stands still for longer than the node tries.
    redis.pause();
    trio.nodes[0].refused(ACQUIRE, json!(["unheard", 600_000]), -32002);
    redis.resume();
    eventually("the call is withdrawn", secs(10.0), || {
        let marks = redis.cli(&["KEYS", "*:withdrawn:*"]);
        if marks.contains("withdrawn") { Ok(()) } else { Err(marks) }
    });
    token(&acquire(&trio.nodes[1], "unheard", 1_000, 20_000));
}

#[test]
fn leases_from_the_command_line() {
    let redis = RedisServer::start();
    let trio = Trio::brisk(&redis);
    let (a, b): (&Launch, &Launch) = (&trio.launches[0], &trio.launches[1]);
    let token = clawster(a, &["lease", "acquire", "deploy", "--ttl", "1m", "--quiet"]).expect(0).stdout;
    let token = token.trim();
    let refused = clawster(b, &["lease", "acquire", "deploy"]).expect(4);
    assert!(refused.stderr.contains("held by a"), "{}", refused.stderr);
    clawster(b, &["lease", "check", "deploy", token]).expect(0);
    clawster(b, &["lease", "renew", "deploy", token, "--ttl", "2m", "--json"]).expect(4);
    clawster(b, &["lease", "release", "deploy", token]).expect(4);
    clawster(a, &["lease", "renew", "deploy", token, "--ttl", "2m", "--json"]).expect(0);
    clawster(a, &["lease", "release", "deploy", token]).expect(0);
    clawster(b, &["lease", "check", "deploy", token]).expect(4);
    let json = clawster(b, &["lease", "acquire", "deploy", "--wait", "5s", "--json"]).expect(0).json();
    assert_eq!((&json["acquired"], &json["holder"]), (&json!(true), &json!("b")), "{json}");
    clawster(a, &["lease", "acquire", "a*b"]).expect(2);
}
