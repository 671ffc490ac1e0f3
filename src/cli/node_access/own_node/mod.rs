//! The node that this process runs: put together, reachable through its socket, ended in time.
//!
//! 1. While the node is up its socket is open, under the id that the node has.
//! 2. Nothing is started when the address for metrics is taken.
//! 3. The end takes at most [`LEAVE_WITHIN`], whatever Redis does.
//!
//! Not here: which Redis it uses (`crate::cli::settle`), the host's pipes (`crate::cli::serve`, `crate::cli::mcp`), the node (`crate::engine`).

mod claim;
mod private_redis;
pub(crate) mod socket;

pub(crate) use claim::Claim;
pub(crate) use private_redis::release;

use crate::cli::outcome::Failure;
use crate::cli::settle::SettledRedis;
use crate::cluster::ids::NodeId;
use crate::config::{Config, RedisMode};
use crate::engine::RunningNode;
use crate::engine::node::handle::Observed;
use crate::engine::state_dir::StateDir;
use crate::rpc::connection::Limits;
use crate::rpc::http::HttpListener;
use crate::rpc::module::{Module, ServerInfo};
use socket::{NodeSocket, listen};
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// How long the node may take to leave and flush: 3 s for Redis, and what its own tasks take.
pub(crate) const LEAVE_WITHIN: Duration = Duration::from_millis(3_300);
/// What is left of that at least for a node that was asked to end while it was being started.
const LEAST_LEAVE: Duration = Duration::from_millis(300);
/// How long Redis may take for that.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(3);
/// How long answers in flight are waited for meanwhile.
const DRAIN: Duration = Duration::from_millis(500);

/// See the module's text. Dropping it ends the node at once, without leaving the cluster.
pub(crate) struct OwnNode {
    node: Arc<RunningNode>,
    state: StateDir,
    module: Module,
    limits: Limits,
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
    keeper: JoinSet<()>,
}

impl OwnNode {
    /// Starts the node and opens its socket. A node whose id is another process's is up without a socket, and says so
    /// to every call.
    ///
    /// # Errors
    /// [`Failure::Failed`] when the node cannot be put together, or the socket cannot be opened.
    pub(crate) fn start(claim: Claim, config: &Config, redis: &SettledRedis) -> Result<Self, Failure> {
        let failed = |what: &str, error: &dyn std::fmt::Display| Failure::Failed(format!("{what}: {error}"));
        let refused = claim.refused();
        let watched = config.metrics.listen.map(|address| listen_for_watchers(address, &config.metrics.place));
        let watched = watched.transpose()?;
        let state = claim.state().clone();
        let node = claim.start(config)?;
        let info = ServerInfo {
            cluster: config.cluster.clone(),
            redis_mode: redis_mode(config.redis.mode).to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        let module = Module::new(Arc::clone(&node), info).map_err(|error| failed("the methods do not fit", &error))?;
        let limits = limits(config);
        let (stop, stopped) = watch::channel(false);
        let listener = if refused {
            tracing::error!(id = %node.node_id(), "another process of this host holds the node id; stop one of them");
            None
        } else {
            Some(listen(&state, &node.node_id())?)
        };
        let door = NodeSocket { node: Arc::clone(&node), state: state.clone(), module: module.clone() };
        let (mut tasks, mut keeper) = (JoinSet::new(), JoinSet::new());
        tasks.spawn(door.keep_open(listener, limits.clone(), stopped));
        if let Some(server) = redis.server.clone() {
            keeper.spawn(private_redis::keep_running(server, redis.trouble.clone()));
        }
        node.meters().read_dropped_lines(crate::logging::dropped_lines);
        if let Some(listener) = watched {
            tracing::info!(address = %listener.address(), "metrics are served");
            tasks.spawn(listener.serve(Arc::clone(&node), stop.subscribe()));
        }
        tracing::info!(version = env!("CARGO_PKG_VERSION"), id = %node.node_id(), "the node is up");
        Ok(Self { node, state, module, limits, stop, tasks, keeper })
    }

    /// Its methods.
    pub(crate) fn module(&self) -> &Module {
        &self.module
    }

    /// The bounds of a connection to it.
    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The id that it has now.
    pub(crate) fn id(&self) -> NodeId {
        self.node.node_id()
    }

    /// Where its socket lies now.
    ///
    /// # Errors
    /// [`Failure::Failed`] when the socket's folder is not safe any more.
    pub(crate) fn socket(&self) -> Result<PathBuf, Failure> {
        self.state.checked_socket(&self.id()).map_err(|error| Failure::Failed(error.to_string()))
    }

    /// Becomes true when the node begins to end.
    pub(crate) fn stopped(&self) -> watch::Receiver<bool> {
        self.stop.subscribe()
    }

    /// Waits until a part of the node breaks down; it is of no more use then.
    pub(crate) async fn broken(&self) {
        self.node.broken().await;
    }

    /// Ends the node: it leaves the cluster while its answers in flight, and those of the `host`, are written. `spent`: the part of the time
    /// for it that has passed already.
    pub(crate) async fn end(mut self, host: impl Future<Output = ()>, spent: Duration) {
        self.keeper.abort_all();
        // At once and together: a leader hands over while the last answers are written.
        self.stop.send_replace(true);
        let drain = async {
            let doors = async { while self.tasks.join_next().await.is_some() {} };
            // What is not drained by then is dropped with its set.
            let _ = tokio::time::timeout(DRAIN + DRAIN / 2, async { tokio::join!(doors, host) }).await;
        };
        let leave = async {
            let within = LEAVE_WITHIN.saturating_sub(spent).max(LEAST_LEAVE);
            let ended = tokio::time::timeout(within, self.node.stop(LEAVE_TIMEOUT)).await;
            if ended.is_err() {
                tracing::warn!(
                    "the node did not end in time; what it kept on disk is sent by the next process of this id"
                );
            }
        };
        tokio::join!(drain, leave);
    }
}

/// Takes the address for metrics and probes.
fn listen_for_watchers(address: SocketAddr, place: &str) -> Result<HttpListener, Failure> {
    HttpListener::bind(address).map_err(|error| {
        let what = match error.kind() {
            ErrorKind::AddrInUse => {
                "another process listens there; choose another port, or stop that process".to_owned()
            }
            ErrorKind::AddrNotAvailable => "this host has no such address".to_owned(),
            ErrorKind::PermissionDenied => "this user may not listen there; choose a port above 1023".to_owned(),
            _ => error.to_string(),
        };
        Failure::Failed(format!("{place}: metrics.listen: cannot listen on {address}: {what}"))
    })
}

/// The bounds of a connection, as configured.
pub(crate) fn limits(config: &Config) -> Limits {
    Limits { max_line_bytes: config.rpc.max_line_bytes, drain: DRAIN, ..Limits::default() }
}

fn redis_mode(mode: RedisMode) -> &'static str {
    match mode {
        RedisMode::Standalone => "standalone",
        RedisMode::Sentinel => "sentinel",
        RedisMode::Cluster => "cluster",
        RedisMode::Embedded => "embedded",
    }
}
