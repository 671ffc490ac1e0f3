//! The side that is asked: which questions its gateway gets.

use super::{Answer, AskState, Policy, Question, kind, names};
use crate::clock;
use crate::cluster::ids::NodeId;
use crate::cluster::protocol::{ClaimedTask, Task};
use crate::cluster::time::{ServerTime, millis};
use crate::engine::error::Error;
use crate::engine::node::handle::{ClaimRequest, Handout, HeldTask, Tasks};
use std::time::Duration;

/// The most questions of one call.
const MAX_QUESTIONS: u32 = 4;

/// A question that the gateway's agent gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// The task: its id is the id of the run.
    pub task: HeldTaskData,
    /// The node that asks, as Redis knows it.
    pub from: NodeId,
    /// The message.
    pub message: String,
    /// The name of the conversation.
    pub session: Option<String>,
    /// Whether somebody waits for the reply.
    pub reply: bool,
    /// Whether the turn may use tools.
    pub tools: bool,
    /// How long the reply is awaited.
    pub remaining: Duration,
}

/// Id and token of the task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldTaskData {
    /// The id.
    pub id: String,
    /// The token.
    pub token: u64,
}

enum Verdict {
    Accept(Accepted),
    Settle(Answer),
}

/// Waits for questions; returns those that the policy accepts, and what gives them back unless they are written.
///
/// # Errors
/// Those of tasks.
pub async fn take<W: Tasks>(
    work: &W,
    policy: &Policy,
    wait: Duration,
) -> Result<(Vec<Accepted>, Option<Handout>), Error> {
    let end = clock::now() + wait;
    loop {
        let wait = end.since(clock::now());
        let claimed = work.claim(ClaimRequest { kinds: vec![kind()?], limit: MAX_QUESTIONS, wait }).await?;
        let mut accepted = Vec::new();
        for claim in &claimed.tasks {
            match judge(policy, claim, &work.task(claim.id.clone()).await?) {
                Verdict::Accept(question) => accepted.push(question),
                Verdict::Settle(answer) => {
                    let held = HeldTask { id: claim.id.clone(), token: claim.token };
                    let result =
                        serde_json::value::to_raw_value(&answer).map_err(|why| Error::Internal(why.to_string()))?;
                    match work.complete(held, Some(result)).await {
                        Ok(_) | Err(Error::StaleToken { .. } | Error::NoTask { .. }) => {}
                        Err(why) => return Err(why),
                    }
                }
            }
        }
        if !accepted.is_empty() || claimed.tasks.is_empty() || clock::now() >= end {
            return Ok((accepted, claimed.handout));
        }
    }
}

fn judge(policy: &Policy, claim: &ClaimedTask, task: &Task) -> Verdict {
    let (from, run_id) = (&task.summary.submitted_by, &claim.id);
    let settle = |state, error: String| {
        tracing::warn!(%run_id, %from, ?state, error, "a question of another gateway's agent");
        Verdict::Settle(Answer { state, reply: None, error: Some(error) })
    };
    if !names(&policy.accept_from, from) {
        let error = "the node does not accept questions of this sender (agents.accept_from in its config.json)";
        return settle(AskState::Refused, error.to_owned());
    }
    let Ok(question) = serde_json::from_str::<Question>(&claim.payload) else {
        return settle(AskState::Refused, "the question cannot be read".to_owned());
    };
    let Question { message, session, reply, timeout_ms } = question;
    if message.len() > policy.max_bytes {
        let error = format!("the message has {} bytes, the node accepts {}", message.len(), policy.max_bytes);
        return settle(AskState::Refused, error);
    }
    // The claim gave the task its whole time, so this is Redis' clock now.
    let now = claim.expires_at.0.saturating_sub(millis(task.summary.timeout));
    let end = ServerTime(task.summary.created_at.0.saturating_add(timeout_ms));
    if now >= end.0 {
        return settle(AskState::Timeout, "the question was too old when the node got it".to_owned());
    }
    let tools = names(&policy.tools_for, from);
    tracing::info!(%run_id, %from, bytes = message.len(), tools, attempt = claim.attempt, "accepted a question of another gateway's agent");
    let task = HeldTaskData { id: claim.id.to_string(), token: claim.token.0 };
    let remaining = Duration::from_millis(end.0 - now);
    Verdict::Accept(Accepted { task, from: from.clone(), message, session, reply, tools, remaining })
}
