//! A running node: the only place with timers and tasks.

pub mod error;
pub mod handle;
