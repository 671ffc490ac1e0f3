//! `distributed.renew_lease`.
//!
//! 1. The token does not change.
//!
//! Not here: checking tokens (`crate::store`).

use crate::engine::node::handle::Node;
use crate::rpc::errors::{ErrorKind, RpcError};
use crate::rpc::method::{Call, Effect, Method};
use crate::rpc::wire::lease::{RenewParams, RenewResult};

pub(super) struct RenewLease;

impl Method for RenewLease {
    const NAME: &'static str = "distributed.renew_lease";
    const SUMMARY: &'static str = "Renew a lease";
    const DESCRIPTION: &'static str = "Extends a lease that this node holds under the token. Only the node that \
        was granted the lease can renew it; the token of another node is refused as stale.";
    const ERRORS: &'static [ErrorKind] =
        &[ErrorKind::NotJoined, ErrorKind::NodeIdInUse, ErrorKind::StaleToken, ErrorKind::RedisUnavailable];
    const EFFECT: Effect = Effect::ADDS;
    type Params = RenewParams;
    type Result = RenewResult;

    async fn handle<N: Node>(call: Call<N>, params: RenewParams) -> Result<RenewResult, RpcError> {
        let (held, ttl) = params.request()?;
        let until = call.context.node.renew(held.clone(), ttl).await?;
        Ok(RenewResult::new(held, until))
    }
}
