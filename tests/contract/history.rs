//! History: every heartbeat once, pages of the newest, summaries that grow, events that several nodes bring.

use crate::calls::id;
use crate::history_fixture::*;
use clawster::cluster::history::{HistoryPage, HistoryQuery, Sample, Summary};
use clawster::cluster::ids::EventSeq;
use clawster::cluster::time::ServerTime;
use clawster::store::history::{Batch, HistoryStore};

async fn all<S: HistoryStore>(store: &S) -> Vec<Sample> {
    let page = store.samples(&newest(10_000)).await.expect("it is read");
    assert!(!page.more);
    page.samples
}

async fn a_sample_comes_back_as_it_was<K: Kept>(kept: K) {
    let store = kept.store("test");
    assert_eq!(store.samples(&newest(10)).await, Ok(HistoryPage::default()), "nothing was recorded");
    assert_eq!(store.summaries(ServerTime(0)).await, Ok(Vec::new()));
    assert_eq!(store.events(ServerTime(0)).await, Ok(Vec::new()));
    let mut told = vec![beat("alone", 7, 1), beat("b", 8, 2), beat("a", 1_700_000_000_000_001, 3)];
    told[1].attempts = u32::MAX;
    told[1].memory = 1 << 52;
    told[2].version = "an odd one, with spaces".to_owned();
    store.record(&batch(told.clone())).await.expect("it is recorded");
    assert_eq!(all(&store).await, told);
}

async fn what_is_brought_again_is_there_once<K: Kept>(kept: K) {
    let store = kept.store("test");
    let first = beats("a", 7, 1..=20);
    store.record(&batch(first.clone())).await.expect("it is recorded");
    store.record(&batch(first.clone())).await.expect("sure, by the same process");
    store.record(&unsure(first.clone())).await.expect("unsure");
    let another = kept.store("test");
    another.record(&batch(first.clone())).await.expect("sure, by another process");
    another.record(&unsure(beats("a", 7, 11..=30))).await.expect("half of it is new");
    another.record(&batch(first.clone())).await.expect("sure, by a process that brought a part of it");
    let third = kept.store("test");
    third.record(&batch(beats("a", 7, 5..=6))).await.expect("a part of it");
    third.record(&batch(beats("a", 7, 7..=30))).await.expect("what stands behind that part");
    let twice = [beats("a", 7, 31..=35), beats("a", 7, 31..=35)].concat();
    another.record(&batch(twice)).await.expect("twice in one batch");
    assert_eq!(all(&store).await, beats("a", 7, 1..=35));
    store.record(&Batch::default()).await.expect("nothing is recorded");
}

async fn the_newest_that_were_asked_for_come_in_order<K: Kept>(kept: K) {
    let store = kept.store("test");
    for node in ["c", "a", "b"] {
        store.record(&batch(beats(node, 7, 1..=50))).await.expect("it is recorded");
    }
    let ask = async |query: HistoryQuery| {
        let page = store.samples(&query).await.expect("it is read");
        let names: Vec<String> = page.samples.iter().map(|s| format!("{}{}", s.node_id, s.number)).collect();
        (names, page.more)
    };
    let (names, more) = ask(newest(4)).await;
    assert_eq!((names.len(), more), (4, true));
    assert_eq!(names[1..], ["a50", "b50", "c50"], "by time, then by node");
    assert_eq!(ask(newest(150)).await.1, false);
    assert_eq!(ask(newest(149)).await.1, true);
    let one = |limit, since| HistoryQuery { node_id: Some(id("b")), since, limit };
    assert_eq!(ask(one(2, None)).await, (vec!["b49".to_owned(), "b50".to_owned()], true));
    let since = Some(beat("b", 7, 49).at);
    assert_eq!(ask(one(2, since)).await, (vec!["b49".to_owned(), "b50".to_owned()], false));
    let (names, more) = ask(HistoryQuery { since, ..newest(100) }).await;
    assert_eq!((names.join(" "), more), ("a49 b49 c49 a50 b50 c50".to_owned(), false));
    let stranger = HistoryQuery { node_id: Some(id("x")), ..newest(5) };
    assert_eq!(ask(stranger).await, (Vec::new(), false));
}

async fn more_than_a_page_is_read<K: Kept>(kept: K) {
    let store = kept.store("test");
    for from in (1..=2_400).step_by(800) {
        let told: Vec<Sample> = (from..from + 800).map(|number| quick("a", number)).collect();
        store.record(&batch(told)).await.expect("it is recorded");
    }
    store.record(&batch((1..=30).map(|number| quick("b", number)).collect())).await.expect("it is recorded");
    assert_eq!(all(&store).await.len(), 2_430);
    let page = store.samples(&newest(1_500)).await.expect("it is read");
    assert_eq!((page.samples.len(), page.more), (1_500, true));
    assert_eq!(page.samples.first().map(|s| s.number), Some(901));
    let beats: u64 = store.summaries(ServerTime(0)).await.expect("they are read").iter().map(|s| s.beats).sum();
    assert!(beats >= 30);
}

