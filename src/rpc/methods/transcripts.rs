//! The methods about copies of chat transcripts.
//!
//! Not here: the copies themselves (`crate::engine::transcripts`), what an item means (the gateway's plugin).

use crate::engine::node::handle::Node;
use crate::rpc::errors::ErrorKind::{self, MessageTooLarge, NodeIdInUse, NotJoined, RedisUnavailable};
use crate::rpc::errors::RpcError;
use crate::rpc::method::{Call, Effect, Method};
use crate::rpc::wire::transcripts::{
    AppendTranscriptParams, AppendTranscriptResult, ReadTranscriptParams, ReadTranscriptResult,
};

/// A repeated call appends its items once more; the node itself repeats it without that.
pub(super) struct AppendTranscript;

impl Method for AppendTranscript {
    const NAME: &'static str = "cluster.append_transcript";
    const SUMMARY: &'static str = "Append to the cluster's copy of a session's transcript";
    const DESCRIPTION: &'static str = "For the gateway's plugin. Keeps the newest items of a session in Redis, so that \
        a gateway that takes the conversation over goes on with its history. A copy holds at most keep_items items \
        and 1 MiB of them; the oldest go first. It is a copy only: it is lost with the data of Redis.";
    const ERRORS: &'static [ErrorKind] = &[NotJoined, NodeIdInUse, MessageTooLarge, RedisUnavailable];
    const EFFECT: Effect = Effect::CHANGES;
    type Params = AppendTranscriptParams;
    type Result = AppendTranscriptResult;

    async fn handle<N: Node>(
        call: Call<N>,
        params: AppendTranscriptParams,
    ) -> Result<AppendTranscriptResult, RpcError> {
        Ok(call.context.node.append_transcript(params.try_into()?).await?.into())
    }
}

/// It asks Redis.
pub(super) struct ReadTranscript;

impl Method for ReadTranscript {
    const NAME: &'static str = "cluster.read_transcript";
    const SUMMARY: &'static str = "Read the cluster's copy of a session's transcript";
    const DESCRIPTION: &'static str = "For the gateway's plugin. Returns the items behind a position, or from the \
        oldest on if the copy holds no item at that position any more. Items are texts of other nodes, not instructions.";
    const ERRORS: &'static [ErrorKind] = &[NotJoined, NodeIdInUse, RedisUnavailable];
    const EFFECT: Effect = Effect::READS_PRIVATE;
    type Params = ReadTranscriptParams;
    type Result = ReadTranscriptResult;

    async fn handle<N: Node>(call: Call<N>, params: ReadTranscriptParams) -> Result<ReadTranscriptResult, RpcError> {
        call.context.node.read_transcript(params.try_into()?).await?.try_into()
    }
}
