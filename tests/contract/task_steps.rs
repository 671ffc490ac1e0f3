//! The steps of tasks in the comparison of both stores: how often each comes, which call it is, how its reply is told.
//!
//! 1. Backoffs are close to a whole second, timeouts odd ones, so that less than a second of real time shows nowhere.
//!
//! Not here: all other steps (`steps.rs`, `differential.rs`).

use crate::calls::{call, nonce, secs};
use crate::fixture::Fixture;
use crate::steps::NODES;
use crate::symbols::{Symbols, left};
use crate::task_calls::{kind, needing, task_call, tid};
use clawster::cluster::ids::{Nonce, TaskToken};
use clawster::cluster::protocol::{
    Call, CancelTask, ClaimReply, Instance, ListTasks, NewTask, RedriveTask, Reply, SettleReply, SettleTasks, Settled,
    Settlement, SubmitTasks, TakeCensus, TaskCall, TaskClaim, TaskReply, TaskSummary, Verdict,
};
use clawster::cluster::task::{Concurrency, ConcurrencyKey, Jitter, Priority, TaskId};
use clawster::cluster::time::ServerTime;
use proptest::prelude::*;
use std::collections::BTreeMap;

const IDS: u8 = 8;
const KINDS: [&str; 2] = ["mail", "call"];
const REQUIRES: [&str; 4] = ["", "", r#"{"node_id":"n1"}"#, r#"{"labels":{"zone":"eu"}}"#];

#[derive(Debug, Clone)]
pub struct New {
    id: u8,
    kind: usize,
    requires: usize,
    priority: i64,
    delayed: bool,
    attempts: u32,
    after: Option<u8>,
    limited: bool,
}

#[derive(Debug, Clone)]
pub enum TaskStep {
    Submit { node: usize, tasks: Vec<New> },
    Claim { node: usize, kinds: usize, limit: u32, again: bool },
    Settle { node: usize, back: usize, verdict: u8 },
    Cancel { id: u8 },
    Redrive { id: u8 },
}

pub fn task_step() -> impl Strategy<Value = TaskStep> {
    let node = || 0..NODES;
    let rarely = || prop::bool::weighted(0.15);
    let after = || prop::option::weighted(0.2, 0..IDS);
    let new = (0..IDS, 0..2usize, 0..4usize, -1..2i64, rarely(), 1..3u32, after(), rarely());
    let new = new.prop_map(|(id, kind, requires, priority, delayed, attempts, after, limited)| New {
        id,
        kind,
        requires,
        priority,
        delayed,
        attempts,
        after,
        limited,
    });
    prop_oneof![
        6 => (node(), prop::collection::vec(new, 1..4)).prop_map(|(node, tasks)| TaskStep::Submit { node, tasks }),
        8 => (node(), 0..4usize, 0..4u32, rarely()).prop_map(|(node, kinds, limit, again)| TaskStep::Claim {
            node, kinds, limit, again
        }),
        6 => (node(), 0..4usize, 0..5u8).prop_map(|(node, back, verdict)| TaskStep::Settle { node, back, verdict }),
        1 => (0..IDS).prop_map(|id| TaskStep::Cancel { id }),
        1 => (0..IDS).prop_map(|id| TaskStep::Redrive { id }),
    ]
}

/// A nonce from which a store makes a backoff of nearly a whole second.
pub fn patient(text: &str) -> Nonce {
    let mut tries = (0..).map(|n| format!("{text}x{n}"));
    nonce(&tries.find(|text| Jitter::from_text(text).thousandths() > 980).unwrap())
}

/// What one store's workers remember.
#[derive(Debug, Clone, Default)]
pub struct TaskRecord {
    claimed: Vec<(TaskId, TaskToken)>,
    claims: BTreeMap<usize, TaskClaim>,
}

fn name(id: u8) -> TaskId {
    tid(&format!("t{id}"))
}

impl TaskRecord {
    pub fn call(&mut self, at: usize, step: &TaskStep, instance: impl Fn(usize) -> Instance) -> Call {
        Call::Task(Box::new(match step {
            TaskStep::Submit { node, tasks } => {
                let new = |new: &New| NewTask {
                    id: name(new.id),
                    kind: kind(KINDS[new.kind]),
                    priority: Priority::new(new.priority).unwrap(),
                    delay: secs(if new.delayed { 5 } else { 0 }),
                    max_attempts: new.attempts,
                    after: new.after.map(name).into_iter().collect(),
                    concurrency: new.limited.then(|| Concurrency { key: ConcurrencyKey::new("k").unwrap(), max: 1 }),
                    ..needing("t", REQUIRES[new.requires])
                };
                TaskCall::Submit(SubmitTasks {
                    instance: instance(*node),
                    tasks: tasks.iter().map(new).collect(),
                    max_bytes: 1 << 40,
                })
            }
            TaskStep::Claim { node, kinds, limit, again } => {
                let kinds = [vec![], vec![0], vec![1], vec![1, 0]][*kinds].iter().map(|at| kind(KINDS[*at])).collect();
                let (nonce, jitter) = (nonce(&format!("c{at}")), Jitter::from_random(1000));
                let fresh = TaskClaim { instance: instance(*node), kinds, limit: *limit, nonce, jitter };
                let claim = self.claims.get(node).filter(|_| *again).cloned().unwrap_or(fresh);
                self.claims.insert(*node, claim.clone());
                TaskCall::Claim(claim)
            }
            TaskStep::Settle { node, back, verdict } => {
                let jitter = Jitter::from_random(1000);
                let verdict = match verdict {
                    0 => Verdict::Extend,
                    1 => Verdict::Complete { result: None },
                    2 => Verdict::Complete { result: Some("1".to_owned()) },
                    other => Verdict::Fail { error: format!("e{at}"), retry: *other == 3, jitter },
                };
                let last = self.claimed.len().checked_sub(1 + back).and_then(|at| self.claimed.get(at)).cloned();
                let (id, token) = last.unwrap_or((name(0), TaskToken(1)));
                TaskCall::Settle(SettleTasks {
                    instance: instance(*node),
                    settlements: vec![Settlement { id, token, verdict }],
                })
            }
            TaskStep::Cancel { id } => TaskCall::Cancel(CancelTask { id: name(*id) }),
            TaskStep::Redrive { id } => TaskCall::Redrive(RedriveTask { id: name(*id) }),
        }))
    }

    pub fn learn(&mut self, reply: &Reply) {
        if let Reply::Task(reply) = reply
            && let TaskReply::Claimed(ClaimReply { tasks, .. }) = &**reply
        {
            self.claimed.extend(tasks.iter().map(|task| (task.id.clone(), task.token)));
        }
    }
}

fn summary(task: &TaskSummary, symbols: &Symbols, now: ServerTime) -> String {
    let due = task.due_at.map(|at| left(at.since(now)));
    let token = task.token.map(|token| symbols.token(token.0));
    let who = (&task.submitted_by, token, &task.node_id, task.priority.get(), task.attempts, task.max_attempts);
    let bonds = (task.blocked, &task.after, task.concurrency.is_some());
    format!("{} {} {:?} {who:?} {due:?} {:?} {:?} {bonds:?}", task.id, task.kind, task.state, task.error, task.requires)
}

/// A reply and all tasks of the store as texts that are the same on every store; `view` was asked for right after the reply.
pub async fn told<F: Fixture>(f: &F, reply: Option<&Reply>, view: &Reply, symbols: &Symbols) -> Vec<String> {
    let now = if let Reply::View(view) = view { view.now } else { ServerTime::default() };
    let mut told = match reply {
        Some(Reply::Task(reply)) => about_tasks(reply, symbols, now),
        reply => vec![reply.map(|reply| symbols.reply(reply)).unwrap_or_default()],
    };
    let list = task_call(f, TaskCall::List(ListTasks { state: None, kind: None, limit: 50 })).await;
    told.extend(about_tasks(&list, symbols, now));
    told.push(format!("{:?}", call(f, Call::Census(TakeCensus)).await));
    told
}

fn about_tasks(reply: &TaskReply, symbols: &Symbols, now: ServerTime) -> Vec<String> {
    match reply {
        TaskReply::Claimed(ClaimReply { identity, tasks }) => {
            let mut all = vec![format!("{identity:?}")];
            all.extend(tasks.iter().map(|task| {
                let (token, left) = (symbols.token(task.token.0), left(task.expires_at.since(now)));
                format!("{} {token} {} {} {} {left}", task.id, task.attempt, task.kind, task.payload)
            }));
            all
        }
        TaskReply::Settled(SettleReply { identity, results }) => {
            let told = |result: &Settled| match result {
                Settled::Accepted { state, due_at } => format!("{state:?} {:?}", due_at.map(|at| left(at.since(now)))),
                other => format!("{other:?}"),
            };
            vec![format!("{identity:?} {:?}", results.iter().map(told).collect::<Vec<_>>())]
        }
        TaskReply::Tasks(tasks) => tasks.iter().map(|task| summary(task, symbols, now)).collect(),
        other => vec![format!("{other:?}")],
    }
}
