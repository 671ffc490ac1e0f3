//! `status` and `nodes`: the cluster's current state.
//!
//! 1. Both only read; neither joins.
//!
//! Not here: reading the state without a node (`node_access/direct.rs`).

use super::options::Form;
use super::outcome::{Failure, Outcome};
use super::terminal::{Output, Tint, age, clean, many, span};
use super::{Session, peers, settings};
use crate::cli::node_access::attach::{ANSWER, Found, answer, find};
use crate::cli::node_access::direct;
use crate::rpc::wire::node::{Node, Role, Status};
use crate::rpc::wire::state::{ClusterState, RedisInfo, RedisStatus, StateParams};
use std::time::Duration;

/// Runs `status`.
///
/// # Errors
/// See [`Failure`]. The node's last view from before Redis became unreachable is a normal result; a node that never had a view is
/// [`Failure::RedisUnreachable`].
pub(super) async fn status(session: &mut Session<'_>, form: Form, fresh: bool, metrics: bool) -> Outcome {
    let (state, process) = read(session, fresh, metrics).await?;
    if form.json {
        session.output.json(&state)?;
    } else {
        print_status(&mut session.output, &state, process)?;
        print_metrics(&mut session.output, &state)?;
    }
    has_view(&state)
}

/// Fails for the empty state of a node that has not reached Redis since its start: an empty cluster would look the same.
fn has_view(state: &ClusterState) -> Outcome {
    if state.as_of_ms > 0 || state.redis.status == RedisStatus::Ok {
        return Ok(());
    }
    let why = state.redis.trouble.as_deref().unwrap_or("Redis does not answer");
    Err(Failure::RedisUnreachable(format!("the node has not seen the cluster since it was started: {why}")))
}

/// Runs `nodes`.
///
/// # Errors
/// See [`Failure`].
pub(super) async fn nodes(session: &mut Session<'_>, form: Form, fresh: bool) -> Outcome {
    let (state, _) = read(session, fresh, false).await?;
    if form.json {
        session.output.json(&state.nodes)?;
    } else {
        print_nodes(&mut session.output, &state)?;
    }
    has_view(&state)
}

/// The state, and the process of the node that was asked.
async fn read(session: &Session<'_>, fresh: bool, metrics: bool) -> Result<(ClusterState, Option<i32>), Failure> {
    let config = settings::load(session.global, session.environment)?;
    match find(session.global, &config).await? {
        Found::Running { client, .. } => {
            let params = StateParams { fresh: fresh.then_some(true), metrics: metrics.then_some(true) };
            let state = answer(ANSWER, client.call("distributed.get_cluster_state", params)).await?;
            Ok((state, client.process()))
        }
        Found::Absent(why) if session.global.node.is_some() || metrics => Err(Failure::Usage(why)),
        Found::Absent(_) => Ok((direct::read_state(&config).await?, None)),
    }
}

