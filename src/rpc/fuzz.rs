//! What arrives as lines, for the fuzz targets: framing, requests, parameters, MCP.
//!
//! Not here: the targets' names (`crate::fuzz`).

#![allow(clippy::expect_used, reason = "a fuzz target fails by a panic")]

use super::errors::RpcError;
use super::framing::{Line, LineReader};
use super::request::{Incoming, Item, parse};
use super::{mcp, methods};
use serde_json::value::RawValue;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, ReadBuf};

/// Bytes that come in pieces of a few.
struct Pieces<'a> {
    rest: &'a [u8],
    size: usize,
}

impl AsyncRead for Pieces<'_> {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        let (piece, rest) = self.rest.split_at(self.size.min(self.rest.len()).min(into.remaining()));
        into.put_slice(piece);
        self.rest = rest;
        Poll::Ready(Ok(()))
    }
}

pub(crate) fn block_on<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(work)
}

fn is_blank(line: &[u8]) -> bool {
    line.iter().all(|byte| matches!(byte, b' ' | b'\t' | b'\r'))
}

/// A line without the byte order mark at its start.
fn unmarked(line: &[u8]) -> &[u8] {
    line.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(line)
}

/// What a reader should find, said in another way: all lines by their ends.
fn expected(bytes: &[u8], max: usize) -> Vec<Line> {
    let mut pieces: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').collect();
    let rest = pieces.pop().unwrap_or_default();
    let mut lines = Vec::new();
    for piece in pieces {
        let line = unmarked(piece);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if piece.len() > max + 1 || line.len() > max {
            lines.push(Line::TooLong);
        } else if !is_blank(line) {
            lines.push(Line::Complete(line.to_vec()));
        }
    }
    // One more than allowed could still become a carriage return before a line's end.
    if rest.len() > max + 1 {
        lines.push(Line::TooLong);
    } else if !is_blank(unmarked(rest)) {
        lines.push(Line::Unfinished(unmarked(rest).to_vec()));
    }
    lines
}

/// Lines come out as they went in, however the bytes arrive, and no line is longer than allowed.
pub(crate) fn framing(data: &[u8]) {
    let [max, size, bytes @ ..] = data else { return };
    let (max, size) = (usize::from(*max), usize::from(*size) + 1);
    let found = block_on(async {
        let mut reader = LineReader::new(Pieces { rest: bytes, size }, max);
        let mut found = Vec::new();
        while let Some(line) = reader.next().await.expect("memory does not fail") {
            found.push(line);
        }
        found
    });
    assert_eq!(found, expected(bytes, max));
}

/// Every text is a request, a batch or an error, and an id goes back as it came.
pub(crate) fn requests(data: &[u8]) {
    let items = match parse(data) {
        Incoming::Single(item) => vec![item],
        Incoming::Batch(items) => items,
        Incoming::Refused(error) => return readable(&error),
    };
    for item in items {
        match item {
            Item::Call(call) => {
                if let Some(id) = &call.id {
                    assert!(serde_json::from_str::<&RawValue>(id.get()).is_ok() && !id.get().starts_with(['{', '[']));
                }
                parameters_of(&call.method, call.params.as_ref().map(|raw| raw.get()));
            }
            Item::Invalid(id, error) => {
                assert!(serde_json::from_str::<&RawValue>(id.get()).is_ok());
                readable(&error);
            }
        }
    }
}

/// The parameters of one method: the first byte says which.
pub(crate) fn parameters(data: &[u8]) {
    let [which, text @ ..] = data else { return };
    let Ok(text) = std::str::from_utf8(text) else { return };
    // As `request.rs` hands them over: JSON that is not too deep.
    let whole = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"m","params":{text}}}"#);
    let Incoming::Single(Item::Call(call)) = parse(whole.as_bytes()) else { return };
    let names: Vec<&str> = methods::specs_names();
    let name = names[usize::from(*which) % names.len()];
    parameters_of(name, call.params.as_ref().map(|raw| raw.get()));
}

fn parameters_of(method: &str, params: Option<&str>) {
    if let Some(Err(error)) = methods::read_parameters(method, params) {
        readable(&error);
    }
}

/// An error is one line of bounded length without control characters.
fn readable(error: &RpcError) {
    assert!(error.message.len() < 4096, "{}", error.message);
    assert!(!error.message.chars().any(|c| c.is_control()), "{:?}", error.message);
}

/// Lines of an MCP host.
pub(crate) fn mcp_lines(data: &[u8]) {
    block_on(mcp::fuzz::lines(data));
}
