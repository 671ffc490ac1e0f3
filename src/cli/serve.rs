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
use crate::logging;
use crate::rpc::connection::{Ended, Limits};
use crate::rpc::module::{Module, ServerInfo};
use crate::rpc::socket::Listener;
use crate::rpc::stdio::serve_stdio;
use engine::Engine;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// How long the node may take to leave and flush: 3 s for Redis, and what its own tasks take.
const LEAVE_WITHIN: Duration = Duration::from_millis(3_500);
/// How long answers in flight are waited for meanwhile.
const DRAIN: Duration = Duration::from_millis(500);
/// How long the private Redis may take to stop afterwards; together the three stay below 5 s.
const RELEASE_WITHIN: Duration = Duration::from_millis(1_200);

/// Runs `serve`.
///
/// # Errors
/// See [`Failure`]: a configuration that cannot be used, no private Redis; never a Redis that is away.
pub(super) async fn run(session: &mut Session<'_>, stay: bool) -> Outcome {
    let mut signals = Signals::listen()?;
    let loaded = settings::load_all(session.global, session.environment);
    let loaded = loaded.map_err(|problems| Failure::Failed(problems.to_string()))?;
    let mut config = settings::with_node(loaded.config, session.global)?;
    let _log = logging::init(&config.logging, "serve").map_err(|error| Failure::Failed(error.to_string()))?;
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    let seek = settings::seek(&config, session.environment);
    let redis = settle_redis(&mut config, seek).await?;
    if let Some(note) = &redis.note {
        tracing::info!("{note}");
    }
    let engine = engine::start(&config, redis.server.clone()).await?;
    let served = tokio::select! {
    served = serve(engine, &config, stay, &mut signals) => served,
    };
    let released = match redis.server {
        Some(server) => tokio::select! {
            () = release(server) => Ok(()),
            () = signals.next(), if served.is_ok() => Err(Failure::Said(130)),
        },
        None => Ok(()),
    };
    served.and(released)
}

/// Serves the node on its doors until it shall end, then ends it.
async fn serve(engine: Engine, config: &Config, stay: bool, signals: &mut Signals) -> Outcome {
    let failed = |what: &str, error: &dyn std::fmt::Display| Failure::Failed(format!("{what}: {error}"));
    let info = ServerInfo {
        cluster: config.cluster.clone(),
        redis_mode: redis_mode(config.redis.mode).to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    let module = Module::new(engine.node(), info).map_err(|error| failed("the methods do not fit", &error))?;
    let limits = Limits { max_line_bytes: config.rpc.max_line_bytes, drain: DRAIN, ..Limits::default() };
    let (stop, stopped) = watch::channel(false);
    let listener = Listener::bind(engine.socket()).map_err(|error| failed("cannot listen for commands", &error))?;
    let mut doors = JoinSet::new();
    doors.spawn(listener.serve(module.clone(), limits.clone(), stopped.clone()));
    // Its threads are not waited for: a read that blocks for ever holds up nothing.
    let mut host = JoinSet::new();
    host.spawn(async move { serve_stdio(&module, &limits, stopped).await });
    tracing::info!(version = env!("CARGO_PKG_VERSION"), socket = %engine.socket().display(), "the node is up");
    tokio::select! {
        () = signals.next() => tracing::info!("a signal asks for the end"),
        why = host_gone(&mut host, stay) => tracing::info!("{why}"),
    }
    // At once and together: a leader hands over while the last answers are written.
    stop.send_replace(true);
    let drain = async {
        let all = async { while doors.join_next().await.is_some() || host.join_next().await.is_some() {} };
        // What is not drained by then is dropped with its set.
        let _ = tokio::time::timeout(DRAIN + DRAIN / 2, all).await;
    };
    let end = async {
        let ended = tokio::time::timeout(LEAVE_WITHIN, engine.stop()).await;
        if ended.is_err() {
            tracing::warn!("the node did not end in time; what it kept on disk is sent by the next process of this id");
        }
    };
    tokio::select! {
        _ = async { tokio::join!(drain, end) } => Ok(()),
        () = signals.next() => Err(Failure::Said(130)),
    }
}

/// Resolves when the host is gone and that counts; says why.
async fn host_gone(host: &mut JoinSet<std::io::Result<Ended>>, stay: bool) -> String {
    let why = match host.join_next().await {
        Some(Ok(Ok(Ended::InputClosed))) => "standard input ended".to_owned(),
        Some(Ok(Ok(Ended::OutputClosed))) => "standard output was closed".to_owned(),
        Some(Ok(Ok(Ended::Stopped))) => "stopped".to_owned(),
        Some(Ok(Err(error))) => format!("standard input or output cannot be used: {error}"),
        Some(Err(_)) | None => "serving standard input failed".to_owned(),
    };
    if stay {
        tracing::debug!("{why}; staying, as asked for by --stay");
        std::future::pending::<()>().await;
    }
    why
}

async fn release(server: Arc<EmbeddedServer>) {
    let released = tokio::task::spawn_blocking(move || server.release());
    match tokio::time::timeout(RELEASE_WITHIN, released).await {
        Ok(Ok(Ok(stopped))) => tracing::debug!(stopped, "left the private Redis"),
        Ok(Ok(Err(error))) => tracing::warn!(%error, "the private Redis was not stopped"),
        Ok(Err(_)) | Err(_) => tracing::warn!("the private Redis takes long to stop"),
    }
}

fn redis_mode(mode: RedisMode) -> &'static str {
    match mode {
        RedisMode::Standalone => "standalone",
        RedisMode::Sentinel => "sentinel",
        RedisMode::Cluster => "cluster",
        RedisMode::Embedded => "embedded",
    }
}

