//! Entries that somebody else wrote into the streams, or a newer version: what stands behind them goes on.
//!
//! Not here: keys of another type (`corrupt_data.rs`), what a node does with them (`tests/process/foreign.rs`).

use crate::calls::*;
use crate::fixture::{Fixture, Redis, key};
use clawster::cluster::ids::EventSeq;
use clawster::store::Store;

/// Ids behind everything that the cluster counts, up to the last that a server can hold.
const FAR: [&str; 3] = ["9007199254740993-5", "18446744073709551614-7", "18446744073709551615-18446744073709551615"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_entry_with_an_id_far_ahead_stops_neither_events_nor_messages() {
    for far in FAR {
        let f = Redis::start();
        let a = member(&f, "a").await;
        let first = put(&f, publish_of(&a, vec![packed(1, 1), packed(2, 3)])).await;
        for stream in ["events", "messages"] {
            f.server.cli(&["XADD", &key(stream), far, "some", "thing"]);
        }
        member(&f, "b").await;
        assert_eq!(put(&f, publish_of(&a, vec![packed(5, 1)])).await, first + 4, "{far}");
        assert_eq!(positions(&f).await, [first, first + 3, first + 4], "{far}: what stood before is kept");
        assert_eq!(story(&f).await, ["a new", "b new"], "{far}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tick_removes_entries_behind_everything_that_is_counted() {
    for far in FAR {
        let f = Redis::start();
        let a = member(&f, "a").await;
        put(&f, publish_of(&a, vec![packed(1, 1)])).await;
        for stream in ["events", "messages"] {
            f.server.cli(&["XADD", &key(stream), far, "some", "thing"]);
        }
        tick(&f, &a).await;
        for stream in ["events", "messages"] {
            assert_eq!(f.server.cli(&["XLEN", &key(stream)]), "1", "{stream} {far}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_behind_a_page_of_unreadable_ones_are_found() {
    let f = Redis::start();
    let a = member(&f, "a").await;
    let first = events(&f).await[0].seq;
    let mut seq = first.0;
    for _ in 0..40 {
        seq += 1;
        f.server.cli(&["XADD", &key("events"), &format!("{seq}-0"), "some", "thing"]);
    }
    f.server.cli(&["HSET", &key("meta"), "event_seq", &seq.to_string()]);
    leave(&f, &a).await;
    let page = f.store().events(first, 10).await.unwrap();
    assert_eq!(page.iter().map(|event| event.seq).collect::<Vec<_>>(), [EventSeq(seq + 1)]);
}
