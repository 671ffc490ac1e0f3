//! Holds the node's store on disk while the node id belongs to this process; empty while another process has the id.
//!
//! 1. Every call blocks on the disk and runs on a blocking thread.
//!
//! Not here: the store (`outbox`), the folder (`state_dir`).

use super::outbox::NodeStore;
use crate::cluster::ids::NodeId;
use crate::engine::messages::resumed::Resumed;
use crate::engine::state_dir::{StateDir, StateError};
use std::sync::{Arc, PoisonError, RwLock};

/// See the head of this file.
#[derive(Debug)]
pub(crate) struct StoreHolder {
    dir: StateDir,
    store: RwLock<Option<NodeStore>>,
}

impl StoreHolder {
    pub(crate) fn new(dir: StateDir, store: Option<NodeStore>) -> Arc<Self> {
        Arc::new(Self { dir, store: RwLock::new(store) })
    }

    /// Reads from the store without waiting for the disk; `None` while it is not held.
    pub(crate) fn peek<R>(&self, look: impl FnOnce(&NodeStore) -> R) -> Option<R> {
        self.store.read().unwrap_or_else(PoisonError::into_inner).as_ref().map(look)
    }

    /// Uses the store on a blocking thread; `None` while it is not held.
    pub(crate) async fn with<R: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&NodeStore) -> R + Send + 'static,
    ) -> Option<R> {
        let store_holder = Arc::clone(self);
        match tokio::task::spawn_blocking(move || store_holder.peek(work)).await {
            Ok(outcome) => outcome,
            Err(error) => {
                tracing::error!(%error, "an outbox operation failed unexpectedly");
                None
            }
        }
    }

    /// Opens the store of a node id; does nothing if a store is already held.
    pub(crate) async fn fill(self: &Arc<Self>, id: NodeId) -> Result<(), StateError> {
        let store_holder = Arc::clone(self);
        let filling = tokio::task::spawn_blocking(move || {
            let mut place = store_holder.store.write().unwrap_or_else(PoisonError::into_inner);
            if place.is_none() {
                *place = Some(store_holder.dir.lock_node(&id)?);
            }
            Ok(())
        });
        filling.await.unwrap_or(Err(StateError::Closed))
    }

    /// Closes the store, so that another process can hold the id.
    pub(crate) async fn empty(self: &Arc<Self>) {
        let store_holder = Arc::clone(self);
        let emptying = tokio::task::spawn_blocking(move || {
            let store = store_holder.store.write().unwrap_or_else(PoisonError::into_inner).take();
            drop(store);
        });
        if let Err(error) = emptying.await {
            tracing::error!(%error, "closing the outbox failed unexpectedly");
        }
    }

    /// Reads the state of the store of an id that a rename will take, with its cursor only if that belongs to the id;
    /// `None` if there is no store, or another process holds it.
    pub(crate) async fn look_at(self: &Arc<Self>, id: NodeId) -> Option<Resumed> {
        let store_holder = Arc::clone(self);
        let looking = tokio::task::spawn_blocking(move || {
            let (_lock, store) = store_holder.dir.lock_existing(&id).ok()?;
            let mut resumed = Resumed::of(&store?);
            if resumed.cursor_of.as_ref().is_some_and(|of| *of != id) {
                (resumed.cursor, resumed.began) = (None, None);
            }
            Some(resumed)
        });
        looking.await.ok().flatten()
    }

    /// Moves the store to another node id.
    pub(crate) async fn rename(self: &Arc<Self>, id: NodeId) -> Result<(), StateError> {
        let store_holder = Arc::clone(self);
        let renaming = tokio::task::spawn_blocking(move || {
            let mut place = store_holder.store.write().unwrap_or_else(PoisonError::into_inner);
            let Some(store) = place.take() else { return Ok(()) };
            match store.rename(&store_holder.dir, &id) {
                Ok(store) => {
                    *place = Some(store);
                    Ok(())
                }
                Err((store, why)) => {
                    *place = Some(store);
                    Err(why)
                }
            }
        });
        renaming.await.unwrap_or(Err(StateError::Closed))
    }
}
