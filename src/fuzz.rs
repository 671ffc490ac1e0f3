//! Fuzz targets: everything that comes in from outside as bytes. Built for tests and for `scripts/fuzz` only.
//!
//! 1. A target takes any bytes, panics on none, and checks what must hold of the result.
//! 2. Inputs that fuzzing found are kept in `tests/fuzz/corpus/<target>`; every test run repeats them.

#![allow(clippy::expect_used, reason = "a fuzz target fails by a panic")]

use std::path::PathBuf;

/// A target takes bytes and panics where something is wrong.
pub type Target = fn(&[u8]);

/// The targets by their names.
pub const TARGETS: [(&str, Target); 8] = [
    ("framing", crate::rpc::fuzz::framing),
    ("requests", crate::rpc::fuzz::requests),
    ("parameters", crate::rpc::fuzz::parameters),
    ("mcp", crate::rpc::fuzz::mcp_lines),
    ("replies", crate::store::redis::fuzz::replies),
    ("entries", crate::store::redis::fuzz::entries),
    ("configuration", |data| crate::config::fuzz::files(data, &folder("configuration"))),
    ("state", |data| crate::engine::fuzz::state_files(data, &folder("state"))),
];

/// A folder of this process in memory where there is one, since a target writes files for each try.
fn folder(target: &str) -> PathBuf {
    let memory = PathBuf::from("/dev/shm");
    let root = if memory.is_dir() { memory } else { std::env::temp_dir() };
    let folder = root.join(format!("clawster-fuzz-{}-{target}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder to write into");
    folder
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fuzzing_found_once_is_tried_again() {
        let corpus = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus");
        for (name, target) in TARGETS {
            let files: Vec<_> =
                std::fs::read_dir(corpus.join(name)).unwrap().map(|file| file.unwrap().path()).collect();
            assert!(!files.is_empty(), "{name} has no corpus");
            for file in files {
                target(&std::fs::read(file).unwrap());
            }
            let _ = std::fs::remove_dir_all(folder(name));
        }
    }
}
