//! Calls to the store that can be repeated after their answer was lost.
//!
//! 1. Only idempotent calls go through here.
//! 2. No call is repeated for longer than [`RETRY_FOR`]: then its client gets the error that Redis is unavailable.
//! 3. If the store does not know this incarnation, the node registers it first, with its next heartbeat.
//!
//! Not here: calls of the pure node (`driver.rs`), messages (`publisher.rs`).

use super::error::Error;
use super::random;
use super::refusals::{unavailable, unexpected};
use crate::clock;
use crate::cluster::ids::Nonce;
use crate::cluster::node::{Input, Standing};
use crate::cluster::protocol::{Call, Fault, Identity, Instance, Reply, ServerId};
use crate::cluster::time::Moment;
use crate::engine::node::status::{Msg, Status};
use crate::store::redis::RedisStore;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// How long a call is repeated.
pub(super) const RETRY_FOR: Duration = Duration::from_secs(3);
/// The pause between two attempts.
const RETRY_DELAY: Duration = Duration::from_millis(100);

/// What an answer means for the caller.
pub(super) enum Verdict<T> {
    /// The answer.
    Done(T),
    /// The store does not know this incarnation.
    Stranger(Identity),
    /// The answer has an unexpected form.
    Unexpected,
}

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

    /// Makes one call.
    pub(super) async fn call(&self, call: Call) -> Result<(Reply, ServerId), Fault> {
        self.call_noting(call, &AtomicBool::new(false)).await
    }

    /// Makes one call; sets `unsure` if Redis may execute it although there was no answer.
    pub(super) async fn call_noting(&self, call: Call, unsure: &AtomicBool) -> Result<(Reply, ServerId), Fault> {
        self.store.attempt_noting(call, 1, unsure).await.map(|answer| (answer.reply, answer.server))
    }

    /// Repeats a call for this incarnation until it is answered or its time is over.
    pub(super) async fn repeat<T>(
        &self,
        call: impl Fn(Instance) -> Call,
        judge: impl Fn(Reply) -> Verdict<T>,
    ) -> Result<T, Error> {
        self.repeat_noting(call, judge, &AtomicBool::new(false)).await
    }

    /// As [`Self::repeat`]; sets `unsure` if one of the calls was sent and got no answer.
    pub(super) async fn repeat_noting<T>(
        &self,
        call: impl Fn(Instance) -> Call,
        judge: impl Fn(Reply) -> Verdict<T>,
        unsure: &AtomicBool,
    ) -> Result<T, Error> {
        let end = clock::now() + RETRY_FOR;
        let mut attempt = 0;
        loop {
            let instance = self.instance(end).await?;
            attempt += 1;
            let why = match self.store.attempt_noting(call(instance), attempt, unsure).await {
                Ok(answer) => match judge(answer.reply) {
                    Verdict::Done(answer) => return Ok(answer),
                    Verdict::Unexpected => return Err(unexpected()),
                    Verdict::Stranger(identity) => self.introduce(identity).await,
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

/// The error when the node does not answer any more: it is being stopped.
pub(super) fn gone() -> Error {
    Error::Stopping
}

/// A new random nonce.
pub(super) fn nonce() -> Result<Nonce, Error> {
    random::nonce().map_err(|error| Error::Internal(format!("cannot get random numbers from the system: {error}")))
}
