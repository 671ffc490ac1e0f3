//! The place of the node's store on disk: held while the node id is this process's, empty while another one holds it.
//!
//! 1. Every call blocks on the disk and runs on a blocking thread.
//!
//! Not here: the store (`outbox`), the folder (`state_dir`).

use super::outbox::NodeStore;
use crate::cluster::ids::NodeId;
use crate::engine::node::start::Resumed;
use crate::engine::state_dir::{StateDir, StateError};
use std::sync::{Arc, PoisonError, RwLock};

/// See the module's text.
#[derive(Debug)]
pub(crate) struct StoreHolder {
    dir: StateDir,
    store: RwLock<Option<NodeStore>>,
}

impl StoreHolder {
    pub(crate) fn new(dir: StateDir, store: Option<NodeStore>) -> Arc<Self> {
        Arc::new(Self { dir, store: RwLock::new(store) })
    }

    /// Looks at the store without waiting for the disk; `None` while the slot is empty.
    pub(crate) fn peek<R>(&self, look: impl FnOnce(&NodeStore) -> R) -> Option<R> {
        self.store.read().unwrap_or_else(PoisonError::into_inner).as_ref().map(look)
    }

    /// Uses the store on a blocking thread; `None` while the slot is empty.
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

    /// Takes the store of a node id; nothing happens when the slot is filled.
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

    /// Gives the store back, so that another process can hold the id.
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

    /// What the store of an id that a rename is to take knows, its cursor only if it is of that id; nothing where there is none, or
    /// another process holds it.
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

    /// Takes the store along to another node id.
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
