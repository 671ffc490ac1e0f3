//! The part of the stub that grants leases and hands tasks out.
//!
//! Not here: the tests (`work.rs`).

use super::{Stub, node_id};
use crate::cluster::ids::{Incarnation, LeaseName, TaskToken, Term};
use crate::cluster::protocol::{ClaimedTask, LeaseRecord, ListedLease, Owner, Task, TaskSummary};
use crate::cluster::task::{Priority, Requirements, ScheduleId, TaskId, TaskKind, TaskState};
use crate::cluster::time::ServerTime;
use crate::engine::error::Error;
use crate::engine::node::handle::*;
use serde_json::value::RawValue;
use std::sync::Mutex;
use std::time::Duration;

/// What the stub was asked, and how often something was taken back.
#[derive(Default)]
pub(crate) struct Asked {
    pub(crate) acquired: Mutex<Vec<AcquireRequest>>,
    pub(crate) drafts: Mutex<Vec<TaskDraft>>,
    pub(crate) claims: Mutex<Vec<ClaimRequest>>,
    pub(crate) taken_back: std::sync::Arc<Mutex<usize>>,
}

impl Asked {
    fn handout(&self) -> Option<Handout> {
        let taken_back = std::sync::Arc::clone(&self.taken_back);
        Some(Handout::new(move || *taken_back.lock().unwrap() += 1))
    }
}

fn stale(what: &'static str, name: &str, token: u64) -> Error {
    Error::StaleToken { what, name: name.to_owned(), token }
}

impl Leases for Stub {
    async fn acquire(&self, request: AcquireRequest) -> Result<AcquiredLease, Error> {
        self.work.acquired.lock().unwrap().push(request.clone());
        if request.name == LeaseName::new("free").unwrap() {
            return Ok(AcquiredLease { name: request.name, acquired: false, held: None, handout: None });
        }
        let acquired = request.name == LeaseName::new("mine").unwrap();
        let held = Some((node_id(if acquired { "a" } else { "b" }), Term(41), ServerTime(9_000)));
        let handout = if acquired { self.work.handout() } else { None };
        Ok(AcquiredLease { name: request.name, acquired, held, handout })
    }

    async fn renew(&self, held: HeldLease, ttl: Option<Duration>) -> Result<ServerTime, Error> {
        if held.token == Term(41) {
            Ok(ServerTime(10_000).plus(ttl.unwrap_or_default()))
        } else {
            Err(stale("lease", held.name.as_str(), held.token.0))
        }
    }

    async fn release(&self, held: HeldLease) -> Result<(), Error> {
        if held.token == Term(41) { Ok(()) } else { Err(stale("lease", held.name.as_str(), held.token.0)) }
    }

    async fn check(&self, held: HeldLease) -> Result<bool, Error> {
        Ok(held.token == Term(41))
    }

    async fn leases(&self, limit: u32) -> Result<Vec<ListedLease>, Error> {
        let listed = |name: &str, held: bool| ListedLease {
            name: LeaseName::new(name).unwrap(),
            record: LeaseRecord {
                holder: held.then(|| Owner { node_id: node_id("b"), incarnation: Incarnation(3), presence: None }),
                token: Term(41),
                expires_at: ServerTime(9_000),
                ttl: Duration::from_secs(5),
                nonce: "n".to_owned(),
                grace: Duration::from_secs(1),
                present: false,
                same_server: true,
                offered_to: (!held).then(|| "t".to_owned()),
                waiters: 2,
            },
        };
        let all = [listed("mine", true), listed("kept", false), listed("third", true)];
        Ok(all.into_iter().take(usize::try_from(limit).unwrap()).collect())
    }

    async fn run_once(&self, request: OnceRequest) -> Result<Vec<Once>, Error> {
        let once = |key: String| Once { granted: key != "taken", by: node_id("a"), at: ServerTime(5), key };
        Ok(request.keys.into_iter().map(once).collect())
    }

    async fn drain(&self, enabled: bool) -> Result<Drained, Error> {
        Ok(Drained { node_id: node_id("a"), draining: enabled, running_tasks: 2, leases: 1 })
    }
}

impl Limits for Stub {
    async fn take_permits(&self, request: PermitsRequest) -> Result<TakenPermits, Error> {
        let granted = request.permits == 1;
        let retry_after = (!granted).then_some(request.per);
        Ok(TakenPermits { granted_at: granted.then_some(ServerTime(9_000)), remaining: 3, retry_after })
    }

    async fn acquire_slot(&self, request: SlotRequest) -> Result<AcquiredSlot, Error> {
        let held = (request.slots > 1).then_some((TaskToken(41), ServerTime(9_000)));
        Ok(AcquiredSlot { held, in_use: 1, handout: held.and_then(|_| self.work.handout()) })
    }

