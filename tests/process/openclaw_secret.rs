//! `clawster openclaw secret`: OpenClaw gets a channel account's token only where the account's lease is held.

use serde_json::{Value, json};
use testkit::cluster::stage;
use testkit::command::clawster_with;
use testkit::wait::secs;
use testkit::{Launch, RedisServer};

const LEASE: &str = "channel:telegram:a";

fn ask(launch: &Launch, ids: &Value) -> Value {
    let (secrets, held) = (launch.home.join("tokens.json"), launch.home.join("held.json"));
    let args = ["openclaw", "secret", "--secrets", secrets.to_str().unwrap(), "--held", held.to_str().unwrap()];
    let request = json!({"protocolVersion": 1, "provider": "clawster", "ids": ids}).to_string();
    clawster_with(launch, &args, request.as_bytes(), secs(20.0)).expect(0).json()
}

#[test]
fn a_secret_is_given_only_while_the_node_holds_its_lease() {
    let (redis, dir) = (RedisServer::start(), stage());
    let launch = Launch::new(dir.path(), "a").redis(&redis).brisk();
    std::fs::write(launch.home.join("tokens.json"), json!({LEASE: "1:secret", "other": "2:secret"}).to_string())
        .unwrap();
    let none = json!({"protocolVersion": 1, "values": {}, "errors": {LEASE: {"code": "NOT_FOUND"}}});
    assert_eq!(ask(&launch, &json!([LEASE])), none, "no node runs, nothing is held");

    let node = launch.start();
    let lease = node.ok("distributed.acquire_lease", json!({"name": LEASE, "ttl_ms": 60_000}));
    assert_eq!(ask(&launch, &json!([LEASE])), none, "the plugin has not said that it holds it");
    let note =
        |token: &Value| std::fs::write(launch.home.join("held.json"), json!({LEASE: {"token": token}}).to_string());
    note(&lease["token"]).unwrap();
    let given = ask(&launch, &json!([LEASE, "other", "ghost"]));
    assert_eq!(given["values"], json!({LEASE: "1:secret"}));
    assert_eq!(given["errors"].as_object().unwrap().keys().collect::<Vec<_>>(), ["ghost", "other"]);

    node.ok("distributed.release_lease", json!({"name": LEASE, "token": lease["token"]}));
    assert_eq!(ask(&launch, &json!([LEASE])), none, "an old note is no proof");
}

#[test]
fn a_request_that_is_none_and_a_broken_file_are_told_without_their_secrets() {
    let dir = stage();
    let launch = Launch::new(dir.path(), "a");
    let secrets = launch.home.join("tokens.json");
    std::fs::write(&secrets, "{\"a\": \"1:very-secret\"").unwrap();
    let args = ["openclaw", "secret", "--secrets", secrets.to_str().unwrap()];
    let outcome = clawster_with(&launch, &args, b"{\"ids\": []}", secs(20.0)).expect(1);
    assert!(outcome.stderr.contains("tokens.json") && !outcome.stderr.contains("very-secret"), "{}", outcome.stderr);
    clawster_with(&launch, &args, b"hello", secs(20.0)).expect(2);
}
