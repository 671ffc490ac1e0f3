//! What commands do on Redis themselves where no node runs on this host.
//!
//! 1. Reading never joins and never starts a server.
//!
//! Not here: the way through a running node (`attach.rs`).

use super::outcome::Failure;
use crate::config::Config;
use crate::rpc::wire::heartbeat::HeartbeatResult;
use crate::rpc::wire::state::ClusterState;

/// Reads the cluster's state from Redis; this host is an observer in it.
///
/// # Errors
/// [`Failure::RedisUnreachable`] when Redis does not answer.
pub(super) async fn read_state(_config: &Config) -> Result<ClusterState, Failure> {
    Err(Failure::Failed("no clawster node runs here, and reading Redis directly is not built yet".to_owned()))
}

/// Beats once without a node: joins when needed, keeps incarnation and lease in the state directory.
///
/// # Errors
/// [`Failure::RedisUnreachable`] when all attempts failed.
pub(super) async fn beat_once(_config: &Config) -> Result<HeartbeatResult, Failure> {
    Err(Failure::Failed("no clawster node runs here, and a heartbeat of its own is not built yet".to_owned()))
}
