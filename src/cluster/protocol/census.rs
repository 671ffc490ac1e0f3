//! The number of leases and tasks of the cluster, and the list of leases.

use super::lease::LeaseRecord;
use crate::cluster::ids::LeaseName;
use crate::cluster::task::TaskState;
use std::collections::BTreeMap;

/// Counts leases and tasks.
#[derive(Debug, Clone, PartialEq)]
pub struct TakeCensus;

/// The number of the cluster's leases and tasks at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Census {
    /// Named leases that are held or reserved for a waiter, without the leadership; an expired one counts until the next
    /// heartbeat of any node. `None`: they cannot be counted, because another program damaged the key.
    pub leases: Option<u64>,
    /// Tasks by state, including ended ones while they are kept. A state that cannot be counted at a bounded cost is
    /// omitted: `Waiting` while there are more than [`MOST_LANES`] kinds and requirements of ready tasks.
    pub tasks: BTreeMap<TaskState, u64>,
}

/// The maximum number of lanes of ready tasks that one census counts.
pub const MOST_LANES: usize = 5000;

/// Reads named leases that are held or reserved for a waiter, those that end first in front.
#[derive(Debug, Clone, PartialEq)]
pub struct ListLeases {
    /// The maximum number of leases.
    pub limit: u32,
}

/// A lease in a list.
#[derive(Debug, Clone, PartialEq)]
pub struct ListedLease {
    /// The name.
    pub name: LeaseName,
    /// The record.
    pub record: LeaseRecord,
}