/// Beats that come ten times a second.
fn quick(node: &str, number: u64) -> Sample {
    let mut sample = beat(node, 7, 1);
    (sample.number, sample.at) = (number, ServerTime(beginning() + number * 100));
    sample.interval = std::time::Duration::from_millis(100);
    sample
}

async fn summaries_grow_and_are_replaced<K: Kept>(kept: K) {
    let store = kept.store("test");
    let part = Summary::of_all(&beats("a", 7, 1..=30));
    store.record(&batch(beats("a", 7, 1..=30))).await.expect("it is recorded");
    assert_eq!(store.summaries(ServerTime(0)).await, Ok(part.clone()));
    // A gap, the end of the ten minutes, another life, another node.
    let whole = [beats("a", 7, 1..=30), beats("a", 7, 35..=130)].concat();
    let grown = Batch { samples: beats("a", 7, 35..=130), summaries: Summary::of_all(&whole), unsure: false };
    store.record(&grown).await.expect("it is recorded");
    store.record(&batch(beats("a", 9, 150..=160))).await.expect("it is recorded");
    store.record(&batch(beats("b", 5, 1..=3))).await.expect("it is recorded");
    let others = [beats("a", 9, 150..=160), beats("b", 5, 1..=3)].concat();
    let expected = [Summary::of_all(&whole), Summary::of_all(&others)].concat();
    assert_eq!(store.summaries(ServerTime(0)).await, Ok(expected.clone()));
    assert_eq!((expected[0].gaps.len(), expected[0].beats), (1, 55));
    // An old form of it that comes late changes nothing.
    let late = Batch { samples: Vec::new(), summaries: part, unsure: true };
    kept.store("test").record(&late).await.expect("it is recorded");
    assert_eq!(store.summaries(ServerTime(0)).await, Ok(expected.clone()));
    let end = ServerTime(beginning() + 600_000);
    assert_eq!(store.summaries(ServerTime(end.0 - 1)).await, Ok(expected.clone()), "they end behind it");
    let behind: Vec<Summary> = expected.into_iter().filter(|summary| summary.from >= end).collect();
    assert!(!behind.is_empty());
    assert_eq!(store.summaries(end).await, Ok(behind));
}

async fn events_are_there_once_whoever_brings_them<K: Kept>(kept: K) {
    let (one, other) = (kept.store("test"), kept.store("test"));
    let events: Vec<_> = (1..=12).map(|seq| elected(seq, if seq % 2 == 0 { "a" } else { "b" })).collect();
    assert_eq!(one.last_event("first").await, Ok(EventSeq(0)));
    kept.happen("first", &events);
    one.record_events("first", &events[..8]).await.expect("they are recorded");
    other.record_events("first", &events[4..]).await.expect("four of them are there");
    other.record_events("first", &events).await.expect("all of them are there");
    one.record_events("first", &[]).await.expect("none is recorded");
    assert_eq!(one.events(ServerTime(0)).await, Ok(events.clone()));
    assert_eq!(one.events(events[9].at).await, Ok(events[9..].to_vec()));
    assert_eq!(one.last_event("first").await, Ok(EventSeq(12)));
    assert_eq!(other.last_event("second").await, Ok(EventSeq(0)), "another data set");
}

async fn clusters_do_not_see_each_other<K: Kept>(kept: K) {
    let (one, other) = (kept.store("test"), kept.store("test2"));
    one.record(&batch(beats("a", 7, 1..=5))).await.expect("it is recorded");
    kept.happen("first", &[elected(1, "a")]);
    one.record_events("first", &[elected(1, "a")]).await.expect("it is recorded");
    assert_eq!(other.samples(&newest(10)).await, Ok(HistoryPage::default()));
    assert_eq!(other.summaries(ServerTime(0)).await, Ok(Vec::new()));
    assert_eq!(other.events(ServerTime(0)).await, Ok(Vec::new()));
    assert_eq!(other.last_event("first").await, Ok(EventSeq(0)));
    other.record(&batch(beats("a", 7, 1..=2))).await.expect("the same name in another cluster");
    assert_eq!((all(&one).await.len(), all(&other).await.len()), (5, 2));
}

history_contract!(
    a_sample_comes_back_as_it_was,
    what_is_brought_again_is_there_once,
    the_newest_that_were_asked_for_come_in_order,
    more_than_a_page_is_read,
    summaries_grow_and_are_replaced,
    events_are_there_once_whoever_brings_them,
    clusters_do_not_see_each_other,
);
