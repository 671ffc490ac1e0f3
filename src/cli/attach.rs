//! Finding the running node of this host and connecting to it.
//!
//! 1. Nothing here starts, joins or creates anything.
//! 2. Several nodes and no choice is wrong usage, never a guess.
//!
//! Not here: what is asked of the node (the commands).

use super::outcome::Failure;
use super::settings;
use super::{Environment, arguments::Global};
use crate::cluster::ids::NodeId;
use crate::config::Config;
use crate::engine::state_dir::StateDir;
use crate::rpc::client::{Client, ClientError};

/// What [`find`] came to.
#[derive(Debug)]
pub(super) enum Found {
    /// A node answers.
    Running {
        /// Its id.
        node_id: NodeId,
        /// The connection to it.
        client: Client,
    },
    /// No node of this cluster runs on this host; why, in one sentence.
    Absent(String),
}

/// Looks for the running node that the arguments and the configuration mean.
///
/// # Errors
/// [`Failure::Usage`] when several run and none is chosen.
pub(super) async fn find(global: &Global, config: &Config) -> Result<Found, Failure> {
    let wanted = match &global.node {
        Some(text) => Some(NodeId::new(text.as_str()).map_err(|error| Failure::Usage(format!("--node: {error}")))?),
        None => None,
    };
    let cluster = &config.cluster;
    let none = |what: String| Found::Absent(format!("{what} runs here; start one with `clawster serve`"));
    if !config.state_dir.join(cluster.as_str()).is_dir() {
        return Ok(none(format!("no clawster node of cluster {cluster}")));
    }
    let folder = StateDir::open(&config.state_dir, cluster).map_err(|error| Failure::Failed(error.to_string()))?;
    if let Some(node_id) = wanted {
        return match Client::connect(&folder.socket_path(&node_id)).await {
            Ok(client) => Ok(Found::Running { node_id, client }),
            Err(ClientError::NoNode { .. }) => Ok(none(format!("no clawster node {node_id}"))),
            Err(error) => Err(error.into()),
        };
    }
    let mut running = Vec::new();
    for (node_id, socket) in folder.sockets() {
        // A socket that nobody answers on was left behind by a process that was killed.
        if let Ok(client) = Client::connect(&socket).await {
            running.push((node_id, client));
        }
    }
    if running.len() > 1
        && let Some(own) = &config.node.id
        && let Some(place) = running.iter().position(|(id, _)| id == own)
    {
        running = vec![running.swap_remove(place)];
    }
    if running.len() > 1 {
        let ids: Vec<_> = running.iter().map(|(id, _)| id.as_str()).collect();
        let ids = ids.join(", ");
        return Err(Failure::Usage(format!("several nodes run here ({ids}); choose one with --node ID")));
    }
    Ok(match running.pop() {
        Some((node_id, client)) => Found::Running { node_id, client },
        None => none(format!("no clawster node of cluster {cluster}")),
    })
}

/// The running node, for commands that cannot do without.
///
/// # Errors
/// [`Failure::Usage`] when there is none, or no choice among several.
pub(super) async fn require(global: &Global, environment: &Environment) -> Result<Client, Failure> {
    let config = settings::load(global, environment)?;
    match find(global, &config).await? {
        Found::Running { client, .. } => Ok(client),
        Found::Absent(why) => Err(Failure::Usage(why)),
    }
}
