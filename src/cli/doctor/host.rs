//! Checks of this host: configuration, state directory, disk, running node.

use super::super::options::Global;
use super::super::state::{is_alive, role};
use super::Check;
use crate::cli::node_access::attach::{Found, find};
use crate::cli::peers::{self, Away};
use crate::config::{Config, Loaded};
use crate::rpc::wire::state::{ClusterState, RedisStatus, StateParams};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

const NODE_WAIT: Duration = Duration::from_secs(3);
const LEAST_FREE_BYTES: u64 = 64 << 20;

pub(super) fn configuration(loaded: &Loaded) -> Vec<Check> {
    let place = match &loaded.config.config_dir {
        Some(folder) => format!("read from {}", folder.display()),
        None => "no configuration files; using defaults and variables".to_owned(),
    };
    let mut checks = vec![Check::ok("configuration", place)];
    checks.extend(loaded.warnings.iter().map(|warning| {
        Check::warn("configuration", warning.clone(), "run `clawster config check` to see every value with its source")
    }));
    checks
}

pub(super) fn state_dir(config: &Config) -> Vec<Check> {
    const NAME: &str = "state";
    let path = &config.state_dir;
    let shown = path.display();
    let Ok(data) = path.metadata() else {
        let (name, parent) = (NAME, nearest(path));
        return vec![if is_writable(parent) {
            Check::info(name, format!("{shown} does not exist yet; the first node creates it"))
        } else {
            let fix = "make that folder writable for this user, or set CLAWSTER_STATE_DIR";
            Check::fail(name, format!("{shown} does not exist and {} cannot be written", parent.display()), fix)
        }];
    };
    if !data.is_dir() {
        return vec![Check::fail(NAME, format!("{shown} is not a folder"), "move it away, or set CLAWSTER_STATE_DIR")];
    }
    if !is_writable(path) {
        let fix = format!("chown it to this user (chown -R \"$USER\" {shown}), or set CLAWSTER_STATE_DIR");
        return vec![Check::fail(NAME, format!("{shown} cannot be written"), fix)];
    }
    let mut checks = vec![Check::ok(NAME, format!("{shown} can be written"))];
    if data.mode() & 0o022 != 0 {
        let found = format!("{shown} is writable for other users (mode {:o})", data.mode() & 0o777);
        checks.push(Check::warn(NAME, found, format!("chmod 700 {shown}")));
    }
    let sockets = path.join(config.cluster.as_str());
    if let Ok(data) = sockets.metadata() {
        let shown = sockets.display();
        checks.push(if data.mode() & 0o077 == 0 {
            Check::ok("socket", format!("only this user can enter {shown}, the folder of the sockets"))
        } else {
            let found =
                format!("other users can enter {shown}, the folder of the sockets (mode {:o})", data.mode() & 0o777);
            Check::fail("socket", found, format!("chmod 700 {shown}"))
        });
    }
    checks
}

pub(super) fn disk(config: &Config) -> Check {
    const NAME: &str = "disk";
    let path = nearest(&config.state_dir);
    let Ok(space) = rustix::fs::statvfs(path) else {
        return Check::info(NAME, format!("cannot read the free space of {}", path.display()));
    };
    let free = space.f_bavail.saturating_mul(space.f_frsize);
    let mib = |bytes: u64| format!("{} MiB", bytes >> 20);
    let found = format!("{} free at {}", mib(free), path.display());
    let wanted = config.sync.outbox_bytes;
    if free < LEAST_FREE_BYTES {
        Check::fail(NAME, found, "free some space: the outbox and the private Redis write there")
    } else if free < wanted {
        let fix = format!("free some space, or lower sync.outbox_bytes (it may use {})", mib(wanted));
        Check::warn(NAME, found, fix)
    } else {
        Check::ok(NAME, found)
    }
}

/// What this host's node says, and what it heard from the others. `observed`: the state in the Redis of this configuration.
pub(super) async fn node(global: &Global, config: &Config, observed: Option<&ClusterState>) -> Vec<Check> {
    let (check, state) = running_node(global, config).await;
    let elsewhere = observed.zip(state.as_ref()).and_then(|(observed, state)| elsewhere(observed, state));
    [elsewhere.or(Some(check)), state.as_ref().and_then(gossip)].into_iter().flatten().collect()
}

