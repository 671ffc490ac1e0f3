//! Events: their order, their filters, their end.

use super::*;
use crate::cluster::event::{ClusterEvent, ClusterFact, Direction, LeftReason, LocalFact};
use crate::cluster::ids::EventSeq;

const SUBSCRIBE: &str = "cluster.subscribe";

fn left(seq: u64, id: &str) -> Event {
    let fact = ClusterFact::NodeLeft { incarnation: Incarnation(2), reason: LeftReason::ProcessDied };
    Event::Cluster(ClusterEvent { seq: EventSeq(seq), at: ServerTime(9), node_id: node_id(id), fact })
}

fn local(fact: LocalFact) -> Event {
    Event::Local { at: ServerTime(10), fact }
}

async fn subscribe(host: &mut Host, params: Value) -> (Value, FeedOptions, mpsc::Sender<Event>) {
    let answer = host.ask(SUBSCRIBE, params).await;
    assert!(answer["result"].is_u64(), "{answer}");
    let (options, feed) = host.node.feeds.lock().unwrap().pop().unwrap();
    (answer["result"].clone(), options, feed)
}

#[tokio::test]
async fn events_follow_the_answer_and_carry_their_shape() {
    let mut host = Host::start();
    let (id, options, feed) = subscribe(&mut host, json!({})).await;
    assert_eq!(options, FeedOptions::default());
    feed.send(left(7, "b")).await.unwrap();
    let complete =
        LocalFact::SyncComplete { direction: Direction::Sent, count: 2, first: MessageSeq(3), last: MessageSeq(4) };
    feed.send(local(complete)).await.unwrap();
    feed.send(local(LocalFact::Gap { from: EventSeq(8), to: EventSeq(9) })).await.unwrap();
    let event = host.next().await;
    let expected = json!({
        "jsonrpc": "2.0",
        "method": "cluster.node_left",
        "params": { "subscription": id, "result": {
            "id": "7-0", "seq": 7, "event": "cluster.node_left", "cluster": "openclaw", "at_ms": 9, "node_id": "b",
            "incarnation": 2, "reason": "process_died",
        }},
    });
    assert_eq!(event, expected);
    let expected = json!({
        "id": null, "seq": null, "event": "cluster.sync_complete", "cluster": "openclaw", "at_ms": 10, "node_id": "a",
        "direction": "sent", "count": 2, "first_entry_id": "3-0", "last_entry_id": "4-0",
    });
    assert_eq!(host.next().await["params"]["result"], expected);
    let gap = host.next().await["params"]["result"].clone();
    assert_eq!((&gap["event"], &gap["from_seq"], &gap["to_seq"]), (&json!("cluster.gap"), &json!(8), &json!(9)));
}

#[tokio::test]
async fn no_event_goes_before_the_answer() {
    // The subscription's answer is part of a batch whose other half is still at work, so it cannot be out yet.
    let mut host = Host::start();
    let subscribe = r#"{"jsonrpc":"2.0","id":1,"method":"cluster.subscribe"}"#;
    let slow = r#"{"jsonrpc":"2.0","id":2,"method":"distributed.get_cluster_state","params":[true]}"#;
    host.line(&format!("[{subscribe},{slow}]")).await;
    let node = Arc::clone(&host.node);
    until("the node was asked", || !node.feeds.lock().unwrap().is_empty()).await;
    let (_, feed) = host.node.feeds.lock().unwrap().pop().unwrap();
    feed.send(left(1, "b")).await.unwrap();
    // Whatever is written now was written in spite of that: the answer to this comes first.
    host.assert_silent().await;
    host.node.gate.add_permits(1);
    assert_eq!(host.next().await[0]["id"], 1);
    assert_eq!(host.next().await["method"], "cluster.node_left");
}

