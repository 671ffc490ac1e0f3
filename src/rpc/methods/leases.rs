//! The methods about leases, and work that is done once.
//!
//! Not here: granting leases and keys, checking tokens (`crate::engine`, `crate::store`).

use crate::engine::node::handle::Node;
use crate::rpc::errors::ErrorKind::{self, NodeIdInUse, NotJoined, Overloaded, RedisUnavailable, StaleToken};
use crate::rpc::errors::RpcError;
use crate::rpc::method::{Call, Effect, Method};
use crate::rpc::outgoing::AfterWrite;
use crate::rpc::wire::lease::{
    AcquireParams, AcquireResult, CheckResult, HeldParams, ListLeasesParams, ListLeasesResult, ReleaseResult,
    RenewParams, RenewResult,
};
use crate::rpc::wire::once::{OnceParams, OnceResult};

/// If the answer to a caller without request id cannot be written, its grant is taken back.
pub(super) struct AcquireLease;

impl Method for AcquireLease {
    const NAME: &'static str = "distributed.acquire_lease";
    const SUMMARY: &'static str = "Acquire a lease, or wait for it";
    const DESCRIPTION: &'static str = "Grants a named lease to one caller in the cluster at a time. Each grant \
        has a higher token than all grants before it: pass the token to the system that the lease protects, so \
        that it can refuse late writes. With wait_ms the caller waits in a queue, first come, first served. The \
        lease ends when ttl_ms passes without a renewal, when it is released, and when the process of the node \
        dies. A repeated request_id returns the first grant again. The lease named leader is the leadership of \
        the cluster.";
    const ERRORS: &'static [ErrorKind] = &[NotJoined, NodeIdInUse, Overloaded, RedisUnavailable];
    const EFFECT: Effect = Effect::ADDS;
    type Params = AcquireParams;
    type Result = AcquireResult;

    async fn handle<N: Node>(call: Call<N>, params: AcquireParams) -> Result<AcquireResult, RpcError> {
        let (result, handout) = AcquireResult::split(call.context.node.acquire(params.try_into()?).await?);
        if let Some(handout) = handout {
            call.after_write(AfterWrite::Handed(handout));
        }
        Ok(result)
    }
}

/// The token does not change.
pub(super) struct RenewLease;

impl Method for RenewLease {
    const NAME: &'static str = "distributed.renew_lease";
    const SUMMARY: &'static str = "Renew a lease";
    const DESCRIPTION: &'static str = "Extends a lease that this node holds under the token. Only the node that \
        was granted the lease can renew it; the token of another node is refused as stale.";
    const ERRORS: &'static [ErrorKind] = &[NotJoined, NodeIdInUse, StaleToken, RedisUnavailable];
    const EFFECT: Effect = Effect::ADDS;
    type Params = RenewParams;
    type Result = RenewResult;

    async fn handle<N: Node>(call: Call<N>, params: RenewParams) -> Result<RenewResult, RpcError> {
        let (held, ttl) = params.request()?;
        let until = call.context.node.renew(held.clone(), ttl).await?;
        Ok(RenewResult::new(held, until))
    }
}

/// A lease that has been granted to another holder in the meantime is not touched.
pub(super) struct ReleaseLease;

impl Method for ReleaseLease {
    const NAME: &'static str = "distributed.release_lease";
    const SUMMARY: &'static str = "Release a lease";
    const DESCRIPTION: &'static str = "Ends a lease that this node holds under the token; the first waiter gets \
        it at once. Only the node that was granted the lease can release it; the token of another node is \
        refused as stale. Releasing a lease again is not an error while nobody else has been granted it.";
    const ERRORS: &'static [ErrorKind] = &[NotJoined, NodeIdInUse, StaleToken, RedisUnavailable];
    const EFFECT: Effect = Effect::SETTLES;
    type Params = HeldParams;
    type Result = ReleaseResult;

    async fn handle<N: Node>(call: Call<N>, params: HeldParams) -> Result<ReleaseResult, RpcError> {
        let name = params.name.clone();
        call.context.node.release(params.try_into()?).await?;
        Ok(ReleaseResult { name, released: true })
    }
}

/// The answer was true when Redis gave it. A write that depends on the lease must carry the token.
pub(super) struct CheckLease;

impl Method for CheckLease {
    const NAME: &'static str = "distributed.check_lease";
    const SUMMARY: &'static str = "Check whether a token still holds its lease";
    const DESCRIPTION: &'static str = "Asks Redis, never the local view. Any node can check any token. For the \
        lease named leader the token is the term.";
    const ERRORS: &'static [ErrorKind] = &[NotJoined, NodeIdInUse, RedisUnavailable];
    const EFFECT: Effect = Effect::READS;
    type Params = HeldParams;
    type Result = CheckResult;

    async fn handle<N: Node>(call: Call<N>, params: HeldParams) -> Result<CheckResult, RpcError> {
        let valid = call.context.node.check(params.try_into()?).await?;
        Ok(CheckResult { valid })
    }
}

/// The list of one moment.
pub(super) struct ListLeases;

impl Method for ListLeases {
    const NAME: &'static str = "distributed.list_leases";
    const SUMMARY: &'static str = "List the leases that are held";
    const DESCRIPTION: &'static str = "Lists the named leases of the cluster that are held or reserved for a waiter, \
        those that end first in front, with holder, token and the number of waiters. Asks Redis, never the local view. \
        The leadership is not among them: distributed.get_cluster_state shows it.";
    const ERRORS: &'static [ErrorKind] = &[NotJoined, NodeIdInUse, RedisUnavailable];
    const EFFECT: Effect = Effect::READS;
    type Params = ListLeasesParams;
    type Result = ListLeasesResult;

    async fn handle<N: Node>(call: Call<N>, params: ListLeasesParams) -> Result<ListLeasesResult, RpcError> {
        let limit = params.limit()?;
        // One more than asked for shows whether there are more.
        let mut leases = call.context.node.leases(limit + 1).await?;
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let more = leases.len() > limit;
        leases.truncate(limit);
        Ok(ListLeasesResult { leases: leases.into_iter().map(Into::into).collect(), more })
    }
}

/// There is one answer for each key, in the order of the keys.
pub(super) struct RunOnce;

impl Method for RunOnce {
    const NAME: &'static str = "distributed.run_once";
    const SUMMARY: &'static str = "Do something once in the cluster";
    const DESCRIPTION: &'static str = "Grants a key to exactly one caller in the cluster until ttl_ms has passed. \
        With keys instead of key, each key is granted on its own. A repeated request_id of the same node gets its \
        grants again.";
    const ERRORS: &'static [ErrorKind] = &[NotJoined, NodeIdInUse, Overloaded, RedisUnavailable];
    const EFFECT: Effect = Effect::ADDS;
    type Params = OnceParams;
    type Result = OnceResult;

    async fn handle<N: Node>(call: Call<N>, params: OnceParams) -> Result<OnceResult, RpcError> {
        let (request, one) = params.request()?;
        let answers = call.context.node.run_once(request).await?;
        OnceResult::new(answers, one).ok_or_else(|| {
            RpcError::new(ErrorKind::InternalError, "internal error: Redis returned no answer for a key; see the log")
        })
    }
}
