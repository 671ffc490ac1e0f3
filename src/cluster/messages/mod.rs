//! Messages between nodes: the message itself, packing several into one stream entry, and what a receiver has read and
//! acknowledged.
//!
//! Not here: the outbox on disk and the calls to Redis (`crate::engine::messages`).

pub mod batch_limit;
pub mod content;
pub mod inbox;
pub mod message;
pub mod packing;
