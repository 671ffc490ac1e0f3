//! The path of a node's socket, and how clients find it.
//!
//! 1. The path of a socket has at most 100 bytes, because the operating system's limit is little more.
//! 2. A socket is in a folder that only this user can enter; that is checked before the socket is created and before it is
//!    used.
//! 3. From the state directory every socket of the cluster can be found, even one in another folder: a note contains its
//!    path.
//!
//! Not here: listening and connecting (`crate::rpc`).

use super::{StateDir, StateError, private_file};
use crate::cluster::ids::NodeId;
use std::path::{Path, PathBuf};

/// The longest path in bytes; the address of a unix socket holds 108, 104 on some systems, with the zero at its end.
const MAX_PATH: usize = 100;

impl StateDir {
    /// The path of a node's socket: `<node_id>.sock` in the folder, or a short hashed name if that path is too long. Only
    /// computes the path (and reads the note of [`Self::prepare_socket`]); creates nothing.
    #[must_use]
    pub fn socket_path(&self, id: &NodeId) -> PathBuf {
        let plain = self.folder.join(format!("{id}.sock"));
        if fits(&plain) {
            return plain;
        }
        // The listening process may have another XDG_RUNTIME_DIR than this one; its note is right.
        match self.read_note(&self.note_path(id)) {
            Some((noted, path)) if noted == *id => path,
            _ => self.hashed_path(id),
        }
    }

    /// As [`Self::socket_path`], checked for connecting: another user must not be able to put a socket there.
    ///
    /// # Errors
    /// [`StateError::Unsafe`] when other users can enter the folder of the socket; a folder that does not exist is no
    /// error, as no process listens in it.
    pub fn checked_socket(&self, id: &NodeId) -> Result<PathBuf, StateError> {
        let path = self.socket_path(id);
        if let Some(folder) = path.parent().filter(|folder| *folder != self.folder && folder.symlink_metadata().is_ok())
        {
            private_file::check_guarded(folder)?;
        }
        Ok(path)
    }

    /// Creates what the socket of a node needs before it can be bound: the folder, checked, and the note for clients.
    ///
    /// # Errors
    /// [`StateError::Unsafe`] when other users can enter the short folder; else the error of the disk.
    pub fn prepare_socket(&self, id: &NodeId) -> Result<PathBuf, StateError> {
        super::make_folder(&self.folder)?;
        let plain = self.folder.join(format!("{id}.sock"));
        if fits(&plain) {
            return Ok(plain);
        }
        let path = self.hashed_path(id);
        if let Some(folder) = path.parent().filter(|folder| *folder != self.folder) {
            private_file::guarded_folder(folder)?;
        }
        private_file::replace(&self.note_path(id), format!("{id}\n{}\n", path.display()).as_bytes())?;
        Ok(path)
    }

    /// The existing sockets of this cluster, by node id; a socket may be left over from a process that died. A socket in a
    /// folder that other users can enter is left out with a warning.
    #[must_use]
    pub fn sockets(&self) -> Vec<(NodeId, PathBuf)> {
        let mut found = Vec::new();
        let entries = std::fs::read_dir(&self.folder).into_iter().flatten().flatten();
        for name in entries.filter_map(|entry| entry.file_name().into_string().ok()) {
            let plain = name.strip_suffix(".sock").and_then(|stem| NodeId::new(stem).ok());
            if let Some(id) = plain {
                found.push((id, self.folder.join(&name)));
            } else if name.starts_with('+') && name.ends_with(".id") {
                found.extend(self.read_note(&self.folder.join(&name)).filter(|(_, path)| self.usable(path)));
            }
        }
        found.sort();
        found
    }

    fn usable(&self, path: &Path) -> bool {
        if !path.exists() {
            return false;
        }
        let Some(folder) = path.parent() else { return false };
        if folder == self.folder {
            return true;
        }
        match private_file::check_guarded(folder) {
            Ok(()) => true,
            Err(error) => {
                tracing::warn!(%error, "ignoring a socket whose folder is not private");
                false
            }
        }
    }

    fn note_path(&self, id: &NodeId) -> PathBuf {
        self.folder.join(format!("+{}.id", short_hash(&[id.as_str().as_bytes()])))
    }

    fn read_note(&self, path: &Path) -> Option<(NodeId, PathBuf)> {
        let text = std::fs::read_to_string(path).ok()?;
        let (id, socket) = text.trim_end_matches('\n').split_once('\n')?;
        Some((NodeId::new(id).ok()?, PathBuf::from(socket)))
    }

    /// The first of the short paths that fits. No node id starts with '+', so no plain name is taken.
    fn hashed_path(&self, id: &NodeId) -> PathBuf {
        let here = self.folder.join(format!("+{}.sock", short_hash(&[id.as_str().as_bytes()])));
        if fits(&here) {
            return here;
        }
        // Many state directories share the short folder, so the hash covers the whole path.
        let whole = short_hash(&[self.folder.as_os_str().as_encoded_bytes(), id.as_str().as_bytes()]);
        let name = format!("+{whole}.sock");
        let runtime = self.runtime.as_ref().filter(|folder| folder.is_absolute() && folder.is_dir());
        if let Some(path) = runtime.map(|folder| folder.join("clawster").join(&name)).filter(|path| fits(path)) {
            return path;
        }
        let me = rustix::process::geteuid().as_raw();
        PathBuf::from(format!("/tmp/clawster-{me}")).join(name)
    }
}

fn fits(path: &Path) -> bool {
    path.as_os_str().len() <= MAX_PATH
}

/// 16 hexadecimal digits; the same in every release, unlike the hash of the standard library.
fn short_hash(parts: &[&[u8]]) -> String {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for part in parts {
        // The zero byte distinguishes "a" + "bc" from "ab" + "c".
        for byte in part.iter().chain(&[0]) {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    format!("{hash:016x}")
}
