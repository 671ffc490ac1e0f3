//! The documents of the collections.
//!
//! 1. `_id` is derived from the content, so that a document exists once, however often it is written.
//! 2. Durations are milliseconds with a fraction down to the microsecond; times are dates.
//! 3. A collection's content is never trusted: a document in another form is skipped.
//!
//! Not here: summaries (`summaries.rs`), queries (`read.rs`).

use crate::cluster::event::{ClusterEvent, ClusterFact};
use crate::cluster::history::Sample;
use crate::cluster::ids::{ClusterName, EventSeq, Incarnation, NodeId, Term};
use crate::cluster::time::ServerTime;
use mongodb::bson::{self, Bson, DateTime, Document, RawDocument};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The metadata field that all samples of a node share; a time-series collection groups them by it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Meta {
    pub(super) cluster: String,
    pub(super) node_id: String,
}

/// One heartbeat.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct BeatRow {
    #[serde(rename = "_id")]
    pub(super) id: String,
    at: DateTime,
    meta: Meta,
    incarnation: i64,
    number: i64,
    role: String,
    term: i64,
    leader_id: Option<String>,
    round_trip_ms: f64,
    attempts: i64,
    delay_ms: f64,
    lag: i64,
    memory_bytes: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    peers: Option<i64>,
    version: String,
    interval_ms: f64,
}

pub(super) fn date(at: ServerTime) -> DateTime {
    DateTime::from_millis(signed(at.0))
}

pub(super) fn time(date: DateTime) -> ServerTime {
    ServerTime(unsigned(date.timestamp_millis()))
}

pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

pub(super) fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

#[allow(clippy::cast_precision_loss)] // A century of microseconds is exact.
pub(super) fn millis(duration: Duration) -> f64 {
    duration.as_micros() as f64 / 1000.0
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // Saturates, and takes what is no number for zero.
pub(super) fn duration(millis: f64) -> Duration {
    Duration::from_micros((millis * 1000.0).round() as u64)
}

/// The `_id` of a sample's document.
pub(super) fn beat_id(cluster: &ClusterName, sample: &Sample) -> String {
    format!("{cluster}/{}/{}/{}", sample.node_id, sample.incarnation, sample.number)
}

pub(super) fn beat(cluster: &ClusterName, sample: &Sample) -> BeatRow {
    BeatRow {
        id: beat_id(cluster, sample),
        at: date(sample.at),
        meta: Meta { cluster: cluster.to_string(), node_id: sample.node_id.to_string() },
        incarnation: signed(sample.incarnation.0),
        number: signed(sample.number),
        role: if sample.leads { "leader" } else { "follower" }.to_owned(),
        term: signed(sample.term.0),
        leader_id: sample.leader_id.as_ref().map(ToString::to_string),
        round_trip_ms: millis(sample.round_trip),
        attempts: i64::from(sample.attempts),
        delay_ms: millis(sample.delay),
        lag: signed(sample.lag),
        memory_bytes: signed(sample.memory),
        peers: sample.peers.map(signed),
        version: sample.version.clone(),
        interval_ms: millis(sample.interval),
    }
}

/// The sample of a document; `None`: it is invalid.
pub(super) fn sample(raw: &RawDocument) -> Option<Sample> {
    let row: BeatRow = bson::deserialize_from_slice(raw.as_bytes()).ok()?;
    Some(Sample {
        node_id: NodeId::new(row.meta.node_id).ok()?,
        incarnation: Incarnation(unsigned(row.incarnation)),
        number: unsigned(row.number),
        at: time(row.at),
        leads: row.role == "leader",
        term: Term(unsigned(row.term)),
        leader_id: row.leader_id.and_then(|id| NodeId::new(id).ok()),
        round_trip: duration(row.round_trip_ms),
        attempts: u32::try_from(row.attempts).unwrap_or(u32::MAX),
        delay: duration(row.delay_ms),
        lag: unsigned(row.lag),
        memory: unsigned(row.memory_bytes),
        peers: row.peers.map(unsigned),
        version: row.version,
        interval: duration(row.interval_ms),
    })
}

/// An event as a document: its position, and the fields of the event.
pub(super) fn event_document(cluster: &ClusterName, epoch: &str, event: &ClusterEvent) -> Option<Document> {
    let mut document = Document::new();
    document.insert("_id", format!("{cluster}/{epoch}/{}", event.seq));
    document.insert("cluster", cluster.to_string());
    document.insert("epoch", epoch);
    document.insert("seq", signed(event.seq.0));
    document.insert("at", date(event.at));
    document.insert("node_id", event.node_id.to_string());
    document.extend(bson::serialize_to_document(&event.fact).ok()?);
    Some(document)
}

/// The event of a document; `None`: it is invalid.
pub(super) fn event(raw: &RawDocument) -> Option<ClusterEvent> {
    let document: Document = raw.try_into().ok()?;
    Some(ClusterEvent {
        seq: seq(&document)?,
        at: time(*document.get_datetime("at").ok()?),
        node_id: NodeId::new(document.get_str("node_id").ok()?).ok()?,
        fact: bson::deserialize_from_document::<ClusterFact>(document).ok()?,
    })
}

/// The sequence number of an event's document.
pub(super) fn seq(document: &Document) -> Option<EventSeq> {
    match document.get("seq")? {
        Bson::Int64(seq) => Some(EventSeq(unsigned(*seq))),
        Bson::Int32(seq) => Some(EventSeq(unsigned(i64::from(*seq)))),
        _ => None,
    }
}
