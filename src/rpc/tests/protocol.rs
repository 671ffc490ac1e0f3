//! Framing, ids, batches, concurrency, and the ways to end.

use super::*;

const STATE: &str = "distributed.get_cluster_state";

fn request(id: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{STATE}"}}"#)
}

#[tokio::test]
async fn ids_come_back_exactly_as_written() {
    let mut host = Host::start();
    for id in ["null", "0", "-3", "1.50", "1e400", "18446744073709551616", r#""""#, r#""\u0000\n é""#] {
        host.line(&request(id)).await;
        let text = host.next_text().await.unwrap();
        assert!(text.starts_with(&format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"#)), "{text}");
    }
}

#[tokio::test]
async fn what_is_no_request_is_answered_and_the_server_goes_on() {
    let mut host = Host::start();
    for (text, id, code) in [
        ("nonsense", Value::Null, -32700),
        ("\"text\"", Value::Null, -32600),
        ("[]", Value::Null, -32600),
        (r#"{"jsonrpc":"2.0","id":[],"method":"x"}"#, Value::Null, -32600),
        (r#"{"jsonrpc":"2.0","id":4}"#, json!(4), -32600),
        (r#"{"jsonrpc":"2.0","id":4,"method":"no.such"}"#, json!(4), -32601),
    ] {
        host.line(text).await;
        let answer = host.next().await;
        assert_eq!((&answer["id"], &answer["error"]["code"]), (&id, &json!(code)), "{text}");
        assert!(answer["error"]["data"]["kind"].is_string() && answer["error"]["data"]["retryable"] == false);
    }
    host.write(b"\xff\xfe{}\n\n  \r\n").await;
    assert_eq!(host.next().await["error"]["code"], -32700);
    host.line(&format!("{}\r", request("1"))).await;
    assert_eq!(host.next().await["id"], 1);
    host.assert_silent().await;
}

#[tokio::test]
async fn deep_nesting_is_refused_without_harm() {
    let mut host = Host::start();
    host.line(&"[".repeat(100_000)).await;
    assert_eq!(host.next().await["error"]["code"], -32700);
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let text = r#"{"jsonrpc":"2.0","id":1,"method":"distributed.sync_messages","params":{"messages":[DEEP]}}"#;
    host.line(&text.replace("DEEP", &deep)).await;
    assert_eq!(host.next().await["error"]["code"], -32700);
    host.assert_silent().await;
}

#[tokio::test]
async fn a_line_of_100_mb_is_refused_once_and_skipped() {
    let mut host = Host::start();
    let chunk = vec![b'x'; 1 << 20];
    for _ in 0..100 {
        host.write(&chunk).await;
    }
    host.write(b"\n").await;
    let answer = host.next().await;
    assert_eq!((&answer["id"], &answer["error"]["code"]), (&Value::Null, &json!(-32600)));
    host.assert_silent().await;
}

#[tokio::test]
async fn batches_get_one_list_and_notifications_nothing() {
    let mut host = Host::start();
    let notification = format!(r#"{{"jsonrpc":"2.0","method":"{STATE}"}}"#);
    let wrong = r#"{"jsonrpc":"2.0","method":"no.such","params":[1]}"#;
    host.line(&notification).await;
    host.line(wrong).await;
    host.line(&format!("[{notification},{wrong}]")).await;
    host.assert_silent().await;

    host.line(&format!("[{},1,{notification},{}]", request("7"), request("\"x\""))).await;
    let answer = host.next().await;
    let ids: Vec<&Value> = answer.as_array().unwrap().iter().map(|one| &one["id"]).collect();
    assert_eq!(ids, [&json!(7), &Value::Null, &json!("x")]);
    assert_eq!(answer[1]["error"]["code"], -32600);

    host.line(&format!("[{}]", vec![notification; 1_001].join(","))).await;
    assert_eq!(host.next().await["error"]["code"], -32600);
}

#[tokio::test]
async fn a_slow_request_delays_no_other() {
    let mut host = Host::start();
    host.send("slow", STATE, json!({"fresh": true})).await;
    host.line(&format!("[{}]", request("2"))).await;
    assert_eq!(host.next().await[0]["id"], 2);
    host.assert_silent().await;
    host.node.gate.add_permits(1);
    assert_eq!(host.next().await["id"], "slow");
}

#[tokio::test]
async fn requests_in_flight_are_bounded() {
    let mut host = Host::with(Limits { in_flight: 2, ..Limits::default() }, 1 << 20);
    for id in 0..3 {
        host.send(id, STATE, json!({"fresh": true})).await;
    }
    host.send("last", STATE, json!({})).await;
    host.node.gate.add_permits(1);
    assert!(host.next().await["id"].is_number());
    host.node.gate.add_permits(2);
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(host.next().await["id"].to_string());
    }
    assert!(ids.contains(&"\"last\"".to_owned()), "{ids:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_requests_at_a_time_are_all_answered() {
    let mut host = Host::start();
    host.node.gate.add_permits(100);
    for id in 0..200 {
        host.send(id, STATE, json!({"fresh": id % 2 == 0})).await;
    }
    let mut ids = std::collections::BTreeSet::new();
    for _ in 0..200 {
        ids.insert(host.next().await["id"].as_u64().unwrap());
    }
    assert_eq!(ids, (0..200).collect());
}

#[tokio::test]
async fn a_handler_that_panics_is_an_internal_error() {
    let mut host = Host::start();
    let answer = host.ask("distributed.elect_leader", json!({"candidate": "panic"})).await;
    assert_eq!(answer["error"]["code"], -32603);
    assert_eq!(answer["error"]["data"]["kind"], "internal_error");
    host.assert_silent().await;
}

#[tokio::test]
async fn the_end_of_input_still_answers_what_was_asked() {
    let mut host = Host::start();
    host.send(1, STATE, json!({})).await;
    // A last line without its end counts when it is whole, and is ignored when it is not.
    host.write(request("2").as_bytes()).await;
    host.input = None;
    let mut ids = [host.next().await["id"].clone(), host.next().await["id"].clone()];
    ids.sort_by_key(Value::to_string);
    assert_eq!(ids, [json!(1), json!(2)]);
    assert_eq!(host.next_text().await, None);
    assert_eq!(host.ended().await, Ended::InputClosed);

    let mut host = Host::start();
    host.write(&request("2").as_bytes()[..20]).await;
    host.input = None;
    assert_eq!(host.next_text().await, None);
}

#[tokio::test]
async fn a_stop_flushes_what_is_in_flight_and_waits_no_longer_than_its_bound() {
    let mut host = Host::start();
    host.send("slow", STATE, json!({"fresh": true})).await;
    host.assert_silent().await;
    host.stop.send_replace(true);
    host.node.gate.add_permits(1);
    assert_eq!(host.next().await["id"], "slow");
    assert_eq!(host.next_text().await, None);
    assert_eq!(host.ended().await, Ended::Stopped);

    let mut host = Host::with(Limits { drain: Duration::from_millis(50), ..Limits::default() }, 1 << 20);
    host.send("never", STATE, json!({"fresh": true})).await;
    host.assert_silent().await;
    host.stop.send_replace(true);
    assert_eq!(host.next_text().await, None);
    assert_eq!(host.ended().await, Ended::Stopped);
}

#[tokio::test]
async fn a_host_that_does_not_read_holds_up_the_end_no_longer_than_its_bound() {
    let mut host = Host::with(Limits { drain: Duration::from_millis(50), ..Limits::default() }, 16);
    for id in 0..50 {
        host.send(id, STATE, json!({})).await;
    }
    host.input = None;
    let server = std::mem::replace(&mut host.server, tokio::spawn(async { Ended::Stopped }));
    let ended = tokio::time::timeout(DEADLINE, server).await.expect("the server did not end").unwrap();
    assert_eq!(ended, Ended::InputClosed);
}

#[tokio::test]
async fn the_end_of_input_is_seen_while_every_slot_is_taken() {
    let limits = Limits { in_flight: 2, drain: Duration::from_millis(50), ..Limits::default() };
    let mut host = Host::with(limits, 1 << 20);
    for id in 0..2 {
        host.send(id, STATE, json!({"fresh": true})).await;
    }
    host.input = None;
    assert_eq!(host.next_text().await, None);
    assert_eq!(host.ended().await, Ended::InputClosed);
}

#[tokio::test]
async fn a_host_that_closed_its_end_ends_the_connection() {
    let mut host = Host::start();
    host.output = None;
    host.send(1, STATE, json!({})).await;
    let server = std::mem::replace(&mut host.server, tokio::spawn(async { Ended::Stopped }));
    let ended = tokio::time::timeout(DEADLINE, server).await.expect("the server did not end").unwrap();
    assert_eq!(ended, Ended::OutputClosed);
}
