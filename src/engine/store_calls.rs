//! Calls to the store that can be repeated after their answer was lost.
//!
//! 1. Only idempotent calls go through here.
//! 2. No call is repeated for longer than [`RETRY_FOR`]: then its client gets the error that Redis is unavailable.
//! 3. If the store does not know this incarnation, the node registers it first, with its next heartbeat.
//!
//! Not here: calls of the pure node (`driver.rs`), messages (`publisher.rs`).

use super::error::Error;
use super::random;
use super::refusals::unavailable;
use crate::clock;
use crate::cluster::ids::Nonce;
use crate::cluster::node::{Input, Standing};
use crate::cluster::protocol::{Fault, Identity, Instance};
use crate::cluster::time::Moment;
use crate::engine::node::status::{Msg, Status};
use crate::store::redis::{RedisStore, Scripted};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// How long a call is repeated.
pub(super) const RETRY_FOR: Duration = Duration::from_secs(3);
/// The pause between two attempts.
const RETRY_DELAY: Duration = Duration::from_millis(100);

/// Makes calls for this node; see the head of this file.
#[derive(Clone)]
pub(super) struct Caller {
    pub(super) store: Arc<RedisStore>,
    pub(super) status: watch::Receiver<Status>,
    pub(super) node: mpsc::WeakSender<Msg>,
}

impl Caller {
    /// This node's incarnation. While the node is joining, waits for it until `end`.
    pub(super) async fn instance(&self, end: Moment) -> Result<Instance, Error> {
        let mut status = self.status.clone();
        let settled = status.wait_for(|status| status.settled).await.map(|status| status.clone());
        let Ok(known) = settled else { return Err(gone()) };
        if let Some(instance) = known.instance() {
            return Ok(instance.clone());
        }
        if known.standing == Standing::Joining {
            let left = end.since(clock::now());
            let joined = status.wait_for(|status| status.standing != Standing::Joining);
            if let Ok(Ok(status)) = tokio::time::timeout(left, joined).await
                && let Some(instance) = status.instance()
            {
                return Ok(instance.clone());
            }
        }
        let status = self.status.borrow();
        match (&status.standing, status.link) {
            (Standing::Joining, false) => Err(unavailable("no answer yet")),
            _ => Err(status.refusal()),
        }
    }

    /// Repeats a call for this incarnation until it is answered or its time is over. `judge` returns what the answer means, or why the
    /// store does not know the incarnation.
    pub(super) async fn repeat<T: Scripted + Sync, R>(
        &self,
        call: impl Fn(Instance) -> T,
        judge: impl Fn(T::Reply) -> Result<R, Identity>,
    ) -> Result<R, Error> {
        self.repeat_noting(call, judge, &AtomicBool::new(false)).await
    }

    /// As [`Self::repeat`]; sets `unsure` if one of the calls was sent and got no answer.
    pub(super) async fn repeat_noting<T: Scripted + Sync, R>(
        &self,
        call: impl Fn(Instance) -> T,
        judge: impl Fn(T::Reply) -> Result<R, Identity>,
        unsure: &AtomicBool,
    ) -> Result<R, Error> {
        let end = clock::now() + RETRY_FOR;
        let mut attempt = 0;
        loop {
            let instance = self.instance(end).await?;
            attempt += 1;
            let why = match self.store.attempt(&call(instance), attempt, unsure).await {
                Ok(answer) => match judge(answer.reply) {
                    Ok(answer) => return Ok(answer),
                    Err(identity) => self.introduce(identity).await,
                },
                Err(Fault::Refused(why)) => return Err(Error::Internal(why)),
                Err(Fault::Unavailable(why) | Fault::Unwritable(why)) => unavailable(&why),
            };
            if clock::now() + RETRY_DELAY >= end {
                return Err(why);
            }
            tokio::time::sleep(RETRY_DELAY).await;
        }
    }

    /// Makes the node register its incarnation in the store; returns the error to use if that does not help.
    pub(super) async fn introduce(&self, identity: Identity) -> Error {
        if identity == Identity::Replaced {
            // The next heartbeat notices that by itself; the caller is answered by then.
            return self.status.borrow().refusal();
        }
        if let Some(node) = self.node.upgrade() {
            // The node is gone only when the process ends.
            let _ = node.send(Msg::Input(Input::CalledToRegister)).await;
        }
        unavailable("the node is renewing its membership")
    }
}

/// An answer of the store to a member: [`Caller::repeat`]'s judge.
pub(super) fn known<R>(identity: Identity, answer: R) -> Result<R, Identity> {
    if identity == Identity::Ok { Ok(answer) } else { Err(identity) }
}

/// The error when the node does not answer any more: it is being stopped.
pub(super) fn gone() -> Error {
    Error::Stopping
}

/// Random bytes.
pub(super) fn random_bytes<const N: usize>() -> Result<[u8; N], Error> {
    random::bytes().map_err(|error| Error::Internal(format!("cannot get random numbers from the system: {error}")))
}

/// A new random nonce.
pub(super) fn nonce() -> Result<Nonce, Error> {
    random_bytes().map(Nonce::from_bytes)
}
