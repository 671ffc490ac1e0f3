//! What commands do on Redis themselves where no node runs on this host.
//!
//! 1. Reading never joins and never starts a server.
//! 2. A heartbeat holds the node's store, so that two of them, or one and a starting node, do not meet.
//!
//! Not here: the way through a running node (`attach.rs`), the beat itself (`crate::engine::oneshot`).

use crate::cli::Environment;
use crate::cli::outcome::Failure;
use crate::cli::{settings, settle};
use crate::clock;
use crate::cluster::event::Event;
use crate::cluster::history::Summary;
use crate::cluster::ids::{ClusterName, EventSeq, NodeId, Nonce};
use crate::cluster::protocol::Fault;
use crate::cluster::settings::{Shared, Versioned};
use crate::cluster::time::millis;
use crate::config::{Config, RedisMode};
use crate::embedded::{self, Remembered};
use crate::engine::different;
use crate::engine::history::{OneBeat, record_one};
use crate::engine::messages::outbox::NodeStore;
use crate::engine::node::fresh_state;
use crate::engine::oneshot::state::{OneshotState, boot_id};
use crate::engine::oneshot::{self, Oneshot};
use crate::engine::state_dir::{StateDir, StateError};
use crate::logging;
use crate::rpc::wire::event::AnyEvent;
use crate::rpc::wire::heartbeat::HeartbeatResult;
use crate::rpc::wire::state::ClusterState;
use crate::store::Store;
use crate::store::configured_history::Stores;
use crate::store::redis::RedisStore;
use std::time::Duration;
use tracing::Instrument;

/// How long a heartbeat waits for the private server to start.
const SETTLE_WITHIN: Duration = Duration::from_secs(15);

/// Looks at the cluster from outside, for those who look more than once: the connection is kept.
pub(crate) struct Observer {
    store: RedisStore,
    cluster: ClusterName,
    mode: &'static str,
}

impl Observer {
    /// The Redis that the configuration means; nothing is connected yet.
    pub(crate) fn new(config: &Config) -> Self {
        let mut config = config.clone();
        let private = match config.redis.mode {
            RedisMode::Embedded => true,
            _ => !config.redis.configured && embedded::remembered(&config.state_dir) == Some(Remembered::Embedded),
        };
        if private {
            config.redis.use_private(embedded::socket_path(&config.state_dir));
        }
        let store = RedisStore::new(settings::target(&config), &config.cluster);
        Self { store, cluster: config.cluster, mode: if private { "embedded" } else { "standalone" } }
    }

    /// Reads the cluster's state; this host is an observer in it.
    ///
    /// # Errors
    /// [`Failure::RedisUnreachable`] when Redis does not answer.
    pub(crate) async fn state(&self) -> Result<ClusterState, Failure> {
        let state = fresh_state::observe(&self.store, &self.cluster).await;
        let state = state.map_err(|fault| unreachable_redis(&self.store, &fault))?;
        Ok(ClusterState::new(state, self.mode))
    }

    /// The kept events behind `after`, at most `count`, in order.
    ///
    /// # Errors
    /// As [`Self::state`].
    pub(crate) async fn events(&self, after: EventSeq, count: usize) -> Result<Vec<AnyEvent>, Failure> {
        let events = self.store.events(after, count).await.map_err(|fault| unreachable_redis(&self.store, &fault))?;
        Ok(events.into_iter().map(|event| AnyEvent::new(Event::Cluster(event), &self.cluster, None)).collect())
    }
}

/// Reads the cluster's state from Redis; this host is an observer in it.
///
/// # Errors
/// [`Failure::RedisUnreachable`] when Redis does not answer.
pub(crate) async fn read_state(config: &Config) -> Result<ClusterState, Failure> {
    Observer::new(config).state().await
}

/// Redis did not answer, or not as it should.
pub(crate) fn unreachable_redis(store: &RedisStore, fault: &Fault) -> Failure {
    let target = store.target();
    match fault {
        Fault::Unavailable(why) => Failure::RedisUnreachable(format!(
            "Redis at {target} cannot be used: {why}; check the redis section of the configuration, or run clawster doctor"
        )),
        Fault::Unwritable(why) => Failure::RedisUnreachable(why.clone()),
        Fault::Refused(why) => Failure::Failed(format!("Redis at {target}: {why}")),
    }
}

