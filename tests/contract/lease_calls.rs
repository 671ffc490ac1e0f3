//! Calls of leases with little in them, for tests to change what they are about.

use crate::calls::*;
use crate::fixture::Fixture;
use clawster::cluster::ids::{Incarnation, LeaseName, Nonce, Term};
use clawster::cluster::protocol::{
    Acquire, AcquireReply, Acquired, Call, Check, Drain, DrainReply, Forget, LeaseCall, LeaseRecord, LeaseReply,
    Numbers, Once, OnceGrant, Owner, Refusal, Release, Renew, Renewal, Renewed, Reply, Served, WatchLease, Watched,
};
use clawster::store::Store;
use std::time::Duration;

/// For how long leases are asked for here.
pub const LEASE: Duration = Duration::from_secs(20);

pub fn lease_name(text: &str) -> LeaseName {
    LeaseName::new(text).unwrap()
}

/// For a member's life, without waiting.
pub fn acquire_of(node: &Node, name: &str) -> Acquire {
    let instance = node.instance.clone();
    Acquire {
        name: lease_name(name),
        owner: Owner { node_id: instance.node_id, incarnation: instance.incarnation, presence: None },
        ticket: fresh(),
        request_id: String::new(),
        ttl: LEASE,
        wait: false,
        grace: GRACE,
        claim: None,
        seen_for: LONG_SEEN,
        stated: 1,
        served: None,
        nonce: fresh(),
        known: Numbers::default(),
        fresh_epoch: fresh(),
    }
}

/// For a process that is no member, by its presence.
pub fn wrapper(node: &str, name: &str, presence: &str) -> Acquire {
    let owner = Owner { node_id: id(node), incarnation: Incarnation(0), presence: Some(nonce(presence)) };
    let nobody = Node {
        instance: clawster::cluster::protocol::Instance { node_id: id(node), incarnation: Incarnation(0) },
        epoch: String::new(),
        known: Numbers::default(),
        cursor: clawster::cluster::ids::MessageSeq(0),
        aliases: Vec::new(),
    };
    Acquire { owner, ..acquire_of(&nobody, name) }
}

/// The server process and the data set, seen for so long.
pub async fn served<F: Fixture>(f: &F, span: Duration) -> Option<Served> {
    let look = Call::Lease(Box::new(LeaseCall::Watch(WatchLease { name: lease_name("any") })));
    let answer = f.store().call(look).await.expect("the store answers");
    let Reply::Lease(LeaseReply::Watched(Watched { epoch, .. })) = answer.reply else { panic!("no answer") };
    Some(Served { server: answer.server, epoch, span })
}

pub async fn lease<F: Fixture>(f: &F, ask: LeaseCall) -> LeaseReply {
    let Reply::Lease(reply) = call(f, Call::Lease(Box::new(ask))).await else { panic!("no answer to a lease call") };
    reply
}

pub async fn acquire<F: Fixture>(f: &F, ask: Acquire) -> AcquireReply {
    let LeaseReply::Acquired(reply) = lease(f, LeaseCall::Acquire(ask)).await else { panic!("no answer") };
    *reply
}

/// Asks and must get it.
pub async fn taken<F: Fixture>(f: &F, ask: Acquire) -> Term {
    let reply = acquire(f, ask).await;
    match reply.outcome {
        Acquired::Granted { token, .. } => token,
        other => panic!("not granted: {other:?} {reply:?}"),
    }
}

/// Asks, and must wait behind so many.
pub async fn queued<F: Fixture>(f: &F, ask: &Acquire) -> u64 {
    let reply = acquire(f, Acquire { wait: true, ..ask.clone() }).await;
    match reply.outcome {
        Acquired::Queued { before } => before,
        other => panic!("does not wait: {other:?} {reply:?}"),
    }
}

pub async fn denied<F: Fixture>(f: &F, ask: Acquire) -> Refusal {
    let reply = acquire(f, ask).await;
    match reply.outcome {
        Acquired::Refused(why) => why,
        other => panic!("not refused: {other:?} {reply:?}"),
    }
}

