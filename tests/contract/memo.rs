//! What the nodes of the comparison of both stores remember.
//!
//! Not here: how they learn it (`differential.rs`).

use crate::calls::{Node, id};
use clawster::cluster::ids::{Incarnation, MessageSeq, Term};
use clawster::cluster::protocol::{Life, Numbers};

pub fn name(node: usize) -> String {
    format!("n{node}")
}

/// What one node remembers.
#[derive(Debug, Clone)]
pub struct Memo {
    pub node: Node,
    pub version: u64,
    pub floor: u64,
    pub term: Term,
    /// The place of its next message.
    pub next_own: u64,
    /// The nonce of its standing connection.
    pub presence: Option<String>,
}

impl Memo {
    pub fn new(node: usize) -> Self {
        Self {
            node: Node {
                life: Life { node_id: id(&name(node)), incarnation: Incarnation(0) },
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
