//! The calls of a node to the shared store, and the store's answers: one pair for each transition.
//!
//! 1. Every call is one atomic transition of the cluster's state; a lost answer leaves it unknown whether it happened.
//! 2. Every call of a member names its incarnation; inside the transition, the store refuses another incarnation.
//!
//! Not here: how a store executes them (`crate::store`), when a node makes them (`node/`).

mod beat;
mod census;
mod data_set;
mod leader;
mod lease;
mod limits;
mod membership;
mod messages;
mod once;
mod schedule;
mod task;
mod transcripts;
mod view;

pub use beat::{LeaseNews, Tick, TickReply};
pub use census::{Census, ListLeases, ListedLease, MOST_LANES, TakeCensus};
pub use data_set::{DataSet, Delta, Identity, Instance, Numbers, ServerId};
pub use leader::{
    Campaign, CampaignReply, HandOver, HandOverReply, HandedOver, LeaderRecord, Resign, Rule, WatchLeader, WatchReply,
};
pub use lease::{
    Acquire, AcquireReply, Acquired, Check, Claim, Drain, DrainReply, Forget, LEASE_TTL, LONGEST_REQUEST_ID, LeaseCall,
    LeaseRecord, LeaseReply, MOST_WAITERS, Owner, Refusal, Release, Renew, Renewal, Renewed, Served, WatchLease,
    Watched, Withdraw,
};
pub use limits::{
    AcquireSlot, ForgetSlot, LONGEST_PERIOD, LimitCall, LimitReply, MOST_LIMITS, MOST_PERMITS, MOST_SLOT_WAITERS,
    MOST_SLOTS, Permits, PermitsReply, ReleaseSlot, RenewSlot, Slot, SlotReply, TakePermits,
};
pub use membership::{
    ForgetMembers, Forgotten, Join, JoinReply, Leave, LeaveReply, Register, Registered, Sweep, Swept,
};
pub use messages::{Acknowledge, Entry, Packed, Publish, PublishReply};
pub use once::{Attempt, ClockSeen, JUMP, KEPT_LONGER, LONGEST_ONCE, ONCE_KEYS, Once, OnceGrant};
pub use schedule::{
    DeleteSchedule, FireReply, FireSchedule, Fired, PauseSchedule, Put, PutReply, PutSchedule, ReadSchedules, Schedule,
    ScheduleCall, ScheduleReply, SchedulesReply,
};
pub use task::{
    CancelTask, ClaimReply, ClaimedTask, GetTask, ListTasks, NewTask, RedriveTask, SettleReply, SettleTasks, Settled,
    Settlement, SubmitReply, SubmitTasks, Submitted, Task, TaskCall, TaskChange, TaskClaim, TaskReply, TaskSummary,
    Verdict, WithdrawClaim,
};
pub use transcripts::{
    AppendReply, AppendTranscript, ReadTranscript, TRANSCRIPT_BYTES, TRANSCRIPT_ITEM_BYTES, TRANSCRIPT_ITEMS,
    TranscriptCall, TranscriptItem, TranscriptPage, TranscriptReply,
};
pub use view::{View, ViewReply};

use crate::cluster::ids::NodeId;
use crate::cluster::settings::{Shared, Versioned};
use crate::cluster::time::ServerTime;

/// A transition of the cluster's state, whichever it is.
#[derive(Debug, Clone, PartialEq)]
pub enum Call {
    /// See [`Join`].
    Join(Box<Join>),
    /// See [`Tick`].
    Tick(Box<Tick>),
    /// See [`View`].
    View(View),
    /// See [`Leave`].
    Leave(Leave),
    /// See [`Resign`].
    Resign(Resign),
    /// See [`HandOver`].
    HandOver(HandOver),
    /// See [`Campaign`].
    Campaign(Box<Campaign>),
    /// See [`Register`].
    Register(Register),
    /// See [`WatchLeader`].
    Watch(WatchLeader),
    /// See [`Sweep`].
    Sweep(Sweep),
    /// See [`Publish`].
    Publish(Box<Publish>),
    /// See [`Acknowledge`].
    Acknowledge(Acknowledge),
    /// See [`LeaseCall`].
    Lease(Box<LeaseCall>),
    /// See [`ListLeases`].
    Leases(ListLeases),
    /// See [`Once`].
    Once(Box<Once>),
    /// See [`LimitCall`].
    Limit(Box<LimitCall>),
    /// See [`Drain`].
    Drain(Drain),
    /// See [`TaskCall`].
    Task(Box<TaskCall>),
    /// See [`ScheduleCall`].
    Schedule(Box<ScheduleCall>),
    /// See [`TranscriptCall`].
    Transcript(Box<TranscriptCall>),
    /// See [`TakeCensus`].
    Census(TakeCensus),
    /// See [`ForgetMembers`].
    ForgetMembers(ForgetMembers),
    /// See [`PushSettings`].
    Settings(PushSettings),
}