/// Who says that a lease is its own, and by which ticket.
pub trait Claimant: Sync {
    fn proof(&self) -> (Owner, Option<Nonce>);
}

impl Claimant for Node {
    fn proof(&self) -> (Owner, Option<Nonce>) {
        (Owner::of(self.instance.clone()), None)
    }
}

impl Claimant for Acquire {
    fn proof(&self) -> (Owner, Option<Nonce>) {
        (self.owner.clone(), self.owner.presence.as_ref().map(|_| self.ticket.clone()))
    }
}

/// A renewal by whom a lease was granted to.
pub async fn prolong<F: Fixture>(f: &F, by: &dyn Claimant, name: &str, token: Term, ttl: Option<Duration>) -> Renewed {
    let (name, (owner, ticket)) = (lease_name(name), by.proof());
    let ask = LeaseCall::Renew(Renew {
        name,
        token,
        ttl,
        nonce: fresh(),
        owner,
        ticket,
        holds: false,
        grace: GRACE,
        stated: 1,
    });
    let LeaseReply::Renewed(Renewal { outcome, .. }) = lease(f, ask).await else { panic!("no answer") };
    outcome
}

/// A renewal by a presence.
pub async fn hold_on<F: Fixture>(f: &F, ask: &Acquire, token: Term, presence: &str, holds: bool) -> Renewed {
    let (owner, ticket) = (Owner { presence: Some(nonce(presence)), ..ask.owner.clone() }, Some(ask.ticket.clone()));
    let (name, ttl) = (ask.name.clone(), Some(ask.ttl));
    let call =
        LeaseCall::Renew(Renew { name, token, ttl, nonce: fresh(), owner, ticket, holds, grace: GRACE, stated: 1 });
    let LeaseReply::Renewed(Renewal { outcome, .. }) = lease(f, call).await else { panic!("no answer") };
    outcome
}

pub async fn release<F: Fixture>(f: &F, by: &dyn Claimant, name: &str, token: Term) -> bool {
    let (owner, ticket) = by.proof();
    let ask = LeaseCall::Release(Release { name: lease_name(name), token, owner, ticket });
    let LeaseReply::Released { released } = lease(f, ask).await else { panic!("no answer") };
    released
}

pub async fn check<F: Fixture>(f: &F, name: &str, token: Term) -> bool {
    let ask = LeaseCall::Check(Check { name: lease_name(name), token });
    let LeaseReply::Checked { valid } = lease(f, ask).await else { panic!("no answer") };
    valid
}

pub async fn forget<F: Fixture>(f: &F, ask: &Acquire) -> bool {
    let ask = LeaseCall::Forget(Forget { name: ask.name.clone(), ticket: ask.ticket.clone() });
    let LeaseReply::Forgotten { waited } = lease(f, ask).await else { panic!("no answer") };
    waited
}

pub async fn lease_record<F: Fixture>(f: &F, name: &str) -> Option<LeaseRecord> {
    let ask = LeaseCall::Watch(WatchLease { name: lease_name(name) });
    let LeaseReply::Watched(Watched { record, .. }) = lease(f, ask).await else { panic!("no answer") };
    record
}

pub fn once_of(node: &str, keys: &[&str]) -> Once {
    let keys = keys.iter().map(|key| (*key).to_owned()).collect();
    Once { by: id(node), request_id: String::new(), ttl: secs(60), keys, give_back: false, attempt: None, seen: None }
}

pub async fn once<F: Fixture>(f: &F, ask: Once) -> Vec<OnceGrant> {
    let Reply::Once(grants) = call(f, Call::Once(Box::new(ask))).await else { panic!("no answer") };
    grants
}

pub async fn drain<F: Fixture>(f: &F, node: &Node, enabled: bool) -> DrainReply {
    let ask = Call::Drain(Drain { instance: node.instance.clone(), enabled, revision: 0 });
    let Reply::Drain(reply) = call(f, ask).await else { panic!("no answer") };
    reply
}
