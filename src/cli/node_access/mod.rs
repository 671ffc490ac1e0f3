//! How a command reaches the cluster: through this host's running node, through a node that this process runs, or directly on Redis.

pub(crate) mod attach;
pub(crate) mod direct;
pub(crate) mod follow;
pub(crate) mod own_node;
