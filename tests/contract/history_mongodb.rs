//! MongoDB: which collections are made and used, their retention and indexes, and what no error shows.

use crate::calls::id;
use crate::history_fixture::*;

use clawster::cluster::history::{HistoryQuery, Sample};
use clawster::cluster::time::ServerTime;
use clawster::config::{MongoConfig, Secret};
use clawster::store::history::{Batch, HistoryFault, HistoryStore};
use clawster::store::mongodb::Question;
use mongodb::bson::{Document, doc};

const COLLECTIONS: [&str; 3] = ["heartbeat", "heartbeat_events", "heartbeat_summaries"];

/// What the server says of a collection.
fn about(kept: &InMongodb, collection: &str) -> Document {
    let list = doc! {"listCollections": 1, "filter": {"name": collection}};
    let answer = kept.server.command(&kept.config.db, list).unwrap();
    let batch = answer.get_document("cursor").unwrap().get_array("firstBatch").unwrap();
    batch.first().unwrap_or_else(|| panic!("there is no {collection}")).as_document().unwrap().clone()
}

/// The TTL of a collection's index, in seconds.
fn ttl(kept: &InMongodb, collection: &str) -> Option<i64> {
    let answer = kept.server.command(&kept.config.db, doc! {"listIndexes": collection}).unwrap();
    let indexes = answer.get_document("cursor").unwrap().get_array("firstBatch").unwrap().clone();
    let mut indexes = indexes.into_iter().map(|index| index.as_document().unwrap().clone());
    let found = indexes.find(|index| index.get_str("name").unwrap() == "clawster_ttl")?;
    number(&found, "expireAfterSeconds")
}

