//! The method that sends notes by gossip.
//!
//! Not here: messages with promises (`messages.rs`), how a note travels (`crate::cluster::gossip`).

use crate::engine::node::handle::Node;
use crate::rpc::errors::ErrorKind::{self, MessageTooLarge, NotConfigured, NotJoined, Overloaded, UnknownNode};
use crate::rpc::errors::RpcError;
use crate::rpc::method::{Call, Effect, Method};
use crate::rpc::wire::notify::{NotifyParams, NotifyResult};

/// It needs no Redis.
pub(super) struct Notify;

impl Method for Notify {
    const NAME: &'static str = "distributed.notify";
    const SUMMARY: &'static str = "Send a short note by gossip, also while Redis is down";
    const DESCRIPTION: &'static str = "Sends a note of at most 1 KiB to all nodes that gossip reaches, or to those \
        in to. Best effort: each node gets it at most once, in no order, or not at all, and nothing is stored. A \
        node receives it as the event cluster.note. For messages that must arrive use \
        distributed.sync_messages.";
    const ERRORS: &'static [ErrorKind] = &[NotJoined, NotConfigured, UnknownNode, MessageTooLarge, Overloaded];
    const EFFECT: Effect = Effect::ADDS;
    type Params = NotifyParams;
    type Result = NotifyResult;

    async fn handle<N: Node>(call: Call<N>, params: NotifyParams) -> Result<NotifyResult, RpcError> {
        let request = params.try_into()?;
        Ok(call.context.node.notify(request).await?.into())
    }
}
