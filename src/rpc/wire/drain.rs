//! Draining: a node that takes no new work, and the work that still runs on it.
//!
//! Not here: what a draining node refuses (`crate::engine`, `crate::store`).

pub use crate::cluster::node::Drained as DrainResult;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The parameters of `distributed.drain`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DrainParams {
    /// True: stop taking new work. False: take part in everything again.
    pub enabled: bool,
}
