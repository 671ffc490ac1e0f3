//! How many bytes the message stream holds: what members need is never removed for want of room, so senders wait.

use crate::calls::*;
use crate::fixture::{Fixture, Redis};
use clawster::cluster::protocol::{Join, Packed, Publish, PublishReply};
use clawster::cluster::settings::Timing;

/// An entry of one message with so many bytes.
fn sized(first: u64, bytes: usize) -> Packed {
    Packed { first, count: 1, body: "x".repeat(bytes) }
}

/// A publish of one such entry into a stream that may hold so much.
fn ask(node: &Node, first: u64, bytes: usize, max_bytes: u64) -> Publish {
    Publish { max_bytes, ..publish_of(node, vec![sized(first, bytes)]) }
}

/// Publishes entries from `first` on until there is no room; how many were written, and for whom the stream is full.
async fn flood<F: Fixture>(f: &F, node: &Node, first: u64, bytes: usize, max_bytes: u64) -> (u64, Option<String>) {
    for own in first..first + 10_000 {
        match publish(f, ask(node, own, bytes, max_bytes)).await {
            PublishReply::Written { .. } => {}
            PublishReply::Full { held, bound, slowest } => {
                assert!(held <= max_bytes && bound.is_some(), "{held} {bound:?}");
                return (own - first, slowest.map(|id| id.to_string()));
            }
            other => panic!("{other:?}"),
        }
    }
    panic!("there is room for everything");
}

async fn newest<F: Fixture>(f: &F) -> u64 {
    positions(f).await.last().copied().unwrap_or(0)
}

async fn a_sender_waits_for_those_who_have_not_read<F: Fixture>(f: F) {
    let a = member(&f, "a").await;
    let b = member(&f, "b").await;
    let (written, who) = flood(&f, &a, 1, 936, 10_000).await;
    assert_eq!((written, who.as_deref()), (7, Some("a")), "three quarters of ten");
    acknowledge(&f, &a, &a.epoch, newest(&f).await).await;
    let (written, who) = flood(&f, &a, 8, 936, 10_000).await;
    assert_eq!((written, who.as_deref()), (0, Some("b")));
    assert_eq!(positions(&f).await.len(), 7, "b has not read them");
    put(&f, ask(&b, 1, 936, 10_000)).await;
    assert_eq!(flood(&f, &b, 2, 936, 10_000).await.0, 2, "the rest is for others");
    let last = newest(&f).await;
    for node in [&a, &b] {
        acknowledge(&f, node, &node.epoch, last).await;
    }
    assert_eq!(flood(&f, &a, 8, 936, 10_000).await.0, 7, "what everybody has read makes room, however new it is");
    assert!(positions(&f).await.first() > Some(&last));
}

async fn what_is_larger_than_the_bound_passes_alone<F: Fixture>(f: F) {
    let a = member(&f, "a").await;
    let seq = put(&f, ask(&a, 1, 50_000, 10_000)).await;
    let next = publish(&f, ask(&a, 2, 1, 10_000)).await;
    assert!(matches!(next, PublishReply::Full { held: 50_064, bound: Some(10_000), .. }), "{next:?}");
    acknowledge(&f, &a, &a.epoch, seq).await;
    put(&f, ask(&a, 2, 50_000, 10_000)).await;
}

async fn bytes_are_counted_right_over_many_runs<F: Fixture>(f: F) {
    let a = member(&f, "a").await;
    let (bound, mut first) = (2_000_000, 1);
    for round in 0..5 {
        let (written, _) = flood(&f, &a, first, 40_000 - 64, bound).await;
        let expected = if round == 0 { 37..=37 } else { 36..=38 };
        assert!(expected.contains(&written), "round {round}: {written}");
        first += written;
        let entries = (first..first + 10).map(|own| sized(own, 100)).collect();
        let few = Publish { max_bytes: bound, ..publish_of(&a, entries) };
        acknowledge(&f, &a, &a.epoch, newest(&f).await).await;
        put(&f, few).await;
        first += 10;
        acknowledge(&f, &a, &a.epoch, newest(&f).await).await;
    }
}

