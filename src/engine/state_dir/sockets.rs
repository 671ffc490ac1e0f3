//! Where a node's socket lies, and how clients find it.
//!
//! 1. A socket's path has at most 100 bytes, because the operating system takes little more.
//! 2. A socket lies in a folder that only this user can enter, checked before it is made and before it is used.
//! 3. Whoever has the state directory finds every socket of the cluster, also one that lies elsewhere: a note names it.
//!
//! Not here: listening and connecting (`crate::rpc`).

use super::{StateDir, StateError, private_file};
use crate::cluster::ids::NodeId;
use std::path::{Path, PathBuf};

/// The longest path in bytes; the address of a unix socket holds 108, 104 on some systems, with the zero at its end.
const MAX_PATH: usize = 100;

impl StateDir {
    /// Where the socket of a node lies: `<node_id>.sock` in the folder, or under a short hashed name where that path is too
    /// long. Only computes (and looks at the note that [`Self::prepare_socket`] left); makes nothing.
    #[must_use]
    pub fn socket_path(&self, id: &NodeId) -> PathBuf {
        let plain = self.folder.join(format!("{id}.sock"));
        if fits(&plain) {
            return plain;
        }
        // The process that listens may have another XDG_RUNTIME_DIR than this one; what it noted is right.
        match self.read_note(&self.note_path(id)) {
            Some((noted, path)) if noted == *id => path,
            _ => self.hashed_path(id),
        }
    }

    /// [`Self::socket_path`], checked for connecting: another user must not be able to put a socket of theirs there.
    ///
    /// # Errors
    /// [`StateError::Unsafe`] when the folder that it lies in is not this user's alone; a folder that does not exist is
    /// no error, as nobody listens in it.
    pub fn checked_socket(&self, id: &NodeId) -> Result<PathBuf, StateError> {
        let path = self.socket_path(id);
        if let Some(folder) = path.parent().filter(|folder| *folder != self.folder && folder.symlink_metadata().is_ok())
        {
            private_file::check_guarded(folder)?;
        }
        Ok(path)
    }

    /// Makes what the socket of a node needs before it can be bound: the folder, checked, and the note that clients read.
    ///
    /// # Errors
    /// [`StateError::Unsafe`] when the short folder is not this user's alone; else what the disk said.
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

    /// The sockets of this cluster that exist, by node id; one of them may be left over from a process that died.
    /// A socket in a folder that is not this user's alone is left out with a warning.
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

    /// The first of the short places that fits. No node id starts with '+', so no plain name is taken.
    fn hashed_path(&self, id: &NodeId) -> PathBuf {
        let here = self.folder.join(format!("+{}.sock", short_hash(&[id.as_str().as_bytes()])));
        if fits(&here) {
            return here;
        }
        // Many state directories share the short folder, so the hash is over the whole path.
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
        // The zero byte keeps "a" + "bc" apart from "ab" + "c".
        for byte in part.iter().chain(&[0]) {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    format!("{hash:016x}")
}
