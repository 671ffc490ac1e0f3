//! Permits of a rate: one call of the store says when they are valid, and the client waits here until then.
//!
//! 1. A client never gets permits before they are valid, and none that have been valid for long: a node that was frozen
//!    asks again, so that what it missed does not come all at once.
//! 2. Without a request id, a call whose answer was lost is made again, and the first one's permits are lost: the rate is kept.

use super::{Limits, too_many_names};
use crate::clock;
use crate::cluster::protocol::{Permits, PermitsReply, TakePermits};
use crate::engine::error::Error;
use crate::engine::node::handle::{PermitsRequest, TakenPermits};
use crate::engine::store_calls::known;
use std::time::Duration;

/// How late permits may be delivered.
const LATE: Duration = Duration::from_secs(1);

impl Limits {
    /// Takes permits, or waits for them.
    pub(crate) async fn take(&self, request: PermitsRequest) -> Result<TakenPermits, Error> {
        let _waiting = self.enter()?;
        let end = clock::now() + request.wait;
        loop {
            let call = |instance| {
                let PermitsRequest { name, permits, rate, per, burst, request_id, .. } = request.clone();
                let wait = end.since(clock::now());
                TakePermits { instance, name, permits, rate, per, burst, wait, request_id }
            };
            let judge = |reply: PermitsReply| known(reply.identity, (reply.outcome, reply.remaining));
            let (outcome, remaining) = self.caller.repeat(call, judge).await?;
            match outcome {
                Permits::Overloaded => return Err(too_many_names("limit", &request.name)),
                Permits::Refused { retry_after } => {
                    return Ok(TakenPermits { granted_at: None, remaining, retry_after: Some(retry_after) });
                }
                Permits::Granted { at, wait } => {
                    let valid = clock::now() + wait;
                    if !wait.is_zero() {
                        tokio::time::sleep(wait).await;
                    }
                    if request.request_id.is_some() || clock::now().since(valid) < LATE {
                        return Ok(TakenPermits { granted_at: Some(at), remaining, retry_after: None });
                    }
                }
            }
        }
    }
}
