//! Writes the history: samples once, summaries that only grow, events once.
//!
//! 1. A time-series collection accepts a second document with the same `_id`. So samples that may already be stored are looked up before
//!    they are written: all that the caller is unsure of, the first samples of an incarnation that this store sees, samples not newer
//!    than the confirmed ones of their incarnation, samples of an incarnation that another process also wrote, and all samples after a
//!    write with an unknown outcome.
//! 2. A write without an answer may still be executed later, while it waits in the socket of a frozen server. Before a look-up after such
//!    a write, the server must have been answering for a while: by then earlier writes are executed or lost.
//! 3. Only this store repeats writes; the driver's own retries are off.
//! 4. A summary is replaced only by one with more heartbeats.
//!
//! Not here: batches, order and the spool (`crate::engine`).

use super::faults::{DUPLICATE, answered, code, is_before_sending, only_duplicates};
use super::{MongoHistory, rows, summaries};
use crate::clock;
use crate::cluster::event::ClusterEvent;
use crate::cluster::history::{Sample, Summary};
use crate::cluster::ids::{Incarnation, NodeId};
use crate::cluster::time::ServerTime;
use crate::store::history::{Batch, HistoryFault};
use mongodb::Database;
use mongodb::bson::{Bson, Document, doc};
use mongodb::error::Error;
use mongodb::options::WriteConcern;
use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

/// The most incarnations whose confirmed numbers are remembered; beyond that all are forgotten, which costs one look-up each.
const MOST_LIVES: usize = 10_000;
/// The most documents that one command writes.
const CHUNK: usize = 500;
/// The interval between two pings while waiting until earlier writes are executed or lost.
const PING_INTERVAL: Duration = Duration::from_millis(250);
/// The code for: the server is not a member of a replica set, so no other member can confirm a read.
const NO_REPLICA_SET: i32 = 123;

/// What is known about earlier writes.
#[derive(Debug, Default)]
pub(super) struct Written {
    /// The confirmed samples by incarnation.
    confirmed: BTreeMap<(NodeId, Incarnation), Confirmed>,
    doubt: Doubt,
    /// Whether the server has been answering for long enough that no write of an earlier process is still pending.
    stable: bool,
}

/// The confirmed samples of an incarnation.
#[derive(Debug, Default)]
struct Confirmed {
    /// The highest confirmed number.
    number: u64,
    /// Whether another process also wrote samples of it, possibly newer ones.
    shared: bool,
}

/// What may have been written without a confirmation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Doubt {
    /// Nothing.
    #[default]
    None,
    /// The last write was answered with an error; a part of it may be stored.
    Partly,
    /// The last write was not answered; it may still be executed.
    Late,
}

impl Written {
    /// Whether a sample may already be stored.
    fn may_hold(&self, sample: &Sample) -> bool {
        let known = self.confirmed.get(&(sample.node_id.clone(), sample.incarnation));
        self.doubt != Doubt::None || known.is_none_or(|known| known.shared || sample.number <= known.number)
    }

    /// Notes a sample that was found; one that this store did not write shows that another process writes, too.
    fn found(&mut self, sample: &Sample) {
        if self.doubt == Doubt::None {
            let known = self.confirmed.entry((sample.node_id.clone(), sample.incarnation)).or_default();
            known.shared |= sample.number > known.number;
        }
    }

    fn confirm(&mut self, samples: &[&Sample]) {
        if self.confirmed.len() > MOST_LIVES {
            self.confirmed.clear();
        }
        for sample in samples {
            let known = self.confirmed.entry((sample.node_id.clone(), sample.incarnation)).or_default();
            known.number = sample.number.max(known.number);
        }
    }
}

impl MongoHistory {
    pub(super) async fn write(&self, batch: &Batch) -> Result<(), HistoryFault> {
        if batch.samples.is_empty() && batch.summaries.is_empty() {
            return Ok(());
        }
        let database = self.prepared().await?;
        // One write at a time: a concurrent write could not be looked up.
        let mut written = self.written.lock().await;
        if written.doubt == Doubt::Late || (batch.unsure && !written.stable) {
            self.stable(database).await?;
            written.stable = true;
            if written.doubt == Doubt::Late {
                written.doubt = Doubt::Partly;
            }
        }
        let mut names = HashSet::new();
        let samples: Vec<&Sample> =
            batch.samples.iter().filter(|sample| names.insert(rows::beat_id(&self.cluster, sample))).collect();
        for chunk in samples.chunks(CHUNK) {
            self.write_samples(database, &mut written, chunk, batch.unsure).await?;
        }
        for chunk in batch.summaries.chunks(CHUNK) {
            self.write_summaries(database, chunk).await?;
        }
        Ok(())
    }

    async fn write_samples(
        &self,
        database: &Database,
        written: &mut Written,
        samples: &[&Sample],
        unsure: bool,
    ) -> Result<(), HistoryFault> {
        let (open, new): (Vec<&Sample>, Vec<&Sample>) =
            samples.iter().copied().partition(|sample| unsure || written.may_hold(sample));
        let there = self.in_time(self.timeouts.answer, self.look_up(database, &open)).await?;
        let (found, missing): (Vec<&Sample>, Vec<&Sample>) =
            open.into_iter().partition(|sample| there.contains(&rows::beat_id(&self.cluster, sample)));
        found.iter().for_each(|sample| written.found(sample));
        let rows: Vec<_> = missing.into_iter().chain(new).map(|sample| rows::beat(&self.cluster, sample)).collect();
        if !rows.is_empty() {
            let beats = database.collection(&self.names.beats);
            let inserting = beats.insert_many(rows).ordered(false);
            // Set before the write, so that it stays if the caller stops waiting.
            let before = std::mem::replace(&mut written.doubt, Doubt::Late);
            let outcome = self.in_time(self.timeouts.write, async { Ok(inserting.await) }).await?;
            if let Some(error) = outcome.err().filter(|error| !only_duplicates(error)) {
                written.doubt = doubt(&error, before);
                return Err(self.fault(&error));
            }
        }
        written.doubt = Doubt::None;
        written.confirm(samples);
        Ok(())
    }

