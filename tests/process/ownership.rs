//! Who may end what: a token is shown to everybody, and proves nothing.

use serde_json::{Value, json};
use testkit::wait::secs;
use testkit::wrapper::PATIENCE;
use testkit::{RedisServer, Serve, Stamps, Trio, Wrapper, stamp};

const ACQUIRE: &str = "distributed.acquire_lease";
const RENEW: &str = "distributed.renew_lease";
const RELEASE: &str = "distributed.release_lease";
const CHECK: &str = "distributed.check_lease";
const COMPLETE: &str = "distributed.complete_task";

/// Asks for a lease that another holds; the token that the refusal shows.
fn shown(node: &Serve, name: &str) -> u64 {
    let lease = node.ok(ACQUIRE, json!({"name": name, "ttl_ms": 60_000}));
    assert_eq!(lease["acquired"], false, "{lease}");
    assert!(lease["holder"].is_string(), "{lease}");
    lease["token"].as_u64().expect("the holder's token")
}

#[test]
fn a_token_that_is_shown_ends_no_lease_of_another_node() {
    let redis = RedisServer::start();
    let trio = Trio::brisk(&redis);
    let [a, b, _] = [&trio.nodes[0], &trio.nodes[1], &trio.nodes[2]];
    let held = a.ok(ACQUIRE, json!({"name": "bot", "ttl_ms": 60_000}));
    let token = shown(b, "bot");
    assert_eq!(held["token"], token);
    assert_eq!(b.refused(RELEASE, json!(["bot", token]), -32007).data["kind"], "stale_token");
    assert_eq!(b.refused(RENEW, json!(["bot", token]), -32007).data["kind"], "stale_token");
    assert_eq!(b.ok(CHECK, json!(["bot", token]))["valid"], true, "everybody may ask");
    assert_eq!(shown(b, "bot"), token, "it is still a's");
    a.ok(RENEW, json!(["bot", token]));
    a.ok(RELEASE, json!(["bot", token]));
    a.ok(RELEASE, json!(["bot", token]));
    b.refused(RELEASE, json!(["bot", token]), -32007);
    assert_eq!(b.ok(ACQUIRE, json!({"name": "bot", "ttl_ms": 60_000}))["acquired"], true);
}

#[test]
fn a_token_that_is_shown_does_not_end_a_command_under_a_lease() {
    let redis = RedisServer::start();
    let trio = Trio::brisk(&redis);
    let stamps = Stamps::new();
    // Under the id of a node that runs: its other clients are not the command's holder either.
    let mut holder = Wrapper::stamping(&stamps.launch(&redis, "a"), &[]);
    let first = stamps.after("it runs", stamp() - secs(60.0), PATIENCE, |_| true);
    for node in &trio.nodes {
        let token = shown(node, "bot");
        node.refused(RELEASE, json!(["bot", token]), -32007);
        node.refused(RENEW, json!(["bot", token]), -32007);
        assert_eq!(node.ok(CHECK, json!(["bot", token]))["valid"], true);
    }
    let later = stamps.after("it goes on", stamp(), PATIENCE, |_| true);
    assert_eq!((later.token, later.pid), (first.token, first.pid));
    holder.signal(rustix::process::Signal::TERM);
    holder.exit(PATIENCE);
    let freed = trio.nodes[1].ok(ACQUIRE, json!({"name": "bot", "ttl_ms": 60_000, "wait_ms": 10_000}));
    assert_eq!(freed["acquired"], true, "the process itself gave it up: {freed}");
}

#[test]
fn a_lease_of_an_earlier_life_is_not_granted_again_by_its_request_id() {
    let redis = RedisServer::start();
    let mut trio = Trio::brisk(&redis);
    let ask = json!({"name": "bot", "ttl_ms": 600_000, "request_id": "mine"});
    let first = trio.nodes[0].ok(ACQUIRE, ask.clone());
    assert_eq!(first["acquired"], true);
    trio.nodes[0].kill9();
    let taken = trio.nodes[1].ok(ACQUIRE, json!({"name": "bot", "ttl_ms": 600_000, "wait_ms": 60_000}));
    assert_eq!(taken["acquired"], true, "it ended with the life: {taken}");
    trio.nodes[0] = trio.launches[0].start();
    let again = trio.nodes[0].ok(ACQUIRE, ask);
    assert_eq!((&again["acquired"], &again["holder"]), (&json!(false), &json!("b")), "{again}");
    trio.nodes[0].refused(RELEASE, json!(["bot", first["token"]]), -32007);
}

#[test]
fn a_task_is_settled_only_by_the_node_that_claimed_it() {
    let redis = RedisServer::start();
    let trio = Trio::brisk(&redis);
    let [a, b, _] = [&trio.nodes[0], &trio.nodes[1], &trio.nodes[2]];
    a.ok("distributed.submit_task", json!({"id": "t", "kind": "k", "payload": 1}));
    let claimed = a.ok("distributed.claim_tasks", json!({"kinds": ["k"], "wait_ms": 10_000}));
    let task = b.ok("distributed.get_task", json!(["t"]));
    assert_eq!((&task["node_id"], &task["token"]), (&json!("a"), &claimed["tasks"][0]["token"]), "shown to everybody");
    let token = &task["token"];
    let tries = |when: &str| {
        for (method, more) in [
            (COMPLETE, json!({})),
            ("distributed.fail_task", json!({"error": "no"})),
            ("distributed.extend_task", json!({})),
        ] {
            let mut params = json!({"task_id": "t", "token": token});
            more.as_object().into_iter().flatten().for_each(|(key, value): (_, &Value)| params[key] = value.clone());
            assert_eq!(b.refused(method, params, -32007).data["kind"], "stale_token", "{when}: {method}");
        }
    };
    tries("while it runs");
    assert_eq!(a.ok(COMPLETE, json!(["t", token]))["state"], "done");
    assert_eq!(a.ok(COMPLETE, json!(["t", token]))["state"], "done", "its answer was lost");
    tries("once it is done");
}
