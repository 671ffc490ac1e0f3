//! Alerts: what happens to the cluster, told to a webhook and to a program.
//!
//! In reading order: `rules` says what is an alert, `watch` decides which node sends it, `outlet` sends it: `webhook` over HTTP, `program`
//! to a command.
//!
//! 1. An alert about the cluster is sent by the leader, once for each subject within the cool-down: the key of a `run_once` decides.
//!    While nobody leads, another member sends it.
//! 2. An alert about a node itself, such as a Redis that it cannot reach, is sent by that node; without Redis each such node sends its own.
//! 3. Sending delays nothing of the node; what cannot be sent after the retries is logged, and dropped.
//! 4. Nothing runs while no alerts are configured.
//!
//! Not here: the keys (`crate::config`).

mod outlet;
mod program;
mod rules;
mod watch;
mod webhook;

pub use outlet::{Outlet, Sent};
pub use rules::Alert;
pub use watch::watch;
