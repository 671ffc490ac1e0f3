//! `run_once`: a key is granted to its first caller.
//!
//! 1. A call that was sent and got no answer may still be executed: it is withdrawn, and the withdrawal is repeated until
//!    Redis confirms it.
//! 2. A repeated request keeps its grant, even while an earlier call of it is being withdrawn.
//!
//! Not here: deciding who is first (`crate::store`).

use super::wall::Wall;
use super::{Leases, lock};
use crate::cluster::protocol::{Attempt, Call, Instance, Once as Asked, OnceGrant};
use crate::engine::cleanup::{Cleanup, CleanupQueue, Pending};
use crate::engine::error::Error;
use crate::engine::node::handle::{Once, OnceRequest};
use crate::engine::store_calls::nonce;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

/// A call under way. If it is dropped before it is settled, and was sent, it is withdrawn.
struct Doubt<'a> {
    cleanup: &'a CleanupQueue,
    wall: &'a Mutex<Wall>,
    unsure: AtomicBool,
    /// The call without its caller, which is known only once the node is a member.
    asked: Asked,
    by: Mutex<Option<Instance>>,
    pending: Option<Pending>,
}

impl Doubt<'_> {
    fn call(&self, instance: Instance) -> Asked {
        *lock(&self.by) = Some(instance.clone());
        let seen = lock(self.wall).seen(crate::clock::now());
        Asked { seen, ..self.asked_by(instance) }
    }

    fn asked_by(&self, instance: Instance) -> Asked {
        let Instance { node_id: by, incarnation } = instance;
        let attempt = self.asked.attempt.clone().map(|attempt| Attempt { incarnation, ..attempt });
        Asked { by, attempt, ..self.asked.clone() }
    }

    fn settle(&mut self) {
        self.unsure = AtomicBool::new(false);
    }
}

impl Drop for Doubt<'_> {
    fn drop(&mut self) {
        let by = lock(&self.by).take().filter(|_| self.unsure.load(Ordering::Relaxed));
        if let Some(by) = by {
            let withdrawal = Asked { give_back: true, ..self.asked_by(by) };
            self.cleanup.later(Cleanup::Call(Box::new(Call::Once(Box::new(withdrawal))), self.pending.take()));
        }
    }
}

impl Leases {
    /// Grants each key to its first caller.
    pub(crate) async fn run_once(&self, request: OnceRequest) -> Result<Vec<Once>, Error> {
        let OnceRequest { keys, ttl, request_id } = request;
        // A request that its client named may be one that an earlier process of this node is withdrawing.
        let named = request_id.is_some();
        let request_id = match request_id {
            Some(text) => text,
            None => nonce()?.to_string(),
        };
        let (pending, others) = Pending::begin(&self.pending, &request_id);
        let number = self.calls.fetch_add(1, Ordering::Relaxed);
        // The caller is filled in for each attempt.
        let instance = self.caller.instance(crate::clock::now() + crate::engine::store_calls::RETRY_FOR).await?;
        let Instance { node_id: by, incarnation } = instance;
        let attempt = Some(Attempt { incarnation, number, supersedes: named || others });
        let mut doubt = Doubt {
            cleanup: &self.cleanup,
            wall: &self.wall,
            unsure: AtomicBool::new(false),
            asked: Asked { by, request_id, ttl, keys, give_back: false, attempt, seen: None },
            by: Mutex::new(None),
            pending: Some(pending),
        };
        let grants = self.caller.repeat_noting(|instance| doubt.call(instance), Ok, &doubt.unsure).await?;
        if grants.iter().any(|grant| grant.granted) {
            doubt.settle();
        }
        let once = |(key, grant): (&String, OnceGrant)| Once {
            key: key.clone(),
            granted: grant.granted,
            by: grant.by,
            at: grant.at,
        };
        Ok(doubt.asked.keys.iter().zip(grants).map(once).collect())
    }
}
