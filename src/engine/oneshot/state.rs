//! The state that a one-shot heartbeat saves for the next run.
//!
//! 1. It is void after a reboot: its times are those of the boot clock, which restarts.
//! 2. A file that cannot be parsed, or whose checksum is wrong, counts as absent.
//!
//! Not here: using the state (`crate::cli`).

use crate::cluster::history::Summary;
use crate::cluster::ids::NodeId;
use crate::cluster::oneshot::Saved;
use crate::engine::state_dir::{StateDir, StateError, checksum, private_file};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// The end of the file names.
const ENDING: &str = ".heartbeat.json";

/// The state saved between runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OneshotState {
    /// The boot that the times below belong to.
    pub boot_id: String,
    /// What the next run continues from.
    #[serde(flatten)]
    pub run: Saved,
    /// The number of heartbeats of this incarnation.
    #[serde(default)]
    pub beats: u64,
    /// The summary of its last ten minutes.
    #[serde(default)]
    pub summary: Option<Summary>,
}

impl OneshotState {
    /// Loads the state of the last run; `None`: there is none, it is from another boot, or it cannot be read.
    #[must_use]
    pub fn load(dir: &StateDir, id: &NodeId, boot_id: &str) -> Option<Self> {
        let path = path(dir, id);
        let text = match std::fs::read(&path) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return None,
            Err(error) => {
                tracing::warn!(file = %path.display(), %error, "cannot read the saved heartbeat state; starting without it");
                return None;
            }
        };
        if !checksum::is_intact(&text) {
            tracing::warn!(file = %path.display(), "the saved heartbeat state is damaged; starting without it");
            return None;
        }
        match serde_json::from_str::<Self>(&text) {
            Ok(state) if state.boot_id == boot_id => Some(state),
            Ok(_) => {
                tracing::debug!(file = %path.display(), "the saved heartbeat state is from before a reboot; starting without it");
                None
            }
            Err(error) => {
                tracing::warn!(file = %path.display(), %error, "cannot parse the saved heartbeat state; starting without it");
                None
            }
        }
    }

    /// Saves the state for the next run; it is on disk when the call returns.
    ///
    /// # Errors
    /// [`StateError`] when the disk fails; then the previous state is still there.
    pub fn store(&self, dir: &StateDir, id: &NodeId) -> Result<(), StateError> {
        let path = path(dir, id);
        let json = serde_json::to_string(self).map_err(|error| StateError::io(&path, &error.into()))?;
        let line = format!("{}\n", checksum::seal(&json));
        private_file::replace(&path, line.as_bytes())
    }

    /// The nodes with a saved state of this boot, by id.
    #[must_use]
    pub fn kept(dir: &StateDir, boot_id: &str) -> Vec<NodeId> {
        let files = std::fs::read_dir(dir.folder()).into_iter().flatten().flatten();
        let mut ids: Vec<NodeId> = files
            .filter_map(|file| NodeId::new(file.file_name().to_str()?.strip_suffix(ENDING)?).ok())
            .filter(|id| Self::load(dir, id, boot_id).is_some())
            .collect();
        ids.sort();
        ids
    }

    /// Removes the saved state, as after leaving the cluster.
    ///
    /// # Errors
    /// [`StateError`] when the disk fails.
    pub fn remove(dir: &StateDir, id: &NodeId) -> Result<(), StateError> {
        let path = path(dir, id);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(StateError::io(&path, &error)),
            _ => Ok(()),
        }
    }
}

/// The id of this boot of the host.
///
/// # Errors
/// [`StateError`] when the kernel does not report it.
pub fn boot_id() -> Result<String, StateError> {
    let path = Path::new("/proc/sys/kernel/random/boot_id");
    let text = std::fs::read_to_string(path).map_err(|error| StateError::io(path, &error))?;
    Ok(text.trim().to_owned())
}

fn path(dir: &StateDir, id: &NodeId) -> PathBuf {
    dir.folder().join(format!("{id}{ENDING}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::ids::{ClusterName, Incarnation, Nonce, Term};
    use crate::cluster::oneshot::HeldLease;
    use crate::cluster::protocol::Numbers;

    #[test]
    fn a_damaged_file_counts_as_absent_and_one_of_the_version_before_is_read() {
        let root = tempfile::tempdir().unwrap();
        let dir = StateDir::open(root.path(), &ClusterName::new("c").unwrap()).unwrap();
        let id = NodeId::new("a").unwrap();
        let state = OneshotState {
            boot_id: "boot".to_owned(),
            run: Saved {
                incarnation: Incarnation(1_234_567),
                process: Nonce::from_bytes([7; 16]),
                lease: Some(HeldLease { term: Term(41), deadline_ms: 123_456 }),
                numbers: Numbers { token: 1, event: 2, message: 3 },
                observed: None,
            },
            beats: 3,
            summary: None,
        };
        let flat = serde_json::to_value(&state).unwrap();
        assert_eq!(
            (&flat["incarnation"], &flat["lease"]["term"]),
            (&1_234_567.into(), &41.into()),
            "as written before"
        );
        state.store(&dir, &id).unwrap();
        assert_eq!(OneshotState::load(&dir, &id, "boot").as_ref(), Some(&state));
        let good = std::fs::read(path(&dir, &id)).unwrap();
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            std::fs::write(path(&dir, &id), &bad).unwrap();
            let loaded = OneshotState::load(&dir, &id, "boot");
            assert!(loaded.as_ref().is_none_or(|loaded| *loaded == state), "bit {bit}: {loaded:?}");
        }
        for length in 0..good.len() - 1 {
            std::fs::write(path(&dir, &id), &good[..length]).unwrap();
            assert_eq!(OneshotState::load(&dir, &id, "boot"), None, "{length} bytes");
        }
        std::fs::write(path(&dir, &id), serde_json::to_vec(&state).unwrap()).unwrap();
        assert_eq!(OneshotState::load(&dir, &id, "boot"), Some(state));
    }
}
