//! `tasks`: submits and manages tasks.
//!
//! 1. A payload is passed on as it was written; when shown, it cannot control a terminal.
//!
//! Not here: running tasks (`work/`).

pub(super) mod arguments;

use super::Session;
use super::messages::{payload, read_input};
use super::options::Form;
use super::outcome::{Failure, Outcome};
use super::terminal::{Tint, clean, escape_json, time_of_day};
use crate::cli::node_access::attach::{ANSWER, answer, require};
use crate::cluster::time::millis;
use crate::rpc::client::Client;
use crate::rpc::wire::task::{
    ClaimParams, ClaimResult, CompleteParams, FailParams, ListParams, ListResult, ListedTask, Requires, StateResult,
    SubmitParams, SubmitResult, TaskDetails, TaskIdParams, TaskState,
};
use arguments::{SubmitArguments, TasksAction};
use std::io::IsTerminal;
use std::time::Duration;

/// Runs `tasks`.
///
/// # Errors
/// See [`Failure`].
pub(super) async fn run(session: &mut Session<'_>, action: TasksAction) -> Outcome {
    let (client, _) = require(session.global, session.environment).await?;
    match action {
        TasksAction::Submit(arguments) => submit(session, &client, *arguments).await,
        TasksAction::Get { task_id, form } => get(session, &client, task_id, form).await,
        TasksAction::List { state, kind, limit, form } => {
            let state = state.map(|text| state_of(&text)).transpose()?;
            list(session, &client, ListParams { state, limit: Some(limit), kind }, form).await
        }
        TasksAction::Cancel { task_id, form } => {
            changed(session, &client, "distributed.cancel_task", TaskIdParams { task_id }, form).await
        }
        TasksAction::Redrive { task_id, form } => {
            changed(session, &client, "distributed.redrive_task", TaskIdParams { task_id }, form).await
        }
        TasksAction::Claim { kinds, limit, wait, form } => {
            let kinds = (!kinds.is_empty()).then_some(kinds);
            let params = ClaimParams { kinds, limit: Some(limit), wait_ms: wait.map(millis) };
            claim(session, &client, params, form).await
        }
        TasksAction::Complete { task_id, token, result, form } => {
            let result = result.map(|text| payload(&text, false)).transpose()?;
            let params = CompleteParams { task_id, token, result };
            changed(session, &client, "distributed.complete_task", params, form).await
        }
        TasksAction::Fail { task_id, token, error, no_retry, form } => {
            let params = FailParams { task_id, token, error, retry: no_retry.then_some(false) };
            changed(session, &client, "distributed.fail_task", params, form).await
        }
    }
}

fn state_of(text: &str) -> Result<TaskState, Failure> {
    let word = serde_json::Value::String(text.to_owned());
    serde_json::from_value(word).map_err(|_| {
        let text = clean(text, 40);
        Failure::Usage(format!("--state {text}: use waiting, delayed, running, done, failed or dead"))
    })
}

fn word(state: TaskState) -> (Tint, &'static str) {
    let tint = match state {
        TaskState::Waiting => Tint::Plain,
        TaskState::Delayed => Tint::Yellow,
        TaskState::Running => Tint::Bold,
        TaskState::Done => Tint::Green,
        TaskState::Failed | TaskState::Dead => Tint::Red,
    };
    (tint, state.word())
}

async fn submit(session: &mut Session<'_>, client: &Client, arguments: SubmitArguments) -> Outcome {
    let SubmitArguments { kind, payload: given, id, text, form, .. } = &arguments;
    let content = match given.as_deref() {
        None if std::io::stdin().is_terminal() => {
            return Err(Failure::Usage("no payload given; pass one as an argument or on standard input".to_owned()));
        }
        Some("-") | None => read_input()?,
        Some(content) => content.to_owned(),
    };
    let (capabilities, labels) = (arguments.capabilities.clone(), arguments.labels.clone());
    let requires = Requires {
        capabilities: (!capabilities.is_empty()).then_some(capabilities),
        labels: (!labels.is_empty()).then(|| labels.into_iter().collect()),
        node_id: arguments.on.clone(),
    };
    let params = SubmitParams {
        id: id.clone(),
        kind: kind.clone(),
        payload: payload(&content, *text)?,
        requires: (requires != Requires::default()).then_some(requires),
        priority: arguments.priority,
        delay_ms: arguments.delay.map(millis),
        max_attempts: arguments.attempts,
        timeout_ms: arguments.timeout.map(millis),
        after: (!arguments.after.is_empty()).then(|| arguments.after.clone()),
        concurrency_key: arguments.concurrency_key.clone(),
        max_concurrent: arguments.max_concurrent,
    };
    let result: SubmitResult = answer(ANSWER, client.call("distributed.submit_task", params)).await?;
    let id = clean(&result.task_id, 128);
    let text = if result.duplicate {
        format!("Duplicate: task {id} already exists; nothing changed.")
    } else {
        format!("Submitted {id}.")
    };
    Ok(session.output.result(form.json, &result, text)?)
}

