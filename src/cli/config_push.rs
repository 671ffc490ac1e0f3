//! `config push`: makes this host's configuration the settings of the cluster, for all nodes.
//!
//! 1. It writes the settings to the data set and does not join. All nodes are asked for a heartbeat at once and adopt the settings
//!    with it.
//! 2. It is safe while a leader is alive: the leader's record keeps the earlier promise until the leader has confirmed the new one.
//!
//! Not here: which values are allowed (`crate::config`), how a node adopts them (`crate::cluster::node`).

use super::options::Form;
use super::outcome::{Failure, Outcome};
use super::terminal::{Tint, clean};
use super::{Session, settings};
use crate::cli::node_access::direct;
use crate::clock;
use crate::cluster::protocol::{LeaderRecord, PushSettings};
use crate::cluster::settings::{Shared, Versioned};
use crate::engine::state_dir::StateDir;
use crate::store::redis::RedisStore;
use serde_json::json;
use std::time::Duration;

/// How long the command waits for a live leader to confirm the change.
const CONFIRM_TIMEOUT: Duration = Duration::from_secs(3);
/// How often it checks for the confirmation.
const CONFIRM_POLL: Duration = Duration::from_millis(100);

/// The leader, and whether it has confirmed the settings.
struct Leader {
    node_id: String,
    confirmed: bool,
}

impl Leader {
    fn of(record: Option<&LeaderRecord>, settings: &Shared) -> Option<Self> {
        let record = record?;
        let node_id = record.holder.as_ref()?.node_id.to_string();
        Some(Self { node_id, confirmed: record.stated && record.promise == settings.promise() })
    }
}

/// The settings before and after, and the leader's record.
type Shown = (Option<Versioned>, Option<Versioned>, Option<LeaderRecord>);

async fn ask(store: &RedisStore, known: u64, wanted: Option<Shared>) -> Result<Shown, Failure> {
    let answer = store.ask(&PushSettings { known, wanted }).await;
    let shown = answer.map_err(|fault| direct::unreachable_redis(store, &fault))?.reply;
    Ok((shown.before, shown.after, shown.leader))
}

/// Runs `config push`.
///
/// # Errors
/// [`Failure`] with code 1 when the configuration cannot be used, 3 when Redis does not answer.
pub(super) async fn run(session: &mut Session<'_>, dry_run: bool, form: Form) -> Outcome {
    let config = settings::load(session.global, session.environment)?;
    let wanted = Shared::of(config.timing, config.leader);
    let store = RedisStore::new(settings::observed_target(&config).0, &config.cluster);
    let state = StateDir::open(&config.state_dir, &config.cluster).ok();
    let known = state.as_ref().and_then(StateDir::settings).map_or(0, |known| known.version);
    let (before, after, leader) = ask(&store, known, (!dry_run).then_some(wanted)).await?;
    let changes = before.is_none_or(|before| before.settings != wanted);
    let mut leader = Leader::of(leader.as_ref(), &wanted);
    if !dry_run {
        if let (Some(state), Some(after)) = (state, after)
            && let Err(error) = state.keep_settings(after)
        {
            super::print_error(format!(
                "clawster: cannot save the cluster's settings in the state directory: {error}\n"
            ));
        }
        let end = clock::now() + CONFIRM_TIMEOUT;
        while leader.as_ref().is_some_and(|leader| !leader.confirmed) && clock::now() < end {
            tokio::time::sleep(CONFIRM_POLL).await;
            leader = Leader::of(ask(&store, known, None).await?.2.as_ref(), &wanted);
        }
    }
    let version = after.map_or(0, |after| after.version);
    let olds = before.map(|before| before.settings.rows().map(|(_, value)| Some(value))).unwrap_or_default();
    let rows: Vec<(&str, Option<String>, String)> =
        wanted.rows().into_iter().zip(olds).map(|((key, new), old)| (key, old, new)).collect();
    let output = &mut session.output;
    if form.json {
        let settings: Vec<_> =
            rows.iter().map(|(key, old, new)| json!({"key": key, "before": old, "after": new})).collect();
        let leader = leader.map(|leader| json!({"node_id": leader.node_id, "confirmed": leader.confirmed}));
        let changed = changes && !dry_run;
        return Ok(output.json(&json!({
            "changes": changes, "changed": changed, "dry_run": dry_run, "version": version, "settings": settings,
            "leader": leader,
        }))?);
    }
    let cells = rows.iter().map(|(key, old, new)| {
        let old = old.as_deref().unwrap_or("-");
        let tint = if old == new { Tint::Dim } else { Tint::Plain };
        vec![(tint, (*key).to_owned()), (tint, old.to_owned()), (tint, new.clone())]
    });
    let cells: Vec<_> = cells.collect();
    output.table(&["SETTING", "NOW", if dry_run { "WOULD BE" } else { "NEW" }], &cells)?;
    Ok(output.line(sentence(changes, dry_run, leader.as_ref()))?)
}

/// The result, as text for people.
fn sentence(changes: bool, dry_run: bool, leader: Option<&Leader>) -> String {
    let what = match (changes, dry_run) {
        (false, _) => return "The cluster already has these settings; nothing was changed.".to_owned(),
        (true, true) => {
            return "Nothing was changed. Run this without --dry-run to change the settings of all nodes.".to_owned();
        }
        (true, false) => "Changed for all nodes; each adopts the settings with its next heartbeat.",
    };
    match leader.map(|leader| (clean(&leader.node_id, 80), leader.confirmed)) {
        None => format!("{what} There is no leader now; the next one uses these settings."),
        Some((id, true)) => format!("{what} Leader {id} has confirmed them."),
        Some((id, false)) => format!(
            "{what} Leader {id} has not confirmed them yet; until it does, a takeover still waits as long as the old \
             settings say."
        ),
    }
}
