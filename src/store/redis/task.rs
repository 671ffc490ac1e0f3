//! The calls of tasks as script invocations, and the scripts' replies.
//!
//! 1. A task in Redis that is not as `scripts/tasks/shared.lua` says counts as none.
//!
//! Not here: all other calls (`encode.rs`, `decode.rs`).

use super::fields::{Fields, Malformed, identity};
use super::scripts::{self, Script};
use super::unreadable::What;
use crate::cluster::ids::{NodeId, TaskToken};
use crate::cluster::protocol::{
    ClaimedTask, Instance, NewTask, Settled, Settlement, Submitted, Task, TaskCall, TaskChange, TaskClaim, TaskReply,
    TaskSummary, Verdict,
};
use crate::cluster::task::{CLAIM_BYTES, Priority, Requirements, TaskId, TaskKind, TaskState};
use crate::cluster::time::{ServerTime, millis};
use std::time::Duration;

pub(super) fn invocation(call: &TaskCall) -> (&'static Script, Vec<String>) {
    match call {
        TaskCall::Submit { instance, tasks, max_bytes } => {
            (&scripts::TASK_SUBMIT, submit_arguments(instance, tasks, *max_bytes))
        }
        TaskCall::Claim(claim) => (&scripts::TASK_CLAIM, claim_arguments(claim)),
        TaskCall::Withdraw { instance, kinds, nonce, told } => {
            let (id, incarnation) = (instance.node_id.to_string(), instance.incarnation.to_string());
            let told = told.map(|token| token.to_string()).unwrap_or_default();
            let mut arguments = vec![id, incarnation, nonce.to_string(), told];
            arguments.extend(sorted(kinds));
            (&scripts::TASK_WITHDRAW, arguments)
        }
        TaskCall::Settle { instance, settlements } => (&scripts::TASK_SETTLE, settle_arguments(instance, settlements)),
        TaskCall::Cancel { id } => (&scripts::TASK_CANCEL, vec![id.to_string()]),
        TaskCall::Redrive { id } => (&scripts::TASK_REDRIVE, vec![id.to_string()]),
        TaskCall::Get { id } => (&scripts::TASK_GET, vec![id.to_string()]),
        TaskCall::List { state, kind, limit } => {
            let state = state.map(TaskState::word).unwrap_or_default().to_owned();
            let kind = kind.as_ref().map(ToString::to_string).unwrap_or_default();
            (&scripts::TASK_LIST, vec![state, kind, limit.to_string()])
        }
    }
}

fn submit_arguments(instance: &Instance, tasks: &[NewTask], max_bytes: u64) -> Vec<String> {
    let mut arguments = Vec::with_capacity(3 + 9 * tasks.len());
    arguments.extend([instance.node_id.to_string(), instance.incarnation.to_string(), max_bytes.to_string()]);
    for task in tasks {
        arguments.extend([
            task.id.to_string(),
            task.kind.to_string(),
            task.requires.canonical(),
            task.priority.get().to_string(),
            millis(task.delay).to_string(),
            task.max_attempts.to_string(),
            millis(task.timeout).to_string(),
            task.payload.clone(),
            task.nonce.to_string(),
        ]);
    }
    arguments
}

fn sorted(kinds: &[TaskKind]) -> Vec<String> {
    let mut kinds: Vec<String> = kinds.iter().map(ToString::to_string).collect();
    kinds.sort();
    kinds.dedup();
    kinds
}

fn claim_arguments(claim: &TaskClaim) -> Vec<String> {
    let mut arguments = vec![
        claim.instance.node_id.to_string(),
        claim.instance.incarnation.to_string(),
        claim.limit.to_string(),
        claim.nonce.to_string(),
        claim.jitter.thousandths().to_string(),
        CLAIM_BYTES.to_string(),
    ];
    arguments.extend(sorted(&claim.kinds));
    arguments
}

fn settle_arguments(instance: &Instance, settlements: &[Settlement]) -> Vec<String> {
    let mut arguments = Vec::with_capacity(2 + 5 * settlements.len());
    arguments.extend([instance.node_id.to_string(), instance.incarnation.to_string()]);
    for settlement in settlements {
        let (verdict, text, jitter) = match &settlement.verdict {
            Verdict::Extend => ("extend", String::new(), 0),
            Verdict::Complete { result: None } => ("complete", String::new(), 0),
            Verdict::Complete { result: Some(result) } => ("result", result.clone(), 0),
            Verdict::Fail { error, retry, jitter } => {
                (if *retry { "retry" } else { "fail" }, error.clone(), jitter.thousandths())
            }
        };
        let (id, token) = (settlement.id.to_string(), settlement.token.to_string());
        arguments.extend([id, token, verdict.to_owned(), text, jitter.to_string()]);
    }
    arguments
}

