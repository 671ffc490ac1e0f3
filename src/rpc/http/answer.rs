//! Building responses.
//!
//! 1. Every response has the headers that keep a browser from guessing, storing, framing or passing on what it holds.
//!
//! Not here: their content (`pages.rs`, `calls.rs`, `events.rs`).

use super::access::Refusal;
use crate::rpc::errors::{ErrorKind, RpcError};
use crate::rpc::outgoing::Outgoing;
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use hyper::body::Bytes;
use hyper::header::{
    ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, REFERRER_POLICY, RETRY_AFTER,
    WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use hyper::{Response, StatusCode};
use std::convert::Infallible;

/// A response of any kind.
pub(super) type Answer = Response<UnsyncBoxBody<Bytes, Infallible>>;

pub(super) const PLAIN: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
pub(super) const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// The headers of every response.
const ALWAYS: [(HeaderName, &str); 5] = [
    (CACHE_CONTROL, "no-store"),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (X_FRAME_OPTIONS, "DENY"),
    (REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// A response whose text is complete.
pub(super) fn full(status: StatusCode, kind: HeaderValue, text: impl Into<Bytes>) -> Answer {
    let mut response = Response::new(Full::new(text.into()).boxed_unsync());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

/// A response of plain text.
pub(super) fn plain(status: StatusCode, text: impl Into<Bytes>) -> Answer {
    full(status, PLAIN, text)
}

/// Adds the headers that every response has.
pub(super) fn guard(headers: &mut HeaderMap) {
    for (name, value) in ALWAYS {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

/// Says which methods a path takes.
pub(super) fn not_allowed(allow: &'static str) -> Answer {
    let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, format!("only {allow} is served here\n"));
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(allow));
    response
}

/// Says that a limit was reached.
pub(super) fn too_many(what: &str) -> RpcError {
    RpcError::overloaded(format!("too many {what} at a time on this address; wait for some to end, then call again"))
}

/// An access refusal as plain text.
pub(super) fn refused(refusal: Refusal) -> Answer {
    with_status_headers(plain(refusal.status, format!("{}\n", refusal.text)))
}

/// An access refusal as the answer to a JSON-RPC text.
pub(super) fn refused_call(refusal: Refusal) -> Answer {
    failed(refusal.status, RpcError::new(ErrorKind::Forbidden, refusal.text))
}

/// An error as the answer to a JSON-RPC text.
pub(super) fn failed(status: StatusCode, error: RpcError) -> Answer {
    with_status_headers(full(status, JSON, Outgoing::refusal(error).into_text()))
}

/// The status of an error that ends a request.
pub(super) fn status_of(kind: ErrorKind) -> StatusCode {
    match kind {
        ErrorKind::Overloaded => StatusCode::TOO_MANY_REQUESTS,
        ErrorKind::RedisUnavailable | ErrorKind::NodeIdInUse | ErrorKind::NotJoined => StatusCode::SERVICE_UNAVAILABLE,
        ErrorKind::InternalError => StatusCode::INTERNAL_SERVER_ERROR,
        ErrorKind::Forbidden => StatusCode::FORBIDDEN,
        _ => StatusCode::BAD_REQUEST,
    }
}

/// Adds the headers that a status needs.
pub(super) fn with_status_headers(mut response: Answer) -> Answer {
    match response.status() {
        StatusCode::UNAUTHORIZED => {
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"clawster\""));
        }
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        _ => {}
    }
    response
}
