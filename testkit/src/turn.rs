//! Whose turn it is: tests that measure times run alone, all others beside each other.
//!
//! 1. The order holds across threads and across processes, so with `cargo test` and other runners alike.
//!
//! Not here: what is measured.

use std::fs::File;

/// The right to run, until dropped.
#[derive(Debug)]
pub struct Turn {
    _lock: File,
}

/// What is locked: a file that is there in every checkout, and that nothing else locks.
fn gate() -> File {
    File::open(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")).expect("this crate's manifest opens")
}

/// Runs beside other tests.
pub fn beside() -> Turn {
    let lock = gate();
    lock.lock_shared().expect("a shared lock is granted");
    Turn { _lock: lock }
}

/// Runs while no other test does, for bounds that a busy machine would break.
pub fn alone() -> Turn {
    let lock = gate();
    lock.lock().expect("an exclusive lock is granted");
    Turn { _lock: lock }
}
