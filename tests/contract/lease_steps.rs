//! The steps with leases of the comparison of both stores, and which call each is.
//!
//! 1. A lease's TTL and the grace are no whole numbers of seconds: no limit lies where less than a second of real time shows.
//!
//! Not here: the other steps (`steps.rs`), driving a store (`differential.rs`).

use crate::calls::{Node, nonce};
use crate::lease_calls::*;
use crate::steps::NODES;
use clawster::cluster::ids::{Incarnation, Nonce, Term};
use clawster::cluster::protocol::{
    Acquire, Call, Check, Claim, Drain, Forget, LeaseCall, LeaseRecord, Numbers, Once, Owner, Release, Renew, Served,
    ServerId,
};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::time::Duration;

pub const LEASES: [&str; 3] = ["bot", "job", "leader"];
const GRACE: Duration = Duration::from_millis(1900);
const TTLS: [Duration; 2] = [Duration::from_millis(9700), Duration::from_millis(25_600)];

#[derive(Debug, Clone)]
pub enum LeaseStep {
    Acquire { lease: usize, bound: bool, wait: bool, claim: u8, served: bool, knows: bool, ttl: usize, request: u8 },
    Renew { lease: usize, bound: bool, holds: bool, ttl: usize, other: bool, shows: bool },
    Release { lease: usize, other: bool, bound: bool, shows: bool },
    Check { lease: usize, other: bool },
    Forget { lease: usize },
    Once { keys: Vec<u8>, request: u8, back: bool },
    Drain { enabled: bool },
}

/// What a driver knows when it makes such a step.
pub struct Known<'a> {
    pub node: &'a Node,
    pub presence: Option<&'a str>,
    pub server: &'a ServerId,
    pub epoch: &'a str,
    pub numbers: Numbers,
    pub records: &'a BTreeMap<String, LeaseRecord>,
}

pub fn lease_step() -> impl Strategy<Value = (usize, LeaseStep)> {
    let lease = || prop::sample::select(vec![0usize, 0, 0, 0, 1, 1, 2]);
    let rarely = || prop::bool::weighted(0.15);
    let often = || prop::bool::weighted(0.8);
    let ttl = || 0..TTLS.len();
    let step = prop_oneof![
        12 => (lease(), any::<bool>(), often(), 0..4u8, often(), rarely(), ttl(), 0..6u8).prop_map(
            |(lease, bound, wait, claim, served, knows, ttl, request)| LeaseStep::Acquire {
                lease, bound, wait, claim, served, knows, ttl, request
            }
        ),
        5 => (lease(), any::<bool>(), often(), ttl(), rarely(), often()).prop_map(
            |(lease, bound, holds, ttl, other, shows)| LeaseStep::Renew { lease, bound, holds, ttl, other, shows }
        ),
        5 => (lease(), rarely(), any::<bool>(), often()).prop_map(|(lease, other, bound, shows)| LeaseStep::Release {
            lease, other, bound, shows
        }),
        1 => (lease(), rarely()).prop_map(|(lease, other)| LeaseStep::Check { lease, other }),
        1 => lease().prop_map(|lease| LeaseStep::Forget { lease }),
        1 => (prop::collection::vec(0..4u8, 1..4), 0..3u8, any::<bool>())
            .prop_map(|(keys, request, back)| LeaseStep::Once { keys, request, back: back && request == 0 }),
        1 => prop::bool::weighted(0.4).prop_map(|enabled| LeaseStep::Drain { enabled }),
    ];
    (0..NODES, step)
}

/// The one attempt of a node for a lease, by its life or by its presence.
fn ticket(node: &Node, lease: usize, bound: bool) -> Nonce {
    nonce(&format!("t{}x{lease}x{}", node.instance.node_id, u8::from(bound)))
}

/// The call that a step stands for.
pub fn lease_call(at: usize, step: &LeaseStep, known: &Known<'_>) -> Call {
    let nonce_of = |what: &str| nonce(&format!("{what}{at}"));
    let name = |lease: &usize| lease_name(LEASES[*lease]);
    let record = |lease: &usize| known.records.get(LEASES[*lease]);
    let token = |lease: &usize, other: bool| {
        let token = record(lease).map_or(0, |record| record.token.0);
        Term(if other { token.saturating_sub(1) } else { token })
    };
    let instance = &known.node.instance;
    let owner = |bound: bool| Owner {
        node_id: instance.node_id.clone(),
        incarnation: if bound { Incarnation(0) } else { instance.incarnation },
        presence: bound.then(|| nonce(known.presence.unwrap_or("nobody"))),
    };
    let shown = |lease: &usize, shows: bool| shows.then(|| ticket(known.node, *lease, true));
    Call::Lease(Box::new(match step {
        LeaseStep::Acquire { lease, bound, wait, claim, served, knows, ttl, request } => {
            let seen = record(lease);
            let claim = seen.and_then(|record| match claim {
                1 => Some(Claim::Expired { token: record.token, nonce: record.nonce.clone() }),
                2 => record
                    .holder
                    .as_ref()
                    .and_then(|owner| owner.presence.as_ref())
                    .map(|nonce| Claim::Presence { token: record.token, presence: nonce.to_string() }),
                _ => None,
            });
            let span = Duration::from_secs(600);
            let served = served.then(|| Served { server: known.server.clone(), epoch: known.epoch.to_owned(), span });
            LeaseCall::Acquire(Acquire {
                owner: owner(*bound),
                ticket: ticket(known.node, *lease, *bound),
                request_id: if *request == 0 { "again".to_owned() } else { String::new() },
                ttl: TTLS[*ttl],
                wait: *wait,
                grace: GRACE,
                claim,
                served,
                nonce: nonce_of("k"),
                // Where nobody knows anything the clock decides, and the stores have two.
                known: if *knows || known.epoch.is_empty() { known.numbers } else { Numbers::default() },
                fresh_epoch: nonce_of("epoch"),
                ..acquire_of(known.node, LEASES[*lease])
            })
        }
        LeaseStep::Renew { lease, bound, holds, ttl, other, shows } => LeaseCall::Renew(Renew {
            name: name(lease),
            token: token(lease, *other),
            ttl: (*ttl > 0).then(|| TTLS[*ttl]),
            nonce: nonce_of("k"),
            owner: owner(*bound),
            ticket: shown(lease, *bound && *shows),
            holds: *holds && !known.epoch.is_empty(),
            grace: GRACE,
            stated: 1,
        }),
        LeaseStep::Release { lease, other, bound, shows } => LeaseCall::Release(Release {
            name: name(lease),
            token: token(lease, *other),
            owner: owner(*bound),
            ticket: shown(lease, *bound && *shows),
        }),
        LeaseStep::Check { lease, other } => LeaseCall::Check(Check { name: name(lease), token: token(lease, *other) }),
        LeaseStep::Forget { lease } => {
            LeaseCall::Forget(Forget { name: name(lease), ticket: ticket(known.node, *lease, true) })
        }
        LeaseStep::Once { keys, request, back } => {
            return Call::Once(Box::new(Once {
                by: instance.node_id.clone(),
                request_id: if *request == 0 { "again".to_owned() } else { String::new() },
                ttl: TTLS[0],
                keys: keys.iter().map(|key| format!("key {key}")).collect(),
                give_back: *back,
                attempt: None,
                seen: None,
            }));
        }
        LeaseStep::Drain { enabled } => {
            return Call::Drain(Drain { instance: instance.clone(), enabled: *enabled, revision: 0 });
        }
    }))
}
