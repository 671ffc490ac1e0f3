//! The methods that begin and end subscriptions to events.
//!
//! Not here: filters and forwarding (`crate::rpc::subscription`).

use crate::cluster::ids::EventSeq;
use crate::engine::events::FeedOptions;
use crate::engine::node::handle::Node;
use crate::rpc::errors::ErrorKind::{self, NotFound, Overloaded, RedisUnavailable};
use crate::rpc::errors::RpcError;
use crate::rpc::method::{Call, Effect, Method};
use crate::rpc::outgoing::AfterWrite;
use crate::rpc::subscription::{Filter, unknown};
use crate::rpc::wire::subscription::{SubscribeParams, UnsubscribeParams};

/// The first event follows the answer.
pub(super) struct Subscribe;

impl Method for Subscribe {
    const NAME: &'static str = "cluster.subscribe";
    const SUMMARY: &'static str = "Subscribe to the events of the cluster";
    const DESCRIPTION: &'static str = "Returns a subscription id. Each event is a notification whose method is \
        the name of the event; its params hold the subscription and the event. Missed events are reported as one \
        cluster.gap event.";
    const ERRORS: &'static [ErrorKind] = &[RedisUnavailable, Overloaded];
    const EFFECT: Effect = Effect::ADDS;
    type Params = SubscribeParams;
    type Result = u64;

    async fn handle<N: Node>(call: Call<N>, params: SubscribeParams) -> Result<u64, RpcError> {
        let Some(session) = &call.session else {
            return Err(RpcError::new(ErrorKind::InternalError, "internal error: this caller cannot receive events"));
        };
        let filter = Filter::new(params.events.as_deref())?;
        let after = match params.after {
            Some(text) => Some(EventSeq::from_entry_id(&text).ok_or_else(|| {
                RpcError::parameter("after", "it is not an event id; pass the `id` of an event, like \"42-0\"")
            })?),
            None => None,
        };
        session.check_room()?;
        let feed = call.context.node.feed(FeedOptions { after, messages: filter.messages() }).await?;
        let (id, start) = session.open(&call.context, filter, feed)?;
        call.after_write(AfterWrite::Start(start));
        Ok(id)
    }
}

/// The answer is true, or an error if there is no such subscription.
pub(super) struct Unsubscribe;

impl Method for Unsubscribe {
    const NAME: &'static str = "cluster.unsubscribe";
    const SUMMARY: &'static str = "End a subscription";
    const DESCRIPTION: &'static str = "Ends a subscription of this connection. No event of it follows the \
        answer.";
    const ERRORS: &'static [ErrorKind] = &[NotFound];
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
