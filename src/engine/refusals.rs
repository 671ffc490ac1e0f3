//! Converts the pure node's refusals into errors for the outer layers.
//!
//! Not here: the error codes that clients see (`crate::rpc::errors`).

use super::error::Error;
use super::state_dir::StateError;
use crate::cluster::node::Refusal;
use crate::engine::messages::outbox::AcceptError;
use std::time::Duration;

/// When a client may retry after a temporary error.
pub(super) const RETRY_AFTER: Duration = Duration::from_secs(1);

pub(super) fn unexpected() -> Error {
    Error::Internal("unexpected reply from the node".to_owned())
}

pub(super) fn unavailable(detail: &str) -> Error {
    Error::RedisUnavailable { detail: detail.to_owned(), retry_after: RETRY_AFTER }
}

pub(super) fn error(refusal: Refusal) -> Error {
    match refusal {
        Refusal::NotJoined => Error::NotJoined,
        Refusal::Unavailable(detail) => unavailable(&detail),
        Refusal::InUse { node_id, holder } => Error::NodeIdInUse { node_id, holder },
        Refusal::Unknown(id) => Error::UnknownNode { names: vec![id.to_string()] },
        Refusal::Invalid(why) => Error::InvalidParams(why),
    }
}

pub(super) fn refused(why: &AcceptError) -> Error {
    match why {
        AcceptError::Full { .. } => Error::Overloaded { what: why.to_string(), retry_after: RETRY_AFTER },
        AcceptError::State(StateError::Io { full: true, .. }) => {
            Error::Overloaded { what: why.to_string(), retry_after: RETRY_AFTER }
        }
        AcceptError::State(_) => Error::Internal(why.to_string()),
    }
}