fn number(document: &Document, field: &str) -> Option<i64> {
    let value = document.get(field)?;
    value.as_i64().or_else(|| value.as_i32().map(i64::from)).or_else(|| value.as_f64().map(|n| n as i64))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_time_series_collection_is_made_and_found_again() {
    let kept = InMongodb::start();
    let store = kept.store("test");
    store.record(&batch(beats("a", 7, 1..=3))).await.expect("it is recorded");
    let made = about(&kept, "heartbeat");
    assert_eq!(made.get_str("type").unwrap(), "timeseries");
    let options = made.get_document("options").unwrap();
    assert_eq!(number(options, "expireAfterSeconds"), Some(30 * 86_400));
    let series = options.get_document("timeseries").unwrap();
    assert_eq!((series.get_str("timeField").unwrap(), series.get_str("metaField").unwrap()), ("at", "meta"));
    let find = doc! {"find": "heartbeat", "filter": {"number": 2}};
    let answer = kept.server.command(&kept.config.db, find).unwrap();
    let found =
        answer.get_document("cursor").unwrap().get_array("firstBatch").unwrap()[0].as_document().unwrap().clone();
    let sample = beat("a", 7, 2);
    assert_eq!(found.get_str("_id").unwrap(), "test/a/7/2");
    assert_eq!(found.get_datetime("at").unwrap().timestamp_millis(), sample.at.0 as i64);
    assert_eq!(found.get_document("meta").unwrap(), &doc! {"cluster": "test", "node_id": "a"});
    assert_eq!((found.get_str("role").unwrap(), found.get_f64("round_trip_ms").unwrap()), ("leader", 0.433));
    for collection in &COLLECTIONS[1..] {
        assert_eq!(ttl(&kept, collection), Some(30 * 86_400), "{collection}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_retention_is_set_on_what_is_there() {
    let mut kept = InMongodb::start();
    kept.store("test").record(&batch(beats("a", 7, 1..=3))).await.expect("it is recorded");
    kept.config.retention_days = 7;
    kept.store("test").record(&batch(beats("a", 7, 4..=5))).await.expect("it is recorded");
    let options = about(&kept, "heartbeat").get_document("options").unwrap().clone();
    assert_eq!(number(&options, "expireAfterSeconds"), Some(7 * 86_400));
    for collection in &COLLECTIONS[1..] {
        assert_eq!(ttl(&kept, collection), Some(7 * 86_400), "{collection}");
    }
    assert_eq!(kept.count("heartbeat"), 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plain_collection_is_used_as_it_is_and_others_documents_are_left_alone() {
    let mut kept = InMongodb::start();
    let theirs = doc! {"_id": 1, "at": mongodb::bson::DateTime::from_millis(0), "of": "somebody else"};
    kept.server.command(&kept.config.db, doc! {"insert": "heartbeat", "documents": [theirs]}).unwrap();
    let store = kept.store("test");
    store.record(&batch(beats("a", 7, 1..=20))).await.expect("it is recorded");
    kept.store("test").record(&batch(beats("a", 7, 1..=25))).await.expect("most of it is there");
    store.record(&unsure(beats("a", 7, 1..=25))).await.expect("all of it is there");
    assert_eq!(about(&kept, "heartbeat").get_str("type").unwrap(), "collection");
    assert_eq!(kept.count("heartbeat"), 26);
    assert_eq!(store.samples(&newest(100)).await.expect("it is read").samples, beats("a", 7, 1..=25));
    assert_eq!(ttl(&kept, "heartbeat"), Some(30 * 86_400));
    let indexes = kept.server.command(&kept.config.db, doc! {"listIndexes": "heartbeat"}).unwrap().to_string();
    assert!(indexes.contains("partialFilterExpression"), "only documents of clawster are deleted: {indexes}");
    kept.config.retention_days = 8;
    kept.store("test").record(&batch(beats("a", 7, 26..=26))).await.expect("it is recorded");
    assert_eq!(ttl(&kept, "heartbeat"), Some(8 * 86_400));
    let plan = store.explain(&Question::Samples(newest(5))).await.expect("it is explained");
    assert_eq!((plan.index.as_deref(), plan.sorted), (Some("meta.cluster_1_at_-1"), false));
    assert!(plan.examined <= 6, "{plan:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collection_of_another_kind_is_refused_with_what_to_do() {
    let kept = InMongodb::start();
    let series = doc! {"create": "heartbeat", "timeseries": {"timeField": "when"}};
    kept.server.command(&kept.config.db, series).unwrap();
    let fault = kept.store("test").record(&batch(beats("a", 7, 1..=3))).await;
    assert!(matches!(&fault, Err(HistoryFault::Refused(why)) if why.contains("mongodb.collection")), "{fault:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_nodes_set_up_at_once() {
    let kept = InMongodb::start();
    let bring = |node: &'static str| {
        let store = kept.store("test");
        async move { store.record(&batch(beats(node, 7, 1..=10))).await }
    };
    let all = tokio::join!(bring("a"), bring("b"), bring("c"), bring("d"), bring("e"), bring("f"));
    assert_eq!(all, (Ok(()), Ok(()), Ok(()), Ok(()), Ok(()), Ok(())));
    assert_eq!(kept.count("heartbeat"), 60);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn documents_of_another_shape_count_as_none() {
    let kept = InMongodb::start();
    let store = kept.store("test");
    store.record(&batch(beats("a", 7, 1..=2))).await.expect("it is recorded");
    store.record_events("first", &[elected(1, "a")]).await.expect("it is recorded");
    let at = mongodb::bson::DateTime::from_millis(beginning() as i64);
    for (collection, odd) in [
        ("heartbeat", doc! {"_id": "x", "at": at, "meta": {"cluster": "test", "node_id": "a"}, "number": "many"}),
        ("heartbeat_summaries", doc! {"_id": "x", "cluster": "test", "at": at, "beats": []}),
        ("heartbeat_events", doc! {"_id": "x", "cluster": "test", "at": at, "seq": 3, "node_id": "a", "event": "odd"}),
    ] {
        kept.server.command(&kept.config.db, doc! {"insert": collection, "documents": [odd]}).unwrap();
    }
    assert_eq!(store.samples(&newest(9)).await.expect("it is read").samples, beats("a", 7, 1..=2));
    assert_eq!(store.summaries(ServerTime(0)).await.expect("they are read").len(), 1);
    assert_eq!(store.events(ServerTime(0)).await, Ok(vec![elected(1, "a")]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_question_has_its_index() {
    let kept = InMongodb::start();
    let store = kept.store("test");
    for node in ["a", "b"] {
        let told: Vec<Sample> = beats(node, 7, 1..=300);
        store.record(&batch(told)).await.expect("it is recorded");
    }
    store.record_events("first", &[elected(1, "a"), elected(2, "b")]).await.expect("they are recorded");
    let one = HistoryQuery { node_id: Some(id("a")), since: Some(ServerTime(beginning())), limit: 10 };
    for (question, index) in [
        (Question::Samples(newest(10)), "meta.cluster_1_at_-1"),
        (Question::Samples(one), "meta.cluster_1_meta.node_id_1_at_-1"),
        (Question::Summaries(ServerTime(beginning())), "cluster_1_at_1"),
        (Question::Events(ServerTime(beginning())), "cluster_1_at_1"),
        (Question::LastEvent("first".to_owned()), "cluster_1_epoch_1_seq_-1"),
    ] {
        let plan = store.explain(&question).await.expect("it is explained");
        assert_eq!((plan.index.as_deref(), plan.sorted), (Some(index), false), "{question:?}: {plan:?}");
        assert!(plan.examined > 0 && plan.examined <= 12, "{question:?}: {plan:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_not_there_is_said_to_be_away_and_no_password_is_shown() {
    let config = |uri: &str| MongoConfig {
        uri: Some(Secret::new(uri)),
        db: "openclaw".to_owned(),
        collection: "heartbeat".to_owned(),
        retention_days: 30,
    };
    let port = testkit::redis_server::free_port();
    let store = mongo(&config(&format!("mongodb://bot:hunter2@127.0.0.1:{port}/?serverSelectionTimeoutMS=300")));
    let mut said = format!("{store:?}");
    let away = |fault: HistoryFault| {
        assert!(matches!(&fault, HistoryFault::Unavailable(why) if why.contains("mongodb.uri")), "{fault:?}");
        format!("{fault} {fault:?}")
    };
    said += &away(store.record(&batch(beats("a", 7, 1..=3))).await.unwrap_err());
    said += &away(store.record_events("first", &[elected(1, "a")]).await.unwrap_err());
    said += &away(store.samples(&newest(1)).await.unwrap_err());
    said += &away(store.summaries(ServerTime(0)).await.unwrap_err());
    said += &away(store.events(ServerTime(0)).await.unwrap_err());
    said += &away(store.last_event("first").await.unwrap_err());
    for wrong in
        ["mongodb://bot:hun@ter2@h", "mongodb://bot:hunter2@h/?w=hunter2&journal=hunter2", "mongodb://h:hunter2"]
    {
        let cluster = clawster::cluster::ids::ClusterName::new("test").unwrap();
        let fault = clawster::store::mongodb::MongoHistory::new(&config(wrong), &cluster).expect_err(wrong);
        said += &format!("{fault} {fault:?}");
    }
    assert!(!said.contains("hunter2") && !said.contains("ter2") && !said.contains("bot"), "{said}");
    assert_eq!(store.record(&Batch::default()).await, Ok(()), "nothing needs no server");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_comes_back_empty_gets_its_collections_again() {
    let kept = InMongodb::on(std::sync::Arc::new(testkit::Mongod::start()));
    let store = kept.store("test");
    store.record(&batch(beats("a", 7, 1..=3))).await.expect("it is recorded");
    kept.server.kill9();
    store.record(&batch(beats("a", 7, 4..=4))).await.expect_err("nobody answers");
    kept.server.restart();
    kept.server.command(&kept.config.db, doc! {"dropDatabase": 1}).unwrap();
    store.record(&batch(beats("a", 7, 4..=5))).await.expect("it is recorded");
    assert_eq!(about(&kept, "heartbeat").get_str("type").unwrap(), "timeseries");
    assert_eq!(ttl(&kept, "heartbeat_summaries"), Some(30 * 86_400));
}
