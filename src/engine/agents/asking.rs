//! The side that asks.

use super::{ATTEMPT, Answer, KIND, Policy, Question, kind};
use crate::clock;
use crate::cluster::ids::NodeId;
use crate::cluster::members::member::Status;
use crate::cluster::protocol::Task;
use crate::cluster::task::{Priority, Requirements, TaskId, TaskState};
use crate::cluster::time::millis;
use crate::engine::error::Error;
use crate::engine::node::handle::{StateView, TaskDraft, Tasks};
use crate::engine::store_calls::nonce;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::time::Duration;

/// The pauses between two looks at a running question: the first, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_millis(500));
/// How long a message without a reply waits for its node.
const TOLD_FOR: Duration = Duration::from_hours(24);
/// The longest request id, so that ids of tasks have room for it.
const MAX_REQUEST_ID: usize = 40;
/// The longest reply in bytes that is passed on.
const MAX_REPLY_BYTES: usize = 256 << 10;

/// A question.
#[derive(Debug, Clone)]
pub struct AskRequest {
    /// The node whose agent is asked.
    pub to: Option<NodeId>,
    /// The requirements on the node, where `to` is absent.
    pub requires: Requirements,
    /// The question.
    pub message: String,
    /// A name for the conversation; questions of one node under one name share a session.
    pub session: Option<String>,
    /// How long to wait for the reply.
    pub timeout: Duration,
    /// Whether to wait for the reply; without it the call returns when the question is kept.
    pub wait: bool,
    /// Makes the call repeatable: the same id asks the question once.
    pub request_id: Option<String>,
}

/// A message without a reply.
#[derive(Debug, Clone)]
pub struct TellRequest {
    /// The nodes whose agents are told; empty: all other members that are online.
    pub to: Vec<NodeId>,
    /// The message.
    pub message: String,
    /// See [`AskRequest::session`].
    pub session: Option<String>,
    /// See [`AskRequest::request_id`].
    pub request_id: Option<String>,
}

/// The state of a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AskState {
    /// No gateway has it yet.
    Waiting,
    /// A gateway's agent works on it.
    Running,
    /// The agent replied.
    Done,
    /// The turn failed, or the question was cancelled.
    Failed,
    /// The policy of the node that got it refuses it.
    Refused,
    /// There was no reply in time.
    Timeout,
}

/// What became of a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The id of the run, which is the id of its task.
    pub run_id: TaskId,
    /// The state.
    pub state: AskState,
    /// The node that has or had it.
    pub by: Option<NodeId>,
    /// The reply.
    pub reply: Option<String>,
    /// Why there is none.
    pub error: Option<String>,
}

/// What became of a message without a reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// The id of the run; the ids of its tasks begin with it.
    pub run_id: String,
    /// The nodes that it waits for.
    pub delivered_to: Vec<NodeId>,
}

/// Asks the agent of another gateway, and waits for its reply.
///
/// # Errors
/// [`Error::Forbidden`] when the policy does not allow it; [`Error::UnknownNode`] when `to` is not a member; those of tasks.
pub async fn ask<W: Tasks>(work: &W, policy: &Policy, state: &StateView, request: AskRequest) -> Result<Asked, Error> {
    let me = allowed(policy, state, &request.message)?;
    let AskRequest { to, mut requires, message, session, timeout, wait, request_id } = request;
    if let Some(to) = to {
        member(state, &to)?;
        requires.node_id = Some(to);
    }
    if requires == Requirements::default() {
        return Err(Error::InvalidParams("name the node in to, or what it must have in requires".to_owned()));
    }
    if requires.node_id.as_ref() == Some(me) {
        return Err(Error::InvalidParams(format!("{me} is this node; a question goes to another one")));
    }
    let id = task_id(&run_id("ask", me, request_id)?)?;
    let (bytes, to) = (message.len(), requires.canonical());
    let question = Question { message, session, reply: true, timeout_ms: millis(timeout) };
    let (id, duplicate) = work.submit(draft(id, requires, &question)?).await?;
    tracing::info!(run_id = %id, %to, bytes, duplicate, "asking another gateway's agent");
    let end = clock::now() + if wait { timeout } else { Duration::ZERO };
    let mut pause = PAUSES.0;
    loop {
        let late = clock::now() >= end;
        let asked = match work.task(id.clone()).await {
            Ok(task) => outcome(id.clone(), task, timeout),
            Err(Error::RedisUnavailable { .. }) if !late => None,
            Err(why) => return Err(why),
        };
        let running = asked.as_ref().is_none_or(|asked| matches!(asked.state, AskState::Waiting | AskState::Running));
        if !running || (late && !wait) {
            let asked = asked.ok_or_else(|| Error::Internal("a question without a state".to_owned()))?;
            if asked.state != AskState::Waiting {
                tracing::info!(run_id = %id, state = ?asked.state, by = asked.by.as_ref().map(NodeId::as_str), "a question to another gateway's agent");
            }
            return Ok(asked);
        }
        if late {
            return give_up(work, id, asked.and_then(|asked| asked.by), timeout).await;
        }
        tokio::time::sleep(pause.min(end.since(clock::now()))).await;
        pause = (pause * 3 / 2).min(PAUSES.1);
    }
}

