//! What gossip keeps for the next process of a node: one file for each name, which only one task writes.
//!
//! Not here: its content (`crate::engine::gossip`).

use super::{StateDir, StateError, private_file};
use crate::cluster::ids::NodeId;
use std::path::PathBuf;

impl StateDir {
    /// What gossip kept for this node under a name, if anything.
    #[must_use]
    pub fn gossip(&self, id: &NodeId, name: &str) -> Option<Vec<u8>> {
        std::fs::read(self.gossip_path(id, name)).ok()
    }

    /// Keeps this for the next process of a node.
    ///
    /// # Errors
    /// [`StateError`] when the disk fails.
    pub fn keep_gossip(&self, id: &NodeId, name: &str, content: &[u8]) -> Result<(), StateError> {
        private_file::replace(&self.gossip_path(id, name), content)
    }

    /// The name starts with a dot, which no node id does.
    fn gossip_path(&self, id: &NodeId, name: &str) -> PathBuf {
        self.folder.join(format!(".gossip-{name}-{id}.json"))
    }
}
