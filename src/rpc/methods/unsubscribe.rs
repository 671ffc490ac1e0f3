//! `cluster.unsubscribe`.
//!
//! 1. The answer is true, or an error if there is no such subscription.
//!
//! Not here: forwarding (`crate::rpc::subscription`).

use crate::engine::node::handle::Node;
use crate::rpc::errors::{ErrorKind, RpcError};
use crate::rpc::method::{Call, Effect, Method};
use crate::rpc::subscription::unknown;
use crate::rpc::wire::subscription::UnsubscribeParams;

pub(super) struct Unsubscribe;

impl Method for Unsubscribe {
    const NAME: &'static str = "cluster.unsubscribe";
    const SUMMARY: &'static str = "End a subscription";
    const DESCRIPTION: &'static str = "Ends a subscription of this connection. No event of it follows the \
        answer.";
    const ERRORS: &'static [ErrorKind] = &[ErrorKind::NotFound];
    const EFFECT: Effect = Effect::SETTLES;
    type Params = UnsubscribeParams;
    type Result = bool;

    async fn handle<N: Node>(call: Call<N>, params: UnsubscribeParams) -> Result<bool, RpcError> {
        let id = params.subscription;
        let ended = match (&call.session, id.id()) {
            (Some(session), Some(id)) => session.end(id).await,
            _ => false,
        };
        if ended { Ok(true) } else { Err(unknown(&id)) }
    }
}
