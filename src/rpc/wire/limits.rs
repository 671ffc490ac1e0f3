//! Limits across the cluster: permits of a rate, and slots.
//!
//! 1. Every bound is checked here; the error names the parameter and the allowed values.
//!
//! Not here: who gets permits and slots (`crate::engine`, `crate::store`).

use super::lease::{TTL_MS, between, request_id, wait};
use crate::cluster::ids::{LimitName, TaskToken};
use crate::cluster::protocol::{LONGEST_PERIOD, MOST_PERMITS, MOST_SLOTS};
use crate::cluster::time::{ServerTime, millis};
use crate::engine::node::handle;
use crate::rpc::errors::RpcError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The parameters of `distributed.take_permits`, in the order of their positions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PermitsParams {
    /// The name of the limit, 1 to 128 printable characters without spaces. All callers of a name share one bucket and
    /// should pass the same rate and burst.
    #[schemars(length(min = 1, max = 128))]
    pub name: String,
    /// How many permits to take, at most `burst`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000), extend("default" = 1))]
    pub permits: Option<u64>,
    /// How many permits come back every `per_ms`.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub rate: u64,
    /// The time that `rate` refers to, in milliseconds, at most 31 days.
    #[schemars(range(min = 1, max = 2_678_400_000_u64))]
    pub per_ms: u64,
    /// How many permits the bucket holds: the most that can be taken at once after a pause.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub burst: u64,
    /// How long to wait for the permits, in milliseconds, at most one hour. If they cannot be there in time, the answer
    /// comes at once. 0: do not wait.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 3_600_000), extend("default" = 0))]
    pub wait_ms: Option<u64>,
    /// An id of your choice for this call. A repeated call of this node with the same id, within an hour, returns the same
    /// permits instead of taking more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 200))]
    pub request_id: Option<String>,
}

/// The result of `distributed.take_permits`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PermitsResult {
    /// Whether the caller has the permits.
    pub granted: bool,
    /// How many permits were left after the call.
    pub remaining: u64,
    /// Null if granted. Otherwise: after how many milliseconds there are enough permits, if nobody else takes any.
    pub retry_after_ms: Option<u64>,
    /// Since when the permits are valid, in milliseconds of the Redis server's clock; null: not granted.
    pub granted_at_ms: Option<u64>,
}

/// The parameters of `distributed.acquire_slot`, in the order of their positions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SlotParams {
    /// The name of the semaphore, 1 to 128 printable characters without spaces. All callers of a name should pass the
    /// same number of slots.
    #[schemars(length(min = 1, max = 128))]
    pub name: String,
    /// How many may hold a slot at once.
    #[schemars(range(min = 1, max = 10_000))]
    pub slots: u64,
    /// How long the slot lasts without a renewal, in milliseconds.
    #[schemars(range(min = 100, max = 86_400_000))]
    pub ttl_ms: u64,
    /// How long to wait in the queue for a slot, in milliseconds, at most one hour. 0: do not wait.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 3_600_000), extend("default" = 0))]
    pub wait_ms: Option<u64>,
    /// An id of your choice for this call. A repeated call with the same id returns the first slot instead of a second one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 200))]
    pub request_id: Option<String>,
}

/// The result of `distributed.acquire_slot`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SlotResult {
    /// Whether the caller now holds a slot.
    pub acquired: bool,
    /// The fencing token of the slot, higher than all tokens before it; null: not acquired.
    pub token: Option<u64>,
    /// How many slots are in use.
    pub in_use: u64,
    /// When the slot expires unless it is renewed, in milliseconds of the Redis server's clock; null: not acquired.
    pub expires_at_ms: Option<u64>,
}

/// The parameters of `distributed.release_slot`, in the order of their positions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HeldSlotParams {
    /// The name of the semaphore.
    #[schemars(length(min = 1, max = 128))]
    pub name: String,
    /// The token that the slot was granted with.
    pub token: u64,
}

/// The result of `distributed.release_slot`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReleasedSlot {
    /// The name of the semaphore.
    pub name: String,
    /// Always true: a stale token is an error.
    pub released: bool,
    /// How many slots are still in use.
    pub in_use: u64,
}