/// All attempts failed: Redis cannot be used for a heartbeat, whether it is silent or refuses to write (out of memory,
/// no permission, a key of another kind). A scheduler has to see both as the same code.
fn given_up(store: &RedisStore, fault: &Fault) -> Failure {
    match fault {
        Fault::Unavailable(_) | Fault::Unwritable(_) => unreachable_redis(store, fault),
        Fault::Refused(why) => Failure::RedisUnreachable(format!(
            "Redis at {} refuses the heartbeat: {why}; run clawster doctor",
            store.target()
        )),
    }
}

/// A heartbeat that was made, and what is needed to record it once it was told.
pub(crate) struct Made {
    pub(crate) result: HeartbeatResult,
    beat: OneBeat,
    summary: Option<Summary>,
    history: Option<Stores>,
    dir: StateDir,
    process: Nonce,
    /// Held until it is recorded: the private server may be this process's.
    _redis: settle::SettledRedis,
    _log: logging::Guard,
}

impl Made {
    /// Records the heartbeat in the history, within 2 s.
    pub(crate) async fn record(self) {
        if let Some(history) = self.history {
            record_one(history, &self.dir, self.process.as_str(), &self.beat, self.summary).await;
        }
    }
}

/// Beats once without a node: joins when needed, keeps incarnation and lease in the state directory.
///
/// # Errors
/// [`Failure::RedisUnreachable`] when all attempts failed, [`Failure::Refused`] when a live process holds the id.
pub(crate) async fn beat_once(config: &Config, environment: &Environment) -> Result<Made, Failure> {
    let failed = |error: &dyn std::fmt::Display| Failure::Failed(error.to_string());
    let mut config = config.clone();
    let log = logging::init(&config.logging, "heartbeat").map_err(|error| failed(&error))?;
    let seek = settings::seek(&config, environment);
    let redis = settle::settle_redis(&mut config, seek, SETTLE_WITHIN).await?;
    settle::refuse_eviction(&config, &redis).await?;
    if let Some(trouble) = &redis.trouble {
        tracing::warn!("{trouble}");
    }
    let dir = StateDir::open(&config.state_dir, &config.cluster).map_err(|error| failed(&error))?;
    let (node_id, kept) = claim(config.node.id.clone(), &dir)?;
    log.node_is(config.cluster.as_str(), node_id.as_str());
    let boot = boot_id().map_err(|error| failed(&error))?;
    let mut state = OneshotState::load(&dir, &node_id, &boot);
    let store = RedisStore::new(settings::target(&config), &config.cluster);
    let oneshot = Oneshot {
        store: &store,
        node_id: node_id.clone(),
        metadata: settings::metadata(&config),
        candidate: config.leader.candidate,
        settings: known_settings(&config, &dir),
        producer: kept.producer(),
        known: kept.saved().numbers,
        random: random()?,
    };
    let history = settings::history(&config)?;
    let process = oneshot.random.clone();
    let outcome = attempts(&oneshot, &boot, &mut state, &config).await.map(|(beat, found)| {
        remember(&config, &dir, found);
        beat
    });
    if let (Ok(beat), Some(state)) = (&outcome, &mut state) {
        beat.sum_up(&mut state.summary);
    }
    if let Some(state) = &state {
        state.store(&dir, &node_id).map_err(|error| failed(&error))?;
    }
    let beat = outcome?;
    Ok(Made {
        result: beat.beat.clone().into(),
        beat,
        summary: state.and_then(|state| state.summary),
        history,
        dir,
        process,
        _redis: redis,
        _log: log,
    })
}

/// The settings of the cluster as this host knows them, else as it is configured.
pub(crate) fn known_settings(config: &Config, dir: &StateDir) -> Versioned {
    let configured = Versioned { version: 0, settings: Shared::of(config.timing, config.leader) };
    dir.settings().unwrap_or(configured)
}

/// Keeps the settings that a data set showed, and warns the first time when they are not the configured ones.
fn remember(config: &Config, dir: &StateDir, found: Versioned) {
    let configured = Shared::of(config.timing, config.leader);
    if dir.settings() != Some(found) && found.settings != configured {
        tracing::warn!("{}", different(&configured, &found.settings));
    }
    if let Err(error) = dir.keep_settings(found) {
        tracing::warn!(%error, "cannot remember the settings of the cluster");
    }
}

