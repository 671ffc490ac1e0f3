//! The interface for counting a store's calls.
//!
//! 1. Names come from [`CALLS`]; the content of calls is never seen.
//!
//! Not here: the use of the counts (`crate::engine`).

use crate::cluster::protocol::{Call, Fault, LeaseCall, TaskCall};
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

/// The names of all calls; the last ones are reads, and the ping on the presence connection.
pub const CALLS: [&str; 34] = [
    "join",
    "tick",
    "view",
    "leave",
    "resign",
    "hand_over",
    "campaign",
    "register",
    "watch",
    "sweep",
    "publish",
    "acknowledge",
    "lease_acquire",
    "lease_renew",
    "lease_release",
    "lease_check",
    "lease_forget",
    "lease_withdraw",
    "lease_watch",
    "once",
    "drain",
    "task_submit",
    "task_claim",
    "task_withdraw",
    "task_settle",
    "task_cancel",
    "task_redrive",
    "task_get",
    "task_list",
    "events",
    "messages",
    "census",
    "settings",
    "ping",
];

/// The name of a call.
#[must_use]
pub fn name_of(call: &Call) -> &'static str {
    match call {
        Call::Join(_) => "join",
        Call::Tick(_) => "tick",
        Call::View(_) => "view",
        Call::Leave { .. } => "leave",
        Call::Resign { .. } => "resign",
        Call::HandOver { .. } => "hand_over",
        Call::Campaign(_) => "campaign",
        Call::Register { .. } => "register",
        Call::Watch => "watch",
        Call::Sweep { .. } => "sweep",
        Call::Publish(_) => "publish",
        Call::Acknowledge { .. } => "acknowledge",
        Call::Lease(call) => match &**call {
            LeaseCall::Acquire(_) => "lease_acquire",
            LeaseCall::Renew { .. } => "lease_renew",
            LeaseCall::Release { .. } => "lease_release",
            LeaseCall::Check { .. } => "lease_check",
            LeaseCall::Forget { .. } => "lease_forget",
            LeaseCall::Withdraw { .. } => "lease_withdraw",
            LeaseCall::Watch { .. } => "lease_watch",
        },
        Call::Once(_) => "once",
        Call::Drain(_) => "drain",
        Call::Task(call) => match &**call {
            TaskCall::Submit { .. } => "task_submit",
            TaskCall::Claim(_) => "task_claim",
            TaskCall::Withdraw { .. } => "task_withdraw",
            TaskCall::Settle { .. } => "task_settle",
            TaskCall::Cancel { .. } => "task_cancel",
            TaskCall::Redrive { .. } => "task_redrive",
            TaskCall::Get { .. } => "task_get",
            TaskCall::List { .. } => "task_list",
        },
        Call::Census => "census",
        Call::Settings { .. } => "settings",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_script_and_read_has_a_name_of_its_own() {
        let mut names = CALLS.to_vec();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), CALLS.len());
        assert!(CALLS.contains(&name_of(&Call::Watch)));
    }
}