#[tokio::test]
async fn filters_pass_what_was_named_and_every_gap() {
    let mut host = Host::start();
    let params = json!({"events": ["cluster.message"], "after": "41-0"});
    let (_, options, feed) = subscribe(&mut host, params).await;
    assert_eq!(options, FeedOptions { after: Some(EventSeq(41)), messages: true });
    feed.send(left(42, "b")).await.unwrap();
    feed.send(local(LocalFact::Degraded {
        reason: crate::cluster::event::DegradedReason::Unreachable,
        detail: String::new(),
    }))
    .await
    .unwrap();
    feed.send(local(LocalFact::Gap { from: EventSeq(43), to: EventSeq(44) })).await.unwrap();
    feed.send(local(LocalFact::Message(received(5, "{\"n\":1}")))).await.unwrap();
    assert_eq!(host.next().await["method"], "cluster.gap");
    let event = host.next().await;
    assert_eq!(event["method"], "cluster.message");
    let message = &event["params"]["result"]["message"];
    assert_eq!((&message["entry_id"], &message["payload"]["n"]), (&json!("5-0"), &json!(1)));

    for (params, part) in [
        (json!({"events": ["cluster.nope"]}), "there is no event \"cluster.nope\"; there are: cluster.*,"),
        (json!({"events": []}), "parameter events"),
        (json!({"after": "x"}), "parameter after: it is not an event id"),
        (json!({"after": 5}), "parameter after: invalid type"),
    ] {
        let answer = host.ask(SUBSCRIBE, params).await;
        assert_eq!(answer["error"]["code"], -32602, "{answer}");
        assert!(answer["error"]["message"].as_str().unwrap().contains(part), "{answer}");
    }
}

#[tokio::test]
async fn nothing_follows_an_unsubscription() {
    let mut host = Host::start();
    let (id, _, feed) = subscribe(&mut host, json!([["*"]])).await;
    feed.send(left(1, "b")).await.unwrap();
    assert_eq!(host.next().await["params"]["subscription"], id);
    assert_eq!(host.ask("cluster.unsubscribe", json!([id])).await["result"], true);
    assert!(feed.send(left(2, "b")).await.is_err());
    let answer = host.ask("cluster.unsubscribe", json!({"subscription": id})).await;
    assert_eq!((&answer["error"]["code"], &answer["error"]["data"]["kind"]), (&json!(-32009), &json!("not_found")));
    host.assert_silent().await;
}

#[tokio::test]
async fn subscriptions_are_bounded_and_end_with_their_feed_or_connection() {
    let mut host = Host::start();
    let mut feeds = Vec::new();
    for _ in 0..64 {
        feeds.push(subscribe(&mut host, json!({})).await.2);
    }
    let answer = host.ask(SUBSCRIBE, json!({})).await;
    assert_eq!((&answer["error"]["code"], &answer["error"]["data"]["retryable"]), (&json!(-32006), &json!(true)));
    // A feed that ends gives its place back.
    feeds.pop();
    let node = Arc::clone(&host.node);
    let mut found = false;
    for _ in 0..10_000 {
        found = host.ask(SUBSCRIBE, json!({})).await["result"].is_u64();
        if found {
            break;
        }
    }
    assert!(found, "the place was not given back");
    feeds.push(node.feeds.lock().unwrap().pop().unwrap().1);
    host.ended().await;
    for feed in feeds {
        tokio::time::timeout(DEADLINE, feed.closed()).await.expect("a subscription outlived its connection");
    }
}

#[tokio::test]
async fn a_subscription_that_nobody_was_told_of_ends() {
    let mut host = Host::start();
    host.line(r#"{"jsonrpc":"2.0","method":"cluster.subscribe"}"#).await;
    let node = Arc::clone(&host.node);
    until("the node was asked", || !node.feeds.lock().unwrap().is_empty()).await;
    let (_, feed) = host.node.feeds.lock().unwrap().pop().unwrap();
    tokio::time::timeout(DEADLINE, feed.closed()).await.expect("it goes on");
    host.assert_silent().await;
}
