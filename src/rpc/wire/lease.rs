//! Leases: one holder at a time for a name, with a fencing token.
//!
//! 1. Names, times and request ids are bounded here; what is refused here never reaches the store.
//!
//! Not here: who is granted a lease (`crate::engine`, `crate::store`).

use crate::cluster::ids::{LeaseName, Term};
use crate::cluster::protocol::{LONGEST_REQUEST_ID, ListedLease};
use crate::cluster::time::ServerTime;
use crate::engine::node::handle;
use crate::rpc::errors::RpcError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The shortest and the longest lease, in milliseconds: 100 ms and a day.
pub const TTL_MS: (u64, u64) = (100, 86_400_000);
/// The longest wait for a lease, in milliseconds: an hour.
pub const MAX_WAIT_MS: u64 = 3_600_000;

/// The parameters of `distributed.acquire_lease`, in the order of their positions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AcquireParams {
    /// The name of the lease: 1 to 128 characters of a-z, A-Z, 0-9, `.`, `_`, `-`, `:` and `/`.
    #[schemars(regex(pattern = r"^[a-zA-Z0-9_:/][a-zA-Z0-9._:/-]{0,127}$"))]
    pub name: String,
    /// How long the lease lasts without a renewal, in milliseconds.
    #[schemars(range(min = 100, max = 86_400_000))]
    pub ttl_ms: u64,
    /// How long to wait in the queue for the lease, in milliseconds, at most one hour. 0: do not wait.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 3_600_000), extend("default" = 0))]
    pub wait_ms: Option<u64>,
    /// An id of your choice for this call. A repeated call with the same id returns the first grant instead of a second
    /// one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 200))]
    pub request_id: Option<String>,
}

/// The result of `distributed.acquire_lease`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AcquireResult {
    /// The name of the lease.
    pub name: String,
    /// Whether the caller now holds the lease.
    pub acquired: bool,
    /// The fencing token of the current holder. Every grant in the cluster has a higher token than all grants before it.
    /// Null: the lease is free.
    pub token: Option<u64>,
    /// The node id of the holder; null: the lease is free.
    pub holder: Option<String>,
    /// When the lease expires unless it is renewed, in milliseconds of the Redis server's clock; null: the lease is free.
    pub expires_at_ms: Option<u64>,
}

/// The parameters of `distributed.list_leases`, in the order of their positions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListLeasesParams {
    /// The maximum number of leases to return.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000), extend("default" = 100))]
    pub limit: Option<u64>,
}

/// A lease in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Lease {
    /// The name of the lease.
    pub name: String,
    /// The node id of the holder; null: it is reserved for a waiter.
    pub holder: Option<String>,
    /// The fencing token of the last grant.
    pub token: u64,
    /// When the lease expires unless it is renewed, in milliseconds of the Redis server's clock; null: nobody holds it.
    pub expires_at_ms: Option<u64>,
    /// The number of callers that wait for the lease.
    pub waiting: u64,
}

/// The result of `distributed.list_leases`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ListLeasesResult {
    /// The leases, those that end first in front. The leadership is not among them.
    pub leases: Vec<Lease>,
    /// Whether there are more than `limit`.
    pub more: bool,
}

impl ListLeasesParams {
    /// The maximum number of leases to return.
    ///
    /// # Errors
    /// When it is out of bounds.
    pub fn limit(&self) -> Result<u32, RpcError> {
        let limit = self.limit.unwrap_or(100);
        let fits = u32::try_from(limit).ok().filter(|limit| (1..=1_000).contains(limit));
        fits.ok_or_else(|| RpcError::parameter("limit", "it must be 1 to 1000"))
    }
}

impl From<ListedLease> for Lease {
    fn from(listed: ListedLease) -> Self {
        let record = listed.record;
        let held = record.holder.is_some();
        Self {
            name: listed.name.into(),
            holder: record.holder.map(|owner| owner.node_id.into()),
            token: record.token.0,
            expires_at_ms: held.then_some(record.expires_at.0),
            waiting: record.waiters,
        }
    }
}

/// The parameters of `distributed.renew_lease`, in the order of their positions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RenewParams {
    /// The name of the lease.
    #[schemars(regex(pattern = r"^[a-zA-Z0-9_:/][a-zA-Z0-9._:/-]{0,127}$"))]
    pub name: String,
    /// The token that the lease was granted with.
    pub token: u64,
    /// How long the lease lasts from now on, in milliseconds. Default: as long as before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 100, max = 86_400_000))]
    pub ttl_ms: Option<u64>,
}

