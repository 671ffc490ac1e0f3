//! Calls of tasks with little in them, for tests to change what they are about.

use crate::calls::*;
use crate::fixture::Fixture;
use clawster::cluster::ids::{Nonce, TaskToken};
use clawster::cluster::protocol::{
    Call, CancelTask, ClaimReply, ClaimedTask, GetTask, Identity, Join, ListTasks, NewTask, RedriveTask, Reply,
    SettleReply, SettleTasks, Settled, Settlement, SubmitReply, SubmitTasks, Submitted, Task, TaskCall, TaskChange,
    TaskClaim, TaskReply, Verdict,
};
use clawster::cluster::task::{Jitter, Priority, Requirements, TaskId, TaskKind, TaskState};

pub fn tid(text: &str) -> TaskId {
    TaskId::new(text).unwrap()
}

pub fn kind(text: &str) -> TaskKind {
    TaskKind::new(text).unwrap()
}

/// A task of kind `mail` with a timeout of nine seconds.
pub fn new(id: &str) -> NewTask {
    NewTask {
        id: tid(id),
        kind: kind("mail"),
        payload: format!(r#"{{"of":"{id}"}}"#),
        requires: Requirements::default(),
        priority: Priority::default(),
        delay: secs(0),
        max_attempts: 3,
        timeout: secs(9),
        after: Vec::new(),
        concurrency: None,
        origin: None,
        nonce: fresh(),
    }
}

pub fn urgent(id: &str, priority: i64) -> NewTask {
    NewTask { priority: Priority::new(priority).unwrap(), ..new(id) }
}

pub fn needing(id: &str, requires: &str) -> NewTask {
    NewTask { requires: Requirements::from_canonical(requires).unwrap(), ..new(id) }
}

pub async fn task_call<F: Fixture>(f: &F, ask: TaskCall) -> TaskReply {
    let Reply::Task(reply) = call(f, Call::Task(Box::new(ask))).await else { panic!("no answer about tasks") };
    *reply
}

pub async fn submit<F: Fixture>(f: &F, node: &Node, tasks: Vec<NewTask>) -> (Identity, Vec<Submitted>) {
    let ask = TaskCall::Submit(SubmitTasks { instance: node.instance.clone(), tasks, max_bytes: 1 << 40 });
    let TaskReply::Submitted(SubmitReply { identity, results }) = task_call(f, ask).await else { panic!("no answer") };
    (identity, results)
}

/// Submits tasks that must all be new.
pub async fn add<F: Fixture>(f: &F, node: &Node, tasks: Vec<NewTask>) {
    let count = tasks.len();
    assert_eq!(submit(f, node, tasks).await, (Identity::Ok, vec![Submitted::New; count]));
}

pub fn claim_of(node: &Node, limit: u32, nonce: Nonce) -> TaskClaim {
    TaskClaim { instance: node.instance.clone(), kinds: Vec::new(), limit, nonce, jitter: Jitter::default() }
}

pub async fn send_claim<F: Fixture>(f: &F, claim: TaskClaim) -> (Identity, Vec<ClaimedTask>) {
    let TaskReply::Claimed(ClaimReply { identity, tasks }) = task_call(f, TaskCall::Claim(claim)).await else {
        panic!("no answer")
    };
    (identity, tasks)
}

pub async fn claim<F: Fixture>(f: &F, node: &Node, limit: u32) -> Vec<ClaimedTask> {
    let (identity, tasks) = send_claim(f, claim_of(node, limit, fresh())).await;
    assert_eq!(identity, Identity::Ok);
    tasks
}

/// The ids that a claim gets.
pub async fn names<F: Fixture>(f: &F, node: &Node, limit: u32) -> Vec<String> {
    claim(f, node, limit).await.into_iter().map(|task| task.id.to_string()).collect()
}

/// Claims one task, which must be this one.
pub async fn take<F: Fixture>(f: &F, node: &Node, id: &str) -> TaskToken {
    let tasks = claim(f, node, 1).await;
    assert_eq!(tasks.len(), 1, "{id} is not there to be claimed");
    assert_eq!(tasks[0].id, tid(id));
    tasks[0].token
}

pub async fn settle<F: Fixture>(f: &F, node: &Node, id: &str, token: TaskToken, verdict: Verdict) -> Settled {
    let settlements = vec![Settlement { id: tid(id), token, verdict }];
    let ask = TaskCall::Settle(SettleTasks { instance: node.instance.clone(), settlements });
    let TaskReply::Settled(SettleReply { identity, results }) = task_call(f, ask).await else { panic!("no answer") };
    assert_eq!((identity, results.len()), (Identity::Ok, 1));
    results[0]
}

pub async fn complete<F: Fixture>(f: &F, node: &Node, id: &str, token: TaskToken) -> Settled {
    settle(f, node, id, token, Verdict::Complete { result: Some("7".to_owned()) }).await
}

pub const DONE: Settled = Settled::Accepted { state: TaskState::Done, due_at: None };

pub fn failed(retry: bool) -> Verdict {
    Verdict::Fail { error: "it broke".to_owned(), retry, jitter: Jitter::from_random(1000) }
}

pub async fn cancel<F: Fixture>(f: &F, id: &str) -> TaskChange {
    let TaskReply::Changed(change) = task_call(f, TaskCall::Cancel(CancelTask { id: tid(id) })).await else {
        panic!("no answer")
    };
    change
}

pub async fn redrive<F: Fixture>(f: &F, id: &str) -> TaskChange {
    let TaskReply::Changed(change) = task_call(f, TaskCall::Redrive(RedriveTask { id: tid(id) })).await else {
        panic!("no answer")
    };
    change
}

pub async fn find<F: Fixture>(f: &F, id: &str) -> Option<Task> {
    let TaskReply::Task(task) = task_call(f, TaskCall::Get(GetTask { id: tid(id) })).await else { panic!("no answer") };
    task.map(|task| *task)
}

/// A task that must be there.
pub async fn get<F: Fixture>(f: &F, id: &str) -> Task {
    find(f, id).await.unwrap_or_else(|| panic!("there is no task {id}"))
}

pub async fn state<F: Fixture>(f: &F, id: &str) -> TaskState {
    get(f, id).await.summary.state
}

/// The ids of tasks in this state, newest first.
pub async fn listed<F: Fixture>(f: &F, state: Option<TaskState>, of: Option<&str>, limit: u32) -> Vec<String> {
    let ask = TaskCall::List(ListTasks { state, kind: of.map(kind), limit });
    let TaskReply::Tasks(tasks) = task_call(f, ask).await else { panic!("no answer") };
    tasks.into_iter().map(|task| task.id.to_string()).collect()
}

/// What was told of tasks, in order.
pub async fn told<F: Fixture>(f: &F) -> Vec<String> {
    let about = |line: &String| line.contains(" offers ") || line.contains(" buries ");
    story(f).await.into_iter().filter(about).collect()
}

/// A member that says this of itself.
pub async fn able<F: Fixture>(f: &F, name: &str, metadata: &str) -> Node {
    admitted(f, Join { metadata: metadata.to_owned(), ..join_of(name) }).await
}
