//! Reaps the orphans that process 1 of a container inherits; without it each stays a zombie for as long as the container runs.
//!
//! 1. A child that some part of this process waits for is left to it: only one that had already ended at the look before is reaped,
//!    and the parts of this process wait for theirs at once.
//!
//! Not here: the orphans of a command under a guardian (`descendants.rs`).

use super::descendants::{children, reap};
use rustix::process::Pid;
use std::collections::BTreeSet;

/// The ended children of the last look.
#[derive(Debug, Default)]
pub struct Orphans(BTreeSet<i32>);

impl Orphans {
    /// Looks for ended children, and reaps those that had ended at the last call. At least a second must pass between two calls.
    pub fn reap(&mut self) {
        let ended: Vec<Pid> = children().into_iter().filter(|child| child.ended).map(|child| child.pid).collect();
        let known = std::mem::take(&mut self.0);
        for pid in ended {
            let number = pid.as_raw_nonzero().get();
            if !(known.contains(&number) && reap(pid)) {
                self.0.insert(number);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_that_nobody_waits_for_is_reaped_at_the_second_look() {
        let mut child = std::process::Command::new("true").spawn().expect("true runs");
        let pid = Pid::from_child(&child);
        let is_zombie = || children().iter().any(|known| known.pid == pid && known.ended);
        let end = crate::clock::now() + std::time::Duration::from_secs(20);
        while !is_zombie() {
            assert!(crate::clock::now() < end, "the end of the child is not seen");
        }
        let mut orphans = Orphans::default();
        orphans.0.insert(-1);
        // Of the zombies only this test's: other tests of this process wait for theirs.
        orphans.reap();
        assert!(is_zombie(), "its owner may be about to wait for it");
        orphans.0.retain(|number| *number == pid.as_raw_nonzero().get());
        orphans.reap();
        assert!(!is_zombie());
        assert!(child.wait().is_err(), "nothing is left to wait for");
    }
}
