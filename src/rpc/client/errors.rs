//! Why a client cannot connect, and why a call has no result.
//!
//! Not here: what makes them (`super`).

use crate::rpc::errors::ErrorData;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Why connecting failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No node listens there: the file is missing, or the connection is refused.
    #[error("no node listens on {path}; start one with `clawster serve`")]
    NoNode {
        /// The path of the socket.
        path: String,
    },
    /// A process of another user listens there. It is not trusted: nothing is sent to it or taken from it.
    #[error("{path} belongs to another user's process, which is not trusted; choose another state directory")]
    Foreign {
        /// The path of the socket.
        path: String,
    },
    /// Another error.
    #[error("cannot connect to {path}: {source}")]
    Connect {
        /// The path of the socket.
        path: String,
        /// The error of the operating system.
        source: std::io::Error,
    },
}

/// An error that the node returned.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct RpcFailure {
    /// The JSON-RPC error code.
    pub code: i32,
    /// What is wrong and what to do, in one sentence.
    pub message: String,
    /// Facts for programs; absent if the node sends none, or sends some in another form.
    #[serde(default, deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub data: Option<ErrorData>,
}

fn lenient<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<ErrorData>, D::Error> {
    let value = Value::deserialize(deserializer)?;
    Ok(serde_json::from_value(value).ok())
}

/// Why a call has no result.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum CallError {
    /// The node returned an error.
    #[error(transparent)]
    Rpc(#[from] RpcFailure),
    /// The connection was lost before the answer arrived; the call may have taken effect.
    #[error("the connection to the node was lost before it answered")]
    Lost,
    /// The parameters cannot be written as JSON, or the result does not have the expected form (another version of the
    /// node).
    #[error("{0}")]
    Form(String),
}
