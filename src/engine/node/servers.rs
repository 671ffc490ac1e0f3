//! Tells clients, metrics and the node what happens to the servers of Redis, where there are several.

use super::status::Msg;
use crate::cluster::event::LocalFact;
use crate::cluster::node::Input;
use crate::engine::events::Hub;
use crate::engine::metrics::Metrics;
use crate::store::redis::RedisStore;
use std::sync::Arc;
use tokio::sync::mpsc;

/// Follows the servers until the store is gone.
pub(super) async fn follow(store: Arc<RedisStore>, hub: Arc<Hub>, metrics: Arc<Metrics>, node: mpsc::Sender<Msg>) {
    let mut servers = store.servers();
    let mut told = 0;
    while servers.changed().await.is_ok() {
        let now = servers.borrow_and_update().clone();
        metrics
            .redis_replicas
            .set(now.replicas.iter().filter(|replica| replica.online).count().try_into().unwrap_or(0));
        let lag = now.replicas.iter().map(|replica| replica.lag_bytes).max().unwrap_or(0);
        metrics.redis_replica_lag.set(lag.try_into().unwrap_or(i64::MAX));
        if now.failovers == told {
            continue;
        }
        told = now.failovers;
        if let Some(last) = now.last {
            metrics.redis_failover.observe(last.without.as_secs_f64());
            let (from, to) = (last.from, last.to);
            hub.publish_local(LocalFact::RedisFailover { from, to, run_id: last.run_id, without: last.without });
            // The heartbeat that failed on the former primary is not due again before its pause is over. The node is gone only when this
            // task is ended, too.
            let _ = node.send(Msg::Input(Input::CalledToRegister)).await;
        }
    }
}
