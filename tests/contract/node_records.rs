//! What the nodes of the comparison of both stores remember.
//!
//! Not here: how they learn it (`differential.rs`).

use crate::calls::{Node, campaign_of, id, secs, tick_of};
use clawster::cluster::ids::{Incarnation, MessageSeq, Term};
use clawster::cluster::protocol::{Campaign, Instance, LeaderRecord, Numbers, Rule, Tick};
use clawster::cluster::settings::{LeaderMode, Shared, Timing, Versioned};

pub fn name(node: usize) -> String {
    format!("n{node}")
}

/// What one node remembers.
#[derive(Debug, Clone)]
pub struct NodeRecord {
    pub node: Node,
    pub version: u64,
    pub floor: u64,
    pub term: Term,
    /// The place of its next message.
    pub next_own: u64,
    /// The nonce of its standing connection.
    pub presence: Option<String>,
}

impl NodeRecord {
    pub fn new(node: usize) -> Self {
        Self {
            node: Node {
                instance: Instance { node_id: id(&name(node)), incarnation: Incarnation(0) },
                epoch: String::new(),
                known: Numbers::default(),
                cursor: MessageSeq(0),
                aliases: Vec::new(),
            },
            version: 0,
            floor: 0,
            term: Term(0),
            next_own: 1,
            presence: None,
        }
    }
}

/// Settings of three versions, each with a grace, a mode and a lease of its own.
pub fn settings(at: usize) -> Versioned {
    let version = at as u64 % 3;
    let timing = Timing { heartbeat_interval: secs(10), heartbeat_ttl: secs(31), lease_ttl: secs(31 + 2 * version) };
    let mode = if version == 1 { LeaderMode::Fenced } else { LeaderMode::Exclusive };
    Versioned { version, settings: Shared { timing, presence_grace: secs(1 + version), mode } }
}

/// A tick in which the caller knows and states the settings of this step.
pub fn tick_at(node: &Node, at: usize) -> Tick {
    let (settings, stated) = (settings(at), at as u64);
    Tick { settings, promise: settings.settings.promise(), stated, ..tick_of(node) }
}

/// A campaign in which it does; now and then the caller has seen too little for any rule.
pub fn campaign_at(at: usize, node: &Node, rule: Rule, seen: Term) -> Campaign {
    let seen_for = secs(if at.is_multiple_of(4) { 1 } else { 600 });
    let (promise, stated) = (settings(at).settings.promise(), at as u64);
    Campaign { promise, stated, seen_for, ..campaign_of(node, rule, seen) }
}

/// The rule with this number, about what `record` shows, or about another nonce.
pub fn rule_of(number: u8, record: Option<&LeaderRecord>, other_nonce: bool) -> Rule {
    let text = |nonce: Option<String>| match nonce {
        Some(nonce) if !other_nonce => nonce,
        _ => "other".to_owned(),
    };
    let renewal = || text(record.map(|record| record.nonce.clone()));
    let presence = || text(record.and_then(|record| record.presence.clone()));
    match number {
        0 => Rule::Vacant,
        1 => Rule::Expired { nonce: renewal() },
        2 => Rule::Presence { nonce: presence() },
        3 => Rule::Absent,
        4 => Rule::Restarted { nonce: renewal() },
        5 => Rule::Fenced { nonce: presence() },
        _ => Rule::AbsentLease,
    }
}
