//! Whose turn it is: tests that measure times run alone, all others beside each other, a few at a time.
//!
//! 1. A test has one turn, however many servers it starts.
//! 2. Tests that run alone wait until no other test of this program runs or waits; so they come last and hold up nobody, provided that
//!    there is a thread for each of them (`RUST_TEST_THREADS`).
//! 3. Tests of other programs are kept apart from those that run alone as well, with `cargo test` and other runners alike.
//!
//! Not here: what is measured.

use std::cell::RefCell;
use std::fs::File;
use std::sync::{Arc, Condvar, LazyLock, Mutex, MutexGuard, PoisonError, Weak};

/// How many tests run beside each other. They wait for most of their time, so more than there are cores.
static MOST: LazyLock<usize> = LazyLock::new(|| 3 * std::thread::available_parallelism().map_or(2, usize::from));

/// The tests of this program that have a turn or wait for one.
#[derive(Debug)]
struct Tests {
    beside: usize,
    waiting: usize,
    alone: bool,
}

static TESTS: Mutex<Tests> = Mutex::new(Tests { beside: 0, waiting: 0, alone: false });
static CHANGED: Condvar = Condvar::new();

thread_local! {
    /// The turn of the test that this thread belongs to.
    static OWN: RefCell<Weak<Permit>> = const { RefCell::new(Weak::new()) };
}

/// The right to run, until dropped.
#[derive(Debug, Clone)]
pub struct Turn {
    _permit: Arc<Permit>,
}

#[derive(Debug)]
struct Permit {
    alone: bool,
    /// Locked for as long as the turn lasts: alone or with others.
    _file: File,
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut tests = lock();
        if self.alone {
            tests.alone = false;
        } else {
            tests.beside -= 1;
        }
        CHANGED.notify_all();
    }
}

fn lock() -> MutexGuard<'static, Tests> {
    TESTS.lock().unwrap_or_else(PoisonError::into_inner)
}

fn wait_while(tests: MutexGuard<'static, Tests>, wait: impl Fn(&Tests) -> bool) -> MutexGuard<'static, Tests> {
    CHANGED.wait_while(tests, |tests| wait(tests)).unwrap_or_else(PoisonError::into_inner)
}

/// The turn of this thread's test, or a new one.
fn turn(alone: bool) -> Turn {
    if let Some(permit) = OWN.with_borrow(Weak::upgrade) {
        assert!(permit.alone || !alone, "a test that runs beside others cannot run alone any more");
        return Turn { _permit: permit };
    }
    if alone {
        wait_while(lock(), |tests| tests.alone || tests.beside + tests.waiting > 0).alone = true;
    } else {
        let mut tests = lock();
        tests.waiting += 1;
        let mut tests = wait_while(tests, |tests| tests.alone || tests.beside >= *MOST);
        tests.waiting -= 1;
        tests.beside += 1;
    }
    // A file that is there in every checkout, and that nothing else locks.
    let file = File::open(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")).expect("this crate's manifest opens");
    let locked = if alone { file.lock() } else { file.lock_shared() };
    locked.expect("a lock is granted");
    let permit = Arc::new(Permit { alone, _file: file });
    OWN.set(Arc::downgrade(&permit));
    Turn { _permit: permit }
}

/// Runs beside other tests.
#[must_use]
pub fn beside() -> Turn {
    turn(false)
}

/// Runs while no other test does, for bounds that a busy machine would break.
#[must_use]
pub fn alone() -> Turn {
    turn(true)
}