async fn attempts(
    oneshot: &Oneshot<'_>,
    boot: &str,
    state: &mut Option<OneshotState>,
    config: &Config,
) -> Result<(OneBeat, Versioned), Failure> {
    let retry = config.node.retry;
    let first = clock::now();
    let of = retry.count + 1;
    for attempt in 1..=of {
        let before = state.clone();
        let began = clock::now();
        let span = tracing::debug_span!("heartbeat", attempt, node_id = %oneshot.node_id);
        let error = match oneshot.beat(boot, state).instrument(span).await {
            Ok((mut beat, settings)) => {
                beat.beat.attempts = attempt;
                beat.delay = clock::now().since(first);
                return Ok((beat, settings));
            }
            Err(oneshot::Failure::InUse(id)) => {
                let why = format!("node id {id} is in use by another live process; stop it or choose another id");
                return Err(Failure::Refused(why));
            }
            Err(oneshot::Failure::Fault(fault)) => fault,
        };
        *state = before;
        let wait_ms = if attempt < of { millis(retry.delay) } else { 0 };
        let took_ms = millis(clock::now().since(began));
        let next = if attempt < of { format!("next in {wait_ms} ms") } else { "giving up".to_owned() };
        tracing::warn!(attempt, of, %error, wait_ms, took_ms, "heartbeat attempt {attempt} of {of} failed: {error}; {next}");
        if attempt < of {
            tokio::time::sleep(retry.delay).await;
        } else {
            return Err(given_up(oneshot.store, &error));
        }
    }
    Err(Failure::Failed("no heartbeat was attempted".to_owned()))
}

/// Holds a node id of this host: the configured one, else a generated one that no process holds.
pub(crate) fn claim(configured: Option<NodeId>, dir: &StateDir) -> Result<(NodeId, NodeStore), Failure> {
    let taken = |error: StateError| match error {
        StateError::InUse { .. } => Failure::Refused(error.to_string()),
        other => Failure::Failed(other.to_string()),
    };
    let Some(id) = configured else {
        let mut broken = None;
        let random = || {
            let mut bytes = [0; 4];
            broken = broken.take().or(getrandom::fill(&mut bytes).err());
            bytes
        };
        let claimed = dir.lock_generated(random).map_err(taken)?;
        return match broken {
            Some(error) => Err(Failure::Failed(format!("no random numbers for an id: {error}"))),
            None => Ok(claimed),
        };
    };
    let store = dir.lock_node(&id).map_err(taken)?;
    Ok((id, store))
}

/// A name that no other process has.
pub(crate) fn random() -> Result<Nonce, Failure> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| Failure::Failed(format!("no random numbers: {error}")))?;
    Ok(Nonce::from_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::ids::ClusterName;
    use std::collections::BTreeSet;

    #[test]
    fn a_heartbeat_that_redis_refuses_exits_as_one_that_it_does_not_answer() {
        let target = settings::target(&config());
        let store = RedisStore::new(target, &ClusterName::new("openclaw").expect("a name"));
        for fault in [Fault::Refused("OOM".to_owned()), Fault::Unavailable("gone".to_owned())] {
            assert_eq!(given_up(&store, &fault).code(), 3);
        }
        assert_eq!(unreachable_redis(&store, &Fault::Refused("WRONGTYPE".to_owned())).code(), 1, "reading failed");
    }

    fn config() -> Config {
        let home = std::path::PathBuf::from("/nonexistent");
        let sources = crate::config::Sources {
            flag_dir: None,
            env: [("HOME".to_owned(), "/nonexistent".to_owned())].into(),
            cwd: home,
        };
        crate::config::load(&sources).expect("the defaults").config
    }

    #[test]
    fn a_generated_id_has_all_its_random_bits() {
        let cluster = ClusterName::new("openclaw").expect("a name");
        let mut seen = BTreeSet::new();
        for _ in 0..8 {
            let root = tempfile::tempdir().expect("a folder");
            let dir = StateDir::open(root.path(), &cluster).expect("opens");
            let (id, _store) = claim(None, &dir).expect("an id");
            let digits = id.as_str().strip_prefix("node-").expect("a generated id").to_owned();
            seen.extend(digits.as_bytes().chunks(2).map(<[u8]>::to_vec));
        }
        // Thirty-two random bytes: fewer than twenty different ones come up less than once in 10^9 runs.
        assert!(seen.len() >= 20, "{seen:?}");
        // The digits of text bytes would all begin with 3 or 6.
        assert!(seen.iter().any(|pair| !matches!(pair.first(), Some(b'3' | b'6'))), "{seen:?}");
    }
}
