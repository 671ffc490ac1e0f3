//! Creates the collections and their indexes before the first write.
//!
//! 1. It is idempotent, also when several nodes do it at the same time.
//! 2. Existing collections are used unchanged, except for their retention. A missing permission or feature is a warning, not an error,
//!    because an administrator may have created the collections.
//!
//! Not here: documents (`rows.rs`).

use super::MongoHistory;
use super::faults::{UNAUTHORIZED, code};
use crate::store::history::HistoryFault;
use mongodb::Database;
use mongodb::bson::{Bson, Document, doc};

/// The name of the indexes that delete old documents.
const TTL: &str = "clawster_ttl";
/// The code for: the collection exists already.
const EXISTS: i32 = 48;
/// The codes for: an index with this name or these keys exists, with other options.
const DIFFERS: [i32; 2] = [85, 86];

/// The kind of an existing collection.
enum Found {
    Nothing,
    Plain,
    TimeSeries { fits: bool, seconds: Option<i64> },
    Other,
    Unknown,
}

/// Creates missing collections and indexes.
pub(super) async fn prepare(store: &MongoHistory, database: &Database) -> Result<(), HistoryFault> {
    let setup = Setup { store, database, seconds: i64::try_from(store.retention.as_secs()).unwrap_or(i64::MAX) };
    setup.beats().await?;
    let names = &store.names;
    setup.indexes(&names.summaries, vec![index(doc! {"cluster": 1, "at": 1})]).await?;
    setup.expire(&names.summaries, None).await?;
    let events = vec![index(doc! {"cluster": 1, "epoch": 1, "seq": -1}), index(doc! {"cluster": 1, "at": 1})];
    setup.indexes(&names.events, events).await?;
    setup.expire(&names.events, None).await
}

struct Setup<'a> {
    store: &'a MongoHistory,
    database: &'a Database,
    /// The retention.
    seconds: i64,
}

