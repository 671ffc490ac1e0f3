//! Opening the stores of a state directory, each for this process alone.
//!
//! 1. A node id is held by one live process; ids that are generated at the same time differ.
//!
//! Not here: the lock (`crate::engine::state_dir::lock`), the file (`database.rs`).

use super::NodeStore;
use crate::cluster::ids::NodeId;
use crate::engine::random;
use crate::engine::state_dir::lock::NodeLock;
use crate::engine::state_dir::{StateDir, StateError, private_file};
use std::io;
use std::path::Path;

/// The file with the node ids generated on this host. It starts with a dot, which no node id does.
const GENERATED: &str = ".generated-ids";

impl StateDir {
    /// Opens the store of a node id for this process alone. A damaged store is set aside as `<name>.corrupt-<n>`.
    ///
    /// # Errors
    /// [`StateError::InUse`] when another live process holds the id; else the error of the disk.
    pub fn lock_node(&self, id: &NodeId) -> Result<NodeStore, StateError> {
        let lock = self.take_lock(id)?;
        self.move_store_back(id)?;
        let store = NodeStore::open(&self.database_path(id), lock, self.outbox_bytes)?;
        store.take_back()?;
        Ok(store)
    }

    /// Locks an id that a rename will take, and opens its store; `None` in its place if it has none.
    ///
    /// # Errors
    /// As [`Self::lock_node`].
    pub(in crate::engine) fn lock_existing(&self, id: &NodeId) -> Result<(NodeLock, Option<NodeStore>), StateError> {
        let lock = self.take_lock(id)?;
        let path = self.database_path(id);
        if !path.exists() {
            return Ok((lock, None));
        }
        NodeStore::open(&path, NodeLock::none(), self.outbox_bytes).map(|store| (lock, Some(store)))
    }

    /// Opens the store of a node id: of this one, or without one, of a generated id; see [`Self::lock_node`] and
    /// [`Self::lock_generated`].
    ///
    /// # Errors
    /// As those.
    pub fn claim(&self, id: Option<&NodeId>) -> Result<(NodeId, NodeStore), StateError> {
        match id {
            Some(id) => Ok((id.clone(), self.lock_node(id)?)),
            None => self.lock_generated(),
        }
    }

    /// Opens the store of the first id generated on this host that no process holds; if there is none, of a new `node-<8
    /// hexadecimal digits>`. Processes that do this at the same time get different ids.
    ///
    /// # Errors
    /// As [`Self::lock_node`]; [`StateError::InUse`] also when another process holds the list of ids for seconds.
    pub fn lock_generated(&self) -> Result<(NodeId, NodeStore), StateError> {
        let path = self.folder().join(GENERATED);
        let _turn = self.wait_for_lock(&format!("{GENERATED}.lock"), "the list of generated node ids")?;
        let mut ids = self.generated(&path)?;
        for id in &ids {
            match self.lock_node(id) {
                Ok(store) => return Ok((id.clone(), store)),
                Err(StateError::InUse { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        let no_id = |detail| StateError::Io {
            path: path.clone(),
            detail,
            remedy: "set node.id in the configuration",
            full: false,
        };
        // A collision is very unlikely; a source that repeats itself must not hang the start.
        for _ in 0..64 {
            let number = random::bytes().map(u32::from_be_bytes).map_err(|error| {
                no_id(format!("cannot generate a node id: the system provides no random numbers: {error}"))
            })?;
            let Ok(id) = NodeId::new(format!("node-{number:08x}")) else { continue };
            if ids.contains(&id) || self.database_path(&id).exists() {
                continue;
            }
            let store = self.lock_node(&id)?;
            ids.push(id.clone());
            let text: String = ids.iter().map(|id| format!("{id}\n")).collect();
            private_file::replace(&path, text.as_bytes())?;
            return Ok((id, store));
        }
        Err(no_id("64 random ids in a row were taken".to_owned()))
    }

    fn generated(&self, path: &Path) -> Result<Vec<NodeId>, StateError> {
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            // Perhaps it was removed with the whole folder, and the stores were written again since.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(self.generated_stores()),
            Err(error) => return Err(StateError::io(path, &error)),
        };
        let mut ids = Vec::new();
        for line in String::from_utf8_lossy(&bytes).lines().filter(|line| !line.is_empty()) {
            match NodeId::new(line) {
                Ok(id) => ids.push(id),
                Err(error) => {
                    tracing::warn!(file = %path.display(), %error, "skipped an invalid line in the list of generated node ids")
                }
            }
        }
        Ok(ids)
    }

    /// The ids of the stores whose names look generated.
    fn generated_stores(&self) -> Vec<NodeId> {
        let hexadecimal = |text: &str| text.len() == 8 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let found = std::fs::read_dir(self.folder()).into_iter().flatten().filter_map(Result::ok);
        let names = found.filter_map(|file| file.file_name().into_string().ok());
        let ids = names.filter_map(|name| name.strip_suffix(".redb").map(str::to_owned));
        let mut ids: Vec<NodeId> = ids
            .filter(|id| id.strip_prefix("node-").is_some_and(hexadecimal))
            .filter_map(|id| NodeId::new(id).ok())
            .collect();
        ids.sort();
        ids
    }

    /// Whether an id was generated on this host.
    #[must_use]
    pub fn is_generated(&self, id: &NodeId) -> bool {
        self.generated(&self.folder().join(GENERATED)).is_ok_and(|ids| ids.contains(id))
    }
}