    async fn renew_slot(&self, held: HeldSlot, ttl: Option<Duration>) -> Result<ServerTime, Error> {
        if held.token == TaskToken(41) {
            Ok(ServerTime(10_000).plus(ttl.unwrap_or_default()))
        } else {
            Err(stale("slot", held.name.as_str(), held.token.0))
        }
    }

    async fn release_slot(&self, held: HeldSlot) -> Result<u64, Error> {
        if held.token == TaskToken(41) { Ok(0) } else { Err(stale("slot", held.name.as_str(), held.token.0)) }
    }
}

impl Schedules for Stub {
    async fn schedule(&self, draft: ScheduleDraft) -> Result<Planned, Error> {
        Ok(Planned { id: draft.id, next: Some(ServerTime(9_000)), paused: false, replaced: false })
    }

    async fn schedules(&self, _: Option<ScheduleId>, limit: u32) -> Result<Listing, Error> {
        Ok(Listing { schedules: Vec::new(), more: limit == 1 })
    }

    async fn pause(&self, id: ScheduleId, paused: bool) -> Result<Planned, Error> {
        Ok(Planned { id, next: (!paused).then_some(ServerTime(9_000)), paused, replaced: true })
    }

    async fn delete(&self, id: ScheduleId) -> Result<(), Error> {
        if id.as_str() == "ghost" { Err(Error::NoSchedule { schedule_id: id }) } else { Ok(()) }
    }
}

fn summary(id: TaskId) -> TaskSummary {
    TaskSummary {
        id,
        kind: TaskKind::new("mail").unwrap(),
        state: TaskState::Dead,
        requires: Requirements::default(),
        priority: Priority::new(-7).unwrap(),
        attempts: 3,
        max_attempts: 3,
        timeout: Duration::from_secs(30),
        submitted_by: node_id("a"),
        node_id: Some(node_id("b")),
        token: Some(TaskToken(41)),
        created_at: ServerTime(1),
        changed_at: ServerTime(2),
        due_at: None,
        error: Some("no".to_owned()),
        after: Vec::new(),
        concurrency: None,
        origin: None,
        blocked: None,
    }
}

impl Stub {
    fn settle(held: &HeldTask, state: TaskState) -> Result<TaskState, Error> {
        match held.token {
            TaskToken(41) => Ok(state),
            TaskToken(token) => Err(stale("task", held.id.as_str(), token)),
        }
    }
}

impl Tasks for Stub {
    async fn submit(&self, draft: TaskDraft) -> Result<(TaskId, bool), Error> {
        let id = draft.id.clone().unwrap_or_else(|| TaskId::new("generated").unwrap());
        let duplicate = draft.id.is_some();
        self.work.drafts.lock().unwrap().push(draft);
        Ok((id, duplicate))
    }

    async fn claim(&self, request: ClaimRequest) -> Result<Claimed, Error> {
        self.work.claims.lock().unwrap().push(request);
        let task = ClaimedTask {
            id: TaskId::new("t1").unwrap(),
            token: TaskToken(41),
            attempt: 2,
            kind: TaskKind::new("mail").unwrap(),
            payload: "{\"n\": 1.10}".to_owned(),
            expires_at: ServerTime(40_000),
        };
        Ok(Claimed { tasks: vec![task], handout: self.work.handout() })
    }

    async fn extend(&self, held: HeldTask) -> Result<ServerTime, Error> {
        Self::settle(&held, TaskState::Running).map(|_| ServerTime(50_000))
    }

    async fn complete(&self, held: HeldTask, _: Option<Box<RawValue>>) -> Result<TaskState, Error> {
        Self::settle(&held, TaskState::Done)
    }

    async fn fail(&self, held: HeldTask, _: String, retry: bool) -> Result<TaskState, Error> {
        Self::settle(&held, if retry { TaskState::Delayed } else { TaskState::Failed })
    }

    async fn cancel(&self, id: TaskId) -> Result<TaskState, Error> {
        if id.as_str() == "ghost" { Err(Error::NoTask { task_id: id }) } else { Ok(TaskState::Failed) }
    }

    async fn redrive(&self, _: TaskId) -> Result<TaskState, Error> {
        Ok(TaskState::Waiting)
    }

    async fn task(&self, id: TaskId) -> Result<Task, Error> {
        Ok(Task { summary: summary(id), payload: "[1]".to_owned(), result: None })
    }

    async fn tasks(&self, query: TaskQuery) -> Result<(Vec<TaskSummary>, bool), Error> {
        Ok((vec![summary(TaskId::new("t1").unwrap())], query.limit == 1))
    }
}
