//! The folder in which the nodes of one cluster on this host keep their persistent state.
//!
//! 1. Only this user can access the folder (mode 0700) and every file in it (mode 0600).
//! 2. A node id is held by one live process, with a lock of the operating system that ends with the process, however it
//!    dies.
//! 3. A state directory that another user could change is refused, or causes a warning (`trust.rs`).
//! 4. A damaged file is set aside: it is never deleted, and never prevents a start.
//!
//! Not here: the state of a node (`crate::engine::messages::outbox`), the path of its socket (`sockets.rs`), the state of
//! one-shot heartbeats (`crate::engine::oneshot::state`).

pub(crate) mod checksum;
pub(super) mod lock;
mod moved;
pub(super) mod private_file;
mod shared;
mod sockets;
#[cfg(test)]
mod tests;
mod trust;

use crate::cluster::ids::{ClusterName, NodeId};
use crate::cluster::settings::SyncSettings;
use crate::engine::messages::outbox::NodeStore;
use crate::engine::random;
use lock::NodeLock;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Why an operation on disk failed. The text names the path and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    /// Another live process holds it.
    #[error("{what} is in use by {holder}; stop that process or choose another node id")]
    InUse {
        /// The node id or file.
        what: String,
        /// The process, as far as known.
        holder: String,
    },
    /// The operating system returned an error.
    #[error("{}: {detail}; {remedy}", .path.display())]
    Io {
        /// The path of the file or folder.
        path: PathBuf,
        /// The error.
        detail: String,
        /// What to do about it.
        remedy: &'static str,
        /// Whether there was no space left, so that it makes sense to retry later.
        full: bool,
    },
    /// A file that is in use is damaged.
    #[error("{}: the file is damaged ({detail}); restart the node, it sets the file aside and begins a new one", .path.display())]
    Damaged {
        /// The path of the file.
        path: PathBuf,
        /// What is wrong with its content.
        detail: String,
    },
    /// Another user could read or change a folder or file.
    #[error("{}: {detail}; remove it, or choose another state directory", .path.display())]
    Unsafe {
        /// The path of the folder or file.
        path: PathBuf,
        /// What is wrong with it.
        detail: String,
    },
    /// The store is closed, or its writer is gone.
    #[error("the store of this node is closed; restart the node")]
    Closed,
}

impl StateError {
    pub(super) fn io(path: &Path, error: &io::Error) -> Self {
        let full = matches!(
            error.kind(),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
        );
        let remedy = match error.kind() {
            _ if full => "free space on that disk",
            io::ErrorKind::PermissionDenied => "give this user access to it, or choose another state directory",
            io::ErrorKind::ReadOnlyFilesystem => "choose a state directory on a writable file system",
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => {
                "check the path of the state directory"
            }
            _ => "check that disk, or choose another state directory",
        };
        Self::Io { path: path.to_owned(), detail: error.to_string(), remedy, full }
    }
}

/// The file with the node ids generated on this host. It starts with a dot, which no node id does.
const GENERATED: &str = ".generated-ids";

/// How long to wait for another process that is choosing a generated id, or is starting a node.
const LOCK_WAIT: Duration = Duration::from_secs(5);

/// The lock that a process holds while it looks for a node of this host and starts one if there is none.
const STARTING: &str = ".starting.lock";

/// The exclusive right to start a node, until it is dropped; see [`StateDir::turn_to_start`].
#[derive(Debug)]
pub struct StartingTurn {
    _lock: NodeLock,
}

/// Creates the folder of a cluster if it is missing, and checks it and the state directory.
pub(super) fn make_folder(folder: &Path) -> Result<(), StateError> {
    match folder.parent().map(trust::state_root).transpose()? {
        None | Some(trust::Trust::Own) => private_file::private_folder(folder),
        Some(trust::Trust::Shared(owner)) => trust::own_folder(folder, owner),
    }
}

/// The folder of one cluster in the state directory.
#[derive(Debug, Clone)]
pub struct StateDir {
    folder: PathBuf,
    runtime: Option<PathBuf>,
    outbox_bytes: u64,
}

impl StateDir {
    /// Checks a state directory before it is used, and creates it if it is missing.
    ///
    /// # Errors
    /// [`StateError::Unsafe`] when another user could change its content; else the error of the disk.
    pub fn check_root(root: &Path) -> Result<(), StateError> {
        let root = std::path::absolute(root).map_err(|error| StateError::io(root, &error))?;
        trust::state_root(&root).map(drop)
    }

    /// Opens `<root>/<cluster>/`, and creates it if it is missing.
    ///
    /// # Errors
    /// [`StateError`] when the folder cannot be created, or belongs to another user.
    pub fn open(root: &Path, cluster: &ClusterName) -> Result<Self, StateError> {
        let root = std::path::absolute(root).map_err(|error| StateError::io(root, &error))?;
        let folder = root.join(cluster.as_str());
        make_folder(&folder)?;
        let runtime = std::env::var_os("XDG_RUNTIME_DIR").filter(|text| !text.is_empty()).map(PathBuf::from);
        Ok(Self { folder, runtime, outbox_bytes: SyncSettings::default().outbox_bytes })
    }

    /// Sets the maximum size of unsent messages of stores opened from here, in bytes. Default 256 MiB. Beyond it, sending
    /// fails with `overloaded`; a larger value needs more disk space during an outage of Redis.
    #[must_use]
    pub fn with_outbox_bytes(mut self, bytes: u64) -> Self {
        self.outbox_bytes = bytes;
        self
    }

    /// The folder, as an absolute path.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    pub(super) fn database_path(&self, id: &NodeId) -> PathBuf {
        self.folder.join(format!("{id}.redb"))
    }

    pub(super) fn take_lock(&self, id: &NodeId) -> Result<NodeLock, StateError> {
        NodeLock::take(&self.folder.join(format!("{id}.lock")), &format!("node id {id}"))
    }

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
    pub(super) fn lock_existing(&self, id: &NodeId) -> Result<(NodeLock, Option<NodeStore>), StateError> {
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
        let path = self.folder.join(GENERATED);
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
        let found = std::fs::read_dir(&self.folder).into_iter().flatten().filter_map(Result::ok);
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
        self.generated(&self.folder.join(GENERATED)).is_ok_and(|ids| ids.contains(id))
    }

    /// Waits for the exclusive right to look for a running node of this host and to start one if there is none, so that
    /// processes that do so at the same time end up with one node. Blocks for at most a few seconds.
    ///
    /// # Errors
    /// [`StateError::InUse`] when another process holds the right for that long; else the error of the disk.
    pub fn turn_to_start(&self) -> Result<StartingTurn, StateError> {
        self.wait_for_lock(STARTING, "the start of a node").map(|lock| StartingTurn { _lock: lock })
    }

    fn wait_for_lock(&self, name: &str, what: &str) -> Result<NodeLock, StateError> {
        let path = self.folder.join(name);
        let started = crate::clock::now();
        loop {
            match NodeLock::take(&path, what) {
                Err(StateError::InUse { .. }) if crate::clock::now().since(started) < LOCK_WAIT => {
                    std::thread::sleep(Duration::from_millis(10));
                }
                taken => return taken,
            }
        }
    }
}
