//! Reads for `history`: the past from the store of the history, the current members from Redis.
//!
//! 1. It only reads: it joins nothing, starts nothing and writes nothing.
//! 2. With MongoDB the history is shown even while Redis is unreachable.
//!
//! Not here: how it is shown.

use crate::cli::node_access::direct::unreachable_redis;
use crate::cli::outcome::Failure;
use crate::cli::settings;
use crate::clock;
use crate::cluster::history::report::Report;
use crate::cluster::history::{HistoryPage, HistoryQuery};
use crate::cluster::ids::NodeId;
use crate::cluster::protocol::Fault;
use crate::cluster::time::{ServerTime, millis};
use crate::config::Config;
use crate::engine::history::report_reader::{self, Present};
use crate::engine::node::fresh_state;
use crate::store::configured_history::Stores;
use crate::store::history::{HistoryFault, HistoryStore, Source};
use crate::store::redis::RedisStore;
use std::time::Duration;

/// What was read.
#[derive(Debug)]
pub(super) struct Read {
    /// The store that answered.
    pub(super) source: Source,
    /// The report of the window, for all nodes.
    pub(super) report: Report,
    /// The newest heartbeats; empty unless requested.
    pub(super) beats: HistoryPage,
    /// Why Redis did not answer with the current members; `None` if it did.
    pub(super) without_redis: Option<String>,
}

/// What to read.
#[derive(Debug, Clone, Copy)]
pub(super) struct HistoryRequest<'a> {
    /// How far back from now.
    pub(super) since: Duration,
    /// The maximum number of heartbeats; 0: none.
    pub(super) beats: usize,
    /// Heartbeats of this node only; `None`: of all nodes.
    pub(super) node_id: Option<&'a NodeId>,
}

/// Reads a window of history.
///
/// # Errors
/// [`Failure::RedisUnreachable`] when Redis keeps the history and does not answer, [`Failure::Failed`] for MongoDB.
pub(super) async fn read(config: &Config, request: HistoryRequest<'_>) -> Result<Read, Failure> {
    let (target, _) = settings::observed_target(config);
    let redis = RedisStore::new(target.clone(), &config.cluster);
    let store = Stores::new(config, &target).map_err(|fault| Failure::Failed(fault.to_string()))?;
    let source = store.source();
    let (present, without_redis) = match present(&redis).await {
        Ok(present) => (present, None),
        Err(fault) if source == Source::Redis => return Err(unreachable_redis(&redis, &fault)),
        // Without Redis the window ends by this host's clock; nothing else depends on it.
        Err(fault) => (Present { as_of: wall_clock(), ..Present::default() }, Some(fault.to_string())),
    };
    let failed = |fault: HistoryFault| failure(source, &redis, fault);
    let report = report_reader::report(&store, request.since, &present).await.map_err(failed)?;
    let beats = match request.beats {
        0 => HistoryPage::default(),
        limit => {
            let since = Some(ServerTime(present.as_of.0.saturating_sub(millis(request.since))));
            let query = HistoryQuery { node_id: request.node_id.cloned(), since, limit };
            store.samples(&query).await.map_err(failed)?
        }
    };
    Ok(Read { source, report, beats, without_redis })
}

async fn present(redis: &RedisStore) -> Result<Present, Fault> {
    let view = fresh_state::view(redis).await?;
    Ok(Present {
        as_of: view.as_of,
        leader: view.leader.as_ref().and_then(|record| Some((record.holder.as_ref()?.node_id.clone(), record.term))),
        interval: view.data.as_ref().and_then(|data| data.timing).map(|timing| timing.heartbeat_interval),
        members: Some(view.members.into_values().collect()),
    })
}

fn wall_clock() -> ServerTime {
    let since_epoch = clock::wall().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    ServerTime(millis(since_epoch))
}

fn failure(source: Source, redis: &RedisStore, fault: HistoryFault) -> Failure {
    match (source, fault) {
        (Source::Redis, HistoryFault::Unavailable(why)) => Failure::RedisUnreachable(format!(
            "{why} (at {}); check the redis section of the configuration, or run clawster doctor",
            redis.target()
        )),
        (_, fault) => Failure::Failed(format!("cannot read the history: {fault}")),
    }
}
