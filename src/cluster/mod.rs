//! The rules of the cluster as pure code: no I/O, no clock, no randomness, no tokio.

pub mod event;
pub mod gossip;
pub mod history;
pub mod ids;
pub mod lease;
pub mod members;
pub mod messages;
pub mod node;
pub mod oneshot;
pub mod protocol;
pub mod schedule;
pub mod settings;
pub mod task;
pub mod time;