/// Prints the status for people; `process` is the one of the node that was asked.
///
/// # Errors
/// Of the writer.
pub(super) fn print_status(output: &mut Output<'_>, state: &ClusterState, process: Option<i32>) -> std::io::Result<()> {
    let redis = match state.redis.status {
        RedisStatus::Ok => output.paint(Tint::Green, "ok"),
        RedisStatus::Unavailable => output.paint(Tint::Red, &unavailable(state)),
    };
    let leader = match (&state.leader_id, state.lease_expires_at_ms) {
        (Some(id), Some(_)) => {
            let left = Duration::from_millis(state.lease_left_ms().unwrap_or(0));
            let lease =
                if left.is_zero() { "lease expired".to_owned() } else { format!("lease expires in {}", span(left)) };
            format!("{} (term {}, {lease})", output.paint(Tint::Bold, id), state.term)
        }
        (Some(id), None) => format!("{} (term {})", output.paint(Tint::Bold, id), state.term),
        (None, _) => format!("{} (last term {})", output.paint(Tint::Yellow, "none"), state.term),
    };
    let this = match &state.node_id {
        Some(id) => {
            let process = process.map(|pid| format!(", process {pid}")).unwrap_or_default();
            format!("{id} ({}{process})", role(state.role))
        }
        None => "not a member (observer)".to_owned(),
    };
    let alive = state.nodes.iter().filter(|node| is_alive(node.status)).count();
    output.line(format!("Cluster    {}", state.cluster))?;
    output.line(format!("This node  {this}"))?;
    output.line(format!("Leader     {leader}"))?;
    output.line(format!("Redis      {redis}, {}{}", state.redis.mode, servers(&state.redis)))?;
    if let (RedisStatus::Ok, Some(trouble)) = (state.redis.status, &state.redis.trouble) {
        output.line(format!("Warning    {}", output.paint(Tint::Yellow, &clean(trouble, 300))))?;
    }
    if let Some((tint, text)) = peers::summary(state) {
        output.line(format!("Gossip     {}", output.paint(tint, &text)))?;
    }
    output.line(format!("Members    {alive} alive of {}", state.nodes.len()))?;
    if !state.nodes.is_empty() {
        output.line("")?;
        print_nodes(output, state)?;
    }
    peers::print(output, state)
}

/// Primary, replicas and promotions, where there are several servers.
fn servers(redis: &RedisInfo) -> String {
    let Some(primary) = &redis.primary else { return String::new() };
    let online = redis.replicas.iter().filter(|replica| replica.online).count();
    let lag = redis.replicas.iter().map(|replica| replica.lag_bytes).max();
    let replicas = lag.map(|lag| format!(", {} up to {lag} bytes behind", many(online, "replica"))).unwrap_or_default();
    let failovers =
        if redis.failovers > 0 { format!(", changed {}", many(redis.failovers, "time")) } else { String::new() };
    format!(", primary {}{replicas}{failovers}", clean(primary, 100))
}

fn unavailable(state: &ClusterState) -> String {
    let seen = span(Duration::from_millis(state.age_ms));
    let why = state.redis.trouble.as_deref().map(|why| format!(": {}", clean(why, 300))).unwrap_or_default();
    format!("unavailable (this view is {seen} old){why}")
}

fn print_metrics(output: &mut Output<'_>, state: &ClusterState) -> std::io::Result<()> {
    let Some(metrics) = &state.metrics else { return Ok(()) };
    output.line("")?;
    let rows: Vec<Vec<(Tint, String)>> = metrics
        .iter()
        .map(|(name, value)| vec![(Tint::Plain, name.clone()), (Tint::Plain, value.to_string())])
        .collect();
    output.table(&["METRIC", "VALUE"], &rows)
}

fn print_nodes(output: &mut Output<'_>, state: &ClusterState) -> std::io::Result<()> {
    if state.nodes.is_empty() {
        return output.line("No node has joined yet; start one with `clawster serve`.");
    }
    let rows: Vec<Vec<(Tint, String)>> = state.nodes.iter().map(|node| row(node, state)).collect();
    output.table(&["NODE", "STATUS", "ROLE", "SEEN", "UP", "VERSION", "NAME", "CAPABILITIES"], &rows)
}

fn row(node: &Node, state: &ClusterState) -> Vec<(Tint, String)> {
    let plain = |text: String| (Tint::Plain, text);
    let passed = |at: u64| Duration::from_millis(state.as_of_ms.saturating_sub(at));
    let (tint, word) = status_word(node.status);
    let leads = node.role == Role::Leader;
    let up = if is_alive(node.status) { span(passed(node.joined_at_ms)) } else { "-".to_owned() };
    let name = if node.name == node.node_id { "-".to_owned() } else { clean(&node.name, 24) };
    let skills = if node.capabilities.is_empty() { "-".to_owned() } else { clean(&node.capabilities.join(","), 40) };
    vec![
        plain(clean(&node.node_id, 64)),
        (tint, word.to_owned()),
        (if leads { Tint::Bold } else { Tint::Plain }, role(node.role).to_owned()),
        plain(age(passed(node.last_seen_ms))),
        plain(up),
        plain(clean(&node.version, 16)),
        plain(name),
        plain(skills),
    ]
}

