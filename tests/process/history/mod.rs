//! The history of heartbeats and events, as its nodes record it and its readers find it.
//!
//! `recording`: in MongoDB, once each, and by nobody who knows a password. `faults`: MongoDB killed, frozen and away, nodes
//! killed. `recent`: in Redis, where no MongoDB is configured.

mod faults;
mod recent;
mod recording;

use mongodb::bson::{Bson, Document, doc};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use testkit::mongod::Mongod;
use testkit::wait::secs;
use testkit::{Launch, Serve, eventually};

/// A database of a test's own.
struct Kept<'a> {
    server: &'a Mongod,
    name: String,
}

/// A recorded heartbeat.
#[derive(Debug, Clone, PartialEq)]
struct Beat {
    node: String,
    instance: i64,
    number: i64,
    at_ms: i64,
}

fn number(document: &Document, field: &str) -> f64 {
    match document.get(field) {
        Some(Bson::Double(number)) => *number,
        Some(Bson::Int64(number)) => *number as f64,
        Some(Bson::Int32(number)) => f64::from(*number),
        other => panic!("{field} is {other:?}"),
    }
}

impl<'a> Kept<'a> {
    fn on(server: &'a Mongod) -> Self {
        Self { server, name: Mongod::database() }
    }

    /// A node that records here.
    fn kept_by(&self, launch: Launch) -> Launch {
        launch.env("MONGODB_URI", &self.server.uri()).env("CLAWSTER__MONGODB__DB", &self.name)
    }

    /// All documents of a collection; `None` while the server does not answer.
    fn find(&self, collection: &str) -> Option<Vec<Document>> {
        let command = doc! {"find": collection, "batchSize": 1_000, "sort": {"_id": 1}};
        let mut answer = self.server.command(&self.name, command).ok()?;
        let mut all = Vec::new();
        loop {
            let cursor = answer.get_document("cursor").ok()?;
            for part in ["firstBatch", "nextBatch"] {
                let batch = cursor.get_array(part).ok().into_iter().flatten();
                all.extend(batch.filter_map(|found| found.as_document().cloned()));
            }
            let id = cursor.get_i64("id").ok().filter(|id| *id != 0);
            let Some(id) = id else { return Some(all) };
            answer = self.server.command(&self.name, doc! {"getMore": id, "collection": collection}).ok()?;
        }
    }

    fn beats(&self) -> Option<Vec<Beat>> {
        let beat = |found: &Document| Beat {
            node: found.get_document("meta").unwrap().get_str("node_id").unwrap().to_owned(),
            instance: found.get_i64("incarnation").unwrap(),
            number: found.get_i64("number").unwrap(),
            at_ms: found.get_datetime("at").unwrap().timestamp_millis(),
        };
        Some(self.find("heartbeat")?.iter().map(beat).collect())
    }

    /// Waits until so many beats of each node are there, each once and none left out; returns them.
    #[track_caller]
    fn until_each_once(&self, counts: &BTreeMap<String, i64>, within: f64) -> Vec<Beat> {
        eventually("every heartbeat is recorded", secs(within), || {
            let beats = self.beats().ok_or("MongoDB does not answer")?;
            assert_no_double(&beats);
            for (node, count) in counts {
                let numbers: BTreeSet<(i64, i64)> =
                    beats.iter().filter(|beat| beat.node == *node).map(|beat| (beat.instance, beat.number)).collect();
                let found = i64::try_from(numbers.len()).unwrap();
                if found < *count {
                    return Err(format!("{found} of {count} of {node}; missing: {:?}", missing(&numbers)));
                }
                assert_eq!(missing(&numbers), [], "{node}");
            }
            Ok(beats)
        })
    }
}

#[track_caller]
fn assert_no_double(beats: &[Beat]) {
    let mut seen = BTreeSet::new();
    for beat in beats {
        assert!(seen.insert((&beat.node, beat.instance, beat.number)), "twice: {beat:?}");
    }
}

/// The numbers that lie between those of their life.
fn missing(numbers: &BTreeSet<(i64, i64)>) -> Vec<(i64, i64)> {
    let mut ends: BTreeMap<i64, i64> = BTreeMap::new();
    for (instance, number) in numbers {
        ends.insert(*instance, *number);
    }
    let all = ends.iter().flat_map(|(instance, end)| (1..=*end).map(move |number| (*instance, number)));
    all.filter(|name| !numbers.contains(name)).collect()
}

/// How many heartbeats this process counted.
#[track_caller]
fn beaten(node: &Serve) -> i64 {
    let state = node.ok("distributed.get_cluster_state", json!({"metrics": true}));
    let count = &state["metrics"][r#"clawster_heartbeats_total{outcome="ok"}"#];
    count.as_f64().unwrap_or_else(|| panic!("no count of heartbeats in {}", state["metrics"])) as i64
}

#[track_caller]
fn counts(nodes: &[Serve]) -> BTreeMap<String, i64> {
    nodes.iter().map(|node| (node.label.clone(), beaten(node))).collect()
}

/// The nodes that the entries of an answer are of.
fn nodes_of(answer: &Value) -> BTreeSet<String> {
    let entries = answer["entries"].as_array().unwrap();
    entries.iter().map(|entry| entry["node_id"].as_str().unwrap().to_owned()).collect()
}