/// Whether the node is a member in another Redis than the one that this configuration names.
fn elsewhere(observed: &ClusterState, of_node: &ClusterState) -> Option<Check> {
    let id = of_node.node_id.as_deref()?;
    let lives_in = |state: &ClusterState| state.nodes.iter().any(|node| node.node_id == id && is_alive(node.status));
    if of_node.redis.status != RedisStatus::Ok || !lives_in(of_node) || lives_in(observed) {
        return None;
    }
    let found = format!(
        "{id} runs, but with another Redis than this configuration names (its own: {}): it is no live member there",
        of_node.redis.mode
    );
    let fix = format!(
        "restart {id} with the configuration of this command; `clawster config check` shows where each value comes from"
    );
    Some(Check::fail("node", found, fix))
}

/// Whether only this host has lost Redis, or everybody; `None`: gossip does not run.
fn gossip(state: &ClusterState) -> Option<Check> {
    const NAME: &str = "gossip";
    let (_, found) = peers::summary(state)?;
    let silent = state.peers.iter().flatten().any(|peer| !peer.reachable);
    Some(match peers::away(state)? {
        Away::ThisNode => {
            let fix = "the fault is on this host or its way to Redis, since others reach it: check network, firewall and credentials here";
            Check::fail(NAME, format!("this host only: {found}"), fix)
        }
        Away::Everybody if state.peers.iter().flatten().any(|peer| peer.reachable) => {
            Check::fail(NAME, format!("everybody: {found}"), "look at the Redis server itself")
        }
        Away::Some => Check::warn(NAME, found, "compare the hosts that reach Redis with those that do not"),
        _ if silent => {
            let fix = "check those hosts, and whether UDP passes between them and this one";
            Check::warn(NAME, found, fix)
        }
        _ => Check::ok(NAME, found),
    })
}

async fn running_node(global: &Global, config: &Config) -> (Check, Option<ClusterState>) {
    const NAME: &str = "node";
    let (node_id, client) = match find(global, config).await {
        Ok(Found::Running { node_id, client, .. }) => (node_id, client),
        Ok(Found::Absent(why)) => return (Check::info(NAME, why), None),
        Err(failure) => return (Check::info(NAME, failure.to_string()), None),
    };
    let call = client.call::<ClusterState>("distributed.get_cluster_state", StateParams::default());
    let restart = format!("check the node's log, then restart {node_id}");
    match tokio::time::timeout(NODE_WAIT, call).await {
        Ok(Ok(state)) => {
            let found = format!("{node_id} runs as {}, knows {} members", role(state.role), state.nodes.len());
            let check = match state.redis.status {
                RedisStatus::Unavailable => {
                    let why = state.redis.trouble.as_deref().unwrap_or("Redis does not answer");
                    Check::fail(NAME, format!("{found}; {why}"), "see the Redis checks above")
                }
                RedisStatus::Ok if state.leader_id.is_none() || state.lease_left_ms().is_none_or(|left| left == 0) => {
                    let fix = "start a node with leader.candidate: true; if one is running, check its log";
                    Check::fail(NAME, format!("{found}; the cluster has no leader"), fix)
                }
                RedisStatus::Ok => Check::ok(NAME, found),
            };
            (check, Some(state))
        }
        Ok(Err(error)) => (Check::fail(NAME, format!("{node_id} answers with an error: {error}"), restart), None),
        Err(_) => (Check::fail(NAME, format!("{node_id} does not answer within {NODE_WAIT:?}"), restart), None),
    }
}

/// The path itself, or the nearest folder above it that exists.
fn nearest(path: &Path) -> &Path {
    path.ancestors().find(|path| path.exists()).unwrap_or(path)
}

fn is_writable(path: &Path) -> bool {
    rustix::fs::access(path, rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK).is_ok()
}

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::*;
    use crate::cli::tui::screen::samples;

    #[test]
    fn a_node_with_another_redis_than_this_configuration_is_a_failure() {
        let mut of_node = samples::state("a", 5, 1_000, &["a", "b"]);
        of_node.node_id = Some("a".to_owned());
        let elsewhere = |there: &[&str]| elsewhere(&samples::state("c", 7, 1_000, there), &of_node);
        assert!(elsewhere(&["a", "b"]).is_none());
        assert_eq!(elsewhere(&["c"]).map(|check| check.level), Some(Level::Fail));
    }
}
