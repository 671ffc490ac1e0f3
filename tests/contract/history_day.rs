//! A day of a hundred nodes in MongoDB: what a report reads of it is small, and found by its index.

use crate::calls::secs;
use crate::history_fixture::*;
use clawster::cluster::history::{HistoryQuery, Summary};
use clawster::cluster::time::ServerTime;
use clawster::store::history::{Batch, HistoryStore};
use clawster::store::mongodb::Question;
use mongodb::bson::{Document, doc};

const NODES: u64 = 100;
const BEATS: u64 = 8_640;

/// The server itself makes the 864,000 heartbeats, since their writing is not what this test is about; the summaries are written
/// by the store.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_day_of_a_hundred_nodes_is_read_through_its_indexes() {
    let kept = InMongodb::start();
    let store = kept.store("test");
    let end = beginning();
    let start = end - BEATS * 10_000;
    store.record(&batch(beats("n000", 7, 1..=1))).await.expect("the collections are made");
    synthesize(&kept, start);

    let mut summaries = Vec::new();
    for node in 0..NODES {
        let mut samples = beats(&format!("n{node:03}"), 7, 1..=BEATS);
        samples.iter_mut().for_each(|sample| sample.at = ServerTime(start + sample.number * 10_000));
        summaries.extend(Summary::of_all(&samples));
    }
    let count = summaries.len();
    assert!(count >= 144 * NODES as usize, "{count}");
    store.record(&Batch { summaries, ..Batch::default() }).await.expect("they are recorded");
    let events: Vec<_> = (1..=500).map(|seq| elected(seq, "n000")).collect();
    store.record_events("first", &events).await.expect("they are recorded");

    // Another day of another cluster, which costs this one nothing.
    let other = kept.store("other");
    other.record(&batch(beats("n000", 7, 1..=BEATS / 10))).await.expect("it is recorded");

    let day = ServerTime(start);
    let plan = store.explain(&Question::Summaries(day)).await.expect("it is explained");
    assert_eq!((plan.index.as_deref(), plan.sorted), (Some("cluster_1_at_1"), false));
    assert!(plan.examined <= count as u64 + 1, "{plan:?} for {count} summaries");
    let plan = store.explain(&Question::Events(day)).await.expect("it is explained");
    assert_eq!((plan.index.as_deref(), plan.examined), (Some("cluster_1_at_1"), 500));
    let read = store.summaries(day).await.expect("they are read");
    assert_eq!((read.len(), store.events(day).await.expect("they are read").len()), (count, 500));

    // The newest thousand of 864,000 are read out of the hour's buckets, not out of the day's.
    let plan = store.explain(&Question::Samples(newest(1_000))).await.expect("it is explained");
    assert_eq!((plan.index.as_deref(), plan.sorted), (Some("meta.cluster_1_at_-1"), false), "{plan:?}");
    let one = HistoryQuery { node_id: Some(crate::calls::id("n042")), ..newest(1_000) };
    let plan = store.explain(&Question::Samples(one.clone())).await.expect("it is explained");
    assert_eq!((plan.index.as_deref(), plan.sorted), (Some("meta.cluster_1_meta.node_id_1_at_-1"), false), "{plan:?}");
    assert!(plan.examined <= 40, "a day of a node is 24 buckets: {plan:?}");
    let page = store.samples(&one).await.expect("it is read");
    assert_eq!((page.samples.len(), page.more), (1_000, true));
    assert_eq!(page.samples.last().map(|sample| sample.number), Some(BEATS));
    assert!(page.samples.iter().all(|sample| sample.interval == secs(10)));
}

/// Heartbeats as the store writes them, made by an aggregation out of a list of numbers.
fn synthesize(kept: &InMongodb, start: u64) {
    let db = &kept.config.db;
    for node in 0..NODES {
        let name = format!("n{node:03}");
        let numbers = doc! {"$range": [1, (BEATS + 1) as i32]};
        let at = doc! {"$toDate": {"$add": [start as i64, {"$multiply": ["$number", 10_000_i64]}]}};
        let pipeline: Vec<Document> = vec![
            doc! {"$documents": [{"number": numbers}]},
            doc! {"$unwind": "$number"},
            doc! {"$project": {
                "_id": {"$concat": [format!("test/{name}/7/"), {"$toString": "$number"}]},
                "at": at,
                "meta": {"cluster": "test", "node_id": &name},
                "incarnation": {"$literal": 7_i64}, "number": {"$toLong": "$number"}, "role": "follower", "term": {"$literal": 3_i64},
                "leader_id": "n000", "round_trip_ms": {"$literal": 0.5}, "attempts": {"$literal": 1_i64},
                "delay_ms": {"$literal": 1.5}, "lag": {"$literal": 0_i64}, "memory_bytes": {"$literal": 18_350_080_i64},
                "version": "0.1.0", "interval_ms": {"$literal": 10_000.0},
            }},
        ];
        let command = doc! {"aggregate": 1, "pipeline": pipeline, "cursor": {"batchSize": 10_000}};
        let answer = kept.server.command(db, command).expect("they are made");
        let rows = answer.get_document("cursor").unwrap().get_array("firstBatch").unwrap().clone();
        let insert = doc! {"insert": "heartbeat", "documents": rows, "ordered": false};
        kept.server.command(db, insert).expect("they are inserted");
    }
}
