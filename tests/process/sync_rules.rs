//! `sync_messages` rule by rule: cursors, acknowledgements, targets, duplicates, gaps and limits.

use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::checker::entry_seq;
use testkit::cluster::{settled, stage};
use testkit::wait::secs;
use testkit::{Launch, RedisServer, Serve, stamp};

const SYNC: &str = "distributed.sync_messages";

struct Pair {
    a: Serve,
    b: Serve,
    b_launch: Launch,
    redis: RedisServer,
    dir: TempDir,
}

fn pair_with(set: impl Fn(Launch) -> Launch) -> Pair {
    let (redis, dir) = (RedisServer::start(), stage());
    let launch = |id: &str| set(Launch::new(dir.path(), id).redis(&redis).brisk());
    let (a, b_launch) = (launch("a").start(), launch("b"));
    let b = b_launch.start();
    settled(&[&a, &b], secs(20.0));
    Pair { a, b, b_launch, redis, dir }
}

fn pair() -> Pair {
    pair_with(|launch| launch)
}

fn ids(answer: &Value) -> Vec<&str> {
    answer["received"].as_array().unwrap().iter().map(|message| message["id"].as_str().unwrap()).collect()
}

fn send(node: &Serve, names: &[&str]) -> Value {
    let messages: Vec<Value> = names.iter().map(|id| json!({"id": id, "payload": id})).collect();
    node.ok(SYNC, json!({"messages": messages, "limit": 0}))
}

#[test]
fn a_message_arrives_as_it_was_sent() {
    let pair = pair();
    let payload = json!({"deep": [1, 2.5, null, "ü\u{1F980}\n\"", {"x": 18_446_744_073_709_551_615_u64}]});
    let named = json!({"id": "m-1", "topic": "greet", "payload": payload});
    let plain = json!({"id": "no payload, so the whole is one"});
    let sent = pair.a.ok(SYNC, json!({"messages": [named, plain, 42]}));
    assert_eq!((&sent["published"], &sent["duplicates"], &sent["queued"]), (&json!(3), &json!(0), &json!(0)), "{sent}");
    let places: Vec<u64> =
        sent["entry_ids"].as_array().unwrap().iter().map(|id| entry_seq(id.as_str().unwrap())).collect();
    assert!(places.is_sorted_by(|one, next| one < next), "{places:?}");
    let got = pair.b.ok(SYNC, json!({"wait_ms": 5000}));
    let messages = got["received"].as_array().unwrap();
    assert_eq!(messages.len(), 3, "{got}");
    let first = &messages[0];
    assert_eq!(
        (&first["id"], &first["from"], &first["topic"]),
        (&json!("m-1"), &json!("a"), &json!("greet")),
        "{first}"
    );
    assert_eq!((&first["payload"], &first["entry_id"]), (&payload, &sent["entry_ids"][0]), "{first}");
    assert!(first["sent_at_ms"].as_u64().unwrap() > 1_600_000_000_000, "{first}");
    assert_eq!((&messages[1]["payload"], &messages[2]["payload"]), (&plain, &json!(42)));
    assert!(messages[1]["id"].is_string() && messages[1]["id"] != messages[2]["id"], "ids are made up: {messages:?}");
    assert_eq!(got["cursor"], messages[2]["entry_id"]);
    assert_eq!(pair.a.ok(SYNC, json!({"wait_ms": 200}))["received"], json!([]), "a sender never gets its own");
}

#[test]
fn numbers_keep_all_their_digits() {
    let pair = pair();
    let line = r#"{"jsonrpc":"2.0","id":"big","method":"distributed.sync_messages","params":{"messages":[123456789012345678901234567890.10]}}"#;
    pair.a.send_raw(format!("{line}\n").as_bytes()).unwrap();
    let before = stamp();
    let got = pair.b.ok(SYNC, json!({"wait_ms": 5000}));
    assert_eq!(got["received"].as_array().unwrap().len(), 1, "{got} after {:?}", stamp() - before);
}

