//! The transitions as scripts: for each one its script, its arguments and how its reply is read.
//!
//! Not here: the scripts' text (`scripts/`), running them (`mod.rs` above).

mod leader;
mod leases;
mod limits;
mod members;
mod messages;
mod replies;
mod schedules;
mod tasks;
mod transcripts;

use super::arguments::Arguments;
use super::fields::{Fields, Malformed};
use super::keys::Keys;
use super::samples::Recent;
use super::scripts::Script;
use crate::cluster::protocol::{Call, LeaseCall, LimitCall, Reply, ScheduleCall, TaskCall, TranscriptCall, Transition};
use redis::Value;

/// What a call needs from its store.
pub(crate) struct Context<'a> {
    pub(super) keys: &'a Keys,
    pub(super) recent: Recent,
    /// The server process of the connection.
    pub(super) server: &'a str,
}

/// What a call grants, which replicas may have to confirm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Grants {
    Nothing,
    /// A term or a lease, or a renewal of one.
    Term,
    /// The acceptance of messages.
    Messages,
}

/// A transition as a script.
pub(crate) trait Scripted: Transition {
    const SCRIPT: &'static Script;

    /// Adds the arguments, in any order: the script reads them by their names.
    fn arguments(&self, arguments: &mut Arguments, context: &Context<'_>);

    /// Further keys, after those that every script gets.
    fn own_keys(&self, _keys: &Keys) -> Vec<String> {
        Vec::new()
    }

    /// Whether the arguments may be so large that heartbeats must not wait behind them.
    fn is_bulky(&self) -> bool {
        false
    }

    /// What its reply may grant.
    fn grants(&self) -> Grants {
        Grants::Nothing
    }

    /// The reply without what it grants, because too few replicas have it. `None`: the whole reply counts as lost.
    fn ungranted(&self, _reply: Value) -> Option<Value> {
        None
    }

    /// Reads the reply, in the order of the script's header.
    fn read(&self, reply: &mut Fields) -> Result<Self::Reply, Malformed>;
}

/// A script with its arguments.
pub(super) struct Invocation {
    pub(super) script: &'static Script,
    /// Further keys, after those that every script gets.
    pub(super) own_keys: Vec<String>,
    pub(super) arguments: Arguments,
}

/// Any transition, with its reply as one of all replies.
pub(super) trait AnyTransition: Sync {
    fn name(&self) -> &'static str;

    fn is_bulky(&self) -> bool;

    fn grants(&self) -> Grants;

    fn ungranted(&self, reply: Value) -> Option<Value>;

    fn invocation(&self, context: &Context<'_>) -> Invocation;
}

impl<T: Scripted + Sync> AnyTransition for T {
    fn name(&self) -> &'static str {
        T::NAME
    }

    fn is_bulky(&self) -> bool {
        Scripted::is_bulky(self)
    }

    fn grants(&self) -> Grants {
        Scripted::grants(self)
    }

    fn ungranted(&self, reply: Value) -> Option<Value> {
        Scripted::ungranted(self, reply)
    }

    fn invocation(&self, context: &Context<'_>) -> Invocation {
        let mut arguments = Arguments::default();
        self.arguments(&mut arguments, context);
        Invocation { script: T::SCRIPT, own_keys: self.own_keys(context.keys), arguments }
    }
}

/// Reads the reply to a transition.
pub(super) fn read<T: Scripted>(call: &T, value: Value) -> Result<T::Reply, Malformed> {
    call.read(&mut Fields::of("the script's reply", value)?)
}

/// The transition of a call, and how its reply is read.
pub(super) fn of(call: &Call) -> (&dyn AnyTransition, impl FnOnce(Value) -> Result<Reply, Malformed>) {
    type Reader<'a> = Box<dyn FnOnce(Value) -> Result<Reply, Malformed> + Send + 'a>;
    fn any<T: Scripted + Sync>(call: &T) -> (&dyn AnyTransition, Reader<'_>) {
        (call, Box::new(|value| read(call, value).map(T::reply)))
    }
    match call {
        Call::Join(call) => any(&**call),
        Call::Tick(call) => any(&**call),
        Call::View(call) => any(call),
        Call::Leave(call) => any(call),
        Call::Resign(call) => any(call),
        Call::HandOver(call) => any(call),
        Call::Campaign(call) => any(&**call),
        Call::Register(call) => any(call),
        Call::Watch(call) => any(call),
        Call::Sweep(call) => any(call),
        Call::Publish(call) => any(&**call),
        Call::Acknowledge(call) => any(call),
        Call::Lease(call) => match &**call {
            LeaseCall::Acquire(call) => any(call),
            LeaseCall::Renew(call) => any(call),
            LeaseCall::Release(call) => any(call),
            LeaseCall::Check(call) => any(call),
            LeaseCall::Forget(call) => any(call),
            LeaseCall::Withdraw(call) => any(call),
            LeaseCall::Watch(call) => any(call),
        },
        Call::Leases(call) => any(call),
        Call::Once(call) => any(&**call),
        Call::Limit(call) => match &**call {
            LimitCall::Take(call) => any(call),
            LimitCall::Acquire(call) => any(call),
            LimitCall::Renew(call) => any(call),
            LimitCall::Release(call) => any(call),
            LimitCall::Forget(call) => any(call),
        },
        Call::Drain(call) => any(call),
        Call::Task(call) => match &**call {
            TaskCall::Submit(call) => any(call),
            TaskCall::Claim(call) => any(call),
            TaskCall::Withdraw(call) => any(call),
            TaskCall::Settle(call) => any(call),
            TaskCall::Cancel(call) => any(call),
            TaskCall::Redrive(call) => any(call),
            TaskCall::Get(call) => any(call),
            TaskCall::List(call) => any(call),
        },
        Call::Schedule(call) => match &**call {
            ScheduleCall::Put(call) => any(&**call),
            ScheduleCall::Read(call) => any(call),
            ScheduleCall::Pause(call) => any(call),
            ScheduleCall::Delete(call) => any(call),
            ScheduleCall::Fire(call) => any(call),
        },
        Call::Transcript(call) => match &**call {
            TranscriptCall::Append(call) => any(call),
            TranscriptCall::Read(call) => any(call),
        },
        Call::Census(call) => any(call),
        Call::ForgetMembers(call) => any(call),
        Call::Settings(call) => any(call),
    }
}
