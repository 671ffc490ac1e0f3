//! The store of history that the configuration means: MongoDB where it is configured, else Redis.
//!
//! Not here: what a store of history does (`history.rs`).

use super::history::{Batch, HistoryFault, HistoryStore, Source};
use super::mongodb::MongoHistory;
use super::redis::{RedisHistory, Target};
use crate::cluster::event::ClusterEvent;
use crate::cluster::history::{HistoryPage, HistoryQuery, Summary};
use crate::cluster::ids::EventSeq;
use crate::cluster::time::ServerTime;
use crate::config::Config;

/// The store that the configuration means.
#[derive(Debug)]
pub enum Stores {
    /// MongoDB is configured.
    Mongodb(Box<MongoHistory>),
    /// It is not.
    Redis(Box<RedisHistory>),
}

impl Stores {
    /// The store of a configuration and of the Redis that it means; nothing is connected yet.
    ///
    /// # Errors
    /// [`HistoryFault::Refused`] when `mongodb.uri` is no connection string; the text shows nothing of it.
    pub fn new(config: &Config, redis: &Target) -> Result<Self, HistoryFault> {
        match MongoHistory::new(&config.mongodb, &config.cluster)? {
            Some(mongodb) => Ok(Self::Mongodb(Box::new(mongodb))),
            None => {
                let redis = RedisHistory::new(redis.clone(), &config.cluster, config.history.recent);
                Ok(Self::Redis(Box::new(redis)))
            }
        }
    }
}

impl HistoryStore for Stores {
    fn source(&self) -> Source {
        match self {
            Self::Mongodb(store) => store.source(),
            Self::Redis(store) => store.source(),
        }
    }

    async fn record(&self, batch: &Batch) -> Result<(), HistoryFault> {
        match self {
            Self::Mongodb(store) => store.record(batch).await,
            Self::Redis(store) => store.record(batch).await,
        }
    }

    async fn record_events(&self, epoch: &str, events: &[ClusterEvent]) -> Result<(), HistoryFault> {
        match self {
            Self::Mongodb(store) => store.record_events(epoch, events).await,
            Self::Redis(store) => store.record_events(epoch, events).await,
        }
    }

    async fn last_event(&self, epoch: &str) -> Result<EventSeq, HistoryFault> {
        match self {
            Self::Mongodb(store) => store.last_event(epoch).await,
            Self::Redis(store) => store.last_event(epoch).await,
        }
    }

    async fn samples(&self, query: &HistoryQuery) -> Result<HistoryPage, HistoryFault> {
        match self {
            Self::Mongodb(store) => store.samples(query).await,
            Self::Redis(store) => store.samples(query).await,
        }
    }

    async fn summaries(&self, since: ServerTime) -> Result<Vec<Summary>, HistoryFault> {
        match self {
            Self::Mongodb(store) => store.summaries(since).await,
            Self::Redis(store) => store.summaries(since).await,
        }
    }

    async fn events(&self, since: ServerTime) -> Result<Vec<ClusterEvent>, HistoryFault> {
        match self {
            Self::Mongodb(store) => store.events(since).await,
            Self::Redis(store) => store.events(since).await,
        }
    }
}
