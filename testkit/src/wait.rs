//! Time as the tests know it: stamps on one host clock, waits on a condition, and holds with a reason.
//!
//! 1. A wait that times out says what was seen last.
//!
//! Not here: the bounds themselves, which stand in the tests.

use rustix::time::{ClockId, clock_gettime};
use std::fmt::Display;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// A reading of this host's monotonic clock, the same for all processes of the host.
pub type Stamp = Duration;

/// Reads the clock.
pub fn stamp() -> Stamp {
    let time = clock_gettime(ClockId::Monotonic);
    Duration::new(u64::try_from(time.tv_sec).unwrap(), u32::try_from(time.tv_nsec).unwrap())
}

/// Asks until `look` answers `Ok`, at most for `within`; then fails with what `look` said last.
#[track_caller]
pub fn eventually<T, E: Display>(what: &str, within: Duration, mut look: impl FnMut() -> Result<T, E>) -> T {
    let end = stamp() + within;
    loop {
        match look() {
            Ok(found) => return found,
            Err(seen) if stamp() >= end => panic!("not within {within:?}: {what}; last seen: {seen}"),
            Err(_) => std::thread::sleep(Duration::from_millis(5)),
        }
    }
}

/// Lets `duration` pass because the test is about that time; `why` says so to the reader.
pub fn hold(duration: Duration, why: &str) {
    assert!(!why.is_empty(), "a hold needs a reason");
    let end = stamp() + duration;
    while let Some(rest) = end.checked_sub(stamp()).filter(|rest| !rest.is_zero()) {
        std::thread::sleep(rest);
    }
}

/// Sets a flag when it goes out of scope, also by a panic: threads that go on until the flag is set then end, and a scope that waits for
/// them shows the failure instead of waiting for ever.
#[derive(Debug)]
pub struct Ends<'a>(pub &'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Makes sure that `look` stays `Ok` for `duration`, asking all the time.
#[track_caller]
pub fn always<E: Display>(what: &str, duration: Duration, mut look: impl FnMut() -> Result<(), E>) {
    let start = stamp();
    while stamp() < start + duration {
        if let Err(seen) = look() {
            panic!("after {:?} of {duration:?} no longer: {what}; seen: {seen}", stamp() - start);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Seconds, short.
pub fn secs(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}
