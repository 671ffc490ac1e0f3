//! `status --check`: healthy or not, for probes, with the reason in one line.
//!
//! 1. Exit code 0: healthy; 1: unhealthy; 3: unhealthy because Redis does not answer. It waits at most [`CHECK_TIMEOUT`] for an
//!    answer.
//! 2. A host is healthy when its node runs, is a member, reaches Redis and knows a leader. Without a running node it is healthy
//!    only if one-shot heartbeats of this boot keep a member alive: files that a killed node left behind do not count.
//!
//! Not here: showing the state (`state.rs`), the same over HTTP (`crate::rpc::http`).

use super::options::Form;
use super::outcome::{Failure, Outcome};
use super::state::is_alive;
use super::{Session, settings};
use crate::cli::node_access::attach::{Found, answer, find};
use crate::cli::node_access::direct;
use crate::cluster::ids::NodeId;
use crate::config::Config;
use crate::engine::oneshot::state::{OneshotState, boot_id};
use crate::engine::state_dir::StateDir;
use crate::rpc::wire::node::Role;
use crate::rpc::wire::state::{ClusterState, RedisStatus, StateParams};
use serde::Serialize;
use std::time::Duration;

/// How long the node, or Redis, may take to answer.
const CHECK_TIMEOUT: Duration = Duration::from_secs(5);

/// The answer for a probe.
#[derive(Debug, Serialize)]
struct Verdict {
    healthy: bool,
    /// Why the host is unhealthy; `None` when it is healthy.
    why: Option<String>,
    /// The node that was checked.
    node_id: Option<String>,
    role: Option<Role>,
    leader_id: Option<String>,
    /// The exit code when it is unhealthy.
    #[serde(skip)]
    code: u8,
}

impl Verdict {
    fn unhealthy(node_id: Option<&NodeId>, code: u8, why: impl Into<String>) -> Self {
        let node_id = node_id.map(ToString::to_string);
        Self { healthy: false, why: Some(why.into()), node_id, role: None, leader_id: None, code }
    }
}

/// Runs `status --check`.
///
/// # Errors
/// [`Failure::Reported`] when the host is unhealthy; else see [`Failure`].
pub(super) async fn run(session: &mut Session<'_>, form: Form) -> Outcome {
    let verdict = judge(session).await?;
    if form.json {
        session.output.json(&verdict)?;
    } else {
        let id = verdict.node_id.as_deref().unwrap_or("-");
        let leader = verdict.leader_id.as_deref().unwrap_or("-");
        session.output.line(match &verdict.why {
            None => format!("healthy: node {id}, leader {leader}, Redis ok"),
            Some(why) => format!("unhealthy: {why}"),
        })?;
    }
    if verdict.healthy { Ok(()) } else { Err(Failure::Reported(verdict.code)) }
}

async fn judge(session: &Session<'_>) -> Result<Verdict, Failure> {
    let config = settings::with_node(settings::load(session.global, session.environment)?, session.global)?;
    match find(session.global, &config).await? {
        Found::Running { node_id, client, .. } => {
            let asked = client.call("distributed.get_cluster_state", StateParams::default());
            Ok(match answer::<ClusterState>(CHECK_TIMEOUT, asked).await {
                Ok(state) => of_node(&node_id, &state),
                Err(failure) => Verdict::unhealthy(Some(&node_id), 1, format!("node {node_id}: {failure}")),
            })
        }
        Found::Absent(why) => match kept_alive(&config).as_slice() {
            [] => Ok(Verdict::unhealthy(None, 1, why)),
            ids => without_node(&config, ids).await,
        },
    }
}

/// The nodes of this host that one-shot heartbeats have kept alive since the last boot.
fn kept_alive(config: &Config) -> Vec<NodeId> {
    if !config.state_dir.join(config.cluster.as_str()).is_dir() {
        return Vec::new();
    }
    let (Ok(folder), Ok(boot)) = (StateDir::open(&config.state_dir, &config.cluster), boot_id()) else {
        return Vec::new();
    };
    let mut ids = OneshotState::kept(&folder, &boot);
    ids.retain(|id| config.node.id.as_ref().is_none_or(|own| own == id));
    ids
}

