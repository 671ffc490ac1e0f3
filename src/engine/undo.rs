//! What has to be taken back because nobody waits for it any more.
//!
//! 1. Whoever finds that out does not wait: it is noted here and done by one task. What there is no room for, or what Redis
//!    does not take, ends by its own time.
//!
//! Not here: who finds it out (`leases/`, `tasks/`).

use super::caller::{Caller, Verdict, nonce};
use super::error::Error;
use super::handle::{HeldLease, HeldTask};
use crate::cluster::ids::{LeaseName, Nonce};
use crate::cluster::protocol::{self, Call, LeaseCall, Life, Owner, Reply, Settlement, TaskCall, TaskReply};
use crate::cluster::task::Jitter;
use tokio::sync::mpsc;

/// How much may wait to be taken back.
const NOTED: usize = 4_096;

/// What is to be taken back.
#[derive(Debug)]
pub(super) enum Undo {
    /// A place in the queue of a lease.
    Wait { name: LeaseName, ticket: Nonce },
    /// A lease, with the life that was granted it.
    Lease(HeldLease, Life),
    /// Tasks that were claimed.
    Tasks(Vec<HeldTask>),
}

/// Where it is noted.
#[derive(Debug, Clone)]
pub(super) struct Undoing {
    notes: mpsc::Sender<Undo>,
}

impl Undoing {
    /// A place for notes, and the reader of it for [`run`].
    pub(super) fn new() -> (Self, mpsc::Receiver<Undo>) {
        let (notes, reader) = mpsc::channel(NOTED);
        (Self { notes }, reader)
    }

    /// Notes something; it is done soon.
    pub(super) fn later(&self, what: Undo) {
        if let Err(refused) = self.notes.try_send(what) {
            tracing::warn!(%refused, "something cannot be taken back now; it ends by its own time");
        }
    }
}

/// Takes back what is noted, until the node is gone.
pub(super) async fn run(mut notes: mpsc::Receiver<Undo>, caller: Caller) {
    while let Some(what) = notes.recv().await {
        if let Err(why) = take_back(&caller, &what).await {
            tracing::debug!(%why, ?what, "something could not be taken back; it ends by its own time");
        }
    }
    // Nobody notes anything any more: the node is being stopped, and this task with it.
    std::future::pending::<()>().await;
}

async fn take_back(caller: &Caller, what: &Undo) -> Result<(), Error> {
    let lease = |call: LeaseCall| async move {
        let judge = |reply| match reply {
            Reply::Lease(_) => Verdict::Done(()),
            _ => Verdict::Unexpected,
        };
        caller.repeat(|_| Call::Lease(Box::new(call.clone())), judge).await
    };
    match what {
        Undo::Wait { name, ticket } => lease(LeaseCall::Forget { name: name.clone(), ticket: ticket.clone() }).await,
        Undo::Lease(HeldLease { name, token }, life) => {
            let owner = Owner::of(life.clone());
            lease(LeaseCall::Release { name: name.clone(), token: *token, owner, ticket: None }).await
        }
        Undo::Tasks(tasks) => {
            let jitter = Jitter::from_text(nonce()?.as_str());
            let settlement = |held: &HeldTask| Settlement {
                id: held.id.clone(),
                token: held.token,
                verdict: protocol::Verdict::Fail {
                    error: "its worker was gone before it was told of the task".to_owned(),
                    retry: true,
                    jitter,
                },
            };
            let settlements: Vec<Settlement> = tasks.iter().map(settlement).collect();
            let judge = |reply| match reply {
                Reply::Task(reply) if matches!(*reply, TaskReply::Settled { .. }) => Verdict::Done(()),
                _ => Verdict::Unexpected,
            };
            let call = |life| Call::Task(Box::new(TaskCall::Settle { life, settlements: settlements.clone() }));
            caller.repeat(call, judge).await
        }
    }
}