/// The result of `distributed.renew_lease`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RenewResult {
    /// The name of the lease.
    pub name: String,
    /// The token of the lease; a renewal does not change it.
    pub token: u64,
    /// When the lease expires unless it is renewed again, in milliseconds of the Redis server's clock.
    pub expires_at_ms: u64,
}

/// The parameters of `distributed.release_lease` and `distributed.check_lease`, in the order of their positions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HeldParams {
    /// The name of the lease.
    #[schemars(regex(pattern = r"^[a-zA-Z0-9_:/][a-zA-Z0-9._:/-]{0,127}$"))]
    pub name: String,
    /// The token that the lease was granted with.
    pub token: u64,
}

/// The result of `distributed.release_lease`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReleaseResult {
    /// The name of the lease.
    pub name: String,
    /// Always true: a stale token is an error.
    pub released: bool,
}

/// The result of `distributed.check_lease`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CheckResult {
    /// Whether the token holds the lease at this instant.
    pub valid: bool,
}

fn lease_name(text: String) -> Result<LeaseName, RpcError> {
    LeaseName::new(text).map_err(|why| RpcError::parameter("name", why))
}

impl TryFrom<AcquireParams> for handle::AcquireRequest {
    type Error = RpcError;

    fn try_from(params: AcquireParams) -> Result<Self, RpcError> {
        let AcquireParams { name, ttl_ms, wait_ms, request_id: id } = params;
        let (name, ttl) = (lease_name(name)?, ttl(ttl_ms)?);
        Ok(Self { name, ttl, wait: wait(wait_ms)?, request_id: request_id(id)? })
    }
}

impl TryFrom<HeldParams> for handle::HeldLease {
    type Error = RpcError;

    fn try_from(HeldParams { name, token }: HeldParams) -> Result<Self, RpcError> {
        Ok(Self { name: lease_name(name)?, token: Term(token) })
    }
}

impl RenewParams {
    /// The lease, and the duration that was asked for.
    pub(crate) fn request(self) -> Result<(handle::HeldLease, Option<Duration>), RpcError> {
        let held = HeldParams { name: self.name, token: self.token }.try_into()?;
        Ok((held, self.ttl_ms.map(ttl).transpose()?))
    }
}

impl RenewResult {
    /// The result for a lease that was renewed until `until`.
    pub(crate) fn new(held: handle::HeldLease, until: ServerTime) -> Self {
        Self { name: held.name.into(), token: held.token.0, expires_at_ms: until.0 }
    }
}

impl AcquireResult {
    /// Splits the node's answer into the result, and the handout that takes the grant back if the result is never written.
    pub(crate) fn split(lease: handle::AcquiredLease) -> (Self, Option<handle::Handout>) {
        let handle::AcquiredLease { name, acquired, held, handout } = lease;
        let (mut holder, mut token, mut expires_at_ms) = (None, None, None);
        if let Some((node, number, until)) = held {
            (holder, token, expires_at_ms) = (Some(node.into()), Some(number.0), Some(until.0));
        }
        (Self { name: name.into(), acquired, token, holder, expires_at_ms }, handout)
    }
}

/// Checks the duration of a lease.
fn ttl(ttl_ms: u64) -> Result<Duration, RpcError> {
    between("ttl_ms", ttl_ms, TTL_MS)?;
    Ok(Duration::from_millis(ttl_ms))
}

/// Checks how long a call wants to wait.
pub(crate) fn wait(wait_ms: Option<u64>) -> Result<Duration, RpcError> {
    let wait_ms = wait_ms.unwrap_or(0);
    between("wait_ms", wait_ms, (0, MAX_WAIT_MS))?;
    Ok(Duration::from_millis(wait_ms))
}

/// Checks a request id.
pub(crate) fn request_id(text: Option<String>) -> Result<Option<String>, RpcError> {
    let Some(text) = text else { return Ok(None) };
    if text.is_empty() || text.len() > LONGEST_REQUEST_ID || text.chars().any(char::is_control) {
        let problem = format!("use 1 to {LONGEST_REQUEST_ID} bytes without control characters");
        return Err(RpcError::parameter("request_id", problem));
    }
    Ok(Some(text))
}

/// Checks that a number is within its bounds, both included.
pub(crate) fn between(parameter: &str, value: u64, (least, most): (u64, u64)) -> Result<(), RpcError> {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    Err(RpcError::parameter(parameter, format!("it is {value}, {least} to {most} is allowed")))
}
