//! What is sent to a client: the outcome of a call, and the line that carries outcomes.
//!
//! 1. Actions that wait for an answer to be written stay with the answer, and are dropped with it.
//!
//! Not here: making outcomes (`module.rs`), putting them into lines (`batch.rs`), writing (`connection.rs`).

use super::budget::Held;
use super::errors::{ErrorKind, RpcError};
use super::framing::into_line;
use super::request::null;
use crate::engine::node::handle::{Delivery, Handout};
use jsonrpsee::types::ErrorObjectOwned;
use serde::Serialize;
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

/// A result that has been written: the end of an answer, `"result":…}`.
pub(crate) struct Written(String);

const RESULT: &str = r#""result":"#;
/// The room for what is put around a result: a head with an id of usual length, and the line's end.
const AROUND_BYTES: usize = 64;

impl Written {
    /// Writes a result.
    ///
    /// # Errors
    /// When a result cannot be written as JSON, which is a defect of its type.
    pub(crate) fn of(result: &impl Serialize) -> Result<Self, serde_json::Error> {
        Self::by(256, |text| serde_json::to_writer(text, result))
    }

    /// A result whose JSON text, of about `bytes`, is appended by a function.
    ///
    /// # Errors
    /// Those of the function, and when what it writes is not UTF-8.
    pub(crate) fn by(
        bytes: usize,
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), serde_json::Error>,
    ) -> Result<Self, serde_json::Error> {
        let mut text = Vec::with_capacity(RESULT.len() + bytes + AROUND_BYTES);
        text.extend_from_slice(RESULT.as_bytes());
        write(&mut text)?;
        text.push(b'}');
        String::from_utf8(text).map(Self).map_err(serde::ser::Error::custom)
    }

    /// A result that was written before, in pieces which together are one JSON text.
    pub(crate) fn pieces(pieces: &[&str]) -> Self {
        let length: usize = pieces.iter().map(|piece| piece.len()).sum();
        let mut text = String::with_capacity(RESULT.len() + length + AROUND_BYTES);
        text.push_str(RESULT);
        pieces.iter().for_each(|piece| text.push_str(piece));
        text.push('}');
        Self(text)
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

    /// An outcome that is a result.
    pub(crate) fn result(result: Written, after: Vec<AfterWrite>) -> Self {
        Self { tail: result.0, error: None, after }
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

    /// Appends the answer under an id to a JSON text; its tail is used up.
    pub(crate) fn push_under(&mut self, id: &RawValue, text: &mut String) {
        let tail = std::mem::take(&mut self.tail);
        if text.is_empty() {
            // It may be long, and has room for its head.
            *text = tail;
            text.insert_str(0, &[HEAD, id.get(), ","].concat());
            return;
        }
        for part in [HEAD, id.get(), ",", &tail] {
            text.push_str(part);
        }
    }
}

const HEAD: &str = r#"{"jsonrpc":"2.0","id":"#;

/// The text of one line that is being made.
#[derive(Default)]
pub(crate) struct Draft {
    /// The JSON text so far.
    pub(crate) text: String,
    /// The actions to run once the line is written.
    pub(crate) after: Vec<AfterWrite>,
    /// The line's share of [`super::connection::UNWRITTEN_BYTES`].
    pub(crate) held: Vec<Held>,
}

/// Whole lines on their way to the client.
#[derive(Default)]
pub(crate) struct Outgoing {
    /// The lines, each with its end.
    pub(crate) lines: Vec<u8>,
    /// The actions to run once the lines are written.
    pub(crate) after: Vec<AfterWrite>,
    /// Their share of [`super::connection::UNWRITTEN_BYTES`].
    pub(crate) held: Vec<Held>,
}

impl From<Draft> for Outgoing {
    fn from(Draft { text, after, held }: Draft) -> Self {
        Self { lines: into_line(text), after, held }
    }
}

impl Outgoing {
    /// An error answer without an id.
    pub(crate) fn refusal(error: RpcError) -> Self {
        let mut draft = Draft::default();
        Outcome::error(error).push_under(&null(), &mut draft.text);
        draft.into()
    }

    /// The text without its line end, the actions, and the share of the budget, where the text is no line.
    pub(crate) fn into_parts(mut self) -> (Vec<u8>, Vec<AfterWrite>, Vec<Held>) {
        self.lines.pop_if(|byte| *byte == b'\n');
        (self.lines, self.after, self.held)
    }

    /// The text without its line end.
    pub(crate) fn into_text(self) -> Vec<u8> {
        self.into_parts().0
    }

    /// Adds further lines behind these.
    pub(crate) fn append(&mut self, mut more: Self) {
        if self.lines.is_empty() {
            self.lines = more.lines;
        } else {
            self.lines.append(&mut more.lines);
        }
        self.after.append(&mut more.after);
        self.held.append(&mut more.held);
    }
}

/// Writes a method's result.
///
/// # Errors
/// `internal_error` when it cannot be written, which is a defect.
pub(crate) fn written(method: &'static str, result: &impl Serialize) -> Result<Written, RpcError> {
    checked(method, Written::of(result))
}

/// A method's result, if it could be written.
///
/// # Errors
/// `internal_error` when it could not, which is a defect.
pub(crate) fn checked(method: &'static str, written: serde_json::Result<Written>) -> Result<Written, RpcError> {
    written.map_err(|error| {
        tracing::error!(method, %error, "cannot write a result as JSON");
        RpcError::new(ErrorKind::InternalError, "internal error: see the log")
    })
}
