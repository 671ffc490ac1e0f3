//! Answers queries about the history, from the store and from the samples that this node has not recorded yet.
//!
//! 1. An answer takes at most [`READ_TIMEOUT`], and delays no other answer.
//!
//! Not here: recording (`recorder.rs`).

use super::super::error::Error;
use super::super::refusals::{RETRY_AFTER, unavailable};
use crate::clock;
use crate::cluster::history::{HistoryPage, HistoryQuery, Sample};
use crate::cluster::time::{ServerTime, millis};
use crate::engine::history::report_reader::{self, Present};
use crate::engine::node::handle::{HistoryAnswer, HistoryRequest, Node, Past};
use crate::engine::node::running::RunningNode;
use crate::engine::node::status::Msg;
use crate::store::history::{HistoryFault, HistoryStore, Source};
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::sync::oneshot;

/// How long the store has to answer.
const READ_TIMEOUT: Duration = Duration::from_secs(5);
/// The default length of a report.
const DEFAULT_WINDOW: Duration = Duration::from_hours(24);

impl Past for RunningNode {
    async fn history(&self, request: HistoryRequest) -> Result<HistoryAnswer, Error> {
        let store = self.history.store().ok_or_else(off)?;
        let now = self.server_time();
        let since = request.since.map(|since| ServerTime(now.0.saturating_sub(millis(since))));
        let query = HistoryQuery { node_id: request.node_id, since, limit: request.limit };
        let reading = async {
            let samples = store.samples(&query);
            if !request.report {
                return Ok((samples.await?, None));
            }
            let present = self.present(now).await;
            let report = report_reader::report(store, request.since.unwrap_or(DEFAULT_WINDOW), &present);
            let (page, report) = futures_util::try_join!(samples, report)?;
            Ok((page, Some(report)))
        };
        let (page, report) = within(store.source(), reading).await?;
        let own = self.history.unrecorded().into_iter().chain(self.carried().await);
        let HistoryPage { samples, more } = merged(page, own, &query);
        Ok(HistoryAnswer { source: store.source(), samples, more, report })
    }
}

impl RunningNode {
    /// The samples that the node has not sent with a heartbeat yet.
    pub(in super::super) async fn carried(&self) -> Vec<Sample> {
        let (answer, outcome) = oneshot::channel();
        // A node that has stopped has none.
        let _ = self.node.send(Msg::Carried(answer)).await;
        outcome.await.unwrap_or_default()
    }

    /// The server's time now; until Redis has answered once, this host's time.
    fn server_time(&self) -> ServerTime {
        match self.hub.server_time() {
            ServerTime(0) => ServerTime(clock::wall().duration_since(std::time::UNIX_EPOCH).map(millis).unwrap_or(0)),
            known => known,
        }
    }

    /// The state of the cluster as this node sees it.
    async fn present(&self, now: ServerTime) -> Present {
        let interval = Some(self.status.borrow().interval);
        let nothing = Present { as_of: now, interval, ..Present::default() };
        match self.state(false).await {
            Ok(state) if state.redis_ok => Present {
                leader: state.leader_id.map(|id| (id, state.term)),
                members: Some(state.nodes.into_iter().map(|node| node.member).collect()),
                ..nothing
            },
            _ => nothing,
        }
    }
}

fn off() -> Error {
    let what = "no history is kept".to_owned();
    Error::NotConfigured { what, key: "history.recent_hours above 0, or mongodb.uri" }
}

async fn within<T>(source: Source, reading: impl Future<Output = Result<T, HistoryFault>>) -> Result<T, Error> {
    let outcome = tokio::time::timeout(READ_TIMEOUT, reading).await;
    let outcome = outcome.unwrap_or_else(|_| Err(HistoryFault::Unavailable("no answer for 5 s".to_owned())));
    outcome.map_err(|fault| match (source, fault) {
        (Source::Redis, HistoryFault::Unavailable(why)) => unavailable(&why),
        (Source::Redis, HistoryFault::Refused(why)) => Error::Internal(why),
        (Source::Mongodb, HistoryFault::Unavailable(why)) => {
            Error::Overloaded { what: format!("MongoDB does not answer ({why})"), retry_after: RETRY_AFTER }
        }
        (Source::Mongodb, HistoryFault::Refused(why)) => {
            let what = format!("MongoDB refuses to let this node read the history ({why})");
            Error::NotConfigured { what, key: "mongodb.uri to a user who may read the database" }
        }
    })
}

/// A page of the store, merged with samples that the store may lack.
fn merged(mut page: HistoryPage, own: impl Iterator<Item = Sample>, query: &HistoryQuery) -> HistoryPage {
    let known: BTreeSet<_> = page.samples.iter().map(|s| (s.node_id.clone(), s.incarnation, s.number)).collect();
    // If the page is not the whole answer, samples older than its first one were left out on purpose.
    let oldest = page.samples.first().filter(|_| page.more).map(|sample| sample.at);
    let wanted = |sample: &Sample| {
        query.node_id.as_ref().is_none_or(|id| *id == sample.node_id)
            && sample.at >= query.since.unwrap_or_default().max(oldest.unwrap_or_default())
            && !known.contains(&(sample.node_id.clone(), sample.incarnation, sample.number))
    };
    page.samples.extend(own.filter(wanted));
    page.samples.sort_by(|a, b| (a.at, super::name(a)).cmp(&(b.at, super::name(b))));
    page.samples.dedup_by(|a, b| super::name(a) == super::name(b));
    let beyond = page.samples.len().saturating_sub(query.limit);
    page.samples.drain(..beyond);
    page.more |= beyond > 0;
    page
}
