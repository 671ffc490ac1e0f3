//! The method that reads the history.
//!
//! Not here: recording (`crate::engine::history`).

use crate::engine::node::handle::Node;
use crate::rpc::errors::ErrorKind::{self, NotConfigured, Overloaded, RedisUnavailable};
use crate::rpc::errors::RpcError;
use crate::rpc::method::{Call, Effect, Method};
use crate::rpc::wire::history::{HistoryParams, HistoryResult};

/// It needs no membership: it reads the store, and adds what this node has not recorded yet. If the store does not
/// answer within 5 s, the call fails with a retryable error.
pub(super) struct GetHistory;

impl Method for GetHistory {
    const NAME: &'static str = "distributed.get_history";
    const SUMMARY: &'static str = "Query heartbeat history and availability";
    const DESCRIPTION: &'static str = "Reads recorded heartbeats, newest last: from MongoDB if it is configured, \
        else those of the last day from Redis. With report the answer also has availability, gaps, flaps, \
        leaders and failovers of that time. If MongoDB does not answer, the call fails with overloaded; call \
        again.";
    const ERRORS: &'static [ErrorKind] = &[RedisUnavailable, Overloaded, NotConfigured];
    const EFFECT: Effect = Effect::READS;
    type Params = HistoryParams;
    type Result = HistoryResult;

    async fn handle<N: Node>(call: Call<N>, params: HistoryParams) -> Result<HistoryResult, RpcError> {
        let node_id = params.node_id.clone();
        let answer = call.context.node.history(params.try_into()?).await?;
        Ok(HistoryResult::new(&answer, node_id.as_deref()))
    }
}
