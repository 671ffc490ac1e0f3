//! The node's socket, for the other programs of this user.
//!
//! 1. It follows the node's id: after a rename the new one is open before the old one closes.
//! 2. A rename ends nobody's connection: clients that came by the old path are served on.
//! 3. A socket whose file somebody removed is opened again.
//!
//! Not here: serving its clients (`crate::rpc::socket`).

use super::DRAIN;
use crate::cli::outcome::Failure;
use crate::cluster::ids::NodeId;
use crate::engine::RunningNode;
use crate::engine::state_dir::StateDir;
use crate::rpc::connection::Limits;
use crate::rpc::module::Module;
use crate::rpc::socket::{Listener, Place, Places};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// The pause before a socket that cannot be opened is tried again.
const SOCKET_RETRY_DELAY: Duration = Duration::from_millis(50);

/// How often it is looked whether the socket's file is still there.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Waits until the file of a socket is gone; for ever where there is none.
async fn gone(place: Option<&Place>) {
    let Some(place) = place else { return std::future::pending().await };
    while place.is_there() {
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
}

/// Opens the socket of a node id.
pub(crate) fn listen(state: &StateDir, id: &NodeId) -> Result<Listener, Failure> {
    let path = state.prepare_socket(id).map_err(|error| Failure::Failed(error.to_string()))?;
    let bound = Listener::bind(&path);
    bound.map_err(|error| Failure::Failed(format!("cannot listen for commands at {}: {error}", path.display())))
}

/// The node's socket, which follows the node's id.
pub(crate) struct NodeSocket {
    pub(crate) node: Arc<RunningNode>,
    pub(crate) state: StateDir,
    pub(crate) module: Module,
}

impl NodeSocket {
    /// Serves until the node stops. Without a first listener the id is another process's until the node is a member.
    pub(crate) async fn keep_open(self, first: Option<Listener>, limits: Limits, mut stopped: watch::Receiver<bool>) {
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
        let (places, mut open) = (Places::default(), JoinSet::new());
        let mut kept = None;
        loop {
            let (close, closed) = match kept.take() {
                Some(close) => (close, watch::channel(true).1),
                None => watch::channel(false),
            };
            let mut place = None;
            if let Some(listener) = listener.take() {
                place = Some(listener.place());
                let (module, limits, places) = (self.module.clone(), limits.clone(), places.clone());
                let stopped = stopped.clone();
                open.spawn(async move { listener.serve(module, limits, places, closed, stopped).await });
            }
            let renamed = tokio::select! {
                _ = stopped.wait_for(|stopped| *stopped) => None,
                renamed = self.node.renamed(&id) => renamed,
                () = gone(place.as_ref()) => {
                    tracing::warn!(node_id = %id, "the socket of this node was removed; it is opened again");
                    Some(id.clone())
                }
            };
            let Some(renamed) = renamed else { break };
            // Before the old one closes: whoever asked for the rename may look for the new one at once.
            match self.listen_again(&renamed).await {
                Ok(fresh) => {
                    listener = Some(fresh);
                    close.send_replace(true);
                }
                Err(failure) => {
                    tracing::error!("{failure}; clients reach this node by its earlier path");
                    kept = Some(close);
                }
            }
            id = renamed;
            while open.try_join_next().is_some() {}
        }
        // The answers in flight of every connection are written.
        let _ = tokio::time::timeout(DRAIN + DRAIN / 2, async { while open.join_next().await.is_some() {} }).await;
    }

    /// Opens the socket of a new id. After a rename back to an earlier one, that one's listener may be closing still.
    async fn listen_again(&self, id: &NodeId) -> Result<Listener, Failure> {
        for _ in 0..20 {
            if let Ok(fresh) = listen(&self.state, id) {
                return Ok(fresh);
            }
            tokio::time::sleep(SOCKET_RETRY_DELAY).await;
        }
        listen(&self.state, id)
    }
}
