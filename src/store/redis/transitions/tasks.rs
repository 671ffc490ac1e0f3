//! Tasks.
//!
//! 1. A task in Redis in another format than `scripts/tasks/shared.lua` describes is skipped.

use super::{Context, Scripted};
use crate::cluster::ids::{NodeId, TaskToken};
use crate::cluster::protocol::{
    CancelTask, ClaimReply, ClaimedTask, GetTask, Identity, ListTasks, NewTask, RedriveTask, SettleReply, SettleTasks,
    Settled, Settlement, SubmitReply, SubmitTasks, Submitted, Task, TaskChange, TaskClaim, TaskSummary, Verdict,
    WithdrawClaim,
};
use crate::cluster::task::{
    Blocked, CLAIM_BYTES, Concurrency, ConcurrencyKey, Origin, Priority, Requirements, ScheduleId, TaskId, TaskKind,
    TaskState,
};
use crate::cluster::time::{ServerTime, millis};
use crate::store::redis::arguments::Arguments;
use crate::store::redis::fields::{Fields, Malformed, identity};
use crate::store::redis::scripts::{self, Script};
use crate::store::redis::unreadable::What;
use std::time::Duration;

impl Scripted for SubmitTasks {
    const SCRIPT: &'static Script = &scripts::TASK_SUBMIT;

    fn arguments(&self, arguments: &mut Arguments, _: &Context<'_>) {
        arguments.put_instance(&self.instance);
        arguments.put("max_bytes", &self.max_bytes);
        put_tasks(arguments, &self.tasks);
    }

    fn read(&self, f: &mut Fields) -> Result<SubmitReply, Malformed> {
        let identity = identity(f)?;
        let results = submitted(f)?;
        all(identity, results.len(), self.tasks.len())?;
        Ok(SubmitReply { identity, results })
    }
}

/// New tasks, as `scripts/tasks/submit.lua` reads them.
pub(super) fn put_tasks(arguments: &mut Arguments, tasks: &[NewTask]) {
    let parts = &[
        "id",
        "kind",
        "requires",
        "priority",
        "delay",
        "max_attempts",
        "timeout",
        "payload",
        "submission",
        "after",
        "limit",
        "origin",
    ];
    let task = |task: &NewTask| {
        let after: Vec<&str> = task.after.iter().map(TaskId::as_str).collect();
        let limit = task.concurrency.as_ref().map(|limit| format!("{} {}", limit.max, limit.key));
        let origin = task.origin.as_ref().map(|origin| format!("{} {}", origin.schedule, origin.slot.0));
        [
            task.id.to_string(),
            task.kind.to_string(),
            task.requires.canonical(),
            task.priority.get().to_string(),
            millis(task.delay).to_string(),
            task.max_attempts.to_string(),
            millis(task.timeout).to_string(),
            task.payload.clone(),
            task.nonce.to_string(),
            after.join(" "),
            limit.unwrap_or_default(),
            origin.unwrap_or_default(),
        ]
    };
    arguments.list("tasks", parts, tasks.iter().map(task));
}

/// The results of new tasks.
pub(super) fn submitted(f: &mut Fields) -> Result<Vec<Submitted>, Malformed> {
    let mut list = f.list("results")?;
    let mut results = Vec::with_capacity(list.len());
    while list.len() > 0 {
        results.push(match list.signed("result")? {
            1 => Submitted::New,
            0 => Submitted::Duplicate,
            -2 => Submitted::Full,
            -3 => Submitted::Crowded,
            place if place <= -100 => Submitted::Unknown(usize::try_from(-100 - place).unwrap_or(0)),
            _ => Submitted::Overloaded,
        });
    }
    Ok(results)
}

/// The kinds of a claim, in the order in which it is remembered.
fn put_kinds(arguments: &mut Arguments, kinds: &[TaskKind]) {
    let mut kinds: Vec<String> = kinds.iter().map(ToString::to_string).collect();
    kinds.sort();
    kinds.dedup();
    arguments.list("kinds", &["kind"], kinds.into_iter().map(|kind| [kind]));
}

impl Scripted for TaskClaim {
    const SCRIPT: &'static Script = &scripts::TASK_CLAIM;

