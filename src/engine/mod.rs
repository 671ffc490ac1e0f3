//! A running node: the only place with timers and tasks.

pub mod error;
pub mod handle;
pub mod oneshot_state;
pub mod outbox;
pub mod state_dir;
