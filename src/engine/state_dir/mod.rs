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
mod gossip;
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
    pub(super) outbox_bytes: u64,
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

    /// Waits for the exclusive right to look for a running node of this host and to start one if there is none, so that
    /// processes that do so at the same time end up with one node. Blocks for at most a few seconds.
    ///
    /// # Errors
    /// [`StateError::InUse`] when another process holds the right for that long; else the error of the disk.
    pub fn turn_to_start(&self) -> Result<StartingTurn, StateError> {
        self.wait_for_lock(STARTING, "the start of a node").map(|lock| StartingTurn { _lock: lock })
    }

    pub(super) fn wait_for_lock(&self, name: &str, what: &str) -> Result<NodeLock, StateError> {
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
