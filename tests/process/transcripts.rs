//! Copies of chat transcripts, with the test in the place of the gateways' plugins.

use serde_json::{Value, json};
use testkit::cluster::stage;
use testkit::{Launch, RedisServer, Serve};

const APPEND: &str = "cluster.append_transcript";
const READ: &str = "cluster.read_transcript";
const SESSION: &str = "agent:main:telegram:direct:123";

fn append(node: &Serve, items: Value) -> Value {
    node.ok(APPEND, json!({"session": SESSION, "items": items}))
}

fn read(node: &Serve, after: &Value, limit: u64) -> Value {
    node.ok(READ, json!({"session": SESSION, "after": after, "limit": limit}))
}

fn texts(read: &Value) -> Vec<&str> {
    read["items"].as_array().unwrap().iter().map(|item| item["item"]["text"].as_str().unwrap()).collect()
}

#[test]
fn a_gateway_that_takes_over_goes_on_with_the_history() {
    let (redis, dir) = (RedisServer::start(), stage());
    let a = Launch::new(dir.path(), "a").redis(&redis).brisk().start();
    let b = Launch::new(dir.path(), "b").redis(&redis).brisk().start();
    let first = append(&a, json!([{"role": "user", "text": "hello"}, {"role": "assistant", "text": "hi"}]));
    assert_eq!(first["kept"], 2);
    let seen = read(&b, &Value::Null, 200);
    assert_eq!((texts(&seen), &seen["from_start"], &seen["more"]), (vec!["hello", "hi"], &json!(true), &json!(false)));
    assert_eq!((&seen["items"][1]["position"], &seen["items"][1]["node_id"]), (&first["position"], &json!("a")));
    append(&a, json!([{"text": "one more"}]));
    drop(a);
    let rest = read(&b, &first["position"], 200);
    assert_eq!((texts(&rest), &rest["from_start"]), (vec!["one more"], &json!(false)));
    append(&b, json!([{"text": "by the other"}]));

    let large = json!({"session": SESSION, "items": [{"text": "x".repeat(65_536)}]});
    b.refused(APPEND, large, -32005);
    let restarted = b.ok(APPEND, json!({"session": SESSION, "items": [{"text": "anew"}], "restart": true}));
    assert_eq!(restarted["kept"], 1);
    let anew = read(&b, &first["position"], 200);
    assert_eq!((texts(&anew), &anew["from_start"]), (vec!["anew"], &json!(true)));
    let erased = b.ok(APPEND, json!({"session": SESSION, "items": [], "restart": true}));
    assert_eq!(erased, json!({"position": null, "kept": 0}));
    assert_eq!(read(&b, &restarted["position"], 200), json!({"items": [], "from_start": true, "more": false}));
}

#[test]
fn items_behind_those_that_cannot_be_read_are_found() {
    let (redis, dir) = (RedisServer::start(), stage());
    let a = Launch::new(dir.path(), "a").redis(&redis).brisk().start();
    append(&a, json!([{"text": "first"}]));
    for _ in 0..5 {
        redis.cli(&["XADD", &format!("clawster:{{openclaw}}:transcript:{SESSION}"), "*", "n", "a", "i", "{broken"]);
    }
    append(&a, json!([{"text": "last"}]));
    let first = read(&a, &Value::Null, 1);
    assert_eq!((texts(&first), &first["more"]), (vec!["first"], &json!(true)));
    let rest = read(&a, &first["items"][0]["position"], 2);
    assert_eq!((texts(&rest), &rest["from_start"], &rest["more"]), (vec!["last"], &json!(false), &json!(false)));
}
