//! What commands do directly on Redis when no node runs on this host.
//!
//! 1. Reading never joins and never starts a server.
//! 2. A one-shot heartbeat locks the node's store, so that two of them, or one and a starting node, exclude each other.
//!
//! Not here: calls through a running node (`attach.rs`), the heartbeat itself (`crate::engine::oneshot`).

use crate::cli::Environment;
use crate::cli::outcome::Failure;
use crate::cli::{settings, settle};
use crate::clock;
use crate::cluster::event::Event;
use crate::cluster::history::Summary;
use crate::cluster::ids::{ClusterName, EventSeq, NodeId, Nonce};
use crate::cluster::oneshot::Host;
use crate::cluster::protocol::Fault;
use crate::cluster::settings::{Shared, Versioned};
use crate::cluster::time::millis;
use crate::config::Config;
use crate::engine::different;
use crate::engine::history::{OneBeat, record_one};
use crate::engine::messages::outbox::NodeStore;
use crate::engine::node::fresh_state;
use crate::engine::oneshot::state::{OneshotState, boot_id};
use crate::engine::oneshot::{self, Oneshot};
use crate::engine::random;
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

/// How long a heartbeat waits for the private Redis to start.
const SETTLE_WITHIN: Duration = Duration::from_secs(15);

/// Reads the cluster from Redis without being a member. It keeps its connection for repeated reads.
pub(crate) struct Observer {
    store: RedisStore,
    cluster: ClusterName,
    mode: &'static str,
    /// Whether a Redis is configured; without one, there is none before the first node has started.
    configured: bool,
}

impl Observer {
    /// An observer of the configured Redis; it connects with the first read.
    pub(crate) fn new(config: &Config) -> Self {
        let (target, mode) = settings::observed_target(config);
        let cluster = config.cluster.clone();
        Self { store: RedisStore::new(target, &cluster), cluster, mode, configured: config.redis.configured }
    }

    /// Reads the cluster's state, with this host as an observer.
    ///
    /// # Errors
    /// [`Failure::RedisUnreachable`] when Redis does not answer.
    pub(crate) async fn state(&self) -> Result<ClusterState, Failure> {
        let state = fresh_state::observe(&self.store, &self.cluster).await;
        let state = state.map_err(|fault| self.failure(&fault))?;
        Ok(ClusterState::new(state, self.mode))
    }

    /// The stored events after `after`, at most `count`, in order.
    ///
    /// # Errors
    /// As [`Self::state`].
    pub(crate) async fn events(&self, after: EventSeq, count: usize) -> Result<Vec<AnyEvent>, Failure> {
        let events = self.store.events(after, count).await.map_err(|fault| self.failure(&fault))?;
        Ok(events.into_iter().map(|event| AnyEvent::new(Event::Cluster(event), &self.cluster, None)).collect())
    }

    fn failure(&self, fault: &Fault) -> Failure {
        match fault {
            Fault::Unavailable(why) if !self.configured => Failure::RedisUnreachable(format!(
                "no clawster node of cluster {} runs on this host, and no Redis is configured (tried {}: {why}); start a node with \
                 `clawster serve`, or set REDIS_HOST",
                self.cluster,
                self.store.target()
            )),
            _ => unreachable_redis(&self.store, fault),
        }
    }
}

/// Reads the cluster's state from Redis, with this host as an observer.
///
/// # Errors
/// [`Failure::RedisUnreachable`] when Redis does not answer.
pub(crate) async fn read_state(config: &Config) -> Result<ClusterState, Failure> {
    Observer::new(config).state().await
}

/// The failure of a command whose call to Redis failed.
pub(crate) fn unreachable_redis(store: &RedisStore, fault: &Fault) -> Failure {
    let target = store.target();
    match fault {
        Fault::Unavailable(why) => Failure::RedisUnreachable(format!(
            "cannot use Redis at {target}: {why}; check the redis section of the configuration, or run clawster doctor"
        )),
        Fault::Unwritable(why) => Failure::RedisUnreachable(why.clone()),
        Fault::Refused(why) => Failure::Failed(format!("Redis at {target}: {why}")),
    }
}

/// The failure of a heartbeat whose attempts all failed. Exit code 3 both when Redis does not answer and when it refuses to write
/// (out of memory, no permission, a key of another type): a scheduler must see the same code.
fn heartbeat_failure(store: &RedisStore, fault: &Fault) -> Failure {
    match fault {
        Fault::Unavailable(_) | Fault::Unwritable(_) => unreachable_redis(store, fault),
        Fault::Refused(why) => Failure::RedisUnreachable(format!(
            "Redis at {} refuses the heartbeat: {why}; run clawster doctor",
            store.target()
        )),
    }
}