    fn arguments(&self, arguments: &mut Arguments, _: &Context<'_>) {
        arguments.put_instance(&self.instance);
        arguments.put("limit", &self.limit);
        arguments.put("nonce", &self.nonce);
        arguments.put("jitter", &self.jitter.thousandths());
        arguments.put("claim_bytes", &CLAIM_BYTES);
        put_kinds(arguments, &self.kinds);
    }

    fn read(&self, f: &mut Fields) -> Result<ClaimReply, Malformed> {
        let identity = identity(f)?;
        let mut list = f.list("tasks")?;
        let mut tasks = Vec::with_capacity(list.len() / 6);
        while list.len() > 0 {
            tasks.extend(claimed(&mut list)?);
        }
        Ok(ClaimReply { identity, tasks })
    }
}

impl Scripted for WithdrawClaim {
    const SCRIPT: &'static Script = &scripts::TASK_WITHDRAW;

    fn arguments(&self, arguments: &mut Arguments, _: &Context<'_>) {
        arguments.put_instance(&self.instance);
        arguments.put("nonce", &self.nonce);
        arguments.put("returned", &self.returned);
        put_kinds(arguments, &self.kinds);
    }

    fn read(&self, f: &mut Fields) -> Result<u64, Malformed> {
        f.number("tasks")
    }
}

impl Scripted for SettleTasks {
    const SCRIPT: &'static Script = &scripts::TASK_SETTLE;

    fn arguments(&self, arguments: &mut Arguments, _: &Context<'_>) {
        arguments.put_instance(&self.instance);
        let settlement = |settlement: &Settlement| {
            let (verdict, text, jitter) = match &settlement.verdict {
                Verdict::Extend => ("extend", String::new(), 0),
                Verdict::Complete { result: None } => ("complete", String::new(), 0),
                Verdict::Complete { result: Some(result) } => ("result", result.clone(), 0),
                Verdict::Fail { error, retry, jitter } => {
                    (if *retry { "retry" } else { "fail" }, error.clone(), jitter.thousandths())
                }
            };
            [settlement.id.to_string(), settlement.token.to_string(), verdict.to_owned(), text, jitter.to_string()]
        };
        let parts = &["id", "token", "verdict", "text", "jitter"];
        arguments.list("settlements", parts, self.settlements.iter().map(settlement));
    }

    fn read(&self, f: &mut Fields) -> Result<SettleReply, Malformed> {
        let identity = identity(f)?;
        let mut list = f.list("results")?;
        let mut results = Vec::with_capacity(list.len() / 2);
        while list.len() > 0 {
            results.push(settled(&mut list)?);
        }
        all(identity, results.len(), self.settlements.len())?;
        Ok(SettleReply { identity, results })
    }
}

impl Scripted for CancelTask {
    const SCRIPT: &'static Script = &scripts::TASK_CANCEL;

    fn arguments(&self, arguments: &mut Arguments, _: &Context<'_>) {
        arguments.put("id", &self.id);
    }

    fn read(&self, f: &mut Fields) -> Result<TaskChange, Malformed> {
        change(f)
    }
}

impl Scripted for RedriveTask {
    const SCRIPT: &'static Script = &scripts::TASK_REDRIVE;

    fn arguments(&self, arguments: &mut Arguments, _: &Context<'_>) {
        arguments.put("id", &self.id);
    }

    fn read(&self, f: &mut Fields) -> Result<TaskChange, Malformed> {
        change(f)
    }
}

fn change(f: &mut Fields) -> Result<TaskChange, Malformed> {
    let (outcome, state) = (f.text("outcome")?, TaskState::from_word(&f.text("state")?));
    Ok(match (outcome.as_str(), state) {
        ("yes", Some(state)) => TaskChange::Yes(state),
        ("no", Some(state)) => TaskChange::No(state),
        _ => TaskChange::NotFound,
    })
}

impl Scripted for GetTask {
    const SCRIPT: &'static Script = &scripts::TASK_GET;

    fn arguments(&self, arguments: &mut Arguments, _: &Context<'_>) {
        arguments.put("id", &self.id);
    }

    fn read(&self, f: &mut Fields) -> Result<Option<Box<Task>>, Malformed> {
        let skew = f.signed("skew")?;
        if f.len() == 0 { Ok(None) } else { Ok(task(&self.id, skew, f)?.map(Box::new)) }
    }
}

