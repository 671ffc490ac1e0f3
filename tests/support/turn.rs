//! Whose turn it is: tests that measure times run alone, all others beside each other.
//!
//! 1. The order holds across threads and across processes, so with `cargo test` and other runners alike.
//!
//! Not here: what is measured.

use std::fs::File;
use std::path::Path;

/// The right to run, until dropped.
#[derive(Debug)]
pub struct Turn {
    _lock: File,
}

fn gate() -> File {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("turn.lock");
    File::options().create(true).truncate(false).write(true).open(&path).expect("the lock file of the tests opens")
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
