//! `elect`, `join`, `leave` and `heartbeat`: commands that change the cluster's membership or leader.
//!
//! 1. All but `heartbeat` need a running node.
//!
//! Not here: reading (`state.rs`).

pub(super) mod arguments;

use super::options::{Form, Global};
use super::outcome::{Failure, Outcome};
use super::state::role;
use super::{Session, settings};
use crate::cli::node_access::attach::{
    ANSWER, Found, answer, find, heartbeat_timeout, require, running, takeover_timeout,
};
use crate::cli::node_access::direct;
use crate::cluster::ids::NodeId;
use crate::config::Config;
use crate::rpc::wire::NoParams;
use crate::rpc::wire::election::{ElectParams, ElectResult};
use crate::rpc::wire::heartbeat::HeartbeatResult;
use crate::rpc::wire::membership::{JoinParams, JoinResult, LeaveResult};
use arguments::JoinArguments;

/// Runs `elect`.
///
/// # Errors
/// See [`super::outcome::Failure`].
pub(super) async fn elect(session: &mut Session<'_>, candidate: Option<String>, force: bool, form: Form) -> Outcome {
    let (client, config) = require(session.global, session.environment).await?;
    let params = ElectParams { candidate, force: force.then_some(true) };
    let result: ElectResult =
        answer(takeover_timeout(&config), client.call("distributed.elect_leader", params)).await?;
    let ElectResult { leader_id, term, changed, .. } = &result;
    let text = if *changed {
        format!("{leader_id} is the leader now (term {term}).")
    } else {
        format!("{leader_id} is already the leader (term {term}); use --force to hand leadership over.")
    };
    Ok(session.output.result(form.json, &result, text)?)
}

/// Runs `join`.
///
/// # Errors
/// See [`super::outcome::Failure`].
pub(super) async fn join(session: &mut Session<'_>, arguments: JoinArguments) -> Outcome {
    let (client, config) = require(session.global, session.environment).await?;
    let JoinArguments { id, name, endpoint, capabilities, labels, force, form } = arguments;
    let params = JoinParams {
        node_id: id,
        name,
        endpoint,
        capabilities: (!capabilities.is_empty()).then_some(capabilities),
        labels: (!labels.is_empty()).then(|| labels.into_iter().collect()),
        force: force.then_some(true),
    };
    let result: JoinResult = answer(takeover_timeout(&config), client.call("distributed.join_cluster", params)).await?;
    let leader = result.leader_id.as_deref().unwrap_or("none yet");
    let JoinResult { cluster, node_id, incarnation, term, nodes, .. } = &result;
    let text = format!(
        "{node_id} is a member of {cluster} (incarnation {incarnation}, {} members); leader: {leader} (term {term}).",
        nodes.len()
    );
    Ok(session.output.result(form.json, &result, text)?)
}

/// Runs `leave`.
///
/// # Errors
/// See [`super::outcome::Failure`].
pub(super) async fn leave(session: &mut Session<'_>, form: Form) -> Outcome {
    let (client, _) = require(session.global, session.environment).await?;
    let result: LeaveResult = answer(ANSWER, client.call("distributed.leave_cluster", NoParams {})).await?;
    let handed = if result.resigned { " and resigned leadership" } else { "" };
    let text = format!("{} left the cluster{handed}; its process keeps running.", result.node_id);
    Ok(session.output.result(form.json, &result, text)?)
}

/// Runs `heartbeat`.
///
/// # Errors
/// See [`super::outcome::Failure`]; Redis unreachable when all attempts failed.
pub(super) async fn heartbeat(session: &mut Session<'_>, form: Form) -> Outcome {
    let own = settings::load(&Global { node: None, ..session.global.clone() }, session.environment)?.node.id;
    let config = settings::load(session.global, session.environment)?;
    // With a configured id only that node sends the heartbeat, whatever else runs here.
    let mut global = session.global.clone();
    global.node = global.node.or_else(|| config.node.id.as_ref().map(ToString::to_string));
    match find(&global, &config).await? {
        Found::Running { client, .. } => {
            let beat = answer(heartbeat_timeout(&config), client.call("cluster.heartbeat", NoParams {})).await?;
            print_heartbeat(session, &form, &beat)
        }
        Found::Absent(_) => {
            refuse_stranger(session.global, own.as_ref(), &config).await?;
            let made = direct::beat_once(&config, session.environment).await?;
            let printed = print_heartbeat(session, &form, &made.result);
            made.record().await;
            printed
        }
    }
}

/// Refuses a `--node` that nobody knows on a host whose nodes run: it is more likely a typing error than a new member. `own`: the
/// configured id, which is none.
///
/// # Errors
/// [`Failure::Usage`] with the ids that do run.
async fn refuse_stranger(global: &Global, own: Option<&NodeId>, config: &Config) -> Outcome {
    let Some(wanted) = &global.node else { return Ok(()) };
    let running = running(config).await?;
    let named = own.is_some_and(|id| id.as_str() == wanted);
    if named || running.is_empty() || direct::has_beaten(config, wanted) {
        return Ok(());
    }
    let ids = running.iter().map(NodeId::as_str).collect::<Vec<_>>().join(", ");
    Err(Failure::Usage(format!(
        "no clawster node {wanted} runs on this host, but {ids} does; choose that one. To add {wanted} as a member without a running \
         process, set node.id or OPENCLAW_NODE_ID to it instead of --node"
    )))
}

fn print_heartbeat(session: &mut Session<'_>, form: &Form, beat: &HeartbeatResult) -> Outcome {
    if form.json {
        // On one line, because schedulers collect lines.
        return Ok(session.output.json_line(beat)?);
    }
    let leader = beat.leader_id.as_deref().unwrap_or("none");
    let HeartbeatResult { node_id, term, round_trip_ms, attempts, .. } = beat;
    let tries = if *attempts > 1 { format!(", {attempts} attempts") } else { String::new() };
    let text = format!(
        "Heartbeat of {node_id} took {round_trip_ms:.1} ms{tries}; role: {}; leader: {leader} (term {term}).",
        role(beat.role)
    );
    Ok(session.output.raw(format!("{text}\n").as_bytes())?)
}
