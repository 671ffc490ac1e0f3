//! The rules of the cluster, pure: no I/O, no clock, no randomness, no tokio.

pub mod appetite;
pub mod election;
pub mod event;
pub mod history;
pub mod holding;
pub mod ids;
pub mod inbox;
pub mod leadership;
pub mod member;
pub mod message;
pub mod node;
pub mod packing;
pub mod protocol;
pub mod settings;
pub mod task;
pub mod time;
pub mod view;
