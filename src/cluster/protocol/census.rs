//! How many leases and tasks the cluster has.

use crate::cluster::task::TaskState;
use std::collections::BTreeMap;

/// Counts of the cluster's leases and tasks at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Census {
    /// Named leases that are held or kept for a waiter; one that is over counts until the next heartbeat of any node. The
    /// leadership is not among them. `None`: they cannot be counted, because somebody else broke the key.
    pub leases: Option<u64>,
    /// Tasks by their state, ended ones as long as they are kept. A state that cannot be counted at a bounded cost is left
    /// out: `Waiting` while there are more than [`MOST_LANES`] kinds and requirements of ready tasks.
    pub tasks: BTreeMap<TaskState, u64>,
}

/// How many lanes of ready tasks one census counts.
pub const MOST_LANES: usize = 5000;
