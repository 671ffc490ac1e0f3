//! `nodes forget`: removes members that are away from the list of members.
//!
//! 1. It needs no running node, and does not join.
//!
//! Not here: what a removed member loses (the store's script).

pub(super) mod arguments;

use super::options::Form;
use super::outcome::{Failure, Outcome};
use super::{Session, settings};
use crate::cli::node_access::direct::{Observer, unreachable_redis};
use crate::cli::state::is_alive;
use crate::cluster::ids::NodeId;
use crate::cluster::protocol::{ForgetMembers, Forgotten};
use crate::store::redis::RedisStore;
use serde_json::json;
use std::time::Duration;

/// Runs `nodes forget`. `away`: also every member that has been away for this long.
///
/// # Errors
/// [`Failure::Refused`] when one of the named members is alive or unknown; the others are removed.
pub(super) async fn run(session: &mut Session<'_>, ids: &[String], away: Option<Duration>, form: Form) -> Outcome {
    let config = settings::load(session.global, session.environment)?;
    let parsed = ids.iter().map(|id| NodeId::new(id.as_str())).collect::<Result<Vec<_>, _>>();
    let mut members = parsed.map_err(|error| Failure::Usage(error.to_string()))?;
    if let Some(away) = away {
        let state = Observer::new(&config).state().await?;
        let since = state.as_of_ms.saturating_sub(crate::cluster::time::millis(away));
        let gone = state.nodes.iter().filter(|node| !is_alive(node.status) && node.last_seen_ms <= since);
        members.extend(gone.filter_map(|node| NodeId::new(node.node_id.as_str()).ok()));
    }
    members.sort();
    members.dedup();
    let store = RedisStore::new(settings::observed_target(&config).0, &config.cluster);
    let answer = store.ask(&ForgetMembers { members }).await;
    let outcomes = answer.map_err(|fault| unreachable_redis(&store, &fault))?.reply;
    let of = |wanted: Forgotten| {
        let ids = outcomes.iter().filter(|(_, outcome)| *outcome == wanted).map(|(id, _)| id.as_str());
        ids.collect::<Vec<_>>()
    };
    let (forgotten, alive, unknown) = (of(Forgotten::Forgotten), of(Forgotten::Alive), of(Forgotten::Unknown));
    let text = match forgotten.as_slice() {
        [] => "No member was removed.".to_owned(),
        ids => format!("Removed {}.", ids.join(", ")),
    };
    let object = json!({"forgotten": forgotten, "alive": alive, "unknown": unknown});
    session.output.result(form.json, &object, text)?;
    let refused = |ids: &[&str], why: &str| (!ids.is_empty()).then(|| format!("{}: {why}", ids.join(", ")));
    let why = [
        refused(&alive, "alive, and not removed; stop the node first, or run clawster leave there"),
        refused(&unknown, "not a member"),
    ];
    match why.into_iter().flatten().collect::<Vec<_>>().join(". ") {
        why if why.is_empty() => Ok(()),
        why => Err(Failure::Refused(why)),
    }
}
