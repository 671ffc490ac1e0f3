//! Checks of the cluster as a whole, as it stands in Redis: whether somebody leads, and who is missing.
//!
//! Not here: this host's node (`host.rs`), the server (`server.rs`).

use super::Check;
use crate::cli::node_access::direct;
use crate::cli::state::is_alive;
use crate::cli::terminal::clean;
use crate::config::Config;
use crate::rpc::wire::node::{Node, Status};
use crate::rpc::wire::state::ClusterState;
use std::time::Duration;

const NAME: &str = "cluster";
/// How long Redis may take to answer.
const STATE_WAIT: Duration = Duration::from_secs(3);
/// The most members that are named.
const NAMED: usize = 5;

/// The checks, and the state that they are about; Redis answered before.
pub(super) async fn checks(config: &Config) -> (Vec<Check>, Option<ClusterState>) {
    let unread = match tokio::time::timeout(STATE_WAIT, direct::read_state(config)).await {
        Ok(Ok(state)) => return (judge(&state), Some(state)),
        Ok(Err(failure)) => clean(&failure.to_string(), 200),
        Err(_) => format!("Redis did not answer within {STATE_WAIT:?}"),
    };
    (vec![Check::info(NAME, unread)], None)
}

fn judge(state: &ClusterState) -> Vec<Check> {
    let cluster = &state.cluster;
    if state.nodes.is_empty() {
        return vec![Check::info(NAME, format!("cluster {cluster} has no members yet"))];
    }
    let alive = state.nodes.iter().filter(|node| is_alive(node.status)).count();
    let found = format!("{alive} of {} members of cluster {cluster} are alive", state.nodes.len());
    let leads = state.leader_id.as_deref().filter(|_| state.lease_left_ms().is_some_and(|left| left > 0));
    let mut checks = vec![match leads {
        _ if alive == 0 => {
            Check::fail(NAME, format!("{found}: nobody leads, and nothing is done"), "start a node: clawster serve")
        }
        None => {
            let fix = "start a node with leader.candidate: true; if one is running, check its log";
            Check::fail(NAME, format!("{found}; it has no leader"), fix)
        }
        Some(leader) => Check::ok(NAME, format!("{found}; {} leads", clean(leader, 64))),
    }];
    let dead: Vec<&Node> = state.nodes.iter().filter(|node| node.status == Status::Offline).collect();
    if !dead.is_empty() {
        let mut ids: Vec<String> = dead.iter().take(NAMED).map(|node| clean(&node.node_id, 64)).collect();
        if dead.len() > NAMED {
            ids.push(format!("{} more", dead.len() - NAMED));
        }
        let fix = format!(
            "start them again, or, if they will not come back, remove them: clawster nodes forget {}",
            clean(&dead[0].node_id, 64)
        );
        checks.push(Check::warn(NAME, format!("died without leaving: {}", ids.join(", ")), fix));
    }
    checks
}

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::*;
    use crate::cli::tui::screen::samples;

    fn levels(change: impl FnOnce(&mut ClusterState)) -> Vec<Level> {
        let mut state = samples::state("a", 5, 1_000, &["a", "b"]);
        change(&mut state);
        judge(&state).into_iter().map(|check| check.level).collect()
    }

    #[test]
    fn a_cluster_without_a_leader_or_with_dead_members_is_not_well() {
        assert_eq!(levels(|_| {}), [Level::Ok]);
        assert_eq!(levels(|state| state.nodes.clear()), [Level::Info]);
        assert_eq!(levels(|state| state.leader_id = None), [Level::Fail]);
        assert_eq!(levels(|state| state.lease_expires_at_ms = Some(0)), [Level::Fail], "its lease is over");
        assert_eq!(levels(|state| state.nodes[1].status = Status::Offline), [Level::Ok, Level::Warn]);
        assert_eq!(levels(|state| state.nodes[1].status = Status::Left), [Level::Ok]);
        let gone = levels(|state| state.nodes.iter_mut().for_each(|node| node.status = Status::Offline));
        assert_eq!(gone, [Level::Fail, Level::Warn]);
    }
}
