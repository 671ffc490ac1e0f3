//! Joining, with the store on disk that belongs to the node id.
//!
//! 1. A join is done as a whole: the node and its store have different ids only while another process holds the store.
//!
//! Not here: the rules of joining (`crate::cluster::node`), the store (`outbox`).

use super::handle::{JoinRequest, Joined, Node};
use super::running::RunningNode;
use super::status::Msg;
use crate::cluster::ids::NodeId;
use crate::cluster::node::{Input, Request, Response};
use crate::engine::error::Error;
use crate::engine::messages::resumed::Resumed;
use crate::engine::refusals::unexpected;
use crate::engine::state_dir::StateError;
use std::time::Duration;

/// The pause before opening a store that another process holds is tried again.
const STORE_RETRY_DELAY: Duration = Duration::from_millis(100);

impl RunningNode {
    /// Opens the store of the id to join under, if this process has none.
    async fn hold_store(&self, id: &NodeId, force: bool) -> Result<(), Error> {
        if self.store_holder.peek(|_| ()).is_some() {
            return Ok(());
        }
        match self.store_holder.fill(id.clone()).await {
            Ok(()) => {
                self.resume().await;
                self.accepted.notify_one();
                Ok(())
            }
            Err(StateError::InUse { .. }) if force => Ok(()),
            Err(StateError::InUse { holder, .. }) => Err(Error::NodeIdInUse { node_id: id.clone(), holder }),
            Err(why) => Err(Error::Internal(why.to_string())),
        }
    }

    pub(crate) async fn join_whole(&self, request: JoinRequest) -> Result<Joined, Error> {
        let was = self.node_id();
        let id = request.node_id.clone().unwrap_or_else(|| was.clone());
        let empty = self.store_holder.peek(|_| ()).is_none();
        self.hold_store(&id, request.force).await?;
        // The store of an id that a rename takes is the second source for where receiving begins.
        let kept = if id != was && !empty { self.store_holder.look_at(id.clone()).await } else { None };
        let (stood, known) = match kept {
            Some(kept) => {
                self.sync.meets(kept.own, kept.began);
                (kept.cursor, kept.known)
            }
            None => {
                self.sync.meets(Vec::new(), None);
                Default::default()
            }
        };
        let ask = JoinRequest { stood, known, ..request };
        let (instance, joined_at) = match self.ask(Request::Join(ask)).await {
            Ok(Response::Joined { instance, joined_at }) => (instance, joined_at),
            Ok(_) => return Err(unexpected()),
            Err(why) => {
                if empty && self.status.borrow().instance().is_none() {
                    // It was opened only for this join; the holder of the id needs it.
                    self.store_holder.empty().await;
                }
                return Err(why);
            }
        };
        self.settle_store(&instance.node_id, &was).await;
        let state = self.state(false).await?;
        Ok(Joined {
            cluster: state.cluster,
            node_id: instance.node_id,
            incarnation: instance.incarnation,
            joined_at,
            leader_id: state.leader_id,
            term: state.term,
            nodes: state.nodes,
        })
    }

    async fn resume(&self) {
        if let Some(resumed) = self.store_holder.peek(Resumed::of) {
            let Resumed { producer, known, cursor, cursor_of, .. } = resumed;
            // The node is gone only when the process ends.
            let _ = self.node.send(Msg::Input(Input::Resumed { producer, known, cursor, cursor_of })).await;
            self.sync.store_filled();
        }
    }

    /// After a join: moves the store to a new id, and opens a store that another process held until now.
    async fn settle_store(&self, id: &NodeId, was: &NodeId) {
        if id != was
            && let Err(why) = self.store_holder.rename(id.clone()).await
        {
            tracing::warn!(error = %why, "cannot rename the outbox; it stays under the old node id");
        }
        // Messages that were imported with the id are sent at once.
        self.accepted.notify_one();
        let this = self.clone();
        let id = id.clone();
        let holding = tokio::spawn(async move {
            let mut warned = false;
            while this.status.borrow().instance().is_some_and(|instance| instance.node_id == id) {
                if this.hold_store(&id, false).await.is_ok() {
                    return;
                }
                if !std::mem::replace(&mut warned, true) {
                    tracing::warn!(node_id = %id, "an earlier process of this node id still holds its outbox; waiting for that process to end");
                }
                tokio::time::sleep(STORE_RETRY_DELAY).await;
            }
        });
        // Usually the other process closes it within milliseconds; a frozen process holds it until it ends.
        let _ = tokio::time::timeout(Duration::from_secs(1), holding).await;
    }
}
