//! Finds the running node of this host and connects to it.
//!
//! 1. Nothing here starts, joins or creates anything.
//! 2. Several running nodes without a choice are a usage error, never a guess.
//! 3. No command waits for ever for a frozen node: every call goes through [`answer`].
//!
//! Not here: the calls themselves (the commands).

use crate::cli::Environment;
use crate::cli::options::Global;
use crate::cli::outcome::Failure;
use crate::cli::settings;
use crate::cluster::ids::NodeId;
use crate::config::Config;
use crate::engine::state_dir::StateDir;
use crate::rpc::client::{CallError, Client, ClientError};
use std::path::PathBuf;
use std::time::Duration;

/// How long a node may take to answer a call that does not wait for anything; the store's own deadlines are far shorter.
pub(crate) const ANSWER: Duration = Duration::from_secs(10);
/// How long one attempt of a heartbeat may take: longer than the store waits for Redis.
const HEARTBEAT_ATTEMPT: Duration = Duration::from_secs(3);
/// The least extra time for an election or a join, which may wait for a lease to expire; a longer lease counts instead.
const MIN_TAKEOVER_TIMEOUT: Duration = Duration::from_secs(60);

/// The result of [`find`].
#[derive(Debug)]
pub(crate) enum Found {
    /// A node answers.
    Running {
        /// Its id.
        node_id: NodeId,
        /// Where it listens.
        socket: PathBuf,
        /// The connection to it.
        client: Client,
    },
    /// No node of this cluster runs on this host; the text says so and what to do.
    Absent(String),
}

/// Finds the running node selected by `--node`, else by `node.id`, else the only one.
///
/// # Errors
/// [`Failure::Usage`] when several run and none is chosen.
pub(crate) async fn find(global: &Global, config: &Config) -> Result<Found, Failure> {
    let wanted = match &global.node {
        Some(text) => Some(NodeId::new(text.as_str()).map_err(|error| Failure::Usage(format!("--node: {error}")))?),
        None => None,
    };
    let cluster = &config.cluster;
    let none = |what: String| Found::Absent(format!("{what} runs on this host; start one with `clawster serve`"));
    if !config.state_dir.join(cluster.as_str()).is_dir() {
        return Ok(none(format!("no clawster node of cluster {cluster}")));
    }
    let folder = StateDir::open(&config.state_dir, cluster).map_err(|error| Failure::Failed(error.to_string()))?;
    if let Some(node_id) = wanted {
        let socket = folder.checked_socket(&node_id).map_err(|error| Failure::Failed(error.to_string()))?;
        return match Client::connect(&socket).await {
            Ok(client) => Ok(Found::Running { node_id, socket, client }),
            Err(ClientError::NoNode { .. }) => Ok(none(format!("no clawster node {node_id}"))),
            Err(error) => Err(error.into()),
        };
    }
    let mut running = connect_all(&folder).await;
    if running.len() > 1
        && let Some(own) = &config.node.id
        && let Some(place) = running.iter().position(|(id, ..)| id == own)
    {
        running = vec![running.swap_remove(place)];
    }
    if running.len() > 1 {
        let ids: Vec<_> = running.iter().map(|(id, ..)| id.as_str()).collect();
        let ids = ids.join(", ");
        return Err(Failure::Usage(format!("several nodes run on this host ({ids}); choose one with --node ID")));
    }
    Ok(match running.pop() {
        Some((node_id, socket, client)) => Found::Running { node_id, socket, client },
        None => none(format!("no clawster node of cluster {cluster}")),
    })
}

/// Connects to all nodes of a state directory.
async fn connect_all(folder: &StateDir) -> Vec<(NodeId, PathBuf, Client)> {
    let mut running = Vec::new();
    for (node_id, socket) in folder.sockets() {
        // A socket without a listener was left behind by a killed process.
        if let Ok(client) = Client::connect(&socket).await {
            running.push((node_id, socket, client));
        }
    }
    running
}

/// The ids of the cluster's nodes that run on this host.
///
/// # Errors
/// [`Failure::Failed`] when the state directory cannot be used.
pub(crate) async fn running(config: &Config) -> Result<Vec<NodeId>, Failure> {
    if !config.state_dir.join(config.cluster.as_str()).is_dir() {
        return Ok(Vec::new());
    }
    let folder =
        StateDir::open(&config.state_dir, &config.cluster).map_err(|error| Failure::Failed(error.to_string()))?;
    Ok(connect_all(&folder).await.into_iter().map(|(id, ..)| id).collect())
}

/// Waits for a node's answer, but not for ever: a frozen process still accepts connections and requests.
///
/// # Errors
/// The call's own, and [`Failure::Failed`] when there is no answer within `within`.
pub(crate) async fn answer<T>(
    within: Duration,
    call: impl Future<Output = Result<T, CallError>>,
) -> Result<T, Failure> {
    match tokio::time::timeout(within, call).await {
        Ok(answered) => Ok(answered?),
        Err(_) => Err(Failure::Failed(format!(
            "the node does not answer: no response within {} s, and the call may have taken effect. Check the node's log, \
             then restart the node",
            within.as_secs()
        ))),
    }
}

/// How long a heartbeat may take: the node retries a failed one as configured before it answers.
#[must_use]
pub(crate) fn heartbeat_timeout(config: &Config) -> Duration {
    let retry = config.node.retry;
    ANSWER.saturating_add(retry.delay.saturating_add(HEARTBEAT_ATTEMPT).saturating_mul(retry.count))
}

/// How long an election or a join may take: both may have to wait for a lease to expire.
#[must_use]
pub(crate) fn takeover_timeout(config: &Config) -> Duration {
    ANSWER.saturating_add(config.timing.lease_ttl.max(MIN_TAKEOVER_TIMEOUT))
}

/// Connects to the running node, for commands that need one, and returns the configuration as well.
///
/// # Errors
/// [`Failure::Usage`] when no node runs, or several run and none is chosen.
pub(crate) async fn require(global: &Global, environment: &Environment) -> Result<(Client, Config), Failure> {
    let config = settings::load(global, environment)?;
    match find(global, &config).await? {
        Found::Running { client, .. } => Ok((client, config)),
        Found::Absent(why) => Err(Failure::Usage(why)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_node_that_does_not_answer_is_given_up_on() {
        let never = std::future::pending::<Result<(), CallError>>();
        let failure = answer(Duration::from_millis(20), never).await.expect_err("nobody answered");
        assert_eq!(failure.code(), 1);
        assert!(failure.to_string().starts_with("the node does not answer: "), "{failure}");
        assert_eq!(answer(ANSWER, async { Ok(7) }).await.expect("an answer"), 7);
    }
}
