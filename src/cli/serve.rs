//! `serve`: this gateway's node, from its start to its end.
//!
//! 1. Standard output carries only the protocol; every word of this file goes to the log.
//! 2. A signal, and the end of standard input (but with `--stay`), end the node within 5 s; a second signal at once.
//! 3. A private Redis that does not answer is waited for while the node is up, not before.
//! 4. The private Redis is left last, when nothing writes to it any more.
//!
//! Not here: which Redis it uses (`settle.rs`), the node (`crate::engine`), the methods (`crate::rpc`).

use super::outcome::{Failure, Outcome};
use super::settle::{SettledRedis, settle_redis};
use super::{Session, settings};
use crate::cluster::ids::NodeId;
use crate::config::{Config, RedisMode};
use crate::embedded::{EmbeddedServer, Seek};
use crate::engine::RunningNode;
use crate::engine::state_dir::StateDir;
use crate::logging;
use crate::rpc::connection::{Ended, Limits};
use crate::rpc::module::{Module, ServerInfo};
use crate::rpc::socket::Listener;
use crate::rpc::stdio::serve_stdio;
use engine::Engine;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// How long the node may take to leave and flush: 3 s for Redis, and what its own tasks take.
const LEAVE_WITHIN: Duration = Duration::from_millis(3_300);
/// How long Redis may take for that.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long the private Redis is waited for before the node starts without it; it is tried again ever after.
const SETTLE_WITHIN: Duration = Duration::from_secs(1);
/// How often the private Redis is looked at.
const LOOK_AFTER: Duration = Duration::from_secs(1);
/// How long answers in flight are waited for meanwhile.
const DRAIN: Duration = Duration::from_millis(500);
/// How long the private Redis may take to stop afterwards; with that, and the 300 ms of the log, the end stays below 5 s.
const RELEASE_WITHIN: Duration = Duration::from_millis(1_100);

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
    let (redis, wanted) = settle_unless_asked_to_end(&mut config, seek, &mut signals).await?;
    if let Some(note) = &redis.note {
        tracing::info!("{note}");
    }
    if let Some(trouble) = &redis.trouble {
        tracing::error!("{trouble}");
    }
    let served = match wanted {
        true => serve(engine::start(&config)?, &config, &redis, stay, &mut signals).await,
        false => Ok(()),
    };
    let Some(server) = redis.server else { return served };
    let hurried = matches!(served, Err(Failure::Said(_))) || {
        let released = release(Arc::clone(&server));
        tokio::select! {
            () = released => false,
            () = signals.next() => true,
        }
    };
    // What is left to do when it is dropped would take its time.
    server.abandon();
    if hurried { Err(Failure::Said(130)) } else { served }
}

/// Settles which Redis is used. False: a signal asked for the end meanwhile, and what was started is to be left.
async fn settle_unless_asked_to_end(
    config: &mut Config,
    seek: Seek,
    signals: &mut Signals,
) -> Result<(SettledRedis, bool), Failure> {
    let settling = settle_redis(config, seek, SETTLE_WITHIN);
    tokio::pin!(settling);
    tokio::select! {
        settled = &mut settling => return Ok((settled?, true)),
        () = signals.next() => tracing::info!("a signal asks for the end"),
    }
    // A server that is being started needs somebody to stop it.
    tokio::select! {
        settled = tokio::time::timeout(LEAVE_WITHIN, settling) => match settled {
            Ok(settled) => Ok((settled?, false)),
            Err(_) => Ok((SettledRedis::default(), false)),
        },
        () = signals.next() => Err(Failure::Said(130)),
    }
}