/// A heartbeat that was sent, and what is needed to record it in the history after it was printed.
pub(crate) struct Made {
    pub(crate) result: HeartbeatResult,
    beat: OneBeat,
    summary: Option<Summary>,
    history: Option<Stores>,
    dir: StateDir,
    process: Nonce,
    /// Kept until the heartbeat is recorded: this process may run the private Redis.
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

/// Sends one heartbeat without a node: joins when needed, keeps incarnation and lease in the state directory.
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
        host: Host {
            node_id: node_id.clone(),
            metadata: settings::metadata(&config),
            candidate: config.leader.candidate,
            producer: kept.producer(),
            random: random()?,
        },
        settings: known_settings(&config, &dir),
        known: kept.saved().numbers,
    };
    let history = settings::history(&config)?;
    let process = oneshot.host.random.clone();
    let outcome = attempts(&oneshot, &boot, &mut state, &config).await.map(|(beat, found)| {
        save_settings(&config, &dir, found);
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

/// The cluster's settings as this host last saw them, else as configured here.
pub(crate) fn known_settings(config: &Config, dir: &StateDir) -> Versioned {
    let configured = Versioned { version: 0, settings: Shared::of(config.timing, config.leader) };
    dir.settings().unwrap_or(configured)
}

/// Saves the cluster's settings, and warns the first time they differ from the configured ones.
fn save_settings(config: &Config, dir: &StateDir, found: Versioned) {
    let configured = Shared::of(config.timing, config.leader);
    if dir.settings() != Some(found) && found.settings != configured {
        tracing::warn!("{}", different(&configured, &found.settings));
    }
    if let Err(error) = dir.keep_settings(found) {
        tracing::warn!(%error, "cannot save the cluster's settings in the state directory");
    }
}

/// Whether one-shot heartbeats of this host have kept this node id alive since the last boot.
pub(crate) fn has_beaten(config: &Config, node_id: &str) -> bool {
    let (Ok(dir), Ok(boot)) = (StateDir::open(&config.state_dir, &config.cluster), boot_id()) else { return false };
    OneshotState::kept(&dir, &boot).iter().any(|id| id.as_str() == node_id)
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
        let began = clock::now();
        let span = tracing::debug_span!("heartbeat", attempt, node_id = %oneshot.host.node_id);
        let error = match oneshot.beat(boot, state).instrument(span).await {
            Ok((mut beat, settings)) => {
                beat.beat.attempts = attempt;
                beat.delay = clock::now().since(first);
                return Ok((beat, settings));
            }
            Err(oneshot::Failure::InUse(id)) => {
                let why =
                    format!("node id {id} is in use by another live process; stop that process, or choose another id");
                return Err(Failure::Refused(why));
            }
            Err(oneshot::Failure::Fault(fault)) => fault,
        };
        let wait_ms = if attempt < of { millis(retry.delay) } else { 0 };
        let took_ms = millis(clock::now().since(began));
        let next = if attempt < of { format!("retrying in {wait_ms} ms") } else { "giving up".to_owned() };
        tracing::warn!(attempt, of, %error, wait_ms, took_ms, "heartbeat attempt {attempt} of {of} failed: {error}; {next}");
        if attempt < of {
            tokio::time::sleep(retry.delay).await;
        } else {
            return Err(heartbeat_failure(oneshot.store, &error));
        }
    }
    Err(Failure::Failed("no heartbeat was attempted".to_owned()))
}

/// Locks a node id on this host: the configured one, else a generated one that no process uses.
pub(crate) fn claim(configured: Option<NodeId>, dir: &StateDir) -> Result<(NodeId, NodeStore), Failure> {
    let taken = |error: StateError| match error {
        StateError::InUse { .. } => Failure::Refused(error.to_string()),
        other => Failure::Failed(other.to_string()),
    };
    dir.claim(configured.as_ref()).map_err(taken)
}

/// A random name, unique to this process.
pub(crate) fn random() -> Result<Nonce, Failure> {
    random::nonce().map_err(|error| Failure::Failed(format!("the system provides no random numbers: {error}")))
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
            assert_eq!(heartbeat_failure(&store, &fault).code(), 3);
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