/// The Redis that the node uses.
#[derive(Debug)]
pub(super) struct SettledRedis {
    /// The hold on the private server, when it is that.
    pub(super) server: Option<Arc<EmbeddedServer>>,
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
    Ok(SettledRedis { server: server.map(Arc::new), note })
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

/// The one place where this flow meets the engine.
mod engine {
    use super::*;
    use crate::engine::error::Error;
    use crate::engine::handle::{
        Beat, ElectRequest, Elected, Feed, FeedOptions, JoinRequest, Joined, Left, Node, StateView, SyncRequest, Synced,
    };
    use crate::engine::state_dir::StateDir;
    use std::path::PathBuf;

    /// A running node.
    pub(super) struct Engine {
        node: Arc<Unbuilt>,
        socket: PathBuf,
    }

    impl Engine {
        /// The node, for the methods.
        pub(super) fn node(&self) -> Arc<Unbuilt> {
            Arc::clone(&self.node)
        }

        /// Where it listens.
        pub(super) fn socket(&self) -> &Path {
            &self.socket
        }

        /// Leaves the cluster and flushes, as far as Redis answers within 3 s.
        pub(super) async fn stop(self) {}
    }

    /// Starts the node. It keeps the hold on the private Redis, to start it again when it dies.
    pub(super) async fn start(config: &Config, _redis: Option<Arc<EmbeddedServer>>) -> Result<Engine, Failure> {
        let failed = |error: &dyn std::fmt::Display| Failure::Failed(error.to_string());
        let state = StateDir::open(&config.state_dir, &config.cluster).map_err(|error| failed(&error))?;
        let Some(id) = &config.node.id else {
            return Err(Failure::Failed("generated ids are not built yet; set node.id or --node".to_owned()));
        };
        let socket = state.prepare_socket(id).map_err(|error| failed(&error))?;
        Ok(Engine { node: Arc::new(Unbuilt), socket })
    }

    /// Stands where the engine will.
    pub(super) struct Unbuilt;

    fn unbuilt<T>() -> Result<T, Error> {
        Err(Error::Internal("the engine is not built yet".to_owned()))
    }

    impl Node for Unbuilt {
        async fn join(&self, _: JoinRequest) -> Result<Joined, Error> {
            unbuilt()
        }
        async fn leave(&self) -> Result<Left, Error> {
            unbuilt()
        }
        async fn state(&self, _: bool) -> Result<StateView, Error> {
            unbuilt()
        }
        async fn elect(&self, _: ElectRequest) -> Result<Elected, Error> {
            unbuilt()
        }
        async fn sync(&self, _: SyncRequest) -> Result<Synced, Error> {
            unbuilt()
        }
        async fn beat(&self) -> Result<Beat, Error> {
            unbuilt()
        }
        async fn feed(&self, _: FeedOptions) -> Result<Feed, Error> {
            unbuilt()
        }
    }
}
