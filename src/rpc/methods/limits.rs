//! The methods about limits across the cluster.
//!
//! Not here: who gets permits and slots (`crate::engine`, `crate::store`).

use crate::engine::node::handle::{HeldSlot, Limits, Node};
use crate::rpc::errors::ErrorKind::{self, NodeIdInUse, NotJoined, Overloaded, RedisUnavailable, StaleToken};
use crate::rpc::errors::RpcError;
use crate::rpc::method::{Call, Effect, Method};
use crate::rpc::outgoing::AfterWrite;
use crate::rpc::wire::limits::{
    HeldSlotParams, PermitsParams, PermitsResult, ReleasedSlot, RenewSlotParams, RenewedSlot, SlotParams, SlotResult,
};

/// A client that goes away while it waits leaves its permits unused.
pub(super) struct TakePermits;

impl Method for TakePermits {
    const NAME: &'static str = "distributed.take_permits";
    const SUMMARY: &'static str = "Take permits of a rate that all nodes share";
    const DESCRIPTION: &'static str = "A token bucket: it holds up to burst permits, and rate permits come back \
        every per_ms. Take a permit before each call that a shared limit counts, for example of a model's API key. \
        With wait_ms the caller waits, in the order of arrival; if the permits cannot be there in time, the \
        answer comes at once, with granted false and retry_after_ms.";
    const ERRORS: &'static [ErrorKind] = &[NotJoined, NodeIdInUse, Overloaded, RedisUnavailable];
    const EFFECT: Effect = Effect::ADDS;
    type Params = PermitsParams;
    type Result = PermitsResult;

    async fn handle<N: Node>(call: Call<N>, params: PermitsParams) -> Result<PermitsResult, RpcError> {
        Ok(call.context.node.limits().take_permits(params.try_into()?).await?.into())
    }
}

/// If the answer to a caller without request id cannot be written, its slot is taken back.
pub(super) struct AcquireSlot;

impl Method for AcquireSlot {
    const NAME: &'static str = "distributed.acquire_slot";
    const SUMMARY: &'static str = "Acquire one of several slots, or wait for one";
    const DESCRIPTION: &'static str = "A counting semaphore: at most so many callers in the cluster hold a slot \
        of a name at a time. Each grant has a higher token than all grants before it. With wait_ms the caller \
        waits in a queue, first come, first served. The slot ends when it is released, when ttl_ms passes without \
        a renewal, and when the process of the node dies. A repeated request_id returns the first slot again.";
    const ERRORS: &'static [ErrorKind] = &[NotJoined, NodeIdInUse, Overloaded, RedisUnavailable];
    const EFFECT: Effect = Effect::ADDS;
    type Params = SlotParams;
    type Result = SlotResult;

    async fn handle<N: Node>(call: Call<N>, params: SlotParams) -> Result<SlotResult, RpcError> {
        let (result, handout) = SlotResult::split(call.context.node.limits().acquire_slot(params.try_into()?).await?);
        if let Some(handout) = handout {
            call.after_write(AfterWrite::Handed(handout));
        }
        Ok(result)
    }
}

/// The token does not change.
pub(super) struct RenewSlot;

impl Method for RenewSlot {
    const NAME: &'static str = "distributed.renew_slot";
    const SUMMARY: &'static str = "Renew a slot";
    const DESCRIPTION: &'static str = "The slot lasts ttl_ms from now on. Only the node that acquired it can renew it.";
    const ERRORS: &'static [ErrorKind] = &[NotJoined, NodeIdInUse, StaleToken, RedisUnavailable];
    const EFFECT: Effect = Effect::ADDS;
    type Params = RenewSlotParams;
    type Result = RenewedSlot;

    async fn handle<N: Node>(call: Call<N>, params: RenewSlotParams) -> Result<RenewedSlot, RpcError> {
        let (held, ttl) = params.request()?;
        let until = call.context.node.limits().renew_slot(held.clone(), ttl).await?;
        Ok(RenewedSlot::new(held, until))
    }
}

/// Repeating the call of the last holder changes nothing more.
pub(super) struct ReleaseSlot;

impl Method for ReleaseSlot {
    const NAME: &'static str = "distributed.release_slot";
    const SUMMARY: &'static str = "Release a slot";
    const DESCRIPTION: &'static str = "The first waiter gets the slot at once. Only the node that acquired it can \
        release it.";
    const ERRORS: &'static [ErrorKind] = &[NotJoined, NodeIdInUse, StaleToken, RedisUnavailable];
    const EFFECT: Effect = Effect::SETTLES;
    type Params = HeldSlotParams;
    type Result = ReleasedSlot;

    async fn handle<N: Node>(call: Call<N>, params: HeldSlotParams) -> Result<ReleasedSlot, RpcError> {
        let name = params.name.clone();
        let held: HeldSlot = params.try_into()?;
        let in_use = call.context.node.limits().release_slot(held).await?;
        Ok(ReleasedSlot { name, released: true, in_use })
    }
}
