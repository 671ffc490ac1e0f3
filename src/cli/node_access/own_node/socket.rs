//! The node's unix socket, for other programs of this user.
//!
//! 1. The socket's path contains the node's id: after a rename the new socket is open before the old one closes.
//! 2. A rename closes no connection: clients that connected through the old path stay connected.
//! 3. A socket whose file was removed is opened again.
//!
//! Not here: serving its clients (`crate::rpc::socket`).

use super::DRAIN_TIMEOUT;
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

/// The pause before opening a socket is retried.
const SOCKET_RETRY_DELAY: Duration = Duration::from_millis(50);

/// How often the node checks that its socket's file still exists.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// Waits until a socket's file is gone; for ever if there is no socket.
async fn gone(place: Option<&Place>) {
    let Some(place) = place else { return std::future::pending().await };
    while place.is_there() {
        tokio::time::sleep(CHECK_INTERVAL).await;
    }
}

/// Opens the socket of a node id.
pub(crate) fn listen(state: &StateDir, id: &NodeId) -> Result<Listener, Failure> {
    let path = state.prepare_socket(id).map_err(|error| Failure::Failed(error.to_string()))?;
    let bound = Listener::bind(&path);
    bound.map_err(|error| Failure::Failed(format!("cannot listen on the node's socket {}: {error}", path.display())))
}

/// The node's socket, which follows the node's id.
pub(crate) struct NodeSocket {
    pub(crate) node: Arc<RunningNode>,
    pub(crate) state: StateDir,
    pub(crate) module: Module,
}

impl NodeSocket {
    /// Serves clients until the node stops. `first` is `None` while another process holds the id; then the socket opens once the node
    /// is a member.
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
                    tracing::warn!(node_id = %id, "the socket of this node was removed; opening it again");
                    Some(id.clone())
                }
            };
            let Some(renamed) = renamed else { break };
            // Before the old one closes: the client that asked for the rename may connect to the new one at once.
            match self.listen_again(&renamed).await {
                Ok(fresh) => {
                    listener = Some(fresh);
                    close.send_replace(true);
                }
                Err(failure) => {
                    tracing::error!(node_id = %renamed, "{failure}; clients can still reach this node through its old socket");
                    kept = Some(close);
                }
            }
            id = renamed;
            while open.try_join_next().is_some() {}
        }
        // Time for every connection to write its answers in flight.
        let _ = tokio::time::timeout(DRAIN_TIMEOUT + DRAIN_TIMEOUT / 2, async {
            while open.join_next().await.is_some() {}
        })
        .await;
    }

    /// Opens the socket of a new id. Retries, because after a rename back to an earlier id its old listener may still be closing.
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
