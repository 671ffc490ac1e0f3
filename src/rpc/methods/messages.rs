//! The method that sends and receives messages.
//!
//! Not here: order, duplicates, the outbox (`crate::engine`).

use crate::engine::node::handle::{Node, Synced};
use crate::rpc::errors::ErrorKind::{
    self, MessageTooLarge, NodeIdInUse, NotJoined, Overloaded, RedisUnavailable, UnknownNode,
};
use crate::rpc::errors::RpcError;
use crate::rpc::method::{Call, Effect, Method};
use crate::rpc::outgoing::{AfterWrite, Written};
use crate::rpc::sync_text;
use crate::rpc::wire::sync::{SyncParams, SyncResult};

/// Received messages are acknowledged only after the answer has been written and flushed.
pub(super) struct SyncMessages;

impl Method for SyncMessages {
    const NAME: &'static str = "distributed.sync_messages";
    const SUMMARY: &'static str = "Send and receive messages";
    const DESCRIPTION: &'static str = "Sends messages to all other members, or to those in to, and receives the \
        messages after the acknowledged cursor of this node. With auto_ack, received messages count as \
        acknowledged once the answer has been written; without it, they are received again until a call passes \
        ack.";
    const ERRORS: &'static [ErrorKind] =
        &[NotJoined, NodeIdInUse, UnknownNode, MessageTooLarge, Overloaded, RedisUnavailable];
    const EFFECT: Effect = Effect::ADDS;
    type Params = SyncParams;
    type Result = SyncResult;

    async fn handle<N: Node>(call: Call<N>, params: SyncParams) -> Result<SyncResult, RpcError> {
        sync(&call, params).await.map(SyncResult::from)
    }

    async fn answer<N: Node>(call: Call<N>, params: SyncParams) -> Result<Written, RpcError> {
        sync_text::write(Self::NAME, &sync(&call, params).await?)
    }
}

async fn sync<N: Node>(call: &Call<N>, params: SyncParams) -> Result<Synced, RpcError> {
    let mut synced = call.context.node.sync(params.try_into()?).await?;
    if let Some(delivery) = synced.delivery.take() {
        call.after_write(AfterWrite::Delivered(delivery));
    }
    Ok(synced)
}
