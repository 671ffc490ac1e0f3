//! The node's socket, for the other programs of this user.
//!
//! 1. It follows the node's id: after a rename the new one is open before the old one closes.
//!
//! Not here: serving its clients (`crate::rpc::socket`).

use super::DRAIN;
use crate::cli::outcome::Failure;
use crate::cluster::ids::NodeId;
use crate::engine::RunningNode;
use crate::engine::state_dir::StateDir;
use crate::rpc::connection::Limits;
use crate::rpc::module::Module;
use crate::rpc::socket::Listener;
use std::sync::Arc;
use tokio::sync::watch;

/// Opens the socket of a node id.
pub(super) fn listen(state: &StateDir, id: &NodeId) -> Result<Listener, Failure> {
    let path = state.prepare_socket(id).map_err(|error| Failure::Failed(error.to_string()))?;
    let bound = Listener::bind(&path);
    bound.map_err(|error| Failure::Failed(format!("cannot listen for commands at {}: {error}", path.display())))
}

/// The node's socket, which follows the node's id.
pub(super) struct Door {
    pub(super) node: Arc<RunningNode>,
    pub(super) state: StateDir,
    pub(super) module: Module,
}

impl Door {
    /// Serves until the node stops. Without a first listener the id is another process's until the node is a member.
    pub(super) async fn keep_open(self, first: Option<Listener>, limits: Limits, mut stopped: watch::Receiver<bool>) {
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
