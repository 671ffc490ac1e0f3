//! The actions of `top` on nodes, and their results.
//!
//! 1. A node is drained only through its own socket: no node drains another one.
//!
//! Not here: the confirmation (`keys.rs`).

use super::model::NodeAction;
use crate::cli::drain::still;
use crate::cli::node_access::attach::{ANSWER, Found, answer, find, takeover_timeout};
use crate::cli::options::Global;
use crate::cli::outcome::Failure;
use crate::cli::terminal::{Tint, clean};
use crate::cluster::ids::NodeId;
use crate::config::Config;
use crate::engine::state_dir::StateDir;
use crate::rpc::client::{Client, ClientError};
use crate::rpc::wire::drain::{DrainParams, DrainResult};
use crate::rpc::wire::election::{ElectParams, ElectResult};

/// Performs an action and returns its result as text with a colour.
pub(super) async fn perform(action: NodeAction, global: Global, config: Config) -> (Tint, String) {
    let done = match action {
        NodeAction::Drain { node, enabled } => drain(&node, enabled, &config).await,
        NodeAction::Lead { node } => lead(node, &global, &config).await,
    };
    match done {
        Ok(text) => (Tint::Green, text),
        Err(failure) => (Tint::Red, failure.to_string()),
    }
}

async fn drain(node: &str, enabled: bool, config: &Config) -> Result<String, Failure> {
    let failed = |error: &dyn std::fmt::Display| Failure::Failed(error.to_string());
    let id = NodeId::new(node).map_err(|error| failed(&error))?;
    let folder = StateDir::open(&config.state_dir, &config.cluster).map_err(|error| failed(&error))?;
    let socket = folder.checked_socket(&id).map_err(|error| failed(&error))?;
    let client = match Client::connect(&socket).await {
        Ok(client) => client,
        Err(ClientError::NoNode { .. }) => {
            let off = if enabled { "" } else { " --off" };
            let text =
                format!("node {id} does not run on this host; run `clawster drain{off} --node {id}` on its own host");
            return Err(Failure::Failed(text));
        }
        Err(error) => return Err(error.into()),
    };
    let drained: DrainResult = answer(ANSWER, client.call("distributed.drain", DrainParams { enabled })).await?;
    let DrainResult { node_id, draining, running_tasks, leases } = drained;
    let node_id = clean(node_id.as_str(), 64);
    Ok(if draining {
        format!("{node_id} is draining: {}", still(running_tasks, leases))
    } else {
        format!("{node_id} takes new work again")
    })
}

async fn lead(node: String, global: &Global, config: &Config) -> Result<String, Failure> {
    let client = match find(global, config).await? {
        Found::Running { client, .. } => client,
        Found::Absent(why) => return Err(Failure::Usage(why)),
    };
    let params = ElectParams { candidate: Some(node), force: Some(true) };
    let result: ElectResult = answer(takeover_timeout(config), client.call("distributed.elect_leader", params)).await?;
    let (leader, term) = (clean(result.leader_id.as_str(), 64), result.term);
    Ok(if result.changed {
        format!("{leader} is the leader now (term {term})")
    } else {
        format!("{leader} is already the leader (term {term})")
    })
}