impl Setup<'_> {
    async fn beats(&self) -> Result<(), HistoryFault> {
        let name = &self.store.names.beats;
        let mut found = self.look(name).await?;
        if matches!(found, Found::Nothing | Found::Unknown) {
            let made = self.create(name).await?;
            found = if made {
                Found::TimeSeries { fits: true, seconds: Some(self.seconds) }
            } else {
                self.look(name).await?
            };
        }
        match found {
            Found::TimeSeries { fits: false, .. } => return Err(self.other_kind(name)),
            Found::Other => return Err(self.other_kind(name)),
            Found::TimeSeries { seconds, .. } if seconds == Some(self.seconds) => {}
            Found::TimeSeries { .. } => {
                let change = doc! {"collMod": name, "expireAfterSeconds": self.seconds};
                self.attempt(name, "cannot change the retention of the collection", change).await?;
            }
            // Only clawster's documents: other programs may use the collection, too.
            Found::Plain => self.expire(name, Some(doc! {"meta.cluster": {"$exists": true}})).await?,
            Found::Nothing | Found::Unknown => {}
        }
        let keys = [super::read::by_node(), super::read::by_time()];
        self.indexes(name, keys.map(index).to_vec()).await
    }

    fn other_kind(&self, name: &str) -> HistoryFault {
        let place = format!("{}.{name}", self.store.names.database);
        HistoryFault::Refused(format!(
            "{place} is a view, or a time-series collection with other fields than at and meta; choose another mongodb.collection"
        ))
    }

    /// Looks up what exists under a name.
    async fn look(&self, name: &str) -> Result<Found, HistoryFault> {
        let command = doc! {"listCollections": 1, "filter": {"name": name}};
        let answer = match self.database.run_command(command).await {
            Ok(answer) => answer,
            Err(error) if code(&error).is_some() => return Ok(Found::Unknown),
            Err(error) => return Err(self.store.fault(&error)),
        };
        let batch = answer.get_document("cursor").and_then(|cursor| cursor.get_array("firstBatch"));
        let Some(entry) = batch.ok().and_then(|batch| batch.first()).and_then(Bson::as_document) else {
            return Ok(Found::Nothing);
        };
        let options = entry.get_document("options").cloned().unwrap_or_default();
        Ok(match entry.get_str("type") {
            Ok("timeseries") => {
                let series = options.get_document("timeseries").cloned().unwrap_or_default();
                let is = |field: &str, name: &str| series.get_str(field).is_ok_and(|found| found == name);
                let fits = is("timeField", "at") && is("metaField", "meta");
                Found::TimeSeries { fits, seconds: options.get("expireAfterSeconds").and_then(whole) }
            }
            Ok("view") => Found::Other,
            _ => Found::Plain,
        })
    }

    /// Creates the collection of heartbeats. False: it is a plain collection, or another process created it.
    async fn create(&self, name: &str) -> Result<bool, HistoryFault> {
        let series = doc! {
            "create": name,
            "timeseries": {"timeField": "at", "metaField": "meta", "granularity": "seconds"},
            "expireAfterSeconds": self.seconds,
        };
        let Err(error) = self.database.run_command(series).await else { return Ok(true) };
        match code(&error) {
            None => Err(self.store.fault(&error)),
            Some(EXISTS) => Ok(false),
            Some(UNAUTHORIZED) => {
                self.warn(name, "cannot create the collection", UNAUTHORIZED);
                Ok(false)
            }
            Some(code) => {
                tracing::info!(
                    collection = name,
                    code,
                    "this MongoDB does not support time-series collections; using a plain collection"
                );
                self.attempt(name, "cannot create the collection", doc! {"create": name}).await?;
                Ok(false)
            }
        }
    }

    async fn indexes(&self, name: &str, indexes: Vec<Document>) -> Result<(), HistoryFault> {
        let command = doc! {"createIndexes": name, "indexes": indexes};
        self.attempt(name, "cannot create the indexes", command).await
    }

    /// Makes a plain collection delete old documents.
    async fn expire(&self, name: &str, only: Option<Document>) -> Result<(), HistoryFault> {
        let mut index = doc! {"key": {"at": 1}, "name": TTL, "expireAfterSeconds": self.seconds};
        if let Some(only) = only {
            index.insert("partialFilterExpression", only);
        }
        let made = self.database.run_command(doc! {"createIndexes": name, "indexes": [index]}).await;
        match made.as_ref().map_err(code) {
            Err(Some(code)) if DIFFERS.contains(&code) => {
                let change = doc! {"collMod": name, "index": {"name": TTL, "expireAfterSeconds": self.seconds}};
                self.attempt(name, "cannot change the retention of the collection", change).await
            }
            _ => self.judge(name, "cannot create the index that deletes old documents", made),
        }
    }

    async fn attempt(&self, name: &str, otherwise: &str, command: Document) -> Result<(), HistoryFault> {
        let outcome = self.database.run_command(command).await;
        self.judge(name, otherwise, outcome)
    }

    /// A refusal of the server gives a warning, a missing answer an error.
    fn judge(
        &self,
        name: &str,
        otherwise: &str,
        outcome: mongodb::error::Result<Document>,
    ) -> Result<(), HistoryFault> {
        let Err(error) = outcome else { return Ok(()) };
        match code(&error) {
            Some(code) if !self.store.is_moving(code) => {
                self.warn(name, otherwise, code);
                Ok(())
            }
            _ => Err(self.store.fault(&error)),
        }
    }

    fn warn(&self, name: &str, otherwise: &str, code: i32) {
        let error = super::faults::answered(code, &self.store.names.database);
        tracing::warn!(collection = name, %error, "history in MongoDB: {otherwise}");
    }
}

fn index(key: Document) -> Document {
    let name: Vec<String> = key.iter().map(|(field, order)| format!("{field}_{}", whole(order).unwrap_or(0))).collect();
    doc! {"key": key, "name": name.join("_")}
}

fn whole(value: &Bson) -> Option<i64> {
    match value {
        Bson::Int32(number) => Some(i64::from(*number)),
        Bson::Int64(number) => Some(*number),
        #[allow(clippy::cast_possible_truncation)] // Saturates.
        Bson::Double(number) => Some(*number as i64),
        _ => None,
    }
}
