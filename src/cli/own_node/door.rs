//! The node's socket, for the other programs of this user.
//!
//! 1. It follows the node's id: after a rename the new one is open before the old one closes.
//! 2. A socket whose file somebody removed is opened again.
//!
//! Not here: serving its clients (`crate::rpc::socket`).

use super::DRAIN;
use crate::cli::outcome::Failure;
use crate::cluster::ids::NodeId;
use crate::engine::RunningNode;
use crate::engine::state_dir::StateDir;
use crate::rpc::connection::Limits;
use crate::rpc::module::Module;
use crate::rpc::socket::{Listener, Place};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// How often it is looked whether the socket's file is still there.
const LOOK_AFTER: Duration = Duration::from_secs(1);

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
        let mut told = String::new();
        loop {
            let (close, closed) = watch::channel(false);
            let current = listener.take();
            let place = current.as_ref().map(Listener::place);
            let serving = async {
                match current {
                    Some(listener) => listener.serve(self.module.clone(), limits.clone(), closed).await,
                    None => std::future::pending().await,
                }
            };
            tokio::pin!(serving);
            let next = tokio::select! {
                () = &mut serving => return,
                _ = stopped.wait_for(|stopped| *stopped) => Next::End,
                renamed = self.node.renamed(&id) => renamed.map_or(Next::End, Next::Renamed),
                () = gone(place.as_ref()) => Next::Again,
            };
            let early = match &next {
                Next::Renamed(renamed) => {
                    id.clone_from(renamed);
                    // Before the old one closes: whoever asked for the rename may look for the new one at once.
                    Some(listen(&self.state, &id))
                }
                Next::End | Next::Again => None,
            };
            close.send_replace(true);
            // Without a listener there is nothing to wait for; with one, its answers in flight are written.
            if place.is_some() {
                let _ = tokio::time::timeout(DRAIN + DRAIN / 2, serving).await;
            }
            if matches!(next, Next::End) {
                return;
            }
            // In the same place only once the old one, and its lock, are gone.
            match early.unwrap_or_else(|| listen(&self.state, &id)) {
                Ok(fresh) => {
                    if matches!(next, Next::Again) {
                        tracing::warn!(%id, "somebody removed the socket of this node; it is opened again");
                    }
                    told.clear();
                    listener = Some(fresh);
                }
                Err(failure) => {
                    let text = failure.to_string();
                    if told != text {
                        tracing::error!("{text}");
                        told = text;
                    }
                }
            }
        }
    }
}

/// What comes after a listener.
enum Next {
    End,
    Renamed(NodeId),
    Again,
}

/// Resolves once a socket's file is gone; without a socket, when it is time to try again.
async fn gone(place: Option<&Place>) {
    loop {
        tokio::time::sleep(LOOK_AFTER).await;
        if place.is_none_or(|place| !place.is_there()) {
            return;
        }
    }
}
