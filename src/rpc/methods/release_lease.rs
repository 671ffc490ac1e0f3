//! `distributed.release_lease`.
//!
//! 1. A lease that has been granted to another holder in the meantime is not touched.
//!
//! Not here: choosing the next holder (`crate::store`).

use crate::engine::node::handle::Node;
use crate::rpc::errors::{ErrorKind, RpcError};
use crate::rpc::method::{Call, Effect, Method};
use crate::rpc::wire::lease::{HeldParams, ReleaseResult};

pub(super) struct ReleaseLease;

impl Method for ReleaseLease {
    const NAME: &'static str = "distributed.release_lease";
    const SUMMARY: &'static str = "Release a lease";
    const DESCRIPTION: &'static str = "Ends a lease that this node holds under the token; the first waiter gets \
        it at once. Only the node that was granted the lease can release it; the token of another node is \
        refused as stale. Releasing a lease again is not an error while nobody else has been granted it.";
    const ERRORS: &'static [ErrorKind] =
        &[ErrorKind::NotJoined, ErrorKind::NodeIdInUse, ErrorKind::StaleToken, ErrorKind::RedisUnavailable];
    const EFFECT: Effect = Effect::SETTLES;
    type Params = HeldParams;
    type Result = ReleaseResult;

    async fn handle<N: Node>(call: Call<N>, params: HeldParams) -> Result<ReleaseResult, RpcError> {
        let name = params.name.clone();
        call.context.node.release(params.try_into()?).await?;
        Ok(ReleaseResult { name, released: true })
    }
}
