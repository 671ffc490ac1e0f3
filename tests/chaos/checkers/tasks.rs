//! T1 over the steps of tasks.

use super::{Case, era};
use crate::history::{TaskOp, TaskStep, touches};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use testkit::Stamp;

/// What is wrong.
pub fn judge(case: &Case<'_>) -> Vec<String> {
    let ops = case.history.tasks().clone();
    let losses = case.history.losses(case.settle);
    let mut by_task: BTreeMap<&str, Vec<&TaskOp>> = BTreeMap::new();
    for op in &ops {
        by_task.entry(&op.task).or_default().push(op);
    }
    let mut problems = Vec::new();
    for (task, mut steps) in by_task {
        steps.sort_by_key(|op| op.answered);
        problems.extend(completions(task, &steps, &losses));
        if !case.history.numbers_may_fall() {
            problems.extend(tokens(task, &steps));
        }
        problems.extend(taken_early(case, task, &steps));
        problems.extend(kept(task, &steps, &losses));
    }
    problems
}

/// One accepted completion within an era.
fn completions(task: &str, steps: &[&TaskOp], losses: &[(Stamp, Stamp)]) -> Vec<String> {
    let mut accepted: BTreeMap<usize, BTreeSet<u64>> = BTreeMap::new();
    for op in steps {
        if let (TaskStep::Completed { token }, Some(era)) = (&op.step, era(losses, op.sent, op.answered)) {
            accepted.entry(era).or_default().insert(*token);
        }
    }
    let twice = accepted.values().filter(|tokens| tokens.len() > 1);
    twice.map(|tokens| format!("T1: {task} was completed under the tokens {tokens:?}")).collect()
}

/// A token is one claim's, and later claims have higher ones, also across a loss of data.
fn tokens(task: &str, steps: &[&TaskOp]) -> Vec<String> {
    let claims: Vec<(&&TaskOp, u64)> = steps
        .iter()
        .filter_map(|op| if let TaskStep::Claimed { token, .. } = op.step { Some((op, token)) } else { None })
        .collect();
    let mut problems = Vec::new();
    for (at, (op, token)) in claims.iter().enumerate() {
        for (later, other) in &claims[at + 1..] {
            let same_life = later.place == op.place && later.instance == op.instance;
            if other == token && !same_life {
                problems.push(format!("T1: {task} was claimed twice under the token {token}"));
            } else if later.sent > op.answered && other < token {
                problems.push(format!("T1: {task} was claimed under {token}, and then under {other}"));
            }
        }
    }
    problems
}

/// Nobody gets a task that another works on, undisturbed and in time.
fn taken_early(case: &Case<'_>, task: &str, steps: &[&TaskOp]) -> Vec<String> {
    let mut problems = Vec::new();
    for (at, op) in steps.iter().enumerate() {
        let TaskStep::Claimed { token, timeout_ms, .. } = op.step else { continue };
        let gave_up = |op: &&&TaskOp| match op.step {
            TaskStep::Completed { token: of } | TaskStep::Failed { token: of } => of == token,
            _ => false,
        };
        let settled = steps.iter().find(gave_up).map(|op| op.sent);
        let until = settled.unwrap_or(op.sent + Duration::from_millis(timeout_ms) * 9 / 10);
        let next = steps[at + 1..].iter().find(|next| {
            matches!(next.step, TaskStep::Claimed { token: of, .. } if of != token) && next.answered < until
        });
        let Some(next) = next else { continue };
        if !touches(&case.history.risks(Some(op.place), true, case.settle), op.sent, next.answered) {
            problems.push(format!(
                "T1: {task} was given to n{} at {:?} under {token}, and at {:?} to n{} as well",
                op.place, op.answered, next.answered, next.place
            ));
        }
    }
    problems
}

/// An accepted task is done in the end, unless its data was lost.
fn kept(task: &str, steps: &[&TaskOp], losses: &[(Stamp, Stamp)]) -> Vec<String> {
    let Some(submitted) = steps.iter().find(|op| op.step == TaskStep::Submitted) else { return Vec::new() };
    let lost = losses.iter().any(|(_, to)| submitted.sent <= *to);
    let last = steps.iter().rev().find(|op| matches!(op.step, TaskStep::Found { .. } | TaskStep::Missing));
    match last.map(|op| &op.step) {
        Some(TaskStep::Missing) if !lost => vec![format!("T1: {task} is gone, though no data was lost")],
        Some(TaskStep::Found { state }) if state != "done" && !lost => {
            vec![format!("T1: {task} was accepted, and is {state} in the end")]
        }
        _ => Vec::new(),
    }
}
