//! History in MongoDB.
//!
//! 1. A heartbeat is recorded once: a plain collection has a unique `_id`; in a time-series collection, which cannot have one, documents
//!    that may already exist are looked up before they are written (`write.rs`).
//! 2. The store connects with its first use, and everything has a deadline.
//! 3. No credential leaves this module: the `Debug` form shows database and collection only, and no error quotes the connection string
//!    or the driver's text.
//!
//! `uri.rs` the connection string · `setup.rs` collections and indexes · `rows.rs`, `summaries.rs` documents · `write.rs` · `read.rs` ·
//! `faults.rs` errors. Only these files name the driver.
//!
//! Collections: `<collection>` has one document per heartbeat, as time series if the server supports it · `<collection>_summaries` one
//! per node, incarnation and ten minutes · `<collection>_events` one per event of the cluster. Several clusters can share them.
//!
//! Not here: when something is recorded (`crate::engine`).

mod faults;
mod read;
mod rows;
mod setup;
mod summaries;
mod uri;
mod write;

pub use read::{Plan, Question};
pub use uri::check as check_uri;

use super::history::{Batch, HistoryFault, HistoryStore, Source};
use crate::clock;
use crate::cluster::event::ClusterEvent;
use crate::cluster::history::{HistoryPage, HistoryQuery, Summary};
use crate::cluster::ids::{ClusterName, EventSeq};
use crate::cluster::time::{Moment, ServerTime};
use crate::config::{MongoConfig, Secret};
use mongodb::{Client, Database};
use std::time::Duration;
use tokio::sync::{Mutex, OnceCell};
use tokio::time::timeout;
use write::Written;

/// After a refusal the collections are checked again, but not more often than this.
const MIN_RECHECK_INTERVAL: Duration = Duration::from_secs(30);

/// The timeouts of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// For the answer to a write. It is long, so that a server that was frozen for a while can still answer.
    pub write: Duration,
    /// How long the server must have been answering, after a write without an answer, until that write counts as executed or lost.
    pub stable_for: Duration,
    /// For everything else.
    pub answer: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { write: Duration::from_mins(1), stable_for: Duration::from_secs(5), answer: Duration::from_secs(10) }
    }
}

/// The history of a cluster in MongoDB.
pub struct MongoHistory {
    uri: Secret,
    cluster: ClusterName,
    names: Names,
    retention: Duration,
    timeouts: Timeouts,
    database: OnceCell<Database>,
    /// When the collections were last found or created; `None` after a failure, because the server may come back without them.
    prepared: Mutex<Option<Moment>>,
    written: Mutex<Written>,
}

/// The names of the database and its collections.
#[derive(Debug, Clone)]
struct Names {
    database: String,
    beats: String,
    summaries: String,
    events: String,
}

impl std::fmt::Debug for MongoHistory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Names { database, beats, .. } = &self.names;
        f.debug_struct("MongoHistory").field("database", database).field("collection", beats).finish_non_exhaustive()
    }
}

impl MongoHistory {
    /// The configured history; `None` without `mongodb.uri`. It connects with its first use.
    ///
    /// # Errors
    /// [`HistoryFault::Refused`] when the URI is not a valid connection string.
    pub fn new(config: &MongoConfig, cluster: &ClusterName) -> Result<Option<Self>, HistoryFault> {
        let Some(uri) = &config.uri else { return Ok(None) };
        check_uri(uri.expose()).map_err(|why| HistoryFault::Refused(format!("mongodb.uri {why}")))?;
        let names = Names {
            database: config.db.clone(),
            beats: config.collection.clone(),
            summaries: format!("{}_summaries", config.collection),
            events: format!("{}_events", config.collection),
        };
        Ok(Some(Self {
            uri: uri.clone(),
            cluster: cluster.clone(),
            names,
            retention: Duration::from_hours(24 * u64::from(config.retention_days)),
            timeouts: Timeouts::default(),
            database: OnceCell::new(),
            prepared: Mutex::default(),
            written: Mutex::default(),
        }))
    }

    /// The same with other timeouts.
    #[must_use]
    pub fn with_timeouts(mut self, timeouts: Timeouts) -> Self {
        self.timeouts = timeouts;
        self
    }

    /// The database; the first use resolves the host names of `mongodb+srv`.
    async fn database(&self) -> Result<&Database, HistoryFault> {
        let opening = self.database.get_or_try_init(|| async {
            let options = uri::options(self.uri.expose()).await.map_err(|error| self.fault(&error))?;
            let client = Client::with_options(options).map_err(|error| self.fault(&error))?;
            Ok(client.database(&self.names.database))
        });
        self.in_time(self.timeouts.answer, opening).await
    }

    /// The database with its collections and indexes.
    async fn prepared(&self) -> Result<&Database, HistoryFault> {
        let database = self.database().await?;
        let mut prepared = self.prepared.lock().await;
        if prepared.is_none() {
            self.in_time(3 * self.timeouts.answer, setup::prepare(self, database)).await?;
            *prepared = Some(clock::now());
        }
        Ok(database)
    }

    /// After a failed write the collections are checked before the next one, so that MongoDB does not create them by itself, without
    /// indexes and retention. After refusals, which may be many, that is done only from time to time.
    async fn failed(&self, fault: &HistoryFault) {
        let mut prepared = self.prepared.lock().await;
        let long_ago = prepared.is_some_and(|at| clock::now().since(at) > MIN_RECHECK_INTERVAL);
        if long_ago || matches!(fault, HistoryFault::Unavailable(_)) {
            *prepared = None;
        }
    }

    async fn in_time<T>(
        &self,
        wait: Duration,
        work: impl Future<Output = Result<T, HistoryFault>>,
    ) -> Result<T, HistoryFault> {
        let late = |_| HistoryFault::Unavailable(format!("MongoDB did not answer within {} s", wait.as_secs_f64()));
        timeout(wait, work).await.map_err(late)?
    }

    fn fault(&self, error: &mongodb::error::Error) -> HistoryFault {
        faults::fault(error, &self.names.database)
    }
}

impl HistoryStore for MongoHistory {
    fn source(&self) -> Source {
        Source::Mongodb
    }

    async fn record(&self, batch: &Batch) -> Result<(), HistoryFault> {
        let outcome = self.write(batch).await;
        if let Err(fault) = &outcome {
            self.failed(fault).await;
        }
        outcome
    }

    async fn record_events(&self, epoch: &str, events: &[ClusterEvent]) -> Result<(), HistoryFault> {
        self.write_events(epoch, events).await
    }

    async fn last_event(&self, epoch: &str) -> Result<EventSeq, HistoryFault> {
        self.read_last_event(epoch).await
    }

    async fn samples(&self, query: &HistoryQuery) -> Result<HistoryPage, HistoryFault> {
        self.read_samples(query).await
    }

    async fn summaries(&self, since: ServerTime) -> Result<Vec<Summary>, HistoryFault> {
        self.read_summaries(since).await
    }

    async fn events(&self, since: ServerTime) -> Result<Vec<ClusterEvent>, HistoryFault> {
        self.read_events(since).await
    }
}
