//! `distributed.check_lease`.
//!
//! 1. The answer was true when Redis gave it. A write that depends on the lease must carry the token.
//!
//! Not here: leases themselves (`crate::store`).

use crate::engine::node::handle::Node;
use crate::rpc::errors::{ErrorKind, RpcError};
use crate::rpc::method::{Call, Effect, Method};
use crate::rpc::wire::lease::{CheckResult, HeldParams};

pub(super) struct CheckLease;

impl Method for CheckLease {
    const NAME: &'static str = "distributed.check_lease";
    const SUMMARY: &'static str = "Check whether a token still holds its lease";
    const DESCRIPTION: &'static str = "Asks Redis, never the local view. Any node can check any token. For the \
        lease named leader the token is the term.";
    const ERRORS: &'static [ErrorKind] = &[ErrorKind::NotJoined, ErrorKind::NodeIdInUse, ErrorKind::RedisUnavailable];
    const EFFECT: Effect = Effect::READS;
    type Params = HeldParams;
    type Result = CheckResult;

    async fn handle<N: Node>(call: Call<N>, params: HeldParams) -> Result<CheckResult, RpcError> {
        let valid = call.context.node.check(params.try_into()?).await?;
        Ok(CheckResult { valid })
    }
}
