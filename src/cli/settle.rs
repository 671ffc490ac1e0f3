//! Which Redis a node or a heartbeat of this host uses, settled before it begins.
//!
//! 1. The configuration that comes out names the address, whatever the mode.
//! 2. What is going to write refuses a Redis that may drop the cluster's data, as far as that Redis answers in time.
//!
//! Not here: how the choice is made and remembered (`crate::embedded`).

use super::outcome::Failure;
use super::settings;
use crate::config::{Config, RedisMode};
use crate::embedded::{self, Choice, EmbeddedServer, Seek};
use crate::engine::state_dir::StateDir;
use crate::store::redis::RedisStore;
use std::sync::Arc;
use std::time::Duration;

/// The Redis that the node uses.
#[derive(Debug, Default)]
pub(super) struct SettledRedis {
    /// The hold on the private server, when it is that.
    pub(super) server: Option<Arc<EmbeddedServer>>,
    /// What to tell the user.
    pub(super) note: Option<String>,
    /// Why the private server does not answer, when it does not.
    pub(super) trouble: Option<String>,
}

impl SettledRedis {
    /// Puts what there is to tell into the log.
    pub(super) fn tell(&self) {
        if let Some(note) = &self.note {
            tracing::info!("{note}");
        }
        if let Some(trouble) = &self.trouble {
            tracing::error!("{trouble}");
        }
    }
}

/// How long Redis is asked for its eviction policy. One that does not answer is asked again with the first join.
const POLICY_WITHIN: Duration = Duration::from_millis(500);

/// Refuses a Redis that says that it may drop the cluster's data to make room. The private one is this program's own.
///
/// # Errors
/// [`Failure::Failed`] with what is wrong and what to do.
pub(super) async fn refuse_eviction(config: &Config, settled: &SettledRedis) -> Result<(), Failure> {
    if settled.server.is_some() {
        return Ok(());
    }
    let store = RedisStore::new(settings::target(config), &config.cluster);
    match tokio::time::timeout(POLICY_WITHIN, store.eviction()).await {
        Ok(Ok(Some(why))) => Err(Failure::Failed(why)),
        Ok(Ok(None) | Err(_)) | Err(_) => Ok(()),
    }
}

/// Decides which Redis is used, starts the private one when it is that, and puts its address into the configuration.
///
/// # Errors
/// [`Failure::Failed`] when a private one is needed and cannot be started whatever is waited for; that it does not answer
/// after about `patience` is told beside it.
pub(super) async fn settle_redis(config: &mut Config, seek: Seek, patience: Duration) -> Result<SettledRedis, Failure> {
    let state_dir = config.state_dir.clone();
    let failed = |error: embedded::Error| Failure::Failed(error.to_string());
    if config.redis.mode == RedisMode::Embedded || !config.redis.configured {
        // What is chosen, and the private server, lie in it.
        StateDir::check_root(&config.state_dir).map_err(|error| Failure::Failed(error.to_string()))?;
    }
    let stopped = |_| Failure::Failed("the start of the private Redis was interrupted".to_owned());
    let (server, note, trouble) = if config.redis.mode == RedisMode::Embedded {
        let attach = move || EmbeddedServer::attach_within(&state_dir, &seek, patience);
        let (server, trouble) = tokio::task::spawn_blocking(attach).await.map_err(stopped)?.map_err(failed)?;
        let note = format!("using the private Redis at {}", server.socket().display());
        (Some(server), Some(note), trouble)
    } else if config.redis.configured {
        (None, None, None)
    } else {
        let choose = move || embedded::choose(&state_dir, &seek, patience);
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
