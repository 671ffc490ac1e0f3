//! How a command reaches a node: the running one of this host, one that this process runs itself, or, where none runs, Redis.

pub(crate) mod attach;
pub(crate) mod direct;
pub(crate) mod follow;
pub(crate) mod own_node;