/// Cancels a question; a reply that came meanwhile counts.
async fn give_up<W: Tasks>(work: &W, id: TaskId, by: Option<NodeId>, timeout: Duration) -> Result<Asked, Error> {
    if work.cancel(id.clone()).await? == TaskState::Done
        && let Some(asked) = outcome(id.clone(), work.task(id.clone()).await?, timeout)
    {
        return Ok(asked);
    }
    tracing::info!(run_id = %id, "no reply from another gateway's agent in time");
    let error = Some(format!("there was no reply within {} ms; the question was cancelled", timeout.as_millis()));
    Ok(Asked { run_id: id, state: AskState::Timeout, by, reply: None, error })
}

/// Tells the agents of other gateways something.
///
/// # Errors
/// As [`ask`].
pub async fn tell<W: Tasks>(work: &W, policy: &Policy, state: &StateView, request: TellRequest) -> Result<Told, Error> {
    let me = allowed(policy, state, &request.message)?;
    let TellRequest { to, message, session, request_id } = request;
    to.iter().try_for_each(|to| member(state, to))?;
    let online = state.nodes.iter().filter(|node| matches!(node.status, Status::Online | Status::Draining));
    let all = online.map(|node| node.member.node_id.clone());
    let to: BTreeSet<NodeId> = if to.is_empty() { all.collect() } else { to.into_iter().collect() };
    let run_id = run_id("tell", me, request_id)?;
    let question = Question { message, session, reply: false, timeout_ms: millis(TOLD_FOR) };
    let mut delivered_to = Vec::new();
    for to in to.into_iter().filter(|to| to != me) {
        let id = task_id(&format!("{run_id}@{:016x}", short(to.as_str())))?;
        let requires = Requirements { node_id: Some(to.clone()), ..Requirements::default() };
        work.submit(draft(id, requires, &question)?).await?;
        delivered_to.push(to);
    }
    tracing::info!(%run_id, bytes = question.message.len(), nodes = delivered_to.len(), "telling other gateways' agents");
    Ok(Told { run_id, delivered_to })
}

/// Checks the policy and the size; returns this node's id.
fn allowed<'a>(policy: &Policy, state: &'a StateView, message: &str) -> Result<&'a NodeId, Error> {
    if !policy.ask {
        let what = "this node may not ask other gateways' agents".to_owned();
        return Err(Error::Forbidden { what, key: "agents.ask to true in its config.json to allow it" });
    }
    if message.trim().is_empty() {
        return Err(Error::InvalidParams("message is empty; write what the other agent should know".to_owned()));
    }
    if message.len() > policy.max_bytes {
        return Err(Error::TooLarge { what: "the message", bytes: message.len(), max: policy.max_bytes });
    }
    state.node_id.as_ref().ok_or(Error::NotJoined)
}

fn member(state: &StateView, id: &NodeId) -> Result<(), Error> {
    let there =
        |node: &crate::engine::node::handle::NodeView| node.member.node_id == *id && node.status != Status::Left;
    if state.nodes.iter().any(there) { Ok(()) } else { Err(Error::UnknownNode { names: vec![id.to_string()] }) }
}

fn run_id(word: &str, me: &NodeId, request_id: Option<String>) -> Result<String, Error> {
    let own = match request_id {
        Some(text) if text.is_empty() || text.len() > MAX_REQUEST_ID || !text.chars().all(|c| c.is_ascii_graphic()) => {
            let problem = format!("request_id: use 1 to {MAX_REQUEST_ID} printable ASCII characters without spaces");
            return Err(Error::InvalidParams(problem));
        }
        Some(text) => text,
        None => nonce()?.to_string(),
    };
    Ok(format!("{word}:{me}:{own}"))
}

fn task_id(text: &str) -> Result<TaskId, Error> {
    TaskId::new(text).map_err(|why| Error::Internal(why.to_string()))
}

/// A short number for a node id (FNV-1a), because an id of a task has no room for two node ids.
fn short(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |sum, byte| (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

fn draft(id: TaskId, requires: Requirements, question: &Question) -> Result<TaskDraft, Error> {
    let payload = serde_json::value::to_raw_value(question).map_err(|why| Error::Internal(why.to_string()))?;
    let (priority, delay) = (Priority::default(), Duration::ZERO);
    let (id, kind, after, concurrency) = (Some(id), kind()?, Vec::new(), None);
    Ok(TaskDraft {
        id,
        kind,
        payload,
        requires,
        priority,
        delay,
        max_attempts: 3,
        timeout: ATTEMPT,
        after,
        concurrency,
    })
}

/// What a task says about its question; `None`: it is not one.
fn outcome(run_id: TaskId, task: Task, timeout: Duration) -> Option<Asked> {
    let Task { summary, result, .. } = task;
    if summary.kind.as_str() != KIND {
        return None;
    }
    let (by, error) = (summary.node_id, summary.error);
    let asked = |state, reply, error| Some(Asked { run_id: run_id.clone(), state, by: by.clone(), reply, error });
    match summary.state {
        TaskState::Waiting | TaskState::Delayed => asked(AskState::Waiting, None, None),
        TaskState::Running => asked(AskState::Running, None, None),
        TaskState::Failed if summary.changed_at >= summary.created_at.plus(timeout) => {
            asked(AskState::Timeout, None, Some("there was no reply in time; the question was cancelled".to_owned()))
        }
        TaskState::Failed | TaskState::Dead => asked(AskState::Failed, None, error),
        TaskState::Done => match serde_json::from_str::<Answer>(result.as_deref().unwrap_or_default()) {
            Ok(Answer { state, reply, error }) => asked(state, reply.map(cut), error.map(cut)),
            Err(_) => asked(AskState::Failed, None, Some("the other gateway's answer cannot be read".to_owned())),
        },
    }
}

fn cut(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(MAX_REPLY_BYTES));
    text
}