async fn nobody_is_waited_for_longer_than_an_hour<F: Fixture>(mut f: F) {
    let hours = Timing { heartbeat_interval: secs(36_000), heartbeat_ttl: secs(360_000), lease_ttl: secs(360_000) };
    let a = admitted(&f, Join { settings: with(hours), ..join_of("a") }).await;
    member(&f, "b").await;
    let (written, _) = flood(&f, &a, 1, 936, 10_000).await;
    let last = newest(&f).await;
    acknowledge(&f, &a, &a.epoch, last).await;
    assert_eq!(flood(&f, &a, written + 1, 936, 10_000).await.0, 0);
    f.advance(secs(3500));
    assert_eq!(flood(&f, &a, written + 1, 936, 10_000).await.0, 0);
    f.advance(secs(200));
    assert_eq!(flood(&f, &a, written + 1, 936, 10_000).await.0, 0, "given up by this call");
    assert_eq!(flood(&f, &a, written + 1, 936, 10_000).await.0, 7);
    assert!(member(&f, "b").await.cursor.0 < last, "what it missed shows as a gap");
}

contract!(
    a_sender_waits_for_those_who_have_not_read,
    what_is_larger_than_the_bound_passes_alone,
    bytes_are_counted_right_over_many_runs,
    nobody_is_waited_for_longer_than_an_hour,
);

/// Memory that Redis may use, in bytes.
fn limit(f: &Redis, bytes: u64) {
    f.server.cli(&["CONFIG", "SET", "maxmemory", &bytes.to_string()]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_take_at_most_half_of_a_limited_redis() {
    let f = Redis::start();
    limit(&f, 20 << 20);
    let a = member(&f, "a").await;
    let mut first = 1;
    for _ in 0..4 {
        let mut held = 0;
        while let PublishReply::Written { .. } = publish(&f, ask(&a, first, 100_000, 1 << 40)).await {
            (first, held) = (first + 1, held + 100_064);
        }
        assert!((7 << 20..=10 << 20).contains(&held), "{held}");
        assert!(!tick(&f, &a).await.full, "there is room for everything else");
        acknowledge(&f, &a, &a.epoch, newest(&f).await).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_redis_is_trimmed_by_beats_once_everybody_has_read() {
    let f = Redis::start();
    let (a, b) = (member(&f, "a").await, member(&f, "b").await);
    put(&f, ask(&a, 1, 1 << 20, 1 << 40)).await;
    limit(&f, 1);
    let last = newest(&f).await;
    acknowledge(&f, &a, &a.epoch, last).await;
    tick(&f, &a).await;
    assert_eq!(positions(&f).await.len(), 1, "b has not read it");
    assert!(matches!(publish(&f, ask(&a, 2, 1, 1 << 40)).await, PublishReply::Full { bound: None, .. }));
    acknowledge(&f, &b, &b.epoch, last).await;
    assert!(tick(&f, &a).await.full);
    assert!(positions(&f).await.is_empty());
    limit(&f, 0);
    put(&f, ask(&a, 2, 1, 1 << 40)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counts_that_are_lost_or_broken_begin_anew() {
    let f = Redis::start();
    let a = member(&f, "a").await;
    let mut first = 1;
    for (name, value) in [("sizes", ""), ("sent", ""), ("sizes", "a text"), ("sent", "a text")] {
        first += flood(&f, &a, first, 69_936, 700_000).await.0;
        let key = format!("clawster:{{openclaw}}:{name}");
        f.server.cli(&["DEL", &key]);
        if !value.is_empty() {
            f.server.cli(&["SET", &key, value]);
        }
        acknowledge(&f, &a, &a.epoch, newest(&f).await).await;
        put(&f, ask(&a, first, 69_936, 700_000)).await;
        first += 1;
        acknowledge(&f, &a, &a.epoch, newest(&f).await).await;
    }
    let written = flood(&f, &a, first, 69_936, 700_000).await.0;
    assert!((7..=10).contains(&written), "{written}");
}
