//! Questions from the agent of one gateway to the agent of another.
//!
//! 1. A question is a task of a reserved kind: it survives the death of either node, and its id is the id of the run.
//! 2. Who asks is what Redis says about the task, never what the question says about itself.
//! 3. The node that is asked decides by its own policy before its gateway sees anything; what it refuses it settles at once.
//! 4. Each question that is asked, accepted, refused or too late is logged on both sides, without its text.
//!
//! `asking.rs` has the side that asks, `answering.rs` the other one.
//!
//! Not here: the turn of the agent (the gateway's plugin), tasks themselves (`super::tasks`).

mod answering;
mod asking;

pub use answering::{Accepted, take};
pub use asking::{AskRequest, AskState, Asked, TellRequest, Told, ask, tell};

use crate::cluster::ids::NodeId;
use crate::cluster::task::TaskKind;
use crate::engine::error::Error;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The kinds of tasks that clients may neither submit nor claim begin with this.
pub const RESERVED_KINDS: &str = "clawster.";

const KIND: &str = "clawster.agent_question";

/// How long one attempt may take without an extension; the gateway extends it while the agent works.
const ATTEMPT: Duration = Duration::from_secs(30);

/// What this node allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Whether this node's clients may ask.
    pub ask: bool,
    /// Whose questions are accepted: node ids, or `*`.
    pub accept_from: Vec<String>,
    /// Whose questions may use tools: node ids, or `*`.
    pub tools_for: Vec<String>,
    /// The longest message in bytes.
    pub max_bytes: usize,
}

impl Default for Policy {
    fn default() -> Self {
        Self { ask: false, accept_from: Vec::new(), tools_for: Vec::new(), max_bytes: 16 << 10 }
    }
}

fn names(list: &[String], node: &NodeId) -> bool {
    list.iter().any(|entry| entry == "*" || entry == node.as_str())
}

/// The payload of the task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Question {
    message: String,
    session: Option<String>,
    /// Whether somebody waits for a reply.
    reply: bool,
    /// How long the question is worth an answer, from its submission on.
    timeout_ms: u64,
}

/// The result of the task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Answer {
    state: AskState,
    #[serde(default)]
    reply: Option<String>,
    #[serde(default)]
    error: Option<String>,
}

fn kind() -> Result<TaskKind, Error> {
    TaskKind::new(KIND).map_err(|why| Error::Internal(why.to_string()))
}
