//! The rules of the cluster, pure: no I/O, no clock, no randomness, no tokio.

pub mod event;
pub mod ids;
pub mod member;
pub mod message;
pub mod protocol;
pub mod settings;
pub mod time;
