//! Decides which Redis a node or a command of this host uses, before it starts.
//!
//! 1. Afterwards the configuration contains the address, whatever the mode.
//! 2. A Redis that nobody configured, and a private one, are this host's own: `run` and `once` say that they exclude nobody else.
//! 3. Commands that write refuse a Redis whose eviction policy may drop the cluster's data, if it answers in time.
//!
//! Not here: how the choice is made and saved (`crate::embedded`).

use super::outcome::Failure;
use super::settings;
use crate::config::{Config, RedisMode};
use crate::embedded::{self, Choice, EmbeddedServer, Seek};
use crate::engine::state_dir::StateDir;
use crate::store::redis::RedisStore;
use std::sync::Arc;
use std::time::Duration;

/// The Redis to use.
#[derive(Debug, Default)]
pub(super) struct SettledRedis {
    /// The private Redis, if that is used; it runs as long as a process holds this.
    pub(super) server: Option<Arc<EmbeddedServer>>,
    /// Which Redis is used, for the log.
    pub(super) note: Option<String>,
    /// Why the private Redis does not answer; `None` if it does.
    pub(super) trouble: Option<String>,
}

impl SettledRedis {
    /// Logs the note and the trouble.
    pub(super) fn log(&self) {
        if let Some(note) = &self.note {
            tracing::info!("{note}");
        }
        if let Some(trouble) = &self.trouble {
            tracing::error!("{trouble}");
        }
    }
}

/// Why leases and keys are this host's alone with this configuration; `None`: other hosts may use the same Redis. To be asked before
/// [`settle_redis`] writes an address into the configuration.
pub(super) fn own_redis(config: &Config) -> Option<&'static str> {
    match config.redis.mode {
        RedisMode::Embedded => Some("redis.mode is embedded, which is a private Redis"),
        _ if !config.redis.configured => Some("no Redis is configured, so this host uses its own"),
        _ => None,
    }
}

/// The sentence for `own`, the reason from [`own_redis`]; `what` is the lease or key.
///
/// # Errors
/// [`Failure::Refused`] when the user requires a shared Redis.
pub(super) fn exclusion(what: &str, own: &str, require_shared: bool) -> Result<String, Failure> {
    let text = format!(
        "{what} excludes only processes of this host: {own}. To exclude other hosts, set REDIS_HOST or redis.host on each of them"
    );
    if require_shared { Err(Failure::Refused(format!("--require-shared: {text}"))) } else { Ok(text) }
}

/// How long Redis may take to answer with its eviction policy. Without an answer the first join checks again.
const POLICY_TIMEOUT: Duration = Duration::from_millis(500);

/// Refuses a Redis whose eviction policy may drop the cluster's data. The private Redis is not checked: this program configures it.
///
/// # Errors
/// [`Failure::Failed`] with the policy and how to change it.
pub(super) async fn refuse_eviction(config: &Config, settled: &SettledRedis) -> Result<(), Failure> {
    if settled.server.is_some() {
        return Ok(());
    }
    let store = RedisStore::new(settings::target(config), &config.cluster);
    match tokio::time::timeout(POLICY_TIMEOUT, store.eviction()).await {
        Ok(Ok(Some(why))) => Err(Failure::Failed(why)),
        Ok(Ok(None) | Err(_)) | Err(_) => Ok(()),
    }
}

/// Decides which Redis to use, starts the private one if needed, and writes its address into the configuration.
///
/// # Errors
/// [`Failure::Failed`] when a private Redis is needed and cannot be started at all. If it only does not answer within about
/// `timeout`, the result says so in `trouble`.
pub(super) async fn settle_redis(config: &mut Config, seek: Seek, timeout: Duration) -> Result<SettledRedis, Failure> {
    let state_dir = config.state_dir.clone();
    let failed = |error: embedded::Error| Failure::Failed(error.to_string());
    if config.redis.mode == RedisMode::Embedded || !config.redis.configured {
        // The state directory holds the choice and the private Redis.
        StateDir::check_root(&config.state_dir).map_err(|error| Failure::Failed(error.to_string()))?;
    }
    let stopped = |_| Failure::Failed("internal error: the task that starts the private Redis failed".to_owned());
    let (server, note, trouble) = if config.redis.mode == RedisMode::Embedded {
        let attach = move || EmbeddedServer::attach_within(&state_dir, &seek, timeout);
        let (server, trouble) = tokio::task::spawn_blocking(attach).await.map_err(stopped)?.map_err(failed)?;
        let note = format!("using the private Redis at {}", server.socket().display());
        (Some(server), Some(note), trouble)
    } else if config.redis.configured {
        (None, None, None)
    } else {
        let choose = move || embedded::choose(&state_dir, &seek, timeout);
        let choice = tokio::task::spawn_blocking(choose).await.map_err(stopped)?.map_err(failed)?;
        let note = choice.to_string();
        match choice {
            Choice::Local6379 { .. } => (None, Some(note), None),
            Choice::Embedded { server, trouble, .. } => (Some(server), Some(note), trouble),
        }
    };
    if let Some(server) = &server {
        config.redis.use_private(server.socket().to_owned());
    }
    Ok(SettledRedis { server: server.map(Arc::new), note, trouble: trouble.map(|trouble| trouble.to_string()) })
}
