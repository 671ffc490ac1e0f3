//! Reads the state of the whole cluster from Redis, for callers that do not want the local view, or have none.
//!
//! 1. Reading neither joins nor changes anything.

use super::handle::{Role, StateView};
use super::state_view;
use crate::cluster::ids::ClusterName;
use crate::cluster::members::view::ClusterView;
use crate::cluster::members::whole_view::WholeView;
use crate::cluster::protocol::Fault;
use crate::engine::error::Error;
use crate::engine::refusals::unavailable;
use crate::store::redis::RedisStore;

/// The view of a process that is not a node, read from the store.
///
/// # Errors
/// [`Fault`] when the store did not answer.
pub async fn view(store: &RedisStore) -> Result<ClusterView, Fault> {
    let mut reading = WholeView::default();
    loop {
        let call = reading.call();
        if reading.take(store.ask(&call).await?.reply) {
            return Ok(reading.into_view());
        }
    }
}

/// The state that a process sees that is not a node.
///
/// # Errors
/// [`Fault`] when the store did not answer.
pub async fn observe(store: &RedisStore, cluster: &ClusterName) -> Result<StateView, Fault> {
    let view = view(store).await?;
    let interval = view.data.as_ref().and_then(|data| data.timing).unwrap_or_default().heartbeat_interval;
    let servers = store.servers().borrow().clone();
    Ok(StateView { servers, ..state_view::from_view(cluster, &view, interval, None, Role::Observer, true) })
}

/// A node's own state, with everything except its role read from the store.
pub(crate) async fn read(store: &RedisStore, known: &StateView) -> Result<StateView, Error> {
    let view = view(store).await.map_err(|why| unavailable(&why.to_string()))?;
    let interval = view.data.as_ref().and_then(|data| data.timing).unwrap_or_default().heartbeat_interval;
    let state = state_view::from_view(&known.cluster, &view, interval, known.node_id.clone(), known.role, true);
    Ok(StateView { servers: store.servers().borrow().clone(), ..state })
}