#[test]
fn what_is_not_acknowledged_comes_again_also_after_a_restart() {
    let Pair { dir: _dir, redis: _redis, b_launch, a, b } = pair();
    send(&a, &["m1", "m2", "m3"]);
    let first = b.ok(SYNC, json!({"auto_ack": false, "wait_ms": 5000, "limit": 2}));
    assert_eq!((ids(&first), &first["more"]), (vec!["m1", "m2"], &json!(true)), "{first}");
    let again = b.ok(SYNC, json!({"auto_ack": false}));
    assert_eq!(ids(&again), ["m1", "m2", "m3"]);
    b.kill9();
    let b = b_launch.start();
    let restarted = b.ok(SYNC, json!({"auto_ack": false, "wait_ms": 5000}));
    assert_eq!(ids(&restarted), ["m1", "m2", "m3"]);
    let acked = b.ok(SYNC, json!({"auto_ack": false, "ack": restarted["received"][1]["entry_id"]}));
    assert_eq!(ids(&acked), ["m3"]);
    // An older acknowledgement changes nothing.
    let older = b.ok(SYNC, json!({"auto_ack": false, "ack": restarted["received"][0]["entry_id"]}));
    assert_eq!(ids(&older), ["m3"]);
    // One beyond what was handed out is refused, and is not applied.
    let beyond = format!("{}-0", entry_seq(older["cursor"].as_str().unwrap()) + 1_000);
    b.refused(SYNC, json!({"auto_ack": false, "ack": beyond}), -32602);
    b.refused(SYNC, json!({"ack": "rubbish"}), -32602);
    let last = b.ok(SYNC, json!({"auto_ack": false, "ack": older["cursor"]}));
    assert_eq!(ids(&last), [""; 0]);
    b.kill9();
    let b = b_launch.start();
    assert_eq!(ids(&b.ok(SYNC, json!({"wait_ms": 500}))), [""; 0], "an acknowledgement outlives the process");
}

#[test]
fn what_is_acknowledged_by_being_answered_does_not_come_again() {
    let Pair { dir: _dir, redis: _redis, b_launch, a, b } = pair();
    send(&a, &["m1", "m2"]);
    assert_eq!(ids(&b.ok(SYNC, json!({"wait_ms": 5000}))), ["m1", "m2"]);
    assert_eq!(ids(&b.ok(SYNC, json!({}))), [""; 0]);
    b.close_stdin();
    b.exit_clean(secs(5.0));
    assert_eq!(ids(&b_launch.start().ok(SYNC, json!({"wait_ms": 500}))), [""; 0]);
}

#[test]
fn a_first_join_starts_at_the_newest_message() {
    let pair = pair();
    send(&pair.a, &["before"]);
    let c = Launch::new(pair.dir.path(), "c").redis(&pair.redis).brisk().start();
    settled(&[&pair.a, &pair.b, &c], secs(10.0));
    send(&pair.a, &["after"]);
    assert_eq!(ids(&c.ok(SYNC, json!({"wait_ms": 5000}))), ["after"]);
}

#[test]
fn a_message_to_some_reaches_just_them_also_when_they_are_away() {
    let pair = pair();
    let c_launch = Launch::new(pair.dir.path(), "c").redis(&pair.redis).brisk();
    let c = c_launch.start();
    settled(&[&pair.a, &pair.b, &c], secs(10.0));
    c.kill9();
    let messages = json!([{"id": "for-c", "to": ["c"], "payload": 1}, {"id": "for-b", "to": ["b"], "payload": 2}, {"id": "for-all", "payload": 3}]);
    pair.a.ok(SYNC, json!({"messages": messages}));
    let got = pair.b.ok(SYNC, json!({"wait_ms": 5000}));
    assert_eq!(ids(&got), ["for-b", "for-all"]);
    assert_eq!(got["received"][0]["to"], json!(["b"]), "{got}");
    let c = c_launch.start();
    assert_eq!(ids(&c.ok(SYNC, json!({"wait_ms": 5000}))), ["for-c", "for-all"]);
    let error = pair.a.refused(
        SYNC,
        json!({"messages": [{"id": "x", "to": ["b"], "payload": 1}, {"id": "y", "to": ["ghost"], "payload": 1}]}),
        -32004,
    );
    assert!(error.message.contains("ghost"), "{error:?}");
    assert_eq!(ids(&pair.b.ok(SYNC, json!({"wait_ms": 300}))), [""; 0], "one bad target refuses the whole call");
}

