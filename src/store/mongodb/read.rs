//! Reads the history: each query is one command with an index; the same command is run and explained.
//!
//! 1. Memory is bounded: samples by the query's limit, events and summaries by fixed limits.
//! 2. An unreadable document is skipped.
//!
//! Not here: reports (`crate::cluster::history`).

use super::faults::code;
use super::{MongoHistory, rows, summaries};
use crate::cluster::event::ClusterEvent;
use crate::cluster::history::{HistoryPage, HistoryQuery, MAX_HISTORY_LIMIT, SPAN, Summary};
use crate::cluster::ids::EventSeq;
use crate::cluster::time::{ServerTime, millis};
use crate::store::history::HistoryFault;
use mongodb::Database;
use mongodb::bson::{Bson, Document, RawDocument, doc};

/// The most events in one answer; if there are more, the newest.
const MOST_EVENTS: usize = 100_000;
/// The most summaries in one answer: 14 days of 100 nodes.
const MOST_SUMMARIES: usize = 200_000;
/// The most documents in one reply.
const PAGE: i32 = 10_000;
/// The code for: the index in the hint does not exist.
const NO_INDEX: i32 = 2;

/// A query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// The newest samples.
    Samples(HistoryQuery),
    /// Summaries that end after this time.
    Summaries(ServerTime),
    /// Events since this time.
    Events(ServerTime),
    /// The last event of a data set.
    LastEvent(String),
}

/// How MongoDB executes a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The index that it uses; `None`: it scans all documents.
    pub index: Option<String>,
    /// The number of stored documents it examined; one of a time-series collection contains many samples.
    pub examined: u64,
    /// Whether it had to sort the result.
    pub sorted: bool,
}

/// The key of the index for one node's samples.
pub(super) fn by_node() -> Document {
    doc! {"meta.cluster": 1, "meta.node_id": 1, "at": -1}
}

/// The key of the index for the samples of all nodes.
pub(super) fn by_time() -> Document {
    doc! {"meta.cluster": 1, "at": -1}
}

impl MongoHistory {
    /// Asks MongoDB how it executes a query; MongoDB executes it for that.
    ///
    /// # Errors
    /// [`HistoryFault`].
    pub async fn explain(&self, question: &Question) -> Result<Plan, HistoryFault> {
        let database = self.database().await?;
        let command = doc! {"explain": self.command(question), "verbosity": "executionStats"};
        let explaining = async { database.run_command(command).await.map_err(|error| self.fault(&error)) };
        let answer = Bson::Document(self.in_time(self.timeouts.answer, explaining).await?);
        let mut plan = Plan { index: None, examined: 0, sorted: false };
        walk(&answer, &mut plan);
        Ok(plan)
    }

    /// The command of a query.
    fn command(&self, question: &Question) -> Document {
        let cluster = self.cluster.as_str();
        let mut command = match question {
            Question::Samples(query) => {
                let mut filter = doc! {"meta.cluster": cluster};
                if let Some(node) = &query.node_id {
                    filter.insert("meta.node_id", node.as_str());
                }
                if let Some(since) = query.since {
                    filter.insert("at", doc! {"$gte": rows::date(since)});
                }
                let hint = if query.node_id.is_some() { by_node() } else { by_time() };
                // One more than requested, to know whether there are more.
                let limit = count(query.limit.clamp(1, MAX_HISTORY_LIMIT) + 1);
                doc! {"find": &self.names.beats, "filter": filter, "sort": {"at": -1}, "limit": limit, "hint": hint}
            }
            Question::Summaries(since) => {
                let behind = ServerTime(since.0.saturating_sub(millis(SPAN)));
                let filter = doc! {"cluster": cluster, "at": {"$gt": rows::date(behind)}};
                let limit = count(MOST_SUMMARIES + 1);
                doc! {"find": &self.names.summaries, "filter": filter, "limit": limit, "hint": {"cluster": 1, "at": 1}}
            }
            Question::Events(since) => {
                let filter = doc! {"cluster": cluster, "at": {"$gte": rows::date(*since)}};
                let hint = doc! {"cluster": 1, "at": 1};
                doc! {"find": &self.names.events, "filter": filter, "sort": {"at": -1}, "limit": count(MOST_EVENTS), "hint": hint}
            }
            Question::LastEvent(epoch) => {
                let filter = doc! {"cluster": cluster, "epoch": epoch};
                let hint = doc! {"cluster": 1, "epoch": 1, "seq": -1};
                doc! {"find": &self.names.events, "filter": filter, "sort": {"seq": -1}, "limit": 1, "hint": hint}
            }
        };
        command.insert("batchSize", PAGE);
        command.insert("maxTimeMS", i64::try_from(millis(self.timeouts.answer)).unwrap_or(i64::MAX));
        command
    }