/// A role as text.
#[must_use]
pub(super) fn role(role: Role) -> &'static str {
    match role {
        Role::Leader => "leader",
        Role::Follower => "follower",
        Role::Observer => "observer",
    }
}

/// A status as text, with its colour.
#[must_use]
pub(super) fn status_word(status: Status) -> (Tint, &'static str) {
    match status {
        Status::Online => (Tint::Green, "online"),
        Status::Draining => (Tint::Yellow, "draining"),
        Status::Suspect => (Tint::Yellow, "suspect"),
        Status::Offline => (Tint::Red, "offline"),
        Status::Left => (Tint::Dim, "left"),
    }
}

/// Whether a node with this status counts as alive: online, draining or suspect.
#[must_use]
pub(super) fn is_alive(status: Status) -> bool {
    matches!(status, Status::Online | Status::Draining | Status::Suspect)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn state() -> ClusterState {
        let node = |id: &str, name: &str, status: &str, role: &str, seen: u64| {
            json!({"node_id": id, "name": name, "status": status, "role": role, "incarnation": 1, "endpoint": null,
                "capabilities": ["gpu", "web"], "labels": {}, "version": "0.1.0", "joined_at_ms": 1_000,
                "last_seen_ms": seen})
        };
        let state = json!({"cluster": "openclaw", "node_id": "gw-1", "role": "follower", "leader_id": "gw-2", "term": 7,
            "lease_expires_at_ms": 145_000, "redis": {"status": "ok", "mode": "standalone"}, "as_of_ms": 121_000,
            "nodes": [node("gw-1", "gw-1", "online", "follower", 121_000),
                node("gw-2", "Küche\u{7}", "online", "leader", 118_000),
                node("gw-3", "gw-3", "offline", "follower", 50_000)]});
        serde_json::from_value(state).expect("a state")
    }

    #[test]
    fn the_status_shows_leader_lease_and_members() {
        let mut text = Vec::new();
        print_status(&mut Output::plain(&mut text), &state(), Some(77)).expect("writes");
        let expected = "\
Cluster    openclaw
This node  gw-1 (follower, process 77)
Leader     gw-2 (term 7, lease expires in 24 s)
Redis      ok, standalone
Members    2 alive of 3

NODE  STATUS   ROLE      SEEN     UP     VERSION  NAME    CAPABILITIES
gw-1  online   follower  now      2 min  0.1.0    -       gpu,web
gw-2  online   leader    3 s ago  2 min  0.1.0    Küche\u{fffd}  gpu,web
gw-3  offline  follower  1 min ago  -      0.1.0    -       gpu,web
";
        let shown = String::from_utf8(text).expect("text");
        let squeezed = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(squeezed(&shown), squeezed(expected));
    }

    #[test]
    fn a_node_without_a_view_is_no_empty_cluster() {
        let mut state = ClusterState { nodes: Vec::new(), as_of_ms: 0, ..state() };
        assert!(has_view(&state).is_ok(), "a new data set");
        state.redis.status = RedisStatus::Unavailable;
        assert_eq!(has_view(&state).map_err(|why| why.code()), Err(3));
        state.as_of_ms = 1;
        assert!(has_view(&state).is_ok(), "an old view is a view");
    }

    #[test]
    fn an_empty_cluster_says_what_to_do() {
        let mut text = Vec::new();
        print_nodes(&mut Output::plain(&mut text), &ClusterState { nodes: Vec::new(), ..state() }).expect("writes");
        assert!(String::from_utf8(text).expect("text").contains("clawster serve"));
    }
}
