//! `serve`: this gateway's node, from its start to its end.
//!
//! 1. Standard output carries only the protocol; every word of this file goes to the log.
//! 2. A signal, and the end of standard input (but with `--stay`), end the node within 5 s; a second signal at once.
//! 3. The private Redis is left last, when nothing writes to it any more.
//!
//! Not here: the node (`crate::engine`), the methods (`crate::rpc`).

use super::outcome::{Failure, Outcome};
use super::{Session, settings};
use crate::config::{Config, RedisAddress, RedisMode};
use crate::embedded::{self, Choice, EmbeddedServer, Seek};
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// How long the node may take to leave and flush. The private Redis may then take as long again as the rest of 5 s.
const LEAVE_WITHIN: Duration = Duration::from_millis(3_500);
const RELEASE_WITHIN: Duration = Duration::from_millis(1_400);

/// Runs `serve`.
///
/// # Errors
/// See [`Failure`]: a configuration that cannot be used, no private Redis; never a Redis that is away.
pub async fn run(session: &mut Session<'_>, stay: bool) -> Outcome {
    let loaded = settings::load_all(session.global, session.environment);
    let loaded = loaded.map_err(|problems| Failure::Failed(problems.to_string()))?;
    let mut config = settings::with_node(loaded.config, session.global)?;
    let mut signals = Signals::listen()?;
    let seek = settings::seek(&config, session.environment);
    let redis = settle_redis(&mut config, seek).await?;
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    if let Some(note) = &redis.note {
        tracing::info!("{note}");
    }
    let node = Node::start(&config, redis.server.as_ref()).await?;
    tokio::select! {
        () = signals.next() => tracing::info!("a signal asks for the end"),
        () = node.input_ended(), if !stay => tracing::info!("standard input ended"),
    }
    let ended = tokio::select! {
        ended = tokio::time::timeout(LEAVE_WITHIN, node.shutdown()) => ended.is_ok(),
        () = signals.next() => return Err(Failure::Said(130)),
    };
    if !ended {
        tracing::warn!("the node did not end in time; what it kept on disk is sent by the next process of this id");
    }
    let Some(server) = redis.server else { return Ok(()) };
    let release = tokio::task::spawn_blocking(move || server.release());
    tokio::select! {
        released = tokio::time::timeout(RELEASE_WITHIN, release) => match released {
            Ok(Ok(Ok(_))) => {}
            Ok(Ok(Err(error))) => tracing::warn!(%error, "the private Redis was not stopped"),
            Ok(Err(_)) | Err(_) => tracing::warn!("the private Redis takes long to stop"),
        },
        () = signals.next() => return Err(Failure::Said(130)),
    }
    Ok(())
}

/// The Redis that the node uses.
#[derive(Debug)]
pub(super) struct SettledRedis {
    /// The hold on the private server, when it is that.
    pub(super) server: Option<EmbeddedServer>,
    /// What to tell the user.
    pub(super) note: Option<String>,
}

/// Decides which Redis is used, starts the private one when it is that, and puts its address into the configuration.
///
/// # Errors
/// [`Failure::Failed`] when a private one is needed and cannot be started.
pub(super) async fn settle_redis(config: &mut Config, seek: Seek) -> Result<SettledRedis, Failure> {
    let state_dir = config.state_dir.clone();
    let failed = |error: embedded::Error| Failure::Failed(error.to_string());
    let stopped = |_| Failure::Failed("the start of the private Redis was interrupted".to_owned());
    let (server, note) = if config.redis.mode == RedisMode::Embedded {
        let attach = move || EmbeddedServer::attach(&state_dir, &seek);
        let server = tokio::task::spawn_blocking(attach).await.map_err(stopped)?.map_err(failed)?;
        let note = format!("using the private Redis at {}", server.socket().display());
        (Some(server), Some(note))
    } else if config.redis.configured {
        (None, None)
    } else {
        let choose = move || embedded::choose(&state_dir, &seek);
        let choice = tokio::task::spawn_blocking(choose).await.map_err(stopped)?.map_err(failed)?;
        let note = choice.to_string();
        match choice {
            Choice::Local6379 { .. } => (None, Some(note)),
            Choice::Embedded { server, .. } => (Some(server), Some(note)),
        }
    };
    if let Some(server) = &server {
        config.redis.mode = RedisMode::Embedded;
        config.redis.address = RedisAddress::Unix(server.socket().to_owned());
    }
    Ok(SettledRedis { server, note })
}

/// The signals that end the node.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn listen() -> Result<Self, Failure> {
        let on = |kind| signal(kind).map_err(|error| Failure::Failed(format!("cannot wait for signals: {error}")));
        Ok(Self { terminate: on(SignalKind::terminate())?, interrupt: on(SignalKind::interrupt())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// The running node with its doors: the one place that joins this flow to the engine and the RPC server.
struct Node {}

impl Node {
    async fn start(_config: &Config, _redis: Option<&EmbeddedServer>) -> Result<Self, Failure> {
        Err(Failure::Failed("the engine is not built yet".to_owned()))
    }

    /// Resolves when standard input has ended.
    async fn input_ended(&self) {
        std::future::pending::<()>().await;
    }

    /// Leaves the cluster, flushes, closes the doors.
    async fn shutdown(self) {}
}
