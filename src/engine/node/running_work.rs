//! Leases and draining of a running node, as the outer layers use them.
//!
//! 1. The lease named `leader` is the leadership: it is won by election, and never acquired here; the leader can check and
//!    release it.
//!
//! Not here: the work itself (`crate::engine::leases`), the effect of draining on leadership (`crate::cluster::node`).

use super::handle::{
    AcquireRequest, AcquiredLease, Drained, HeldLease, Leases, Node, Once, OnceRequest, Role, StateView,
};
use super::running::RunningNode;
use crate::clock;
use crate::cluster::ids::Term;
use crate::cluster::node::{Request, Response};
use crate::cluster::protocol::ListedLease;
use crate::cluster::time::ServerTime;
use crate::engine::error::Error;
use crate::engine::leases::stale;
use crate::engine::refusals::unexpected;
use crate::engine::store_calls::RETRY_FOR;
use std::time::Duration;

/// The pause before a request of the node without an answer is repeated.
const CALL_RETRY_DELAY: Duration = Duration::from_millis(100);

impl RunningNode {
    /// What this node knows about the leadership; fails if it is not a member.
    async fn leadership(&self) -> Result<StateView, Error> {
        self.leases.member().await?;
        self.state(false).await
    }

    /// The view of a node that leads in this term now.
    async fn leads(&self, held: &HeldLease) -> Result<StateView, Error> {
        let state = self.leadership().await?;
        if state.role == Role::Leader && state.term == held.token { Ok(state) } else { Err(stale(held)) }
    }

    /// Repeats a request to the pure node until Redis has answered it, or the time is over.
    async fn insist(&self, request: impl Fn() -> Request) -> Result<Response, Error> {
        let end = clock::now() + RETRY_FOR;
        loop {
            match self.ask(request()).await {
                Err(Error::RedisUnavailable { .. }) if clock::now() + CALL_RETRY_DELAY < end => {
                    tokio::time::sleep(CALL_RETRY_DELAY).await
                }
                outcome => return outcome,
            }
        }
    }
}

fn as_lease(name: crate::cluster::ids::LeaseName, state: &StateView, acquired: bool) -> AcquiredLease {
    let held = state.leader_id.clone().zip(state.lease_expires_at).map(|(id, until)| (id, state.term, until));
    AcquiredLease { name, acquired, held, handout: None }
}

impl Leases for RunningNode {
    async fn acquire(&self, request: AcquireRequest) -> Result<AcquiredLease, Error> {
        if request.name.is_leadership() {
            let state = self.leadership().await?;
            return Ok(as_lease(request.name, &state, state.role == Role::Leader));
        }
        self.leases.member().await?;
        self.leases.acquire(request).await
    }

    async fn renew(&self, held: HeldLease, ttl: Option<Duration>) -> Result<ServerTime, Error> {
        if held.name.is_leadership() {
            // The leader's heartbeats renew it, for the duration in the cluster's settings.
            return self.leads(&held).await?.lease_expires_at.ok_or_else(unexpected);
        }
        self.leases.renew(held, ttl).await
    }

    async fn release(&self, held: HeldLease) -> Result<(), Error> {
        if !held.name.is_leadership() {
            return self.leases.release(held).await;
        }
        self.leads(&held).await?;
        match self.ask(Request::Resign(held.token)).await? {
            Response::Resigned(Term(0)) => Err(stale(&held)),
            Response::Resigned(_) => Ok(()),
            _ => Err(unexpected()),
        }
    }

    async fn check(&self, held: HeldLease) -> Result<bool, Error> {
        self.leases.check(held).await
    }

    async fn leases(&self, limit: u32) -> Result<Vec<ListedLease>, Error> {
        self.leases.list(limit).await
    }

    async fn run_once(&self, request: OnceRequest) -> Result<Vec<Once>, Error> {
        self.leases.run_once(request).await
    }

    async fn drain(&self, enabled: bool) -> Result<Drained, Error> {
        self.settled().await;
        match self.insist(|| Request::Drain(enabled)).await? {
            Response::Drained(drained) => {
                if !drained.draining {
                    // The node may now get leases that it was refused.
                    self.leases.call_all();
                    self.work.look_again();
                }
                Ok(drained)
            }
            _ => Err(unexpected()),
        }
    }
}
