//! Claims of this node's clients: all claims for the same kinds share one call to the store at a time.
//!
//! 1. Claimed tasks go to the waiting clients, in the order in which they came; tasks that no client takes are given back.
//! 2. A claim without an answer is repeated under its nonce while a client waits. A claim that was sent more than once, or
//!    given up, is withdrawn, because Redis may still execute it, and a claimed task needs a client.
//! 3. Redis is not polled: a claim that found too few tasks waits until a task is announced, a new client comes, Redis is
//!    back, or a heartbeat interval is over.
//!
//! Not here: which tasks a node gets (`crate::store`).

use crate::clock;
use crate::cluster::ids::{Nonce, TaskToken};
use crate::cluster::protocol::{Call, ClaimReply, ClaimedTask, Instance, TaskCall, TaskClaim, WithdrawClaim};
use crate::cluster::task::{BATCH_MAX, CLAIM_BYTES, Jitter, TaskKind};
use crate::cluster::time::Moment;
use crate::engine::background::BackgroundTasks;
use crate::engine::cleanup::{Cleanup, CleanupQueue};
use crate::engine::error::Error;
use crate::engine::node::handle::{ClaimRequest, Claimed, Handout, HeldTask};
use crate::engine::refusals::RETRY_AFTER;
use crate::engine::store_calls::{Caller, RETRY_FOR, gone, known, nonce};
use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{Notify, oneshot};
use tracing::field::Empty;
use tracing::{Instrument, Span, debug_span};

/// The maximum number of clients that wait for one set of kinds, and of such sets.
const MAX_WAITING_CLAIMS: (usize, usize) = (10_000, 1_000);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Waiter {
    limit: u32,
    end: Moment,
    /// Whether a claim was made since it came.
    asked: bool,
    client: oneshot::Sender<Result<Claimed, Error>>,
    /// The span of its request.
    span: Span,
}

/// The clients that want the same kinds.
struct Group {
    kinds: Vec<TaskKind>,
    waiters: Mutex<VecDeque<Waiter>>,
    poke: Notify,
}

/// See the head of this file.
pub(super) struct Claims {
    caller: Caller,
    cleanup: CleanupQueue,
    groups: Mutex<HashMap<Vec<TaskKind>, Arc<Group>>>,
    background: BackgroundTasks,
}

impl Claims {
    pub(super) fn new(caller: Caller, cleanup: CleanupQueue, background: BackgroundTasks) -> Arc<Self> {
        Arc::new(Self { caller, cleanup, groups: Mutex::default(), background })
    }

    /// Called when a task of this kind was announced.
    pub(super) fn available(&self, kind: &TaskKind) {
        let wants = |group: &&Arc<Group>| group.kinds.is_empty() || group.kinds.contains(kind);
        lock(&self.groups).values().filter(wants).for_each(|group| group.poke.notify_one());
    }

    /// Called when an announcement may have been missed.
    pub(super) fn look_again(&self) {
        lock(&self.groups).values().for_each(|group| group.poke.notify_one());
    }

    /// Claims tasks, or waits for them.
    pub(super) async fn claim(self: &Arc<Self>, request: ClaimRequest) -> Result<Claimed, Error> {
        let ClaimRequest { mut kinds, limit, wait } = request;
        kinds.sort();
        kinds.dedup();
        let end = clock::now() + wait;
        // A node that is not a member fails at once, not at the end of the wait.
        self.caller.instance(clock::now() + RETRY_FOR).await?;
        let (client, answer) = oneshot::channel();
        let span = Span::current();
        let waiter = Waiter { limit: limit.clamp(1, BATCH_MAX), end, asked: false, client, span };
        self.enter(kinds, waiter)?;
        answer.await.map_err(|_| gone())?
    }