pub(super) fn reply(call: &TaskCall, f: &mut Fields) -> Result<TaskReply, Malformed> {
    Ok(match call {
        TaskCall::Submit { .. } => {
            let identity = identity(f)?;
            let mut list = f.list("results")?;
            let mut results = Vec::with_capacity(list.len());
            while list.len() > 0 {
                results.push(match list.signed("result")? {
                    1 => Submitted::New,
                    0 => Submitted::Duplicate,
                    -2 => Submitted::Full,
                    _ => Submitted::Overloaded,
                });
            }
            TaskReply::Submitted { identity, results }
        }
        TaskCall::Claim(_) => {
            let identity = identity(f)?;
            let mut list = f.list("tasks")?;
            let mut tasks = Vec::with_capacity(list.len() / 6);
            while list.len() > 0 {
                tasks.extend(claimed(&mut list)?);
            }
            TaskReply::Claimed { identity, tasks }
        }
        TaskCall::Withdraw { .. } => TaskReply::Withdrawn { tasks: f.number("tasks")? },
        TaskCall::Settle { .. } => {
            let identity = identity(f)?;
            let mut list = f.list("results")?;
            let mut results = Vec::with_capacity(list.len() / 2);
            while list.len() > 0 {
                results.push(settled(&mut list)?);
            }
            TaskReply::Settled { identity, results }
        }
        TaskCall::Cancel { .. } | TaskCall::Redrive { .. } => {
            let (outcome, state) = (f.text("outcome")?, TaskState::from_word(&f.text("state")?));
            TaskReply::Changed(match (outcome.as_str(), state) {
                ("yes", Some(state)) => TaskChange::Yes(state),
                ("no", Some(state)) => TaskChange::No(state),
                _ => TaskChange::NotFound,
            })
        }
        TaskCall::Get { id } => {
            let skew = f.signed("skew")?;
            TaskReply::Task(if f.len() == 0 { None } else { task(id, skew, f)?.map(Box::new) })
        }
        TaskCall::List { .. } => {
            let skew = f.signed("skew")?;
            let mut list = f.list("tasks")?;
            let mut tasks = Vec::with_capacity(list.len() / 5);
            while list.len() > 0 {
                let id = list.text("task id")?;
                let (what, is, error) = (list.text("what")?, list.text("is")?, list.optional("error")?);
                let clocks = (skew, list.number("ready at")?);
                tasks.extend(TaskId::new(id).ok().and_then(|id| summary(id, clocks, &what, &is, error)));
            }
            TaskReply::Tasks(tasks)
        }
    })
}

/// A task that was handed out; `None` when somebody else gave it a name that is none.
fn claimed(f: &mut Fields) -> Result<Option<ClaimedTask>, Malformed> {
    let (id, token) = (f.text("task id")?, TaskToken(f.number("token")?));
    let attempt = u32::try_from(f.number("attempt")?).unwrap_or(u32::MAX);
    let (kind, payload) = (f.text("kind")?, f.text("payload")?);
    let expires_at = ServerTime(f.number("expires at")?);
    let names = TaskId::new(id.as_str()).and_then(|id| Ok((id, TaskKind::new(kind)?)));
    let named = names.inspect_err(|why| What::Task.left_out(&id, why)).ok();
    Ok(named.map(|(id, kind)| ClaimedTask { id, token, attempt, kind, payload, expires_at }))
}

fn settled(f: &mut Fields) -> Result<Settled, Malformed> {
    let (word, due) = (f.text("state")?, f.number("due")?);
    Ok(match (word.as_str(), TaskState::from_word(&word)) {
        (_, Some(state)) => Settled::Accepted { state, due_at: (due > 0).then_some(ServerTime(due)) },
        ("stale", None) => Settled::Stale,
        _ => Settled::NotFound,
    })
}

fn task(id: &TaskId, skew: i64, f: &mut Fields) -> Result<Option<Task>, Malformed> {
    let (what, is) = (f.text("what")?, f.text("is")?);
    let (payload, error, result) = (f.text("payload")?, f.optional("error")?, f.text("result")?);
    let result = f.flag("has a result")?.then_some(result);
    let clocks = (skew, f.number("ready at")?);
    Ok(summary(id.clone(), clocks, &what, &is, error).map(|summary| Task { summary, payload, result }))
}

/// The two packed texts of a task, as `scripts/tasks/shared.lua` describes them. `clocks`: what makes cluster time server time, and when a
/// delayed task is ready by the server's clock, 0 where that is not known.
fn summary(id: TaskId, clocks: (i64, u64), what: &str, is: &str, error: Option<String>) -> Option<TaskSummary> {
    let (skew, scheduled) = clocks;
    let mut what = what.splitn(9, ' ');
    let mut number = || what.next()?.parse::<i64>().ok();
    let (_seq, priority, most, timeout, created) = (number()?, number()?, number()?, number()?, number()?);
    let (submitted_by, _nonce) = (NodeId::new(what.next()?).ok()?, what.next()?);
    let kind = TaskKind::new(what.next()?).ok()?;
    let requires = Requirements::from_canonical(what.next().unwrap_or_default())?;
    let mut is = is.split(' ');
    let state = TaskState::from_word(is.next()?)?;
    let number = |text: Option<&str>| text?.parse::<i64>().ok();
    let (token, node, _incarnation) = (number(is.next())?, is.next()?, number(is.next())?);
    let (attempts, due, changed, _how) = (number(is.next())?, number(is.next())?, number(is.next())?, is.next()?);
    let time = |at: i64| ServerTime(u64::try_from(at).unwrap_or(0));
    Some(TaskSummary {
        id,
        kind,
        state,
        requires,
        priority: Priority::new(priority).ok()?,
        attempts: u32::try_from(attempts).ok()?,
        max_attempts: u32::try_from(most).ok()?,
        timeout: Duration::from_millis(u64::try_from(timeout).ok()?),
        submitted_by,
        node_id: NodeId::new(node).ok(),
        token: u64::try_from(token).ok().filter(|token| *token > 0).map(TaskToken),
        created_at: time(created),
        changed_at: time(changed),
        due_at: match (state, time(due.saturating_add(skew))) {
            (TaskState::Delayed, due) if scheduled > 0 => Some(due.min(ServerTime(scheduled))),
            (TaskState::Delayed | TaskState::Running, due) => Some(due),
            _ => None,
        },
        error,
    })
}
