//! Where a rename moved the store of a node id, so that the next process of that id finds it again.
//!
//! 1. A store is identified by its producer, not by its file name: its messages are sent, and its ids remembered, by any
//!    node id of this host that continues with it.
//! 2. A process that starts under an id with a file of its own uses that file; notes about it are then void.
//!
//! Not here: moving an open store (`crate::engine::messages::outbox`).

use super::{StateDir, StateError, private_file};
use crate::cluster::ids::NodeId;
use std::path::PathBuf;

/// The maximum number of renames in a row that are followed.
const LONGEST_CHAIN: usize = 16;

impl StateDir {
    /// Writes a note that the store of `from` moves to `to`. Call it before the move: a note beside the id's own file has
    /// no effect.
    pub(crate) fn note_move(&self, from: &NodeId, to: &NodeId) -> Result<(), StateError> {
        private_file::replace(&self.move_note(from), format!("{to}\n").as_bytes())?;
        self.forget_note(to);
        Ok(())
    }

    /// Moves the store of an id back from where renames moved it, if no process uses it there. The caller holds the lock of
    /// the id.
    pub(in crate::engine) fn move_store_back(&self, id: &NodeId) -> Result<(), StateError> {
        let home = self.database_path(id);
        if home.exists() {
            self.forget_note(id);
            self.forget_notes_to(id);
            return Ok(());
        }
        let mut chain = vec![id.clone()];
        while let Some(next) = chain.last().and_then(|last| self.moved_to(last)) {
            if chain.contains(&next) || chain.len() > LONGEST_CHAIN {
                return Ok(());
            }
            let there = self.database_path(&next);
            if there.exists() {
                let _lock = match self.take_lock(&next) {
                    Ok(lock) => lock,
                    // A process is using it.
                    Err(StateError::InUse { .. }) => return Ok(()),
                    Err(error) => return Err(error),
                };
                std::fs::rename(&there, &home).map_err(|error| StateError::io(&there, &error))?;
                private_file::sync_folder(&home)?;
                chain.iter().for_each(|id| self.forget_note(id));
                tracing::info!(node_id = %id, new_node_id = %next, "using the store under the node id that an earlier process of this node was renamed to");
                return Ok(());
            }
            chain.push(next);
        }
        Ok(())
    }

    /// The path of the note. No node id begins with a dot.
    fn move_note(&self, id: &NodeId) -> PathBuf {
        self.folder.join(format!(".{id}.moved"))
    }

    fn moved_to(&self, id: &NodeId) -> Option<NodeId> {
        NodeId::new(std::fs::read_to_string(self.move_note(id)).ok()?.trim_end()).ok()
    }

    fn forget_note(&self, id: &NodeId) {
        let note = self.move_note(id);
        if let Err(error) = std::fs::remove_file(&note)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(file = %note.display(), %error, "cannot remove the note of a rename");
        }
    }

    fn forget_notes_to(&self, id: &NodeId) {
        let entries = std::fs::read_dir(&self.folder).into_iter().flatten().flatten();
        for name in entries.filter_map(|entry| entry.file_name().into_string().ok()) {
            let from = name.strip_prefix('.').and_then(|name| name.strip_suffix(".moved"));
            if let Some(from) = from.and_then(|from| NodeId::new(from).ok())
                && self.moved_to(&from).as_ref() == Some(id)
            {
                self.forget_note(&from);
            }
        }
    }
}
