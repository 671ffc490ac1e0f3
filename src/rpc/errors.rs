//! Errors as clients see them: code, message and data.
//!
//! 1. [`ErrorKind`] is the only table of codes; `data.kind` is the word for the same error.
//! 2. The message says in one sentence what is wrong and what to do, and contains no secret.
//! 3. Text that a client sent is shortened when it is shown.
//!
//! Not here: the errors inside the node (`crate::engine::error`).

use crate::cluster::time::millis;
use crate::config::is_unsafe;
use crate::engine::error::Error;
use jsonrpsee::types::ErrorObjectOwned;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::fmt::Display;
use std::time::Duration;

/// When to call a stopping node again: it may have restarted by then.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// What went wrong, as one word; each kind has its own code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ErrorKind {
    /// The line is not JSON.
    ParseError,
    /// The JSON is not a request.
    InvalidRequest,
    /// There is no such method.
    MethodNotFound,
    /// A parameter is unknown, missing or wrong.
    InvalidParams,
    /// A defect of the node, a broken disk, or an answer too long for one line.
    InternalError,
    /// This node is not a member of the cluster.
    NotJoined,
    /// Redis does not answer, or cannot accept what the call needs.
    RedisUnavailable,
    /// Another process holds the node id.
    NodeIdInUse,
    /// There is no live member with this node id.
    UnknownNode,
    /// A message, or the payload or result of a task, is over 1 MiB.
    MessageTooLarge,
    /// A limit was reached.
    Overloaded,
    /// The token is stale: the caller does not hold the lease or task any more.
    StaleToken,
    /// The configuration lacks what the call needs.
    NotConfigured,
    /// There is no such task, schedule or subscription.
    NotFound,
    /// A policy of this node refuses the call.
    Forbidden,
    /// The other side did not answer in time. The call may have taken effect; repeating it may take effect twice.
    Timeout,
}

/// Every kind, in the order of the documentation. A kind that is not in it does not appear in the OpenRPC document.
pub const ERROR_KINDS: [ErrorKind; 16] = [
    ErrorKind::ParseError,
    ErrorKind::InvalidRequest,
    ErrorKind::MethodNotFound,
    ErrorKind::InvalidParams,
    ErrorKind::InternalError,
    ErrorKind::NotJoined,
    ErrorKind::RedisUnavailable,
    ErrorKind::NodeIdInUse,
    ErrorKind::UnknownNode,
    ErrorKind::MessageTooLarge,
    ErrorKind::Overloaded,
    ErrorKind::StaleToken,
    ErrorKind::NotConfigured,
    ErrorKind::NotFound,
    ErrorKind::Forbidden,
    ErrorKind::Timeout,
];

impl ErrorKind {
    /// The code, the word, and the summary.
    const fn row(self) -> (i32, &'static str, &'static str) {
        match self {
            Self::ParseError => (-32700, "parse_error", "The line is not JSON"),
            Self::InvalidRequest => (-32600, "invalid_request", "The JSON is not a JSON-RPC 2.0 request"),
            Self::MethodNotFound => (-32601, "method_not_found", "There is no such method"),
            Self::InvalidParams => (-32602, "invalid_params", "A parameter is unknown, missing or wrong"),
            Self::InternalError => {
                (-32603, "internal_error", "A defect of the node, a broken disk, or an answer too long for a line")
            }
            Self::NotJoined => (-32001, "not_joined", "This node is not a member of the cluster"),
            Self::RedisUnavailable => {
                (-32002, "redis_unavailable", "Redis does not answer, or cannot accept what the call needs")
            }
            Self::NodeIdInUse => (-32003, "node_id_in_use", "Another process holds the node id"),
            Self::UnknownNode => (-32004, "unknown_node", "There is no live member with this node id"),
            Self::MessageTooLarge => (
                -32005,
                "message_too_large",
                "A message, or a task's payload or result, is over 1 MiB, or an item over 64 KiB",
            ),
            Self::Overloaded => (-32006, "overloaded", "A limit was reached"),
            Self::StaleToken => {
                (-32007, "stale_token", "The token is stale: the caller does not hold the lease or task any more")
            }
            Self::NotConfigured => (-32008, "not_configured", "The configuration lacks what this needs"),
            Self::NotFound => (-32009, "not_found", "There is no such task, schedule or subscription"),
            Self::Forbidden => (-32010, "forbidden", "A policy of this node refuses the call"),
            Self::Timeout => {
                (-32011, "timeout", "The other side did not answer in time; the call may have taken effect")
            }
        }
    }

    /// The JSON-RPC error code.
    #[must_use]
    pub const fn code(self) -> i32 {
        self.row().0
    }

    /// The word in `data.kind`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.row().1
    }

    /// One line for the documentation.
    #[must_use]
    pub const fn summary(self) -> &'static str {
        self.row().2
    }

    /// Whether the same call may succeed later without a change.
    #[must_use]
    pub const fn retryable(self) -> bool {
        matches!(self, Self::RedisUnavailable | Self::Overloaded)
    }
}

/// The `data` of an error.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ErrorData {
    /// What went wrong, as one word.
    pub kind: ErrorKind,
    /// Whether the same call may succeed later without a change.
    pub retryable: bool,
    /// When to call again, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
    /// Facts for programs: the parameter, the ids, the sizes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<Value>,
}

/// An error to send to a client.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct RpcError {
    /// What went wrong.
    pub kind: ErrorKind,
    /// What is wrong and what to do, in one sentence.
    pub message: String,
    /// When to call again; `None`: unknown, or never.
    pub retry_after: Option<Duration>,
    /// Facts for programs: the parameter, the ids, the sizes.
    pub detail: Option<Value>,
}

