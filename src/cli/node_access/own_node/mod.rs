//! The node that this process runs: its parts, its socket, and its end in bounded time.
//!
//! 1. While the node runs, its socket is open under the node's current id.
//! 2. Nothing is started when the HTTP address is already in use.
//! 3. The end takes at most [`LEAVE_WITHIN`], whatever Redis does.
//!
//! Not here: the choice of Redis (`crate::cli::settle`), standard input and output (`crate::cli::serve`, `crate::cli::mcp`), the node
//! itself (`crate::engine`).

mod alerts;
mod claim;
mod http;
mod private_redis;
pub(crate) mod socket;

pub(crate) use claim::Claim;
pub(crate) use private_redis::release;

use crate::cli::outcome::Failure;
use crate::cli::settings;
use crate::cli::settle::SettledRedis;
use crate::cluster::ids::NodeId;
use crate::config::Config;
use crate::engine::RunningNode;
use crate::engine::agents::Policy;
use crate::engine::node::handle::Observed;
use crate::engine::state_dir::StateDir;
use crate::rpc::connection::Limits;
use crate::rpc::context::ServerInfo;
use crate::rpc::module::Module;
use socket::{NodeSocket, listen};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// How long the node may take to leave and flush: [`LEAVE_TIMEOUT`] for Redis, and the rest for its own tasks.
pub(crate) const LEAVE_WITHIN: Duration = Duration::from_millis(3_300);
/// The part of [`LEAVE_WITHIN`] that a node gets at least, even if it was stopped while starting.
const LEAST_LEAVE: Duration = Duration::from_millis(300);
/// How long Redis may take to answer while the node leaves.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(3);
/// How long the end waits for answers in flight.
const DRAIN_TIMEOUT: Duration = Duration::from_millis(500);

/// See the module's text. Dropping it ends the node at once, without leaving the cluster.
pub(crate) struct OwnNode {
    node: Arc<RunningNode>,
    state: StateDir,
    module: Module,
    limits: Limits,
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
    redis_watch: JoinSet<()>,
}

impl OwnNode {
    /// Starts the node and opens its socket. If another process holds the id, the node runs without a socket and answers every call
    /// with that error.
    ///
    /// # Errors
    /// [`Failure::Failed`] when the node cannot be started or its socket cannot be opened.
    pub(crate) fn start(claim: Claim, config: &Config, redis: &SettledRedis) -> Result<Self, Failure> {
        let failed = |what: &str, error: &dyn std::fmt::Display| Failure::Failed(format!("{what}: {error}"));
        let refused = claim.refused();
        let address = http::listen(&config.http)?;
        let outlet = alerts::outlet(config)?;
        let state = claim.state().clone();
        let node = claim.start(config)?;
        let info = ServerInfo {
            cluster: config.cluster.clone(),
            redis_mode: settings::mode_word(config.redis.mode).to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            agents: Policy {
                ask: config.agents.ask,
                accept_from: config.agents.accept_from.clone(),
                tools_for: config.agents.tools_for.clone(),
                max_bytes: usize::try_from(config.agents.max_bytes).unwrap_or(usize::MAX),
            },
        };
        let module = Module::new(Arc::clone(&node), info)
            .map_err(|error| failed("internal error: cannot register the RPC methods", &error))?;
        let limits = limits(config);
        let (stop, stopped) = watch::channel(false);
        let listener = if refused {
            tracing::error!(
                node_id = %node.node_id(),
                "another process on this host uses this node id; this node cannot join until one of them is stopped"
            );
            None
        } else {
            Some(listen(&state, &node.node_id())?)
        };
        let socket = NodeSocket { node: Arc::clone(&node), state: state.clone(), module: module.clone() };
        let (mut tasks, mut redis_watch) = (JoinSet::new(), JoinSet::new());
        tasks.spawn(socket.keep_open(listener, limits.clone(), stopped));
        if let Some(server) = redis.server.clone() {
            redis_watch.spawn(private_redis::keep_running(server, redis.trouble.clone()));
        }
        node.meters().read_dropped_lines(crate::logging::dropped_lines);
        if let Some(outlet) = outlet {
            let (node, config) = (Arc::clone(&node), config.alerts.clone());
            tasks.spawn(alerts::watch(node, outlet, config, stop.subscribe()));
        }
        if let Some(listener) = address {
            tracing::info!(address = %listener.address(), "serving metrics, the page and JSON-RPC over HTTP");
            let (folder, named) = (state.clone(), Arc::clone(&node));
            let path = move || folder.checked_socket(&named.node_id()).map_err(|error| error.to_string());
            let site = http::site(config, Arc::clone(&node), &module, limits.max_line_bytes, Arc::new(path));
            tasks.spawn(listener.serve(site, stop.subscribe()));
        }
        tracing::info!(version = env!("CARGO_PKG_VERSION"), node_id = %node.node_id(), "the node is up");
        Ok(Self { node, state, module, limits, stop, tasks, redis_watch })
    }

    /// The node's RPC methods.
    pub(crate) fn module(&self) -> &Module {
        &self.module
    }

    /// The limits of a connection to the node.
    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The node's current id.
    pub(crate) fn id(&self) -> NodeId {
        self.node.node_id()
    }

    /// The current path of the node's socket.
    ///
    /// # Errors
    /// [`Failure::Failed`] when other users could enter the socket's folder.
    pub(crate) fn socket(&self) -> Result<PathBuf, Failure> {
        self.state.checked_socket(&self.id()).map_err(|error| Failure::Failed(error.to_string()))
    }

    /// Becomes true when the node starts to stop.
    pub(crate) fn stopped(&self) -> watch::Receiver<bool> {
        self.stop.subscribe()
    }

    /// Waits until a part of the node fails; the node must be restarted then.
    pub(crate) async fn broken(&self) {
        self.node.broken().await;
    }

    /// Ends the node: it leaves the cluster while its answers in flight, and those of `host`, are written. `spent`: how much of
    /// [`LEAVE_WITHIN`] has already passed.
    pub(crate) async fn end(mut self, host: impl Future<Output = ()>, spent: Duration) {
        self.redis_watch.abort_all();
        // In parallel: a leader hands over while the last answers are written.
        self.stop.send_replace(true);
        let drain = async {
            let tasks = async { while self.tasks.join_next().await.is_some() {} };
            // Answers that are not written by then are dropped.
            let _ = tokio::time::timeout(DRAIN_TIMEOUT + DRAIN_TIMEOUT / 2, async { tokio::join!(tasks, host) }).await;
        };
        let leave = async {
            let within = LEAVE_WITHIN.saturating_sub(spent).max(LEAST_LEAVE);
            let ended = tokio::time::timeout(within, self.node.stop(LEAVE_TIMEOUT)).await;
            if ended.is_err() {
                tracing::warn!(
                    "the node did not stop in time; the next process with this id sends the messages left in the outbox"
                );
            }
        };
        tokio::join!(drain, leave);
    }
}

/// The configured limits of a connection.
pub(crate) fn limits(config: &Config) -> Limits {
    Limits { max_line_bytes: config.rpc.max_line_bytes, drain: DRAIN_TIMEOUT, ..Limits::default() }
}