async fn get(session: &mut Session<'_>, client: &Client, task_id: String, form: Form) -> Outcome {
    let details: TaskDetails = answer(ANSWER, client.call("distributed.get_task", TaskIdParams { task_id })).await?;
    if form.json {
        return Ok(session.output.json(&details)?);
    }
    let TaskDetails { task, payload, result } = &details;
    let output = &mut session.output;
    let (tint, state) = word(task.state);
    let state = output.paint(tint, state);
    let mut rows = vec![
        ("Task", clean(&task.task_id, 128)),
        ("Kind", clean(&task.kind, 128)),
        ("State", format!("{state} since {} UTC", time_of_day(task.changed_at_ms))),
        ("Attempts", format!("{} of {}", task.attempts, task.max_attempts)),
    ];
    if let Some(waits) = &task.waits_for {
        rows.push(("Waits for", clean(&waits.detail, 400)));
    }
    if let Some(schedule) = &task.schedule_id {
        let slot = task.scheduled_for_ms.map(time_of_day).unwrap_or_default();
        rows.push(("Schedule", format!("{}, for {slot} UTC", clean(schedule, 100))));
    }
    if !task.after.is_empty() {
        rows.push(("After", clean(&task.after.join(", "), 400)));
    }
    if let (Some(key), Some(max)) = (&task.concurrency_key, task.max_concurrent) {
        rows.push(("At once", format!("{max} with key {}", clean(key, 128))));
    }
    if let Some(node) = &task.node_id {
        rows.push(("Node", clean(node, 64)));
    }
    if let Some(error) = &task.error {
        rows.push(("Error", clean(error, 400)));
    }
    if let Some(due) = task.due_at_ms {
        rows.push(("Due", format!("{} UTC", time_of_day(due))));
    }
    rows.push(("Payload", escape_json(payload.get())));
    if let Some(result) = result {
        rows.push(("Result", escape_json(result.get())));
    }
    for (name, text) in rows {
        output.line(format!("{name:<10}{text}"))?;
    }
    Ok(())
}

/// What a task waits for, or why it failed.
fn note(task: &ListedTask) -> String {
    let waits = task.waits_for.as_ref().map(|waits| waits.detail.as_str());
    waits.or(task.error.as_deref()).map_or_else(String::new, |text| clean(text, 60))
}

async fn list(session: &mut Session<'_>, client: &Client, params: ListParams, form: Form) -> Outcome {
    let result: ListResult = answer(ANSWER, client.call("distributed.list_tasks", params)).await?;
    if form.json {
        return Ok(session.output.json(&result)?);
    }
    let output = &mut session.output;
    if result.tasks.is_empty() {
        return Ok(output.line("No tasks.")?);
    }
    let rows: Vec<_> = result
        .tasks
        .iter()
        .map(|task| {
            let (tint, state) = word(task.state);
            let plain = |text: String| (Tint::Plain, text);
            vec![
                plain(clean(&task.task_id, 40)),
                plain(clean(&task.kind, 24)),
                (tint, state.to_owned()),
                plain(format!("{}/{}", task.attempts, task.max_attempts)),
                plain(task.node_id.as_deref().map_or_else(|| "-".to_owned(), |node| clean(node, 24))),
                plain(time_of_day(task.created_at_ms)),
                plain(note(task)),
            ]
        })
        .collect();
    output.table(&["TASK", "KIND", "STATE", "TRIES", "NODE", "CREATED (UTC)", "WAITS FOR, ERROR"], &rows)?;
    if result.more {
        output.line("There are more tasks; raise --limit, or filter with --state or --kind.")?;
    }
    Ok(())
}

async fn claim(session: &mut Session<'_>, client: &Client, params: ClaimParams, form: Form) -> Outcome {
    let within = ANSWER.saturating_add(Duration::from_millis(params.wait_ms.unwrap_or(0)));
    let result: ClaimResult = answer(within, client.call("distributed.claim_tasks", params)).await?;
    if form.json {
        session.output.json(&result)?;
    } else {
        for task in &result.tasks {
            let (id, kind) = (clean(&task.task_id, 128), clean(&task.kind, 128));
            session.output.line(format!("{id} {} {kind} {}", task.token, escape_json(task.payload.get())))?;
        }
    }
    match (result.tasks.is_empty(), form.json) {
        (false, _) => Ok(()),
        (true, true) => Err(Failure::Reported(4)),
        (true, false) => Err(Failure::Refused("no task is available".to_owned())),
    }
}

/// Calls a method that changes a task, and prints the task's new state.
async fn changed(
    session: &mut Session<'_>,
    client: &Client,
    method: &str,
    params: impl serde::Serialize,
    form: Form,
) -> Outcome {
    let result: StateResult = answer(ANSWER, client.call(method, params)).await?;
    let text = format!("{} is {}.", clean(&result.task_id, 128), word(result.state).1);
    Ok(session.output.result(form.json, &result, text)?)
}
