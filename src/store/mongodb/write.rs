//! Recording: samples once, summaries that only grow, events by their name.
//!
//! 1. A time-series collection takes a second document of the same `_id`. So what may be there already is looked up before it is
//!    written: all that the caller is not sure of, the first samples of a life that this store sees, everything that is not above
//!    what was confirmed of its life, a life of which another process wrote, and everything behind a write whose fate is unknown.
//! 2. A write without an answer may still be carried out, while it lies in the socket of a frozen server. Before anything is looked up
//!    behind it, the server must have answered for a while: what was sent before has been carried out by then, or is lost.
//! 3. Nobody but this store repeats a write; the driver's own retries are off.
//! 4. A summary is replaced only by one that holds more beats.
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

/// How many lives' confirmed numbers are remembered; when there are more, all are forgotten, which costs a look-up each.
const MOST_LIVES: usize = 10_000;
/// How many documents one command writes.
const CHUNK: usize = 500;
/// How long between two pings of a server that is to calm down.
const PING: Duration = Duration::from_millis(250);
/// The server is no member of a replica set, so there is nothing that could be confirmed by others.
const NO_REPLICA_SET: i32 = 123;

/// What is known of what was written.
#[derive(Debug, Default)]
pub(super) struct Written {
    /// What was confirmed of which life.
    confirmed: BTreeMap<(NodeId, Incarnation), Confirmed>,
    doubt: Doubt,
    /// Whether the server was once seen to be calm, so that nothing of an earlier process lies in its sockets.
    calm: bool,
}

/// What was confirmed of a life.
#[derive(Debug, Default)]
struct Confirmed {
    /// Its highest number.
    number: u64,
    /// Whether another process wrote of it, which may have got further.
    shared: bool,
}

/// What may have been written unnoticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Doubt {
    /// Nothing.
    #[default]
    None,
    /// The last write was answered with an error; a part of it may be there.
    Partly,
    /// The last write was not answered; it may still come to be.
    Late,
}

impl Written {
    /// Whether a sample may be there already.
    fn may_hold(&self, sample: &Sample) -> bool {
        let known = self.confirmed.get(&(sample.node_id.clone(), sample.incarnation));
        self.doubt != Doubt::None || known.is_none_or(|known| known.shared || sample.number <= known.number)
    }

    /// Takes notice of a sample that was found. One that this store did not write tells of another process.
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
        // One at a time: what another one writes meanwhile could not be looked up.
        let mut written = self.written.lock().await;
        if written.doubt == Doubt::Late || (batch.unsure && !written.calm) {
            self.calm(database).await?;
            written.calm = true;
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
        let there = self.in_time(self.patience.answer, self.look_up(database, &open)).await?;
        let (found, missing): (Vec<&Sample>, Vec<&Sample>) =
            open.into_iter().partition(|sample| there.contains(&rows::beat_id(&self.cluster, sample)));
        found.iter().for_each(|sample| written.found(sample));
        let rows: Vec<_> = missing.into_iter().chain(new).map(|sample| rows::beat(&self.cluster, sample)).collect();
        if !rows.is_empty() {
            let beats = database.collection(&self.names.beats);
            let inserting = beats.insert_many(rows).ordered(false);
            // Also a caller that gives up waiting leaves the doubt behind.
            let before = std::mem::replace(&mut written.doubt, Doubt::Late);
            let outcome = self.in_time(self.patience.write, async { Ok(inserting.await) }).await?;
            if let Some(error) = outcome.err().filter(|error| !only_duplicates(error)) {
                written.doubt = doubt(&error, before);
                return Err(self.fault(&error));
            }
        }
        written.doubt = Doubt::None;
        written.confirm(samples);
        Ok(())
    }

    /// The names of those samples that are there.
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
            // What is seen must be confirmed, too: a primary that was replaced could still show what is lost with it.
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

    /// Waits until the server has answered for a while.
    async fn calm(&self, database: &Database) -> Result<(), HistoryFault> {
        let begun = clock::now();
        loop {
            let ping = async { database.run_command(doc! {"ping": 1}).await.map_err(|error| self.fault(&error)) };
            self.in_time(self.patience.answer, ping).await?;
            let rest = self.patience.calm.saturating_sub(clock::now().since(begun));
            if rest.is_zero() {
                return Ok(());
            }
            tokio::time::sleep(PING.min(rest)).await;
        }
    }

    async fn write_summaries(&self, database: &Database, list: &[Summary]) -> Result<(), HistoryFault> {
        let mut updates = Vec::with_capacity(list.len());
        for document in list.iter().map(|summary| summaries::document(&self.cluster, summary)) {
            // Where a newer one stands, nothing matches, and the insertion that follows fails for the name.
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
        let answer = self.in_time(self.patience.write, writing).await?;
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
            match self.in_time(self.patience.write, async { Ok(inserting.await) }).await? {
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

/// What an error leaves in doubt, and what was in doubt before.
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
