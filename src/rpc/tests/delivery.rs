//! Messages through the layer: payloads unchanged, receipts only for what was written.

use super::*;
use serde_json::value::RawValue;

const SYNC: &str = "distributed.sync_messages";

/// Calls with one message received; gives the receipt that the node holds.
async fn asked(host: &mut Host, id: Option<&str>) -> oneshot::Receiver<()> {
    host.node.inbox.lock().unwrap().push(received(4, "\"hello\""));
    let id = id.map(|id| format!(r#""id":"{id}","#)).unwrap_or_default();
    host.line(&format!(r#"{{"jsonrpc":"2.0",{id}"method":"{SYNC}"}}"#)).await;
    let node = Arc::clone(&host.node);
    until("the node was asked", || !node.receipts.lock().unwrap().is_empty()).await;
    host.node.receipts.lock().unwrap().pop().unwrap()
}

#[tokio::test]
async fn the_receipt_is_given_only_once_the_answer_is_out() {
    // A pipe of 16 bytes: the answer does not fit, so it is not written before the host reads.
    let mut host = Host::with(Limits::default(), 16);
    let mut receipt = asked(&mut host, Some("x")).await;
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert_eq!(receipt.try_recv(), Err(oneshot::error::TryRecvError::Empty));
    assert_eq!(host.next().await["result"]["received"][0]["payload"], "hello");
    tokio::time::timeout(DEADLINE, receipt).await.unwrap().expect("the receipt was dropped");
}

#[tokio::test]
async fn no_receipt_is_given_for_an_answer_that_nobody_took() {
    let mut host = Host::with(Limits { drain: Duration::from_millis(50), ..Limits::default() }, 16);
    let receipt = asked(&mut host, Some("x")).await;
    host.ended().await;
    assert!(receipt.await.is_err());

    let mut host = Host::start();
    let receipt = asked(&mut host, None).await;
    assert!(receipt.await.is_err(), "a notification has no answer, so nothing was delivered");
    host.assert_silent().await;
}

#[tokio::test]
async fn receipts_within_a_batch_are_given_too() {
    let mut host = Host::start();
    host.node.inbox.lock().unwrap().push(received(4, "1"));
    let one = |id| format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{SYNC}"}}"#);
    host.line(&format!("[{},{}]", one(1), one(2))).await;
    assert_eq!(host.next().await.as_array().unwrap().len(), 2);
    let receipts = std::mem::take(&mut *host.node.receipts.lock().unwrap());
    assert_eq!(receipts.len(), 2);
    for receipt in receipts {
        tokio::time::timeout(DEADLINE, receipt).await.unwrap().expect("the receipt was dropped");
    }
}

#[tokio::test]
async fn payloads_pass_unchanged_and_named_messages_are_told_from_others() {
    let mut host = Host::start();
    let big = "123456789012345678901234567890.10";
    let text = format!(
        r#"{{"messages":[{big},{{"b":1,"a":1e400}},null,{{"id":"n1","payload":{{"z":{big}}},"to":["b"],"topic":"t"}},{{"id":"only"}},{{"payload":2}}]}}"#
    );
    host.line(&format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{SYNC}","params":{text}}}"#)).await;
    let answer = host.next().await;
    assert_eq!(answer["result"]["published"], 6, "{answer}");
    assert_eq!(answer["result"]["entry_ids"][5], "6-0");
    assert_eq!(answer["result"]["cursor"], "0-0");
    let asked = host.node.syncs.lock().unwrap().pop().unwrap();
    let payloads: Vec<&str> = asked.messages.iter().map(|draft| draft.payload.get()).collect();
    let named = format!(r#"{{"z":{big}}}"#);
    assert_eq!(payloads, [big, r#"{"b":1,"a":1e400}"#, "null", &named, r#"{"id":"only"}"#, r#"{"payload":2}"#]);
    let ids: Vec<Option<&str>> = asked.messages.iter().map(|draft| draft.id.as_deref()).collect();
    assert_eq!(ids, [None, None, None, Some("n1"), None, None]);
    assert_eq!(asked.messages[3].to.as_deref(), Some(&["b".to_owned()][..]));
    assert!(asked.auto_ack && asked.limit.is_none() && asked.wait.is_zero());
}

#[tokio::test]
async fn an_answer_stays_one_line_whatever_the_payload() {
    let mut host = Host::start();
    let payload = "{\n\"a\": \"x\u{2028}y\"\r\n}";
    host.node.inbox.lock().unwrap().push(received(1, payload));
    host.send(1, SYNC, json!({"auto_ack": false})).await;
    let text = host.next_text().await.unwrap();
    assert!(!text.contains(['\r', '\u{2028}']), "{text}");
    let answer: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(answer["result"]["received"][0]["payload"]["a"], "x\u{2028}y");
    assert!(host.node.receipts.lock().unwrap().is_empty());
}

#[tokio::test]
async fn wrong_messages_are_refused_by_their_place() {
    let mut host = Host::start();
    for (params, part) in [
        (json!({"messages": [1, {"id": 5, "payload": 1}]}), "messages[1]: invalid type: integer `5`"),
        (json!({"messages": [{"id": "", "payload": 1}]}), "messages[0]: id has 0 bytes"),
        (json!({"messages": [{"id": "x".repeat(257), "payload": 1}]}), "messages[0]: id has 257 bytes"),
        (json!({"messages": [{"id": "a", "payload": 1, "too": []}]}), "messages[0]: unknown field `too`"),
        (json!({"messages": [{"id": "a", "payload": 1, "to": "b"}]}), "messages[0]: invalid type: string"),
        (json!({"messages": [{"id": "a", "payload": 1, "to": []}]}), "messages[0]: to is empty"),
        (json!({"messages": {"id": "a"}}), "parameter messages: invalid type: map, expected a list"),
        (json!({"limit": -1}), "parameter limit: invalid value: integer `-1`"),
        (json!({"limit": 100_001}), "parameter limit: 0 to 100000"),
        (json!({"wait_ms": 3_600_001}), "parameter wait_ms: 0 to 3600000"),
        (json!({"ack": "5"}), "parameter ack: it is not a cursor"),
        (json!({"auto_ack": 1}), "parameter auto_ack: invalid type: integer `1`, expected a boolean"),
    ] {
        let answer = host.ask(SYNC, params).await;
        let message = answer["error"]["message"].as_str().unwrap();
        assert_eq!(answer["error"]["code"], -32602, "{answer}");
        assert!(message.contains(part), "{message:?} does not hold {part:?}");
    }
    assert!(host.node.syncs.lock().unwrap().is_empty());
    let answer = host.ask(SYNC, json!([null, 5, 20, false, "9-0"])).await;
    assert_eq!(answer["result"]["more"], false, "{answer}");
    let asked = host.node.syncs.lock().unwrap().pop().unwrap();
    assert_eq!((asked.limit, asked.wait, asked.auto_ack), (Some(5), Duration::from_millis(20), false));
    assert_eq!(asked.ack, Some(MessageSeq(9)));
}

#[tokio::test]
async fn a_batch_too_big_to_answer_keeps_every_id_and_gives_no_receipt_for_what_was_left_out() {
    let mut host = Host::start();
    let payload = format!("\"{}\"", "x".repeat(4 << 20));
    host.node.inbox.lock().unwrap().push(received(1, &payload));
    let items: Vec<String> = (0..20).map(|id| format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{SYNC}"}}"#)).collect();
    host.line(&format!("[{}]", items.join(","))).await;
    let text = host.next_text().await.unwrap();
    let answers: Vec<&RawValue> = serde_json::from_str(&text).unwrap();
    assert_eq!(answers.len(), 20);
    let heads: Vec<&str> = answers.iter().map(|answer| &answer.get()[..60]).collect();
    for (id, head) in heads.iter().enumerate() {
        assert!(head.starts_with(&format!(r#"{{"jsonrpc":"2.0","id":{id},"#)), "{head}");
    }
    let refused = heads.iter().filter(|head| head.contains("\"error\":{\"code\":-32603")).count();
    assert_eq!(refused, heads.iter().filter(|head| head.contains("\"error\"")).count(), "{heads:?}");
    assert!((1..20).contains(&refused), "{refused}");
    let receipts = std::mem::take(&mut *host.node.receipts.lock().unwrap());
    let mut lost = 0;
    for receipt in receipts {
        lost += usize::from(tokio::time::timeout(DEADLINE, receipt).await.unwrap().is_err());
    }
    assert_eq!(lost, refused);
}

#[tokio::test]
async fn an_answer_too_long_for_a_line_is_not_to_be_tried_again() {
    let mut host = Host::start();
    host.node.inbox.lock().unwrap().push(received(1, &format!("\"{}\"", "x".repeat(17 << 20))));
    let error = host.ask(SYNC, json!({})).await["error"].clone();
    assert_eq!((&error["code"], &error["data"]["retryable"]), (&json!(-32603), &json!(false)), "{error}");
    host.assert_silent().await;
}

#[tokio::test]
async fn answers_that_nobody_reads_hold_back_the_next_lines() {
    const LINES: usize = 40;
    let mut host = Host::with(Limits::default(), 16);
    host.node.inbox.lock().unwrap().push(received(1, &format!("\"{}\"", "x".repeat(1 << 19))));
    let call = |id: usize| format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{SYNC}","params":{{"auto_ack":false}}}}"#);
    for line in 0..LINES {
        let items: Vec<String> = (0..8).map(|item| call(line * 8 + item)).collect();
        host.line(&format!("[{}]", items.join(","))).await;
    }
    let node = Arc::clone(&host.node);
    until("the first lines were run", || !node.syncs.lock().unwrap().is_empty()).await;
    // Whatever can go on without the host reading has gone on once nothing has changed for a thousand turns.
    let mut last = (0, 0);
    while last.1 < 1_000 {
        tokio::task::yield_now().await;
        let run = host.node.syncs.lock().unwrap().len();
        last = if run == last.0 { (run, last.1 + 1) } else { (run, 0) };
    }
    assert!(last.0 < LINES * 8, "every line was run though none was read");
    // Reading lets all of it go on.
    let node = Arc::clone(&host.node);
    for _ in 0..LINES {
        assert!(host.next_text().await.unwrap().starts_with('['));
    }
    assert_eq!(node.syncs.lock().unwrap().len(), LINES * 8);
}

#[tokio::test]
async fn long_lines_that_wait_are_bounded_in_bytes() {
    const STATE: &str = "distributed.get_cluster_state";
    let mut host = Host::start();
    // Eight such lines fit; each waits at the gate.
    let padding = " ".repeat(4_000_000);
    let slow = |id| format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{STATE}","params":{{"fresh":true}}}}{padding}"#);
    for id in 0..8 {
        host.line(&slow(id)).await;
    }
    let mut input = host.input.take().unwrap();
    let ninth = format!("{}\n", slow(8));
    let next = format!("{}\n", slow(9));
    let sending = tokio::spawn(async move {
        input.write_all(ninth.as_bytes()).await.unwrap();
        input.write_all(next.as_bytes()).await.unwrap();
        input
    });
    for _ in 0..1_000 {
        tokio::task::yield_now().await;
    }
    assert!(!sending.is_finished(), "a tenth line was read while eight of them wait");
    host.node.gate.add_permits(10);
    for _ in 0..10 {
        assert!(host.next().await["result"].is_object());
    }
    drop(sending.await.unwrap());
}

#[tokio::test]
async fn the_longest_offer_of_messages_fits_into_an_answer() {
    use crate::cluster::ids::{EventSeq, Nonce};
    use crate::cluster::messages::inbox::Inbox;
    use crate::cluster::protocol::{DataSet, Entry, Numbers};
    use crate::engine::node::handle::Synced;
    use crate::rpc::framing::into_line;
    use crate::rpc::outgoing::Outcome;
    use crate::rpc::sync_text;
    let data = DataSet {
        epoch: "e".to_owned(),
        numbers: Numbers::default(),
        event_start: EventSeq(0),
        message_start: MessageSeq(0),
        timing: None,
        settings: None,
    };
    let (own, other) = (Nonce::from_bytes([1; 16]), Nonce::from_bytes([2; 16]));
    let mut inbox = Inbox::new(vec![node_id("a")], own, MessageSeq(0), &data, std::collections::BTreeMap::new());
    // Line separators, which a line has as escapes.
    let text = "\u{2028}".repeat(256);
    let message = json!({"id": text, "topic": text, "payload": text}).to_string();
    for entry in 1..=200_u64 {
        let body = format!("[{}]", vec![message.as_str(); 50].join(","));
        inbox.take(&Entry {
            last: MessageSeq(entry * 50),
            producer: other.clone(),
            from: node_id("b"),
            first_own: (entry - 1) * 50 + 1,
            count: 50,
            at: ServerTime(1),
            body: body.into(),
            after: None,
        });
    }
    let offer = inbox.offer(100_000, 4 << 20);
    assert!(offer.more);
    let synced = Synced { received: offer.received, ..Synced::default() };
    let written = sync_text::write("sync", &synced).map_err(|error| error.message).unwrap();
    let length = into_line(Outcome::result(written, Vec::new()).tail).len();
    assert!(length > 3 << 20 && length <= (4 << 20) + 256, "{length}");
}