#[test]
fn an_id_is_sent_once_also_across_a_restart_of_the_sender() {
    let Pair { dir: _dir, redis: _redis, b_launch, a, b } = pair();
    let first = send(&b, &["d1", "d2"]);
    let second = send(&b, &["d2", "d3"]);
    assert_eq!((&second["published"], &second["duplicates"]), (&json!(1), &json!(1)), "{second}");
    assert_eq!(second["entry_ids"].as_array().unwrap().len(), 2, "{first} {second}");
    b.kill9();
    let b = b_launch.start();
    let third = send(&b, &["d1", "d3", "d4"]);
    assert_eq!((&third["published"], &third["duplicates"]), (&json!(1), &json!(2)), "{third}");
    // The same id of another sender is another message.
    send(&a, &["d1"]);
    let mut seen: Vec<String> = Vec::new();
    while seen.len() < 4 {
        let got = a.ok(SYNC, json!({"wait_ms": 5000}));
        assert!(!ids(&got).is_empty(), "only {seen:?} arrived");
        seen.extend(ids(&got).iter().map(|id| (*id).to_owned()));
    }
    assert_eq!(seen, ["d1", "d2", "d3", "d4"]);
    assert_eq!(ids(&b.ok(SYNC, json!({"wait_ms": 5000}))), ["d1"]);
}

#[test]
fn what_was_trimmed_is_told_as_a_gap_until_it_is_acknowledged() {
    // The stream keeps at most a hundred times its length of what an absent member has not read.
    let length = 10_u64;
    let Pair { dir: _dir, redis: _redis, b_launch, a, b } =
        pair_with(|launch| launch.env("CLAWSTER__SYNC__MAX_STREAM_LENGTH", &length.to_string()));
    b.kill9();
    let total = 3_000_u64;
    for batch in 0..total / 100 {
        let messages: Vec<Value> =
            (0..100).map(|n| json!({"id": format!("g{}", batch * 100 + n), "payload": n})).collect();
        a.ok(SYNC, json!({"messages": messages, "limit": 0}));
    }
    let b = b_launch.start();
    let first = b.ok(SYNC, json!({"auto_ack": false, "wait_ms": 5000}));
    let gap = &first["gap"];
    assert!(!gap.is_null(), "nothing was trimmed, or it was not told: {first}");
    let (from, to) = (entry_seq(gap["from"].as_str().unwrap()), entry_seq(gap["to"].as_str().unwrap()));
    assert_eq!(gap["count"].as_u64(), Some(to - from + 1), "{gap}");
    let again = b.ok(SYNC, json!({"auto_ack": false}));
    assert_eq!(again["gap"], *gap, "it is told again until it is acknowledged");
    let mut read = 0;
    let mut cursor = again["cursor"].clone();
    let mut answer = again;
    let mut next = to + 1;
    while answer["received"].as_array().is_some_and(|received| !received.is_empty()) {
        for message in answer["received"].as_array().unwrap() {
            assert_eq!(entry_seq(message["entry_id"].as_str().unwrap()), next, "contiguous behind the gap");
            next += 1;
            read += 1;
        }
        answer = b.ok(SYNC, json!({"auto_ack": false, "ack": cursor}));
        assert!(answer["gap"].is_null(), "acknowledged, so told no more: {answer}");
        cursor = answer["cursor"].clone();
    }
    assert_eq!(read + gap["count"].as_u64().unwrap(), total);
    assert!(read >= length, "{read} messages were kept");
}

