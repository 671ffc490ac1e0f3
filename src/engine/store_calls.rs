//! Calls to the store that may be made again when their answer was lost.
//!
//! 1. Only calls that lead to the same whether they are made once or twice go through here.
//! 2. No call is tried for longer than [`RETRY_FOR`]: then its client is told that Redis cannot be used.
//! 3. A store that does not know this life is told of it first: the next beat does that.
//!
//! Not here: calls of the pure node (`driver.rs`), messages (`publisher.rs`).

use super::error::Error;
use super::refusals::{unavailable, unexpected};
use crate::clock;
use crate::cluster::ids::Nonce;
use crate::cluster::node::{Input, Standing};
use crate::cluster::protocol::{Call, Fault, Identity, Instance, Reply, ServerId};
use crate::cluster::time::Moment;
use crate::engine::node::driver::{Msg, Status};
use crate::store::redis::RedisStore;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// How long a call is tried again.
pub(super) const RETRY_FOR: Duration = Duration::from_secs(3);
/// The pause before a call is tried again.
const RETRY_DELAY: Duration = Duration::from_millis(100);

/// What an answer is good for.
pub(super) enum Verdict<T> {
    /// It is the answer.
    Done(T),
    /// The store does not know this life.
    Stranger(Identity),
    /// It answers another question.
    Unexpected,
}

/// See the module's text.
#[derive(Clone)]
pub(super) struct Caller {
    pub(super) store: Arc<RedisStore>,
    pub(super) status: watch::Receiver<Status>,
    pub(super) node: mpsc::WeakSender<Msg>,
}

impl Caller {
    /// This node's life. A node that is still joining is waited for until `end`.
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

    /// Makes one call; sets `unsure` when Redis may make it although it has no answer.
    pub(super) async fn call_noting(&self, call: Call, unsure: &AtomicBool) -> Result<(Reply, ServerId), Fault> {
        self.store.attempt_noting(call, 1, unsure).await.map(|answer| (answer.reply, answer.server))
    }

    /// Makes a call for this life, again and again until it is answered or its time is over.
    pub(super) async fn repeat<T>(
        &self,
        call: impl Fn(Instance) -> Call,
        judge: impl Fn(Reply) -> Verdict<T>,
    ) -> Result<T, Error> {
        self.repeat_noting(call, judge, &AtomicBool::new(false)).await
    }

    /// The same; sets `unsure` when one of the calls was sent and had no answer.
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

    /// Makes the node tell the store of its life; the error to end with when that does not help.
    pub(super) async fn introduce(&self, identity: Identity) -> Error {
        if identity == Identity::Replaced {
            // The next beat finds that out by itself; whoever waits is told by then.
            return self.status.borrow().refusal();
        }
        if let Some(node) = self.node.upgrade() {
            // The node is gone only when the process ends.
            let _ = node.send(Msg::Input(Input::CalledToRegister)).await;
        }
        unavailable("the node is renewing its membership")
    }
}

/// The node does not answer any more: it is being stopped.
pub(super) fn gone() -> Error {
    Error::Stopping
}

/// A text that nobody else uses.
pub(super) fn nonce() -> Result<Nonce, Error> {
    let mut random = [0; 16];
    getrandom::fill(&mut random)
        .map_err(|error| Error::Internal(format!("cannot get random numbers from the system: {error}")))?;
    Ok(Nonce::from_bytes(random))
}