    fn enter(self: &Arc<Self>, kinds: Vec<TaskKind>, waiter: Waiter) -> Result<(), Error> {
        let full = |what: String| Err(Error::Overloaded { what, retry_after: RETRY_AFTER });
        let mut groups = lock(&self.groups);
        if let Some(group) = groups.get(&kinds) {
            let mut waiters = lock(&group.waiters);
            if waiters.len() >= MAX_WAITING_CLAIMS.0 {
                return full(format!("this node has reached its limit of {} waiting claims", MAX_WAITING_CLAIMS.0));
            }
            waiters.push_back(waiter);
            group.poke.notify_one();
            return Ok(());
        }
        if groups.len() >= MAX_WAITING_CLAIMS.1 {
            return full(format!(
                "this node has reached its limit of {} different sets of kinds in waiting claims",
                MAX_WAITING_CLAIMS.1
            ));
        }
        let waiters = Mutex::new(VecDeque::from([waiter]));
        let group = Arc::new(Group { kinds: kinds.clone(), waiters, poke: Notify::new() });
        let claimer = Claimer { claims: Arc::clone(self), group: Arc::clone(&group), pending: None, outcome: Ok(()) };
        self.background.spawn(claimer.run())?;
        groups.insert(kinds, group);
        Ok(())
    }

    fn give_back(&self, tasks: &[ClaimedTask]) {
        if !tasks.is_empty() {
            let held = tasks.iter().map(|task| HeldTask { id: task.id.clone(), token: task.token });
            self.cleanup.later(Cleanup::Tasks(held.collect()));
        }
    }
}

/// A claim without an answer.
struct Pending {
    nonce: Nonce,
    limit: u32,
    /// Whether it was sent, so that Redis may still execute it.
    unsure: AtomicBool,
    /// The incarnation that claimed last.
    instance: Mutex<Option<Instance>>,
}

/// Serves one group while it has clients.
struct Claimer {
    claims: Arc<Claims>,
    group: Arc<Group>,
    /// A claim whose outcome is unknown.
    pending: Option<Pending>,
    /// The result of the last claim.
    outcome: Result<(), Error>,
}

impl Claimer {
    async fn run(mut self) {
        while !self.is_done() {
            match self.ask().await {
                Ok((tasks, dry)) => {
                    self.hand_out(tasks);
                    self.outcome = Ok(());
                    self.dismiss();
                    if dry {
                        self.wait().await;
                    }
                }
                Err(why @ Error::RedisUnavailable { .. }) => {
                    self.outcome = Err(why);
                    self.dismiss();
                    self.wait().await;
                }
                Err(why) => {
                    // This node claims nothing any more, and its tasks go to other nodes.
                    self.pending = None;
                    lock(&self.group.waiters).drain(..).for_each(|w| drop(w.client.send(Err(why.clone()))));
                }
            }
        }
    }

    /// Whether no client waits any more; then the group is removed.
    fn is_done(&mut self) -> bool {
        let mut groups = lock(&self.claims.groups);
        let mut waiters = lock(&self.group.waiters);
        waiters.retain(|waiter| !waiter.client.is_closed());
        let done = waiters.is_empty();
        if done {
            groups.remove(&self.group.kinds);
            drop((groups, waiters));
            if let Some(pending) = self.pending.take() {
                self.withdraw(&pending, None);
            }
        }
        done
    }

    /// Withdraws a claim that Redis may still execute, or execute again. `returned` is its first token, if it returned one.
    fn withdraw(&self, pending: &Pending, returned: Option<TaskToken>) {
        let instance = lock(&pending.instance).take().filter(|_| pending.unsure.load(Ordering::Relaxed));
        if let Some(instance) = instance {
            let (kinds, nonce) = (self.group.kinds.clone(), pending.nonce.clone());
            let call = TaskCall::Withdraw(WithdrawClaim { instance, kinds, nonce, returned });
            self.claims.cleanup.later(Cleanup::Call(Box::new(Call::Task(Box::new(call))), None));
        }
    }