/// The store's answer to a [`Call`].
#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    /// To [`Join`].
    Join(Box<JoinReply>),
    /// To [`Tick`].
    Tick(Box<TickReply>),
    /// To [`View`].
    View(Box<ViewReply>),
    /// To [`Leave`] and [`Resign`].
    Left(LeaveReply),
    /// To [`HandOver`].
    HandOver(HandOverReply),
    /// To [`Campaign`].
    Campaign(Box<CampaignReply>),
    /// To [`Register`].
    Registered(Registered),
    /// To [`WatchLeader`].
    Watch(Box<WatchReply>),
    /// To [`Sweep`].
    Sweep(Swept),
    /// To [`Publish`].
    Publish(PublishReply),
    /// To [`Acknowledge`].
    Acknowledge(Identity),
    /// To a [`LeaseCall`].
    Lease(LeaseReply),
    /// To [`ListLeases`].
    Leases(Vec<ListedLease>),
    /// To [`Once`]: a grant for each key.
    Once(Vec<OnceGrant>),
    /// To a [`LimitCall`].
    Limit(LimitReply),
    /// To [`Drain`].
    Drain(DrainReply),
    /// To a [`TaskCall`].
    Task(Box<TaskReply>),
    /// To a [`ScheduleCall`].
    Schedule(Box<ScheduleReply>),
    /// To a [`TranscriptCall`].
    Transcript(TranscriptReply),
    /// To [`TakeCensus`].
    Census(Census),
    /// To [`ForgetMembers`]: each with what became of it.
    ForgotMembers(Vec<(NodeId, Forgotten)>),
    /// To [`PushSettings`].
    Settings(Box<SettingsReply>),
}

/// A transition that knows its reply.
pub trait Transition {
    /// What the store answers.
    type Reply;

    /// The name in metrics and spans.
    const NAME: &'static str;

    /// The reply as one of all replies.
    fn reply(reply: Self::Reply) -> Reply;
}

macro_rules! transitions {
    ($($call:ty: $name:literal => $reply:ty, $variant:expr;)+) => {
        $(
            impl Transition for $call {
                type Reply = $reply;
                const NAME: &'static str = $name;

                fn reply(reply: $reply) -> Reply {
                    $variant(reply)
                }
            }
        )+

        /// The names of all transitions.
        pub const TRANSITIONS: [&str; [$($name),+].len()] = [$($name),+];
    };
}