/// Serves the node on its doors until it shall end, then ends it.
async fn serve(engine: Engine, config: &Config, redis: &SettledRedis, stay: bool, signals: &mut Signals) -> Outcome {
    let failed = |what: &str, error: &dyn std::fmt::Display| Failure::Failed(format!("{what}: {error}"));
    let info = ServerInfo {
        cluster: config.cluster.clone(),
        redis_mode: redis_mode(config.redis.mode).to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    let module =
        Module::new(Arc::clone(&engine.node), info).map_err(|error| failed("the methods do not fit", &error))?;
    let limits = Limits { max_line_bytes: config.rpc.max_line_bytes, drain: DRAIN, ..Limits::default() };
    let (stop, stopped) = watch::channel(false);
    let mut doors = JoinSet::new();
    let listener = if engine.refused {
        tracing::error!(id = %engine.node.node_id(), "another process of this host holds the node id; stop one of them");
        None
    } else {
        Some(listen(&engine.state, &engine.node.node_id())?)
    };
    let door = Door { node: Arc::clone(&engine.node), state: engine.state.clone(), module: module.clone() };
    doors.spawn(door.keep_open(listener, limits.clone(), stopped.clone()));
    let mut keeper = JoinSet::new();
    if let Some(server) = redis.server.clone() {
        keeper.spawn(keep_running(server, redis.trouble.clone()));
    }
    // Its threads are not waited for: a read that blocks for ever holds up nothing.
    let mut host = JoinSet::new();
    host.spawn(async move { serve_stdio(&module, &limits, stopped).await });
    tracing::info!(version = env!("CARGO_PKG_VERSION"), id = %engine.node.node_id(), "the node is up");
    let mut broken = false;
    tokio::select! {
        () = signals.next() => tracing::info!("a signal asks for the end"),
        () = engine.node.broken() => broken = true,
        why = host_gone(&mut host, stay) => tracing::info!("{why}"),
    }
    keeper.abort_all();
    // At once and together: a leader hands over while the last answers are written.
    stop.send_replace(true);
    let drain = async {
        let all = async { while doors.join_next().await.is_some() || host.join_next().await.is_some() {} };
        // What is not drained by then is dropped with its set.
        let _ = tokio::time::timeout(DRAIN + DRAIN / 2, all).await;
    };
    let end = async {
        let ended = tokio::time::timeout(LEAVE_WITHIN, engine.node.stop(PATIENCE)).await;
        if ended.is_err() {
            tracing::warn!("the node did not end in time; what it kept on disk is sent by the next process of this id");
        }
    };
    tokio::select! {
        _ = async { tokio::join!(drain, end) } => match broken {
            false => Ok(()),
            true => Err(Failure::Failed("a part of the node broke down; see the log, and start it again".to_owned())),
        },
        () = signals.next() => Err(Failure::Said(130)),
    }
}

fn listen(state: &StateDir, id: &NodeId) -> Result<Listener, Failure> {
    let path = state.prepare_socket(id).map_err(|error| Failure::Failed(error.to_string()))?;
    let bound = Listener::bind(&path);
    bound.map_err(|error| Failure::Failed(format!("cannot listen for commands at {}: {error}", path.display())))
}

/// The node's socket, which follows the node's id.
struct Door {
    node: Arc<RunningNode>,
    state: StateDir,
    module: Module,
}

impl Door {
    /// Serves until the node stops. Without a first listener the id is another process's until the node is a member.
    async fn keep_open(self, first: Option<Listener>, limits: Limits, mut stopped: watch::Receiver<bool>) {
        let mut listener = first;
        if listener.is_none() {
            tokio::select! {
                () = self.node.admitted() => {}
                _ = stopped.wait_for(|stopped| *stopped) => return,
            }
        }
        let mut id = self.node.node_id();
        if listener.is_none() {
            match listen(&self.state, &id) {
                Ok(opened) => listener = Some(opened),
                Err(failure) => tracing::error!("{failure}"),
            }
        }
        loop {
            let (close, closed) = watch::channel(false);
            let current = listener.take();
            let serving = async {
                match current {
                    Some(listener) => listener.serve(self.module.clone(), limits.clone(), closed).await,
                    None => std::future::pending().await,
                }
            };
            tokio::pin!(serving);
            let renamed = tokio::select! {
                () = &mut serving => return,
                _ = stopped.wait_for(|stopped| *stopped) => None,
                renamed = self.node.renamed(&id) => renamed,
            };
            let next = renamed.map(|renamed| {
                id = renamed;
                // Before the old one closes: whoever asked for the rename may look for the new one at once.
                listen(&self.state, &id)
            });
            close.send_replace(true);
            // Without a listener there is nothing to wait for; with one, its answers in flight are written.
            let _ = tokio::time::timeout(DRAIN + DRAIN / 2, serving).await;
            match next {
                None => return,
                Some(Ok(fresh)) => listener = Some(fresh),
                Some(Err(failure)) => tracing::error!("{failure}"),
            }
        }
    }
}

/// Starts the private Redis again when it died.
async fn keep_running(server: Arc<EmbeddedServer>, mut told: Option<String>) {
    loop {
        tokio::time::sleep(LOOK_AFTER).await;
        let looked = Arc::clone(&server);
        let failed = match tokio::task::spawn_blocking(move || looked.ensure_running()).await {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => return,
        };
        if told != failed {
            match &failed {
                Some(error) => tracing::error!("{error}"),
                None => tracing::info!("the private Redis runs again"),
            }
            told = failed;
        }
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
    use crate::cluster::ids::NodeId;
    use crate::cluster::ids::Nonce;
    use crate::engine::oneshot_state::{OneshotState, boot_id};
    use crate::engine::outbox::NodeStore;
    use crate::engine::state_dir::{StateDir, StateError};
    use crate::engine::{RunningNode, Start};

    /// A running node, and where its files are.
    pub(super) struct Engine {
        pub(super) node: Arc<RunningNode>,
        pub(super) state: StateDir,
        /// Another process of this host holds the id: the node serves its host only, and says so to every call.
        pub(super) refused: bool,
    }

    /// Starts the node under the configured id, else under a generated one.
    pub(super) fn start(config: &Config) -> Result<Engine, Failure> {
        let failed = |error: &dyn std::fmt::Display| Failure::Failed(error.to_string());
        let opened = StateDir::open(&config.state_dir, &config.cluster).map_err(|error| failed(&error))?;
        let state = opened.with_outbox_bytes(config.sync.outbox_bytes);
        let (node_id, store) = claim(config.node.id.clone(), &state)?;
        let former = former(&state, &node_id);
        let refused = store.is_err();
        let node = crate::engine::start(Start {
            cluster: config.cluster.clone(),
            target: settings::target(config),
            node_id,
            store,
            state_dir: state.clone(),
            metadata: settings::metadata(config),
            auto_join: config.node.auto_join,
            leader: config.leader,
            timing: config.timing,
            retry: config.node.retry,
            sync: config.sync,
            former,
        });
        let node = node.map_err(|error| failed(&format!("cannot start the node: {error}")))?;
        Ok(Engine { node: Arc::new(node), state, refused })
    }

    /// The one-shot heartbeats of this id on this host: the node goes on as the member that they kept alive.
    fn former(state: &StateDir, node_id: &NodeId) -> Option<Nonce> {
        let boot = boot_id().ok()?;
        let kept = OneshotState::load(state, node_id, &boot)?;
        if let Err(error) = OneshotState::remove(state, node_id) {
            tracing::warn!(%error, "the state of earlier one-shot heartbeats stays behind");
        }
        Some(kept.proc)
    }

    type Claim = (NodeId, Result<NodeStore, String>);

    fn claim(configured: Option<NodeId>, state: &StateDir) -> Result<Claim, Failure> {
        let failed = |error: StateError| Failure::Failed(error.to_string());
        let Some(node_id) = configured else {
            let mut broken = None;
            let random = || {
                let mut bytes = [0; 4];
                broken = broken.take().or(getrandom::fill(&mut bytes).err());
                bytes
            };
            let (node_id, store) = state.lock_generated(random).map_err(failed)?;
            return match broken {
                Some(error) => Err(Failure::Failed(format!("no random numbers for an id: {error}"))),
                None => Ok((node_id, Ok(store))),
            };
        };
        match state.lock_node(&node_id) {
            Ok(store) => Ok((node_id, Ok(store))),
            Err(StateError::InUse { holder, .. }) => Ok((node_id, Err(holder))),
            Err(error) => Err(failed(error)),
        }
    }
}
