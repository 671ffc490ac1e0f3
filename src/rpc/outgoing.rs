//! What is sent to a client: the outcome of a call, and the line that carries outcomes.
//!
//! 1. Actions that wait for an answer to be written stay with the answer, and are dropped with it.
//!
//! Not here: making outcomes (`module.rs`), putting them into lines (`batch.rs`), writing (`connection.rs`).

use super::budget::Held;
use super::errors::{ErrorKind, RpcError};
use super::request::null;
use crate::engine::node::handle::{Delivery, Handout};
use jsonrpsee::types::ErrorObjectOwned;
use serde_json::value::RawValue;
use tokio::sync::oneshot;
use tracing::Span;

/// An action to run once an answer has been written.
pub(crate) enum AfterWrite {
    /// Acknowledge the messages in it.
    Delivered(Delivery),
    /// Keep the leases or tasks in it, which are given back otherwise.
    Handed(Handout),
    /// Let a subscription send its first event.
    Start(oneshot::Sender<()>),
}

impl AfterWrite {
    /// Runs the action: the answer has been written.
    pub(crate) fn written(self) {
        match self {
            Self::Delivered(delivery) => delivery.written(),
            Self::Handed(handout) => handout.written(),
            // The subscription may have ended meanwhile.
            Self::Start(start) => drop(start.send(())),
        }
    }
}

/// The outcome of a call.
pub(crate) struct Outcome {
    /// `"result":…}` or `"error":…}`, to be put behind an id.
    pub(crate) tail: String,
    /// The kind of the error; `None`: it is a result.
    pub(crate) error: Option<ErrorKind>,
    /// The actions to run once the answer has been written.
    pub(crate) after: Vec<AfterWrite>,
}

/// The error object for an error that cannot be written as JSON, which is a defect.
const NO_JSON: &str = r#"{"code":-32603,"message":"internal error: see the log"}"#;

impl Outcome {
    /// An outcome that is an error.
    pub(crate) fn error(error: RpcError) -> Self {
        let kind = error.kind;
        let object = serde_json::to_string(&ErrorObjectOwned::from(error)).unwrap_or_else(|_| NO_JSON.to_owned());
        Self { tail: format!(r#""error":{object}}}"#), error: Some(kind), after: Vec::new() }
    }

    pub(crate) fn result(result: &RawValue, after: Vec<AfterWrite>) -> Self {
        Self { tail: format!(r#""result":{}}}"#, result.get()), error: None, after }
    }

    /// Records the outcome in the span of the request.
    pub(crate) fn record_in(&self, span: &Span) {
        if span.is_disabled() {
            return;
        }
        span.record("outcome", if self.error.is_some() { "error" } else { "ok" });
        if self.error.is_some() {
            span.record("otel.status_code", "ERROR");
        }
    }

    /// The answer under an id, as JSON text.
    pub(crate) fn under(&self, id: &RawValue) -> String {
        format!(r#"{{"jsonrpc":"2.0","id":{},{}"#, id.get(), self.tail)
    }
}

/// A line on its way to the client.
pub(crate) struct Outgoing {
    /// The JSON text, without a line end.
    pub(crate) text: String,
    /// The actions to run once the line is written.
    pub(crate) after: Vec<AfterWrite>,
    /// The line's share of [`super::connection::UNWRITTEN_BYTES`].
    pub(crate) held: Vec<Held>,
}

impl Outgoing {
    pub(crate) fn new(text: &str) -> Self {
        Self { text: text.to_owned(), after: Vec::new(), held: Vec::new() }
    }

    /// An error answer without an id.
    pub(crate) fn refusal(error: RpcError) -> Self {
        Self::new(&Outcome::error(error).under(&null()))
    }
}