    /// The ids of the given samples that are stored.
    async fn look_up(&self, database: &Database, samples: &[&Sample]) -> Result<HashSet<String>, HistoryFault> {
        let mut spans: BTreeMap<&NodeId, (ServerTime, ServerTime)> = BTreeMap::new();
        for sample in samples {
            let (first, last) = spans.entry(&sample.node_id).or_insert((sample.at, sample.at));
            (*first, *last) = ((*first).min(sample.at), (*last).max(sample.at));
        }
        let mut there = HashSet::new();
        for (node, (first, last)) in spans {
            let command = doc! {
                "find": &self.names.beats,
                "filter": {
                    "meta.cluster": self.cluster.as_str(),
                    "meta.node_id": node.as_str(),
                    "at": {"$gte": rows::date(first), "$lte": rows::date(last)},
                },
                "projection": {"_id": 1},
            };
            // A linearizable read: a replaced primary could still show samples that are lost with it.
            let mut sure = command.clone();
            sure.insert("readConcern", doc! {"level": "linearizable"});
            let found = match database.run_cursor_command(sure).await {
                Err(error) if code(&error) == Some(NO_REPLICA_SET) => database.run_cursor_command(command).await,
                found => found,
            };
            let mut cursor = found.map_err(|error| self.fault(&error))?;
            while cursor.advance().await.map_err(|error| self.fault(&error))? {
                if let Ok(id) = cursor.current().get_str("_id") {
                    there.insert(id.to_owned());
                }
            }
        }
        Ok(there)
    }

    /// Waits until the server has been answering for a while.
    async fn stable(&self, database: &Database) -> Result<(), HistoryFault> {
        let begun = clock::now();
        loop {
            let ping = async { database.run_command(doc! {"ping": 1}).await.map_err(|error| self.fault(&error)) };
            self.in_time(self.timeouts.answer, ping).await?;
            let rest = self.timeouts.stable_for.saturating_sub(clock::now().since(begun));
            if rest.is_zero() {
                return Ok(());
            }
            tokio::time::sleep(PING_INTERVAL.min(rest)).await;
        }
    }

    async fn write_summaries(&self, database: &Database, list: &[Summary]) -> Result<(), HistoryFault> {
        let mut updates = Vec::with_capacity(list.len());
        for document in list.iter().map(|summary| summaries::document(&self.cluster, summary)) {
            // If a newer summary is stored, nothing matches, and the insertion then fails because of the `_id`.
            let older = doc! {"_id": document.get("_id"), "last_number": {"$lte": document.get("last_number")}};
            updates.push(doc! {"q": older, "u": document, "upsert": true});
        }
        if updates.is_empty() {
            return Ok(());
        }
        let mut command = doc! {"update": &self.names.summaries, "updates": updates, "ordered": false};
        if let Some(concern) = database.write_concern().and_then(concern) {
            command.insert("writeConcern", concern);
        }
        let writing = async { database.run_command(command).await.map_err(|error| self.fault(&error)) };
        let answer = self.in_time(self.timeouts.write, writing).await?;
        let errors = answer.get_array("writeErrors").map(Vec::as_slice).unwrap_or_default();
        let concern = answer.get("writeConcernError").into_iter();
        let codes =
            errors.iter().chain(concern).filter_map(Bson::as_document).map(|error| error.get_i32("code").unwrap_or(0));
        match codes.into_iter().find(|code| *code != DUPLICATE) {
            Some(code) => Err(answered(code, &self.names.database)),
            None => Ok(()),
        }
    }

    pub(super) async fn write_events(&self, epoch: &str, events: &[ClusterEvent]) -> Result<(), HistoryFault> {
        let database = self.prepared().await?;
        for chunk in events.chunks(CHUNK) {
            let rows: Vec<Document> =
                chunk.iter().filter_map(|event| rows::event_document(&self.cluster, epoch, event)).collect();
            if rows.is_empty() {
                continue;
            }
            let collection = database.collection::<Document>(&self.names.events);
            let inserting = collection.insert_many(rows).ordered(false);
            match self.in_time(self.timeouts.write, async { Ok(inserting.await) }).await? {
                Err(error) if !only_duplicates(&error) => return Err(self.fault(&error)),
                _ => {}
            }
        }
        Ok(())
    }

    pub(super) fn is_moving(&self, code: i32) -> bool {
        matches!(answered(code, &self.names.database), HistoryFault::Unavailable(_))
    }
}

/// The doubt after an error, given the doubt before.
fn doubt(error: &Error, before: Doubt) -> Doubt {
    if is_before_sending(error) {
        before
    } else if code(error).is_some() {
        Doubt::Partly
    } else {
        Doubt::Late
    }
}

fn concern(concern: &WriteConcern) -> Option<Document> {
    mongodb::bson::serialize_to_document(concern).ok()
}
