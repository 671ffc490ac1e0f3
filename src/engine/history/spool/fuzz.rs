//! Spool files of any content, for the fuzz target.
//!
//! Not here: the targets' names (`crate::fuzz`).

#![allow(clippy::expect_used, reason = "a fuzz target fails by a panic")]

use super::{MOST_BYTES, Spool};
use std::path::Path;

/// A file of these bytes is taken over, set aside or passed over, and leaves nothing that is read again and again.
pub(crate) fn of_bytes(folder: &Path, bytes: &[u8]) {
    let _ = std::fs::remove_dir_all(folder);
    std::fs::create_dir_all(folder).expect("a folder to write into");
    std::fs::write(folder.join(format!("a-1.{}", super::ENDING)), bytes).expect("a folder to write into");
    let mut spool = Spool::within(folder, "b", MOST_BYTES);
    spool.take_over();
    let mut taken = 0;
    while let Some(portion) = spool.front(500) {
        taken += portion.entries;
        assert!(portion.entries > 0 && taken <= bytes.len(), "what is confirmed does not come again");
        spool.confirm(portion.entries);
    }
    spool.close();
}
