//! Which Redis a node or a heartbeat of this host uses, settled before it begins.
//!
//! 1. The configuration that comes out names the address, whatever the mode.
//!
//! Not here: how the choice is made and remembered (`crate::embedded`).

use super::outcome::Failure;
use crate::config::{Config, RedisMode};
use crate::embedded::{self, Choice, EmbeddedServer, Seek};
use crate::engine::state_dir::StateDir;
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
