//! The running node: starting, driving, calling and stopping it.
//!
//! Not here: messages, leases, tasks and history (folders beside this one), the rules (`crate::cluster::node`).

pub(crate) mod driver;
pub mod fresh_state;
pub mod handle;
pub(crate) mod health;
pub(crate) mod kept_view;
pub(crate) mod membership;
pub(crate) mod notifying;
pub(crate) mod running;
pub(crate) mod running_work;
mod servers;
pub(crate) mod start;
pub(crate) mod state_view;
pub(crate) mod status;