fn of_node(node_id: &NodeId, state: &ClusterState) -> Verdict {
    let (code, why) = if state.redis.status == RedisStatus::Unavailable {
        let why = state.redis.trouble.as_deref().unwrap_or("Redis does not answer");
        (3, Some(format!("node {node_id} runs, but {why}")))
    } else if state.node_id.is_none() {
        (1, Some(format!("node {node_id} runs, but is not a member of cluster {}", state.cluster)))
    } else {
        (1, lacks_leader(state))
    };
    Verdict {
        healthy: why.is_none(),
        why,
        node_id: Some(node_id.to_string()),
        role: Some(state.role),
        leader_id: state.leader_id.clone(),
        code,
    }
}

fn lacks_leader(state: &ClusterState) -> Option<String> {
    let over = state.lease_left_ms().is_none_or(|left| left == 0);
    (state.leader_id.is_none() || over).then(|| format!("cluster {} has no leader", state.cluster))
}

/// Looks in Redis for members that one-shot heartbeats keep alive.
async fn without_node(config: &Config, ids: &[NodeId]) -> Result<Verdict, Failure> {
    let state = match tokio::time::timeout(CHECK_TIMEOUT, direct::read_state(config)).await {
        Ok(Ok(state)) => state,
        Ok(Err(Failure::RedisUnreachable(why))) => return Ok(Verdict::unhealthy(ids.first(), 3, why)),
        Ok(Err(other)) => return Err(other),
        Err(_) => return Ok(Verdict::unhealthy(ids.first(), 3, "Redis did not answer in time")),
    };
    let alive = |id: &&NodeId| state.nodes.iter().any(|node| node.node_id == id.as_str() && is_alive(node.status));
    let Some(id) = ids.iter().find(alive) else {
        let why = format!("no node runs here, and the one-shot heartbeats of {} have stopped", ids[0]);
        return Ok(Verdict::unhealthy(ids.first(), 1, why));
    };
    let why = lacks_leader(&state);
    let role = state.nodes.iter().find(|node| node.node_id == id.as_str()).map(|node| node.role);
    Ok(Verdict {
        healthy: why.is_none(),
        why,
        node_id: Some(id.to_string()),
        role,
        leader_id: state.leader_id.clone(),
        code: 1,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn state(changes: serde_json::Value) -> ClusterState {
        let mut state = json!({"cluster": "openclaw", "node_id": "gw-1", "role": "follower", "leader_id": "gw-2", "term": 7,
            "lease_expires_at_ms": 145_000, "redis": {"status": "ok", "mode": "standalone"}, "as_of_ms": 121_000,
            "nodes": []});
        for (key, value) in changes.as_object().expect("an object") {
            state[key] = value.clone();
        }
        serde_json::from_value(state).expect("a state")
    }

    #[test]
    fn a_node_is_healthy_when_it_is_a_member_reaches_redis_and_knows_a_leader() {
        let id = NodeId::new("gw-1").expect("an id");
        for (changes, code, word) in [
            (json!({}), 0, ""),
            (json!({"redis": {"status": "unavailable", "mode": "standalone"}}), 3, "Redis does not answer"),
            (json!({"node_id": null, "role": "observer"}), 1, "not a member"),
            (json!({"leader_id": null, "lease_expires_at_ms": null}), 1, "no leader"),
            (json!({"lease_expires_at_ms": 121_000}), 1, "no leader"),
        ] {
            let verdict = of_node(&id, &state(changes.clone()));
            assert_eq!(verdict.healthy, code == 0, "{changes}");
            assert!(verdict.healthy || verdict.code == code, "{changes}: {verdict:?}");
            assert!(verdict.why.unwrap_or_default().contains(word), "{changes}");
        }
    }
}