/// Shortens text that a client sent, to show it in a message.
pub(crate) fn shown(text: &str) -> String {
    const MAX_SHOWN_CHARS: usize = 80;
    match text.char_indices().nth(MAX_SHOWN_CHARS) {
        Some((end, _)) => format!("{:?}…", &text[..end]),
        None => format!("{text:?}"),
    }
}

impl RpcError {
    /// An error without details. Characters of the message that could control a terminal are escaped.
    pub fn new(kind: ErrorKind, message: impl Display) -> Self {
        let mut text = message.to_string();
        // The message may quote a client or another node.
        if text.chars().any(is_unsafe) {
            text = text
                .chars()
                .map(|c| if is_unsafe(c) { c.escape_unicode().to_string() } else { c.to_string() })
                .collect();
        }
        Self { kind, message: text, retry_after: None, detail: None }
    }

    /// An error about a parameter; both the message and `detail` name it.
    pub fn parameter(path: &str, problem: impl Display) -> Self {
        let detail = Some(json!({ "parameter": path }));
        Self { detail, ..Self::new(ErrorKind::InvalidParams, format!("parameter {path}: {problem}")) }
    }

    /// An error about a text that names no member.
    pub fn unknown_node(text: &str) -> Self {
        let short: String = text.chars().take(80).collect();
        Error::UnknownNode { names: vec![short] }.into()
    }

    /// An error about a limit that was reached; the client may call again after one second.
    pub fn overloaded(what: impl Display) -> Self {
        Error::Overloaded { what: what.to_string(), retry_after: Duration::from_secs(1) }.into()
    }

    /// The `data` member.
    #[must_use]
    pub fn data(&self) -> ErrorData {
        ErrorData {
            kind: self.kind,
            retryable: self.kind.retryable(),
            retry_after_ms: self.retry_after.map(millis),
            detail: self.detail.clone(),
        }
    }
}

impl From<Error> for RpcError {
    fn from(error: Error) -> Self {
        let message = error.to_string();
        let with = |kind, retry_after, detail| Self { kind, message, retry_after, detail };
        match error {
            Error::NotJoined => with(ErrorKind::NotJoined, None, None),
            Error::RedisUnavailable { detail, retry_after } => {
                with(ErrorKind::RedisUnavailable, Some(retry_after), Some(json!({ "seen": detail })))
            }
            // Retryable, and the client reacts in the same way.
            Error::Stopping => {
                with(ErrorKind::RedisUnavailable, Some(RETRY_AFTER), Some(json!({ "seen": "stopping" })))
            }
            Error::Unanswered { task_id } => with(ErrorKind::Timeout, None, Some(json!({ "task_id": task_id }))),
            Error::NodeIdInUse { node_id, holder } => {
                with(ErrorKind::NodeIdInUse, None, Some(json!({ "node_id": node_id, "holder": holder })))
            }
            Error::UnknownNode { names } => with(ErrorKind::UnknownNode, None, Some(json!({ "node_ids": names }))),
            Error::MessageTooLarge { index, bytes, max } => {
                with(ErrorKind::MessageTooLarge, None, Some(json!({ "index": index, "bytes": bytes, "max": max })))
            }
            Error::TooLarge { what, bytes, max } => {
                with(ErrorKind::MessageTooLarge, None, Some(json!({ "what": what, "bytes": bytes, "max": max })))
            }
            Error::StaleToken { what: _, name, token } => {
                with(ErrorKind::StaleToken, None, Some(json!({ "name": name, "token": token })))
            }
            Error::NoTask { task_id } => with(ErrorKind::NotFound, None, Some(json!({ "task_id": task_id }))),
            Error::Forbidden { what: _, key } => with(ErrorKind::Forbidden, None, Some(json!({ "set": key }))),
            Error::NoSchedule { schedule_id } => {
                with(ErrorKind::NotFound, None, Some(json!({ "schedule_id": schedule_id })))
            }
            Error::NotConfigured { what: _, key } => with(ErrorKind::NotConfigured, None, Some(json!({ "key": key }))),
            Error::Overloaded { what: _, retry_after } => with(ErrorKind::Overloaded, Some(retry_after), None),
            Error::InvalidParams(_) => with(ErrorKind::InvalidParams, None, None),
            Error::Internal(_) => with(ErrorKind::InternalError, None, None),
        }
    }
}

impl From<RpcError> for ErrorObjectOwned {
    fn from(error: RpcError) -> Self {
        let data = error.data();
        Self::owned(error.kind.code(), error.message, Some(data))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_code_of_its_own_and_its_serialised_name() {
        let codes: std::collections::BTreeSet<i32> = ERROR_KINDS.iter().map(|kind| kind.code()).collect();
        assert_eq!(codes.len(), ERROR_KINDS.len());
        for kind in ERROR_KINDS {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.name());
        }
    }

    #[test]
    fn an_engine_error_brings_its_facts_along() {
        let error = Error::RedisUnavailable { detail: "timed out".into(), retry_after: Duration::from_millis(1500) };
        let object = ErrorObjectOwned::from(RpcError::from(error));
        let object = serde_json::to_value(object).unwrap();
        assert_eq!(object["code"], -32002);
        assert_eq!(object["data"]["kind"], "redis_unavailable");
        assert_eq!(object["data"]["retryable"], true);
        assert_eq!(object["data"]["retry_after_ms"], 1500);
    }

    #[test]
    fn a_long_text_is_shown_shortened() {
        assert!(shown(&"ü".repeat(10_000)).chars().count() < 90);
    }
}
