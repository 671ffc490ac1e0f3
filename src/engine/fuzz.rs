//! Files of the state directory, for the fuzz target.
//!
//! Not here: the targets' names (`crate::fuzz`), the outbox, whose library has its own targets.

#![allow(clippy::expect_used, reason = "a fuzz target fails by a panic")]

use super::history::spool;
use super::state_dir::StateDir;
use crate::cluster::ids::{ClusterName, NodeId};
use crate::engine::oneshot::state::OneshotState;
use std::path::Path;

/// Any content of a file of a one-shot heartbeat or of the spool is read, renamed as damaged, or skipped.
pub(crate) fn state_files(data: &[u8], folder: &Path) {
    let (name, id) = (ClusterName::new("c").expect("a name"), NodeId::new("a").expect("an id"));
    let dir = StateDir::open(folder, &name).expect("a folder to write into");
    std::fs::write(dir.folder().join("a.heartbeat.json"), data).expect("a folder to write into");
    if let Some(state) = OneshotState::load(&dir, &id, "boot") {
        state.store(&dir, &id).expect("a folder to write into");
        assert_eq!(OneshotState::load(&dir, &id, "boot"), Some(state));
    }
    spool::fuzz::of_bytes(&folder.join("spool"), data);
}