impl Scripted for ListTasks {
    const SCRIPT: &'static Script = &scripts::TASK_LIST;

    fn arguments(&self, arguments: &mut Arguments, _: &Context<'_>) {
        arguments.put("state", &self.state.map(TaskState::word));
        arguments.put("kind", &self.kind);
        arguments.put("limit", &self.limit);
    }

    fn read(&self, f: &mut Fields) -> Result<Vec<TaskSummary>, Malformed> {
        let skew = f.signed("skew")?;
        let mut list = f.list("tasks")?;
        let mut tasks = Vec::with_capacity(list.len() / 8);
        while list.len() > 0 {
            let id = list.text("task id")?;
            let (what, is, error) = (list.text("what")?, list.text("is")?, list.optional("error")?);
            let clocks = (skew, list.number("ready at")?);
            let bonds = Bonds::read(&mut list)?;
            tasks.extend(TaskId::new(id).ok().and_then(|id| summary(id, clocks, &what, &is, error, bonds)));
        }
        Ok(tasks)
    }
}

/// Every item of a member has its result.
fn all(identity: Identity, results: usize, items: usize) -> Result<(), Malformed> {
    let all = identity != Identity::Ok || results == items;
    if all { Ok(()) } else { Err(Malformed(format!("{results} results for {items} items"))) }
}

/// A claimed task; `None` if another program gave it an invalid id or kind.
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
    let bonds = Bonds::read(f)?;
    Ok(summary(id.clone(), clocks, &what, &is, error, bonds).map(|summary| Task { summary, payload, result }))
}

/// What ties a task to others; what another program wrote there counts as absent.
struct Bonds {
    after: Vec<TaskId>,
    concurrency: Option<Concurrency>,
    origin: Option<Origin>,
}

impl Bonds {
    fn read(f: &mut Fields) -> Result<Self, Malformed> {
        let (after, limit, origin) = (f.text("after")?, f.text("limit")?, f.text("origin")?);
        let after = after.split(' ').filter_map(|id| TaskId::new(id).ok()).collect();
        let concurrency = limit
            .split_once(' ')
            .and_then(|(max, key)| Some(Concurrency { key: ConcurrencyKey::new(key).ok()?, max: max.parse().ok()? }));
        let origin = origin.split_once(' ').and_then(|(schedule, slot)| {
            Some(Origin { schedule: ScheduleId::new(schedule).ok()?, slot: ServerTime(slot.parse().ok()?) })
        });
        Ok(Self { after, concurrency, origin })
    }
}

/// The state of a task; a blocked one is waiting.
fn state_of(word: &str) -> Option<TaskState> {
    if word == "blocked" { Some(TaskState::Waiting) } else { TaskState::from_word(word) }
}

/// The two packed texts of a task, as `scripts/tasks/shared.lua` describes them. `clocks`: what makes cluster time server time, and when a
/// delayed task is ready by the server's clock, 0 where that is not known.
fn summary(
    id: TaskId,
    clocks: (i64, u64),
    what: &str,
    is: &str,
    error: Option<String>,
    bonds: Bonds,
) -> Option<TaskSummary> {
    let (skew, scheduled) = clocks;
    let mut what = what.splitn(9, ' ');
    let mut number = || what.next()?.parse::<i64>().ok();
    let (_seq, priority, most, timeout, created) = (number()?, number()?, number()?, number()?, number()?);
    let (submitted_by, _nonce) = (NodeId::new(what.next()?).ok()?, what.next()?);
    let kind = TaskKind::new(what.next()?).ok()?;
    let requires = Requirements::from_canonical(what.next().unwrap_or_default())?;
    let mut is = is.split(' ');
    let word = is.next()?;
    let state = state_of(word)?;
    let number = |text: Option<&str>| text?.parse::<i64>().ok();
    let (token, node, _incarnation) = (number(is.next())?, is.next()?, number(is.next())?);
    let (attempts, due, changed, how) = (number(is.next())?, number(is.next())?, number(is.next())?, is.next()?);
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
        blocked: (word == "blocked").then_some(if how == "after" { Blocked::After } else { Blocked::Concurrency }),
        after: bonds.after,
        concurrency: bonds.concurrency,
        origin: bonds.origin,
    })
}