    /// Makes one claim for all waiting clients; also returns whether it found fewer tasks than requested.
    async fn ask(&mut self) -> Result<(Vec<ClaimedTask>, bool), Error> {
        let repeated = self.pending.is_some();
        let span = debug_span!(parent: None, "packed", limit = Empty);
        let pending = match self.pending.take() {
            Some(pending) => pending,
            None => {
                let mut waiters = lock(&self.group.waiters);
                let sum = waiters.iter_mut().fold(0_u32, |sum, waiter| {
                    waiter.asked = true;
                    span.follows_from(&waiter.span);
                    sum.saturating_add(waiter.limit)
                });
                let limit = sum.min(BATCH_MAX);
                Pending { nonce: nonce()?, limit, unsure: AtomicBool::new(false), instance: Mutex::default() }
            }
        };
        let pending = &*self.pending.insert(pending);
        let (kinds, limit) = (self.group.kinds.clone(), pending.limit);
        let jitter = Jitter::from_text(pending.nonce.as_str());
        let call = |instance: Instance| {
            *lock(&pending.instance) = Some(instance.clone());
            let (kinds, nonce) = (kinds.clone(), pending.nonce.clone());
            TaskClaim { instance, kinds, limit, nonce, jitter }
        };
        let judge = |reply: ClaimReply| known(reply.identity, reply.tasks);
        span.record("limit", limit);
        let tasks = self.claims.caller.repeat_noting(call, judge, &pending.unsure).instrument(span).await?;
        if let Some(pending) = self.pending.take() {
            self.withdraw(&pending, tasks.first().map(|task| task.token));
        }
        let bytes: usize = tasks.iter().map(|task| task.payload.len()).sum();
        let dry = u32::try_from(tasks.len()).unwrap_or(u32::MAX) < limit && bytes < CLAIM_BYTES;
        Ok((tasks, dry && !repeated))
    }

    /// Gives the tasks to the waiting clients, in order.
    fn hand_out(&self, mut tasks: Vec<ClaimedTask>) {
        let mut waiters = lock(&self.group.waiters);
        while !tasks.is_empty() {
            let Some(waiter) = waiters.pop_front() else { break };
            let take = tasks.len().min(usize::try_from(waiter.limit).unwrap_or(1));
            let rest = tasks.split_off(take);
            let held: Vec<HeldTask> =
                tasks.iter().map(|task| HeldTask { id: task.id.clone(), token: task.token }).collect();
            let cleanup = self.claims.cleanup.clone();
            let handout = Handout::new(move || cleanup.later(Cleanup::Tasks(held)));
            let claimed = Claimed { tasks, handout: Some(handout) };
            tasks = rest;
            if let Err(Ok(Claimed { tasks: refused, handout })) = waiter.client.send(Ok(claimed)) {
                // The client is gone: the tasks go to the next one.
                handout.into_iter().for_each(Handout::written);
                tasks.splice(0..0, refused);
            }
        }
        self.claims.give_back(&tasks);
    }

    /// Answers the clients whose time is over.
    fn dismiss(&self) {
        let now = clock::now();
        let mut waiters = lock(&self.group.waiters);
        let (over, rest) = waiters.drain(..).partition::<VecDeque<_>, _>(|w| w.asked && w.end <= now);
        *waiters = rest;
        for waiter in over {
            let answer = self.outcome.clone().map(|()| Claimed { tasks: Vec::new(), handout: None });
            // A client that is gone needs no answer.
            drop(waiter.client.send(answer));
        }
    }

    /// Waits until it makes sense to claim again.
    async fn wait(&self) {
        let until = clock::now() + self.claims.caller.status.borrow().interval;
        loop {
            let first = lock(&self.group.waiters).iter().map(|waiter| waiter.end).min();
            if first.is_none() {
                return;
            }
            let now = clock::now();
            let wake = first.map_or(until, |first| first.min(until));
            tokio::select! {
                () = self.group.poke.notified() => return,
                () = tokio::time::sleep(wake.since(now)) => {}
            }
            if clock::now() >= until {
                return;
            }
            self.dismiss();
        }
    }
}