/// The parameters of `distributed.renew_slot`, in the order of their positions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RenewSlotParams {
    /// The name of the semaphore.
    #[schemars(length(min = 1, max = 128))]
    pub name: String,
    /// The token that the slot was granted with.
    pub token: u64,
    /// How long the slot lasts from now on, in milliseconds. Default: as long as before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 100, max = 86_400_000))]
    pub ttl_ms: Option<u64>,
}

/// The result of `distributed.renew_slot`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RenewedSlot {
    /// The name of the semaphore.
    pub name: String,
    /// The token of the slot; a renewal does not change it.
    pub token: u64,
    /// When the slot expires unless it is renewed again, in milliseconds of the Redis server's clock.
    pub expires_at_ms: u64,
}

fn name(text: String) -> Result<LimitName, RpcError> {
    LimitName::new(text).map_err(|why| RpcError::parameter("name", why))
}

impl TryFrom<PermitsParams> for handle::PermitsRequest {
    type Error = RpcError;

    fn try_from(params: PermitsParams) -> Result<Self, RpcError> {
        let PermitsParams { name: text, permits, rate, per_ms, burst, wait_ms, request_id: id } = params;
        let (name, permits) = (name(text)?, permits.unwrap_or(1));
        between("rate", rate, (1, MOST_PERMITS))?;
        between("per_ms", per_ms, (1, millis(LONGEST_PERIOD)))?;
        between("burst", burst, (1, MOST_PERMITS))?;
        if permits == 0 || permits > burst {
            let problem = format!("it is {permits}, 1 to burst ({burst}) is allowed");
            return Err(RpcError::parameter("permits", problem));
        }
        let per = Duration::from_millis(per_ms);
        Ok(Self { name, permits, rate, per, burst, wait: wait(wait_ms)?, request_id: request_id(id)? })
    }
}

impl From<handle::TakenPermits> for PermitsResult {
    fn from(taken: handle::TakenPermits) -> Self {
        Self {
            granted: taken.granted_at.is_some(),
            remaining: taken.remaining,
            retry_after_ms: taken.retry_after.map(millis),
            granted_at_ms: taken.granted_at.map(|at| at.0),
        }
    }
}

impl TryFrom<SlotParams> for handle::SlotRequest {
    type Error = RpcError;

    fn try_from(params: SlotParams) -> Result<Self, RpcError> {
        let SlotParams { name: text, slots, ttl_ms, wait_ms, request_id: id } = params;
        let name = name(text)?;
        between("slots", slots, (1, MOST_SLOTS))?;
        between("ttl_ms", ttl_ms, TTL_MS)?;
        let ttl = Duration::from_millis(ttl_ms);
        Ok(Self { name, slots, ttl, wait: wait(wait_ms)?, request_id: request_id(id)? })
    }
}

impl SlotResult {
    /// Splits the node's answer into the result, and the handout that ends the slot if the result is never written.
    pub(crate) fn split(slot: handle::AcquiredSlot) -> (Self, Option<handle::Handout>) {
        let handle::AcquiredSlot { held, in_use, handout } = slot;
        let (token, expires_at_ms) = held.map(|(token, until)| (token.0, until.0)).unzip();
        (Self { acquired: held.is_some(), token, in_use, expires_at_ms }, handout)
    }
}

impl TryFrom<HeldSlotParams> for handle::HeldSlot {
    type Error = RpcError;

    fn try_from(params: HeldSlotParams) -> Result<Self, RpcError> {
        Ok(Self { name: name(params.name)?, token: TaskToken(params.token) })
    }
}

impl RenewSlotParams {
    /// The slot, and the duration that was asked for.
    pub(crate) fn request(self) -> Result<(handle::HeldSlot, Option<Duration>), RpcError> {
        if let Some(ttl_ms) = self.ttl_ms {
            between("ttl_ms", ttl_ms, TTL_MS)?;
        }
        let held = HeldSlotParams { name: self.name, token: self.token }.try_into()?;
        Ok((held, self.ttl_ms.map(Duration::from_millis)))
    }
}

impl RenewedSlot {
    /// The result for a slot that was renewed until `until`.
    pub(crate) fn new(held: handle::HeldSlot, until: ServerTime) -> Self {
        Self { name: held.name.into(), token: held.token.0, expires_at_ms: until.0 }
    }
}
