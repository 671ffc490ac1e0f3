//! The methods, by subject, and their table.
//!
//! 1. A method is written once: name, documentation, parameters, result, errors, effect, handler. The table below is the
//!    only other place that names it; dispatch, positions, schemas, the OpenRPC document and the MCP tools are
//!    derived.
//!
//! Not here: the types of parameters and results (`super::wire`), the work itself (`crate::engine`).

mod agents;
mod discover;
mod events;
mod history;
mod host;
mod leases;
mod limits;
mod membership;
mod messages;
mod notes;
mod schedules;
mod tasks;
mod transcripts;

use super::context::Context;
use super::errors::ErrorKind;
use super::method::{Effect, Method, register};
use super::schema::{schema_of_input, schema_of_output};
use crate::engine::node::handle::Node;
use jsonrpsee::RpcModule;
use jsonrpsee::core::RegisterMethodError;
use serde_json::Value;

/// What the documentation needs to know about a method.
pub(crate) struct Spec {
    /// See [`Method::NAME`].
    pub(crate) name: &'static str,
    /// See [`Method::SUMMARY`].
    pub(crate) summary: &'static str,
    /// See [`Method::DESCRIPTION`].
    pub(crate) description: &'static str,
    /// See [`Method::ERRORS`].
    pub(crate) errors: &'static [ErrorKind],
    /// See [`Method::EFFECT`].
    pub(crate) effect: Effect,
    /// The names of the parameters, in the order of their positions.
    pub(crate) positions: &'static [&'static str],
    /// The schema of the parameters.
    pub(crate) params: Value,
    /// The schema of the result.
    pub(crate) result: Value,
}

impl Spec {
    fn of<M: Method>() -> Self {
        Self {
            name: M::NAME,
            summary: M::SUMMARY,
            description: M::DESCRIPTION,
            errors: M::ERRORS,
            effect: M::EFFECT,
            positions: super::params::names::<M::Params>(),
            params: schema_of_input::<M::Params>(),
            result: schema_of_output::<M::Result>(),
        }
    }
}

macro_rules! table {
    ($($method:ty,)+) => {
        /// Adds every method to a module.
        pub(crate) fn register_all<N: Node>(module: &mut RpcModule<Context<N>>) -> Result<(), RegisterMethodError> {
            $(register::<N, $method>(module)?;)+
            Ok(())
        }

        /// The names of all methods.
        #[cfg(any(test, feature = "fuzz"))]
        pub(crate) fn specs_names() -> Vec<&'static str> {
            vec![$(<$method>::NAME),+]
        }

        /// Reads the parameters of a method; `None`: there is no such method.
        #[cfg(any(test, feature = "fuzz"))]
        pub(crate) fn read_parameters(method: &str, params: Option<&str>) -> Option<Result<(), super::errors::RpcError>> {
            match method {
                $(<$method>::NAME => Some(super::params::parse::<<$method as Method>::Params>(params).map(drop)),)+
                _ => None,
            }
        }

        /// What a call of a method changes in the cluster; `None`: there is no such method.
        pub(crate) fn effect_of(method: &str) -> Option<Effect> {
            match method {
                $(<$method>::NAME => Some(<$method>::EFFECT),)+
                _ => None,
            }
        }

        /// All methods, for the documentation.
        pub(crate) fn specs() -> Vec<Spec> {
            vec![$(Spec::of::<$method>()),+]
        }
    };
}

table![
    membership::JoinCluster,
    membership::LeaveCluster,
    membership::GetClusterState,
    membership::ElectLeader,
    messages::SyncMessages,
    notes::Notify,
    leases::AcquireLease,
    leases::RenewLease,
    leases::ReleaseLease,
    leases::CheckLease,
    leases::ListLeases,
    leases::RunOnce,
    limits::TakePermits,
    limits::AcquireSlot,
    limits::RenewSlot,
    limits::ReleaseSlot,
    tasks::SubmitTask,
    tasks::ClaimTasks,
    tasks::ExtendTask,
    tasks::CompleteTask,
    tasks::FailTask,
    tasks::CancelTask,
    tasks::GetTask,
    tasks::ListTasks,
    tasks::RedriveTask,
    schedules::ScheduleTask,
    schedules::ListSchedules,
    schedules::PauseSchedule,
    schedules::DeleteSchedule,
    membership::Drain,
    agents::AskAgent,
    agents::TellAgent,
    history::GetHistory,
    events::Subscribe,
    events::Unsubscribe,
    membership::Heartbeat,
    agents::TakeQuestions,
    host::WatchHost,
    transcripts::AppendTranscript,
    transcripts::ReadTranscript,
    discover::Discover,
];
