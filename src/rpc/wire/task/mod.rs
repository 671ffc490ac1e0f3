//! Tasks: what is to be done, by whom, and what became of it.
//!
//! 1. Payloads and results are carried as the JSON text that came in.
//!
//! `params.rs` what callers give, with its bounds · `results.rs` what they get.
//!
//! Not here: who gets which task (`crate::store`).

mod params;
mod results;

pub use params::{
    ClaimParams, CompleteParams, FailParams, ListParams, Requires, SubmitParams, TaskIdParams, TokenParams,
};
pub use results::{
    ClaimResult, ClaimedTask, ExtendResult, ListResult, ListedTask, StateResult, SubmitResult, TaskDetails, TaskState,
};