    async fn ask<T: Send>(
        &self,
        question: &Question,
        read: impl Fn(&RawDocument) -> Option<T> + Send + Sync,
    ) -> Result<Vec<T>, HistoryFault> {
        let database = self.database().await?;
        let mut command = self.command(question);
        let mut again = true;
        let asking = async {
            loop {
                match answers(database, command.clone(), &read).await {
                    // Without the permission to create indexes there may be none.
                    Err(error) if code(&error) == Some(NO_INDEX) && command.remove("hint").is_some() => {}
                    // The connection is from before a restart of the server.
                    Err(error) if code(&error).is_none() && std::mem::take(&mut again) => {}
                    outcome => return outcome.map_err(|error| self.fault(&error)),
                }
            }
        };
        self.in_time(self.timeouts.answer, asking).await
    }

    pub(super) async fn read_samples(&self, query: &HistoryQuery) -> Result<HistoryPage, HistoryFault> {
        let mut samples = self.ask(&Question::Samples(query.clone()), rows::sample).await?;
        samples.sort_by(|a, b| (b.at, &b.node_id, b.number).cmp(&(a.at, &a.node_id, a.number)));
        samples.dedup_by(|a, b| (&a.node_id, a.incarnation, a.number) == (&b.node_id, b.incarnation, b.number));
        let limit = query.limit.clamp(1, MAX_HISTORY_LIMIT);
        let more = samples.len() > limit;
        samples.truncate(limit);
        samples.reverse();
        Ok(HistoryPage { samples, more })
    }

    pub(super) async fn read_summaries(&self, since: ServerTime) -> Result<Vec<Summary>, HistoryFault> {
        let mut summaries = self.ask(&Question::Summaries(since), summaries::read).await?;
        if summaries.len() > MOST_SUMMARIES {
            return Err(HistoryFault::Refused(
                "the time is too long for so many nodes; read a shorter time".to_owned(),
            ));
        }
        summaries.sort_by(|a, b| (&a.node_id, a.incarnation, a.from).cmp(&(&b.node_id, b.incarnation, b.from)));
        Ok(summaries)
    }

    pub(super) async fn read_events(&self, since: ServerTime) -> Result<Vec<ClusterEvent>, HistoryFault> {
        let mut events = self.ask(&Question::Events(since), rows::event).await?;
        events.sort_by_key(|event| (event.at, event.seq));
        Ok(events)
    }

    pub(super) async fn read_last_event(&self, epoch: &str) -> Result<EventSeq, HistoryFault> {
        let read = |raw: &RawDocument| rows::seq(&raw.try_into().ok()?);
        let found = self.ask(&Question::LastEvent(epoch.to_owned()), read).await?;
        Ok(found.first().copied().unwrap_or_default())
    }
}

async fn answers<T>(
    database: &Database,
    command: Document,
    read: &(impl Fn(&RawDocument) -> Option<T> + Sync),
) -> mongodb::error::Result<Vec<T>> {
    let asked = database.run_cursor_command(command).batch_size(PAGE.unsigned_abs());
    let asked = match database.selection_criteria() {
        Some(criteria) => asked.selection_criteria(criteria.clone()),
        None => asked,
    };
    let mut cursor = asked.await?;
    let mut all = Vec::new();
    while cursor.advance().await? {
        all.extend(read(cursor.current()));
    }
    Ok(all)
}

fn count(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Collects the data of the winning plan.
fn walk(value: &Bson, plan: &mut Plan) {
    match value {
        Bson::Document(document) => {
            for (key, value) in document {
                match (key.as_str(), value) {
                    ("rejectedPlans" | "allPlansExecution" | "command", _) => {}
                    ("indexName", Bson::String(name)) => plan.index = Some(name.clone()),
                    ("totalDocsExamined", Bson::Int32(number)) => plan.examined += u64::from(number.unsigned_abs()),
                    ("totalDocsExamined", Bson::Int64(number)) => plan.examined += number.unsigned_abs(),
                    ("stage", Bson::String(stage)) if stage == "SORT" => plan.sorted = true,
                    ("$sort", _) => plan.sorted = true,
                    (_, value) => walk(value, plan),
                }
            }
        }
        Bson::Array(values) => values.iter().for_each(|value| walk(value, plan)),
        _ => {}
    }
}
