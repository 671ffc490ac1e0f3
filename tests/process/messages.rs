//! Messages under load and through crashes: everything reaches everyone once, in one order.
//!
//! `CLAWSTER_TEST_MESSAGES` sets how many each node sends (2,000 when unset); the ignored tests send 10,000.

use serde_json::json;
use std::sync::atomic::Ordering;
use testkit::checker::judge;
use testkit::proxy::Mode;
use testkit::traffic::{Slot, run};
use testkit::wait::secs;
use testkit::{Proxy, RedisOptions, RedisServer, Trio, eventually, hold};

fn per_node() -> usize {
    let set = std::env::var("CLAWSTER_TEST_MESSAGES").ok();
    set.map_or(2_000, |text| text.parse().expect("CLAWSTER_TEST_MESSAGES is a number"))
}

fn slots(trio: &mut Trio) -> Vec<Slot> {
    let nodes = std::mem::take(&mut trio.nodes);
    nodes.into_iter().zip(&trio.launches).map(|(node, launch)| Slot::new(launch.clone(), node)).collect()
}

/// Waits until the receivers together took this part of all messages.
fn part_taken(slots: &[Slot], of: usize) {
    eventually("a part of the messages was taken", secs(120.0), || {
        let taken: usize = slots.iter().map(|slot| slot.progress.load(Ordering::SeqCst)).sum();
        if taken >= of { Ok(()) } else { Err(format!("{taken} of {of}")) }
    });
}

/// Nothing is left to be handed out, and nobody wrote anything but JSON-RPC.
#[track_caller]
fn drained(slots: &[Slot]) {
    for slot in slots {
        let last = slot.get().ok("distributed.sync_messages", json!({"auto_ack": false, "wait_ms": 100}));
        assert!(last["gap"].is_null(), "{last}");
        slot.get().assert_clean();
    }
}

fn a_receiver_dies(count: usize) {
    let redis = RedisServer::start();
    let mut trio = Trio::start(&redis);
    let slots = slots(&mut trio);
    let traffic = run(&slots, count, Some(1), secs(240.0), || {});
    judge("messages", &traffic.problems());
    assert!(traffic.gaps.values().all(Vec::is_empty), "{:?}", traffic.gaps);
    drained(&slots);
}

fn redis_dies(count: usize) {
    let mut redis = RedisServer::with(RedisOptions { appendonly: true, ..RedisOptions::default() });
    let mut trio = Trio::start(&redis);
    let slots = slots(&mut trio);
    for slot in &slots {
        slot.hold_half.store(true, Ordering::SeqCst);
    }
    let traffic = run(&slots, count, None, secs(240.0), || {
        part_taken(&slots, count);
        redis.kill9();
        for slot in &slots {
            slot.hold_half.store(false, Ordering::SeqCst);
        }
        for slot in &slots {
            eventually("messages are answered `queued` while Redis is down", secs(20.0), || {
                if slot.queued.load(Ordering::SeqCst) > 0 { Ok(()) } else { Err(format!("none of {}", slot.id())) }
            });
        }
        redis.restart();
    });
    judge("messages", &traffic.problems());
    assert!(traffic.gaps.values().all(Vec::is_empty), "{:?}", traffic.gaps);
    drained(&slots);
}

#[test]
fn everything_arrives_once_though_a_receiver_is_killed() {
    a_receiver_dies(per_node());
}

#[test]
fn everything_arrives_once_though_redis_is_killed() {
    redis_dies(per_node());
}

#[test]
#[ignore = "long: 10,000 messages per node"]
fn ten_thousand_each_though_a_receiver_is_killed() {
    a_receiver_dies(10_000);
}

#[test]
#[ignore = "long: 10,000 messages per node"]
fn ten_thousand_each_though_redis_is_killed() {
    redis_dies(10_000);
}

#[test]
fn everything_arrives_once_though_the_network_loses_replies() {
    let redis = RedisServer::start();
    let proxy = Proxy::start(redis.port());
    let mut trio = Trio::with(|launch| launch.port(proxy.port()).brisk());
    let slots = slots(&mut trio);
    let traffic = run(&slots, 1_000, None, secs(120.0), || {
        for step in 1..=4 {
            part_taken(&slots, step * 600);
            proxy.drop_replies(3);
        }
        proxy.set(Mode::BlackHole);
        hold(secs(2.0), "a black hole that the nodes have to notice");
        proxy.set(Mode::Pass);
        hold(secs(0.5), "some traffic between two faults");
        proxy.set(Mode::HalfClose);
        hold(secs(0.5), "every open connection half closes");
        proxy.set(Mode::Drop);
        hold(secs(0.5), "every connection is refused");
        proxy.set(Mode::Pass);
    });
    judge("messages", &traffic.problems());
    assert!(traffic.gaps.values().all(Vec::is_empty), "{:?}", traffic.gaps);
    drained(&slots);
}
