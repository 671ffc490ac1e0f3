//! MongoDB killed and frozen in the middle of writing: every heartbeat is there exactly once after all.

use crate::history_fixture::*;
use clawster::store::history::{Batch, HistoryFault, HistoryStore};
use clawster::store::mongodb::{MongoHistory, Timeouts};
use mongodb::bson::doc;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use testkit::Mongod;

/// How many beats one call brings.
const AT_ONCE: u64 = 20;

/// Brings beats in order as a recorder does: what failed is brought again, unsure, until it is taken. Tells how many were.
async fn record(store: &MongoHistory, done: &AtomicU64, most: u64) -> Vec<HistoryFault> {
    let mut faults = Vec::new();
    for from in (1..=most).step_by(AT_ONCE as usize) {
        let samples = beats("a", 7, from..=from + AT_ONCE - 1);
        let mut ask = Batch { samples, ..Batch::default() };
        while let Err(fault) = store.record(&ask).await {
            ask.unsure = true;
            faults.push(fault);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        done.store(from + AT_ONCE - 1, Ordering::Relaxed);
    }
    faults
}

/// How often each beat is there.
fn counts(kept: &InMongodb) -> BTreeMap<i32, u64> {
    let pipeline =
        [doc! {"$group": {"_id": "$_id", "n": {"$sum": 1}}}, doc! {"$group": {"_id": "$n", "beats": {"$sum": 1}}}];
    let command = doc! {"aggregate": "heartbeat", "pipeline": pipeline, "cursor": {}};
    let answer = kept.server.command(&kept.config.db, command).expect("it is counted");
    let batch = answer.get_document("cursor").unwrap().get_array("firstBatch").unwrap().clone();
    let rows = batch.iter().map(|row| row.as_document().unwrap());
    rows.map(|row| (row.get_i32("_id").unwrap(), row.get_i32("beats").unwrap() as u64)).collect()
}

async fn until(done: &AtomicU64, beats: u64) {
    while done.load(Ordering::Relaxed) < beats {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

fn alone() -> InMongodb {
    InMongodb::on(Arc::new(Mongod::start()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_killed_again_and_again_has_every_beat_once() {
    let kept = alone();
    let (store, done, most) = (kept.store("test"), AtomicU64::new(0), 6_000);
    let disturb = async {
        for round in 1..=4 {
            until(&done, round * 1_000).await;
            assert!(done.load(Ordering::Relaxed) < most, "the kill comes in between");
            tokio::task::block_in_place(|| {
                kept.server.kill9();
                kept.server.restart();
            });
        }
    };
    // The driver itself repeats a call, so that a kill need not be a fault.
    let (faults, ()) = tokio::join!(record(&store, &done, most), disturb);
    assert!(faults.iter().all(|fault| matches!(fault, HistoryFault::Unavailable(_))), "{faults:?}");
    assert_eq!(counts(&kept), BTreeMap::from([(1, most)]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_freezes_for_less_than_the_wait_answers_in_the_end() {
    let kept = alone();
    let (store, done, most) = (kept.store("test"), AtomicU64::new(0), 1_000);
    let disturb = async {
        until(&done, 300).await;
        kept.server.pause();
        tokio::time::sleep(Duration::from_secs(3)).await;
        kept.server.resume();
    };
    let (faults, ()) = tokio::join!(record(&store, &done, most), disturb);
    assert_eq!(faults, [], "the call simply took longer");
    assert_eq!(counts(&kept), BTreeMap::from([(1, most)]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_lay_in_the_socket_of_a_frozen_server_is_not_written_twice() {
    let kept = alone();
    let hasty = Timeouts {
        write: Duration::from_millis(300),
        stable_for: Duration::from_secs(1),
        answer: Duration::from_secs(1),
    };
    let (store, done, most) = (kept.store("test").with_timeouts(hasty), AtomicU64::new(0), 600);
    store.record(&batch(beats("b", 1, 1..=1))).await.expect("the collections are made");
    let disturb = async {
        for round in 1..=2 {
            until(&done, round * 200).await;
            kept.server.pause();
            tokio::time::sleep(Duration::from_secs(2)).await;
            kept.server.resume();
        }
    };
    let (faults, ()) = tokio::join!(record(&store, &done, most), disturb);
    assert!(!faults.is_empty(), "the calls were given up");
    assert_eq!(counts(&kept), BTreeMap::from([(1, most + 1)]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_process_takes_over_what_one_left_unsure() {
    let kept = alone();
    let hasty = Timeouts {
        write: Duration::from_millis(200),
        stable_for: Duration::from_secs(1),
        answer: Duration::from_secs(1),
    };
    let store = kept.store("test").with_timeouts(hasty);
    store.record(&batch(beats("a", 7, 1..=10))).await.expect("it is recorded");
    kept.server.pause();
    let fault = store.record(&batch(beats("a", 7, 11..=20))).await;
    assert!(matches!(fault, Err(HistoryFault::Unavailable(_))), "{fault:?}");
    drop(store);
    let next = kept.store("test").with_timeouts(hasty);
    let fault = next.record(&unsure(beats("a", 7, 11..=20))).await;
    assert!(matches!(fault, Err(HistoryFault::Unavailable(_))), "{fault:?}");
    kept.server.resume();
    while next.record(&unsure(beats("a", 7, 11..=20))).await.is_err() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    next.record(&batch(beats("a", 9, 21..=30))).await.expect("it goes on");
    assert_eq!(counts(&kept), BTreeMap::from([(1, 30)]));
}
