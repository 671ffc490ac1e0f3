//! The interface for counting a store's calls.
//!
//! 1. Names come from [`CALLS`]; the content of calls is never seen.
//!
//! Not here: the use of the counts (`crate::engine`).

use crate::cluster::protocol::{Fault, TRANSITIONS};
use std::time::Duration;

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// With an answer.
    Answered,
    /// With an error of the store.
    Refused,
    /// Without an answer.
    Unavailable,
}

impl Ended {
    /// Classifies an outcome.
    #[must_use]
    pub fn of<T>(outcome: &Result<T, Fault>) -> Self {
        match outcome {
            Ok(_) => Self::Answered,
            Err(Fault::Refused(_) | Fault::Unwritable(_)) => Self::Refused,
            Err(Fault::Unavailable(_)) => Self::Unavailable,
        }
    }
}

/// A counter of calls.
pub trait Meter: Send + Sync + 'static {
    /// Counts a call that ended. `call` is one of [`CALLS`].
    fn count(&self, call: &'static str, took: Duration, ended: Ended);
}

/// The names of all calls: the transitions, the reads, and the ping on the presence connection.
pub const CALLS: [&str; TRANSITIONS.len() + 3] = {
    let mut names = ["events"; TRANSITIONS.len() + 3];
    let mut at = 0;
    while at < TRANSITIONS.len() {
        names[at] = TRANSITIONS[at];
        at += 1;
    }
    names[at] = "messages";
    names[at + 1] = "ping";
    names
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_script_and_read_has_a_name_of_its_own() {
        let mut names = CALLS.to_vec();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), CALLS.len());
    }
}
