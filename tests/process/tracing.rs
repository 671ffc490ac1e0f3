//! The log at level debug: one request can be followed from its line to Redis and back.

use serde_json::{Value, json};
use testkit::cluster::{settled, stage};
use testkit::eventually;
use testkit::wait::secs;
use testkit::{Launch, RedisServer, Serve, clawster};

fn lines(text: &str) -> Vec<Value> {
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// The line that says that a span of this name ended, of which `pick` holds.
fn ended(node: &Serve, name: &str, pick: impl Fn(&Value) -> bool) -> Value {
    let message = format!("{name} ended");
    eventually(&format!("the log tells of the end of {name}"), secs(20.0), || {
        let found = lines(&node.stderr()).into_iter().find(|line| line["message"] == message.as_str() && pick(line));
        found.ok_or_else(|| format!("{} lines", lines(&node.stderr()).len()))
    })
}

fn loud(launch: Launch) -> Launch {
    launch.env("CLAWSTER__LOGGING__LEVEL", "debug").env("CLAWSTER__LOGGING__FORMAT", "json")
}

#[test]
fn a_request_can_be_followed_to_redis_and_back() {
    let (redis, dir) = (RedisServer::start(), stage());
    let node = loud(Launch::new(dir.path(), "a").redis(&redis).brisk()).start();
    settled(&[&node], secs(20.0));

    // A call that is the request's own.
    node.refused("distributed.get_task", json!({"task_id": "hunter2"}), -32009);
    let request = ended(&node, "request", |line| line["fields"]["method"] == "distributed.get_task");
    let fields = &request["fields"];
    assert_eq!(
        (&fields["connection"], &fields["id_kind"], &fields["outcome"]),
        (&json!("stdio"), &json!("number"), &json!("error"))
    );
    let call = ended(&node, "redis_call", |line| line["spans"][0]["request"] == fields["request"]);
    assert_eq!(
        (&call["fields"]["call"], &call["fields"]["attempt"], &call["fields"]["outcome"]),
        (&json!("task_get"), &json!(1), &json!("ok"))
    );
    assert!(call["fields"]["took_us"].as_u64() <= fields["took_us"].as_u64());

    // One that carries several requests.
    node.ok("distributed.submit_task", json!({"kind": "job", "payload": {"password": "hunter2"}}));
    let request = ended(&node, "request", |line| line["fields"]["method"] == "distributed.submit_task");
    let packed = ended(&node, "packed", |line| line["fields"]["requests"] == json!([request["fields"]["request"]]));
    assert_eq!(packed["fields"]["count"], 1);
    ended(&node, "redis_call", |line| line["fields"]["call"] == "task_submit" && line["spans"][0]["span"] == "packed");

    // Beats, those that a request asks for among them.
    node.ok("cluster.heartbeat", json!({}));
    let tick = ended(&node, "tick", |line| line["spans"][0]["method"] == "cluster.heartbeat");
    assert_eq!((&tick["fields"]["attempt"], &tick["fields"]["node_id"]), (&json!(1), &json!("a")));
    ended(&node, "redis_call", |line| line["fields"]["call"] == "tick" && line["spans"][0]["span"] == "tick");
    ended(&node, "tick", |line| line["spans"].is_null());
    assert!(!node.stderr().contains("hunter"), "what requests carry is not logged");
}

#[test]
fn at_the_level_info_nothing_is_said_of_requests() {
    let (redis, dir) = (RedisServer::start(), stage());
    let node = Launch::new(dir.path(), "a").redis(&redis).brisk().start();
    settled(&[&node], secs(20.0));
    node.ok("cluster.heartbeat", json!({}));
    node.state();
    assert!(!node.stderr().contains(" ended"), "{}", node.stderr());
}

#[test]
fn a_single_heartbeat_is_told_of() {
    let (redis, dir) = (RedisServer::start(), stage());
    let launch = loud(Launch::new(dir.path(), "cron").redis(&redis));
    let said = clawster(&launch, &["heartbeat"]).expect(0).stderr;
    let call = lines(&said).into_iter().find(|line| line["fields"]["call"] == "tick").expect("the tick is told of");
    assert_eq!((&call["spans"][0]["span"], &call["spans"][0]["attempt"]), (&json!("heartbeat"), &json!(1)));
}