transitions! {
    Join: "join" => JoinReply, |reply| Reply::Join(Box::new(reply));
    Tick: "tick" => TickReply, |reply| Reply::Tick(Box::new(reply));
    View: "view" => ViewReply, |reply| Reply::View(Box::new(reply));
    Leave: "leave" => LeaveReply, Reply::Left;
    Resign: "resign" => LeaveReply, Reply::Left;
    HandOver: "hand_over" => HandOverReply, Reply::HandOver;
    Campaign: "campaign" => CampaignReply, |reply| Reply::Campaign(Box::new(reply));
    Register: "register" => Registered, Reply::Registered;
    WatchLeader: "watch" => WatchReply, |reply| Reply::Watch(Box::new(reply));
    Sweep: "sweep" => Swept, Reply::Sweep;
    Publish: "publish" => PublishReply, Reply::Publish;
    Acknowledge: "acknowledge" => Identity, Reply::Acknowledge;
    Acquire: "lease_acquire" => AcquireReply, |reply| Reply::Lease(LeaseReply::Acquired(Box::new(reply)));
    Renew: "lease_renew" => Renewal, |reply| Reply::Lease(LeaseReply::Renewed(reply));
    Release: "lease_release" => bool, |released| Reply::Lease(LeaseReply::Released { released });
    Check: "lease_check" => bool, |valid| Reply::Lease(LeaseReply::Checked { valid });
    Forget: "lease_forget" => bool, |waited| Reply::Lease(LeaseReply::Forgotten { waited });
    Withdraw: "lease_withdraw" => bool, |granted| Reply::Lease(LeaseReply::Withdrawn { granted });
    WatchLease: "lease_watch" => Watched, |reply| Reply::Lease(LeaseReply::Watched(reply));
    ListLeases: "lease_list" => Vec<ListedLease>, Reply::Leases;
    Once: "once" => Vec<OnceGrant>, Reply::Once;
    TakePermits: "permits_take" => PermitsReply, |reply| Reply::Limit(LimitReply::Taken(reply));
    AcquireSlot: "slot_acquire" => SlotReply, |reply| Reply::Limit(LimitReply::Slot(reply));
    RenewSlot: "slot_renew" => Option<ServerTime>, |until| Reply::Limit(LimitReply::Renewed(until));
    ReleaseSlot: "slot_release" => Option<u64>, |in_use| Reply::Limit(LimitReply::Released(in_use));
    ForgetSlot: "slot_forget" => (), |()| Reply::Limit(LimitReply::Forgotten);
    Drain: "drain" => DrainReply, Reply::Drain;
    SubmitTasks: "task_submit" => SubmitReply, |reply| Reply::Task(Box::new(TaskReply::Submitted(reply)));
    TaskClaim: "task_claim" => ClaimReply, |reply| Reply::Task(Box::new(TaskReply::Claimed(reply)));
    WithdrawClaim: "task_withdraw" => u64, |tasks| Reply::Task(Box::new(TaskReply::Withdrawn { tasks }));
    SettleTasks: "task_settle" => SettleReply, |reply| Reply::Task(Box::new(TaskReply::Settled(reply)));
    CancelTask: "task_cancel" => TaskChange, |reply| Reply::Task(Box::new(TaskReply::Changed(reply)));
    RedriveTask: "task_redrive" => TaskChange, |reply| Reply::Task(Box::new(TaskReply::Changed(reply)));
    GetTask: "task_get" => Option<Box<Task>>, |reply| Reply::Task(Box::new(TaskReply::Task(reply)));
    ListTasks: "task_list" => Vec<TaskSummary>, |reply| Reply::Task(Box::new(TaskReply::Tasks(reply)));
    PutSchedule: "schedule_put" => PutReply, |reply| Reply::Schedule(Box::new(ScheduleReply::Put(reply)));
    ReadSchedules: "schedule_read" => SchedulesReply, |reply| Reply::Schedule(Box::new(ScheduleReply::Read(reply)));
    PauseSchedule: "schedule_pause" => Put, |outcome| Reply::Schedule(Box::new(ScheduleReply::Paused(outcome)));
    DeleteSchedule: "schedule_delete" => bool, |there| Reply::Schedule(Box::new(ScheduleReply::Deleted(there)));
    FireSchedule: "schedule_fire" => FireReply, |reply| Reply::Schedule(Box::new(ScheduleReply::Fired(reply)));
    AppendTranscript: "transcript_append" => AppendReply, |reply| Reply::Transcript(TranscriptReply::Appended(reply));
    ReadTranscript: "transcript_read" => TranscriptPage, |reply| Reply::Transcript(TranscriptReply::Read(reply));
    TakeCensus: "census" => Census, Reply::Census;
    ForgetMembers: "forget_members" => Vec<(NodeId, Forgotten)>, Reply::ForgotMembers;
    PushSettings: "settings" => SettingsReply, |reply| Reply::Settings(Box::new(reply));
}

/// Returns the settings of the cluster, or changes them for all.
#[derive(Debug, Clone, PartialEq)]
pub struct PushSettings {
    /// The highest version that the caller has seen.
    pub known: u64,
    /// The new settings; `None`: only returns them.
    pub wanted: Option<Shared>,
}

/// The settings of the cluster, as the answer to [`PushSettings`].
#[derive(Debug, Clone, PartialEq)]
pub struct SettingsReply {
    /// The previous settings; `None`: there were none.
    pub before: Option<Versioned>,
    /// The current settings.
    pub after: Option<Versioned>,
    /// The leader's record.
    pub leader: Option<LeaderRecord>,
}

/// Why a call failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The store did not answer, or the connection was lost: it is unknown whether the call was executed.
    #[error("{0}")]
    Unavailable(String),
    /// The store answers, but cannot execute the call now: it is full, read-only, loading, or lacks a permission. Nothing
    /// happened; the same call may succeed once the cause, which the text names, is gone.
    #[error("{0}")]
    Unwritable(String),
    /// The store answered with an unexpected error: a defect. Nothing happened.
    #[error("{0}")]
    Refused(String),
}