#[test]
fn a_message_that_is_too_large_refuses_the_whole_call() {
    let pair = pair();
    let large = "x".repeat((1 << 20) + 1);
    let messages = json!([{"id": "small", "payload": 1}, {"id": "large", "payload": large}]);
    let error = pair.a.refused(SYNC, json!({"messages": messages}), -32005);
    assert_eq!(error.data["kind"], "message_too_large");
    assert!(error.message.len() < 500, "the message is not repeated in the error");
    assert_eq!(ids(&pair.b.ok(SYNC, json!({"wait_ms": 300}))), [""; 0]);
    // Just below the bound it passes; several of them arrive in answers that stay below 4 MiB.
    for n in 0..6 {
        let payload = "y".repeat(1_000_000);
        pair.a.ok(SYNC, json!({"messages": [{"id": format!("big{n}"), "payload": payload}], "limit": 0}));
    }
    let mut seen = Vec::new();
    while seen.len() < 6 {
        let got = pair.b.ok(SYNC, json!({"wait_ms": 5000}));
        assert!(got.to_string().len() <= 4 << 20, "an answer of {} bytes", got.to_string().len());
        assert!(!ids(&got).is_empty(), "{} of 6 arrived", seen.len());
        assert!(got["more"] == true || seen.len() + ids(&got).len() == 6 || got["more"] == false);
        seen.extend(ids(&got).iter().map(|id| (*id).to_owned()));
    }
    assert_eq!(seen, ["big0", "big1", "big2", "big3", "big4", "big5"]);
}

#[test]
fn a_full_outbox_refuses_instead_of_forgetting() {
    let Pair { dir: _dir, redis: mut server, a, b, .. } =
        pair_with(|launch| launch.env("CLAWSTER__SYNC__OUTBOX_BYTES", "1048576"));
    server.kill9();
    let payload = "z".repeat(100_000);
    let mut accepted = 0;
    let refused = loop {
        assert!(accepted < 100, "an outbox of 1 MiB took {accepted} messages of 100 kB");
        match a.call(SYNC, json!({"messages": [{"id": format!("o{accepted}"), "payload": payload}], "limit": 0})) {
            Ok(answer) => assert_eq!(answer["queued"], 1, "{answer}"),
            Err(error) => break error,
        }
        accepted += 1;
    };
    assert_eq!(
        (refused.code, &refused.data["kind"], &refused.data["retryable"]),
        (-32006, &json!("overloaded"), &json!(true))
    );
    server.restart();
    let mut seen = 0;
    let end = stamp() + secs(30.0);
    while seen < accepted && stamp() < end {
        seen += ids(&b.ok(SYNC, json!({"wait_ms": 1000}))).len();
    }
    assert_eq!(seen, accepted, "what was accepted arrives");
}

#[test]
fn waiting_ends_with_the_first_message_and_holds_up_nothing_else() {
    let pair = pair();
    let waiting = pair.b.request(SYNC, json!({"wait_ms": 20_000})).unwrap();
    let start = stamp();
    pair.b.state();
    assert!(stamp() - start < secs(2.0), "a waiting call holds up others");
    send(&pair.a, &["wake"]);
    let answer = waiting.wait(secs(5.0)).expect("the waiting call is answered");
    assert_eq!(ids(&answer.result.unwrap()), ["wake"]);
    let start = stamp();
    let empty = pair.b.ok(SYNC, json!({"wait_ms": 300}));
    assert_eq!(empty["received"], json!([]));
    assert!(stamp() - start >= secs(0.28), "it waited");
    assert_eq!(ids(&pair.b.ok(SYNC, json!({"limit": 0, "wait_ms": 20_000}))), [""; 0], "a limit of 0 does not wait");
}

#[test]
fn wrong_parameters_are_refused() {
    let pair = pair();
    let wrong = [
        json!({"mesages": []}),
        json!({"messages": 1}),
        json!({"limit": -1}),
        json!({"limit": "ten"}),
        json!({"wait_ms": 1.5}),
        json!({"auto_ack": "no"}),
        json!({"messages": [{"id": "x", "payload": 1, "unknown": 2}]}),
        json!({"messages": [{"id": "x", "payload": 1, "to": "b"}]}),
        json!([[], 1, 0, true, "1-0", "one too many"]),
    ];
    for params in wrong {
        let error = pair.a.refused(SYNC, params.clone(), -32602);
        assert!(!error.message.is_empty(), "{params}");
    }
}
