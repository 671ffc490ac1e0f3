//! `distributed.get_history`.
//!
//! 1. It needs no membership: the store is asked, and what this node has not recorded yet is added.
//! 2. A store that does not answer is no more than a retryable error, after 5 s at most.
//!
//! Not here: recording (`crate::engine::history`).

use super::{Call, Effect, Method};
use crate::engine::node::handle::Node;
use crate::rpc::errors::{ErrorKind, RpcError};
use crate::rpc::wire::history::{HistoryParams, HistoryResult};

pub(super) struct GetHistory;

impl Method for GetHistory {
    const NAME: &'static str = "distributed.get_history";
    const SUMMARY: &'static str = "Show earlier heartbeats, and what they add up to";
    const DESCRIPTION: &'static str = "Reads recorded heartbeats from MongoDB, where that is configured, else those of the \
        last day from Redis, the newest last. With report it also tells availability, gaps, flaps, leaders and failovers of \
        that time. MongoDB not answering is overloaded, which passes: call again.";
    const ERRORS: &'static [ErrorKind] =
        &[ErrorKind::RedisUnavailable, ErrorKind::Overloaded, ErrorKind::NotConfigured];
    const EFFECT: Effect = Effect::READS;
    type Params = HistoryParams;
    type Result = HistoryResult;

    async fn handle<N: Node>(call: Call<N>, params: HistoryParams) -> Result<HistoryResult, RpcError> {
        let node_id = params.node_id.clone();
        let answer = call.context.node.history(params.try_into()?).await?;
        Ok(HistoryResult::new(&answer, node_id.as_deref()))
    }
}
