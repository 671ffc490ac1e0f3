//! Tasks: submitting, claiming and settling them.
//!
//! 1. Payloads and results are carried as the JSON text that came in.
//!
//! `params.rs` has what callers pass, with its bounds; `results.rs` what they get.
//!
//! Not here: which node gets a task (`crate::store`).

mod params;
mod results;

pub use crate::cluster::task::TaskState;
pub use params::{
    ClaimParams, CompleteParams, FailParams, ListParams, Requires, SubmitParams, TaskIdParams, TokenParams,
};
pub(crate) use results::Abilities;
pub use results::{
    ClaimResult, ClaimedTask, ExtendResult, ListResult, ListedTask, StateResult, SubmitResult, TaskDetails, WaitReason,
    WaitsFor,
};
