//! `schedule`: tasks that come again by the clock.
//!
//! Not here: submitting them (`crate::engine::schedules`), running them (`work/`).

pub(super) mod arguments;

use super::Session;
use super::messages::{payload, read_input};
use super::options::Form;
use super::outcome::{Failure, Outcome};
use super::terminal::{Tint, clean, escape_json, utc};
use crate::cli::node_access::attach::{ANSWER, answer, require};
use crate::cluster::time::millis;
use crate::rpc::client::Client;
use crate::rpc::wire::schedule::{
    DeletedSchedule, ListSchedulesParams, ListSchedulesResult, ListedSchedule, Missed, PauseParams, ScheduleIdParams,
    ScheduleParams, ScheduleResult,
};
use crate::rpc::wire::task::Requires;
use arguments::{ScheduleAction, SetArguments};
use std::io::IsTerminal;

/// Runs `schedule`.
///
/// # Errors
/// See [`Failure`].
pub(super) async fn run(session: &mut Session<'_>, action: ScheduleAction) -> Outcome {
    let (client, _) = require(session.global, session.environment).await?;
    match action {
        ScheduleAction::Set(arguments) => set(session, &client, *arguments).await,
        ScheduleAction::List { limit, form } => list(session, &client, limit, form).await,
        ScheduleAction::Get { id, form } => get(session, &client, id, form).await,
        ScheduleAction::Pause { id, form } => pause(session, &client, PauseParams { id, paused: true }, form).await,
        ScheduleAction::Resume { id, form } => pause(session, &client, PauseParams { id, paused: false }, form).await,
        ScheduleAction::Delete { id, form } => {
            let deleted: DeletedSchedule =
                answer(ANSWER, client.call("distributed.delete_schedule", ScheduleIdParams { id })).await?;
            let text = format!("Deleted {}; its tasks stay.", clean(&deleted.schedule_id, 100));
            Ok(session.output.result(form.json, &deleted, text)?)
        }
    }
}

fn policy(text: &str) -> Result<Missed, Failure> {
    let word = serde_json::Value::String(text.to_owned());
    serde_json::from_value(word)
        .map_err(|_| Failure::Usage(format!("--missed {}: use skip, once or all", clean(text, 40))))
}

async fn set(session: &mut Session<'_>, client: &Client, arguments: SetArguments) -> Outcome {
    let content = match arguments.payload.as_deref() {
        None if std::io::stdin().is_terminal() => {
            return Err(Failure::Usage("no payload given; pass one as an argument or on standard input".to_owned()));
        }
        Some("-") | None => read_input()?,
        Some(content) => content.to_owned(),
    };
    let (capabilities, labels) = (arguments.capabilities, arguments.labels);
    let requires = Requires {
        capabilities: (!capabilities.is_empty()).then_some(capabilities),
        labels: (!labels.is_empty()).then(|| labels.into_iter().collect()),
        node_id: arguments.on,
    };
    let params = ScheduleParams {
        id: arguments.id,
        kind: arguments.kind,
        payload: payload(&content, arguments.text)?,
        cron: arguments.cron,
        tz: arguments.tz,
        every_ms: arguments.every.map(millis),
        missed: arguments.missed.as_deref().map(policy).transpose()?,
        requires: (requires != Requires::default()).then_some(requires),
        priority: arguments.priority,
        delay_ms: None,
        max_attempts: arguments.attempts,
        timeout_ms: arguments.timeout.map(millis),
        concurrency_key: arguments.concurrency_key,
        max_concurrent: arguments.max_concurrent,
    };
    let result: ScheduleResult = answer(ANSWER, client.call("distributed.schedule_task", params)).await?;
    let verb = if result.replaced { "Replaced" } else { "Stored" };
    let text = format!("{verb} {}; {}.", clean(&result.schedule_id, 100), next_of(&result));
    Ok(session.output.result(arguments.form.json, &result, text)?)
}

fn next_of(result: &ScheduleResult) -> String {
    match result.next_at_ms {
        Some(at) => format!("its next task comes at {} UTC", date_and_time(at)),
        None if result.paused => "it is paused".to_owned(),
        None => "it names no further time".to_owned(),
    }
}

async fn pause(session: &mut Session<'_>, client: &Client, params: PauseParams, form: Form) -> Outcome {
    let result: ScheduleResult = answer(ANSWER, client.call("distributed.pause_schedule", params)).await?;
    let text = format!("{}: {}.", clean(&result.schedule_id, 100), next_of(&result));
    Ok(session.output.result(form.json, &result, text)?)
}

/// When a schedule's tasks come.
fn when(schedule: &ListedSchedule) -> String {
    match (&schedule.cron, schedule.every_ms) {
        (Some(cron), _) => format!("{} {}", clean(cron, 40), clean(schedule.tz.as_deref().unwrap_or_default(), 40)),
        (None, every) => format!("every {} ms", every.unwrap_or(0)),
    }
}

fn next(schedule: &ListedSchedule) -> String {
    let never = || if schedule.paused { "paused".to_owned() } else { "never".to_owned() };
    schedule.next_at_ms.map_or_else(never, date_and_time)
}

async fn get(session: &mut Session<'_>, client: &Client, id: String, form: Form) -> Outcome {
    let params = ListSchedulesParams { id: Some(id), limit: None };
    let result: ListSchedulesResult = answer(ANSWER, client.call("distributed.list_schedules", params)).await?;
    let Some(schedule) = result.schedules.first() else {
        return Err(Failure::Failed("the node gave no schedule".to_owned()));
    };
    if form.json {
        return Ok(session.output.json(schedule)?);
    }
    let mut rows = vec![
        ("Schedule", clean(&schedule.schedule_id, 100)),
        ("Kind", clean(&schedule.kind, 128)),
        ("When", when(schedule)),
        ("Next", next(schedule)),
        ("Missed", schedule.missed.word().to_owned()),
        ("Tasks", schedule.runs.to_string()),
    ];
    if let Some(task) = &schedule.last_task_id {
        rows.push(("Last task", clean(task, 128)));
    }
    if let Some(payload) = &schedule.payload {
        rows.push(("Payload", escape_json(payload.get())));
    }
    for (name, text) in rows {
        session.output.line(format!("{name:<10}{text}"))?;
    }
    Ok(())
}

async fn list(session: &mut Session<'_>, client: &Client, limit: u64, form: Form) -> Outcome {
    let params = ListSchedulesParams { id: None, limit: Some(limit) };
    let result: ListSchedulesResult = answer(ANSWER, client.call("distributed.list_schedules", params)).await?;
    if form.json {
        return Ok(session.output.json(&result)?);
    }
    let output = &mut session.output;
    if result.schedules.is_empty() {
        return Ok(output.line("No schedules.")?);
    }
    let rows: Vec<_> = result
        .schedules
        .iter()
        .map(|schedule| {
            let plain = |text: String| (Tint::Plain, text);
            let tint = if schedule.paused { Tint::Yellow } else { Tint::Plain };
            vec![
                plain(clean(&schedule.schedule_id, 40)),
                plain(clean(&schedule.kind, 24)),
                plain(when(schedule)),
                (tint, next(schedule)),
                plain(schedule.runs.to_string()),
            ]
        })
        .collect();
    output.table(&["SCHEDULE", "KIND", "WHEN", "NEXT (UTC)", "TASKS"], &rows)?;
    if result.more {
        output.line("There are more schedules; raise --limit.")?;
    }
    Ok(())
}

fn date_and_time(at_ms: u64) -> String {
    utc(at_ms).strftime("%Y-%m-%d %H:%M:%S").to_string()
}
