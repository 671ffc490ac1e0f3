//! Messages of a running node: sent through the outbox on disk, received through the inbox, acknowledged.
//!
//! Not here: which messages a node receives (`crate::cluster::messages`), the streams in Redis (`crate::store::redis`).

pub mod outbox;
pub(crate) mod progress;
pub(crate) mod publisher;
pub(crate) mod removals;
pub(crate) mod resume;
pub(crate) mod resumed;
pub(crate) mod store_holder;
pub(crate) mod submission;
pub(crate) mod sync;
