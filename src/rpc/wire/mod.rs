//! The shapes of parameters, results and events as clients see them.
//!
//! 1. Unknown parameters are refused; every optional parameter is an `Option`, so that `null` means absent.
//! 2. `schemas/` and the OpenRPC document are generated from these types only.
//! 3. Conversions go from the engine's types to these; the engine does not know these types.
//!
//! Not here: reading parameters with good error texts (`super::params`), what the methods do (`super::methods`).

pub mod agent;
pub mod drain;
pub mod election;
pub mod event;
pub mod heartbeat;
pub mod history;
pub mod history_entry;
pub mod history_report;
pub mod host;
pub mod lease;
pub mod limits;
pub mod membership;
pub mod node;
pub mod notify;
pub mod once;
pub mod peer;
pub mod schedule;
pub mod state;
pub mod subscription;
pub mod sync;
pub mod task;
pub mod transcripts;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The parameters of a method that takes none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NoParams {}
