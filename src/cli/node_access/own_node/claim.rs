//! Claims the id of a node that this process runs, against other processes of this host, and starts the node with it.
//!
//! 1. Nothing is started or joined before the id is claimed; dropping the claim frees the id.
//!
//! Not here: the contents of the id's store (`crate::engine::messages::outbox`).

use crate::cli::outcome::Failure;
use crate::cli::settings;
use crate::cluster::history::Summary;
use crate::cluster::ids::NodeId;
use crate::cluster::node::Former;
use crate::config::Config;
use crate::engine::messages::outbox::NodeStore;
use crate::engine::oneshot::state::{OneshotState, boot_id};
use crate::engine::state_dir::{StateDir, StateError};
use crate::engine::{RunningNode, Start};
use std::sync::Arc;

/// A node id with its locked store, or with the holder if another process has locked it.
pub(crate) struct Claim {
    state: StateDir,
    node_id: NodeId,
    store: Result<NodeStore, String>,
}

impl Claim {
    /// Claims an id: the given one, else a free generated one.
    ///
    /// # Errors
    /// [`Failure::Failed`] when the state directory cannot be used. An id that another process holds is not an error; see
    /// [`Self::refused`].
    pub(crate) fn take(config: &Config, wanted: Option<NodeId>) -> Result<Self, Failure> {
        let failed = |error: StateError| Failure::Failed(error.to_string());
        let opened = StateDir::open(&config.state_dir, &config.cluster).map_err(failed)?;
        let state = opened.with_outbox_bytes(config.sync.outbox_bytes);
        let (node_id, store) = match (state.claim(wanted.as_ref()), wanted) {
            (Ok((node_id, store)), _) => (node_id, Ok(store)),
            (Err(StateError::InUse { holder, .. }), Some(node_id)) => (node_id, Err(holder)),
            (Err(error), _) => return Err(failed(error)),
        };
        Ok(Self { state, node_id, store })
    }

    /// Whether another process holds the id.
    pub(crate) fn refused(&self) -> bool {
        self.store.is_err()
    }

    /// The claimed id.
    pub(crate) fn id(&self) -> &NodeId {
        &self.node_id
    }

    /// The state directory that contains the store.
    pub(crate) fn state(&self) -> &StateDir {
        &self.state
    }

    /// Starts a node with the id.
    pub(crate) fn start(self, config: &Config) -> Result<Arc<RunningNode>, Failure> {
        let Self { state, node_id, store } = self;
        let (former, summary) = former(&state, &node_id).unzip();
        let summary = summary.flatten();
        let node = crate::engine::start(Start {
            cluster: config.cluster.clone(),
            target: settings::target(config),
            node_id,
            store,
            state_dir: state,
            metadata: settings::metadata(config),
            auto_join: config.node.auto_join,
            leader: config.leader,
            timing: config.timing,
            retry: config.node.retry,
            sync: config.sync,
            former,
            summary,
            history: settings::history(config)?,
            recent: config.history.recent,
            gossip: config.gossip.clone(),
        });
        node.map(Arc::new).map_err(|error| Failure::Failed(format!("cannot start the node: {error}")))
    }
}

/// The state of earlier one-shot heartbeats with this id on this host: the node continues as the member that they kept alive.
fn former(state: &StateDir, node_id: &NodeId) -> Option<(Former, Option<Summary>)> {
    let boot = boot_id().ok()?;
    let kept = OneshotState::load(state, node_id, &boot)?;
    if let Err(error) = OneshotState::remove(state, node_id) {
        tracing::warn!(%error, %node_id, "cannot remove the state of earlier one-shot heartbeats; it is ignored");
    }
    let former = Former { process: kept.run.process, incarnation: kept.run.incarnation, beats: kept.beats };
    Some((former, kept.summary))
}
