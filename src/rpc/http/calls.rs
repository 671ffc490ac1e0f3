//! JSON-RPC over HTTP: one text, a single request or a batch, is one request's body.
//!
//! 1. A text goes the same way as a line on standard input: the same parser, the same methods, the same limits of an answer.
//! 2. A call that changes something runs only for a caller with the token; a batch with one such call is refused whole.
//! 3. A text that was answered has status 200, also when the answer is an error; 204: it held only notifications.
//!
//! Not here: who asks (`access.rs`), the methods (`crate::rpc::methods`).

use super::access::Caller;
use super::answer::{Answer, JSON, failed, full, refused_call, too_many};
use super::exchange::Exchange;
use super::site::Site;
use crate::engine::node::handle::Node;
use crate::rpc::batch;
use crate::rpc::errors::{ErrorKind, RpcError};
use crate::rpc::methods::effect_of;
use crate::rpc::request::{self, Incoming, Item};
use crate::rpc::subscription::Session;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::{Body, Bytes, Incoming as Upload};
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap};
use hyper::{Request, StatusCode};
use std::sync::Arc;

/// Calls that a person makes to run the cluster, and that are logged.
const LOGGED: [&str; 6] = [
    "distributed.elect_leader",
    "distributed.drain",
    "distributed.redrive_task",
    "distributed.cancel_task",
    "distributed.join_cluster",
    "distributed.leave_cluster",
];

/// Answers a text; the error is an answer, too.
pub(super) async fn answer<N: Node>(
    site: &Site<N>,
    request: Request<Upload>,
    caller: Caller,
    exchange: &Exchange,
) -> Result<Answer, Answer> {
    if let Some(refusal) = wrong_type(request.headers()) {
        return Err(refusal);
    }
    let most = site.max_text_bytes;
    let too_large = || {
        let text = format!("the text is longer than {most} bytes; send less at a time, or raise rpc.max_line_bytes");
        failed(StatusCode::PAYLOAD_TOO_LARGE, RpcError::new(ErrorKind::InvalidRequest, text))
    };
    let size = request.body().size_hint();
    if size.lower() > most as u64 {
        return Err(too_large());
    }
    let busy = |what| failed(StatusCode::TOO_MANY_REQUESTS, too_many(what));
    let expected = size.exact().and_then(|size| usize::try_from(size).ok()).unwrap_or(most);
    let input = site.requests_held.try_take(expected).ok_or_else(|| busy("bytes of requests"))?;
    let text = match Limited::new(request.into_body(), most).collect().await {
        Ok(text) => text.to_bytes(),
        Err(error) if error.is::<LengthLimitError>() => return Err(too_large()),
        // The client went away; nobody reads this.
        Err(_) => {
            return Err(failed(StatusCode::BAD_REQUEST, RpcError::new(ErrorKind::ParseError, "the text ended early")));
        }
    };
    let places = if mentions_wait(&text) { &site.waiting } else { &site.calls };
    let place = Arc::clone(places).try_acquire_owned().map_err(|_| busy("calls"))?;
    let incoming = request::parse(text);
    if caller != Caller::Trusted && changes(&incoming) {
        return Err(refused_call(site.access.refuse_change()));
    }
    log(&incoming, exchange);
    exchange.stay();
    let session = Arc::new(Session::without_events(Arc::clone(&site.answers_held)));
    let line = batch::answer(&site.module, &session, incoming).await;
    drop(input);
    let Some(line) = line else {
        exchange.answered(Vec::new(), Vec::new(), place);
        return Ok(full(StatusCode::NO_CONTENT, JSON, Bytes::new()));
    };
    let (text, after, held) = line.into_parts();
    exchange.answered(after, held, place);
    Ok(full(StatusCode::OK, JSON, text))
}

/// Whether a text contains the parameter name `wait_ms`; see `crate::rpc::connection`.
fn mentions_wait(text: &[u8]) -> bool {
    const NAME: &[u8] = b"\"wait_ms\"";
    text.windows(NAME.len()).any(|window| window == NAME)
}

/// Refuses a text of another type than JSON.
fn wrong_type(headers: &HeaderMap) -> Option<Answer> {
    let unsupported =
        |text: &str| failed(StatusCode::UNSUPPORTED_MEDIA_TYPE, RpcError::new(ErrorKind::InvalidRequest, text));
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    // Also a protection: a page of another origin cannot send this type without asking first, and is not permitted to.
    if !kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json") {
        return Some(unsupported("send the text with Content-Type: application/json"));
    }
    if headers.get(CONTENT_ENCODING).is_some_and(|coding| coding != "identity") {
        return Some(unsupported("send the text without Content-Encoding"));
    }
    None
}

fn calls(incoming: &Incoming) -> impl Iterator<Item = &str> {
    let items = match incoming {
        Incoming::Single(item) => std::slice::from_ref(item),
        Incoming::Batch(items) => items.as_slice(),
        Incoming::Refused(_) => &[],
    };
    items.iter().filter_map(|item| match item {
        Item::Call(call) => Some(call.method.as_str()),
        Item::Invalid(..) => None,
    })
}

/// Whether a call of a text may change something, or reads what is private. A method that does not exist does neither.
fn changes(incoming: &Incoming) -> bool {
    calls(incoming).any(|method| effect_of(method).is_some_and(|effect| !effect.reads))
}

fn log(incoming: &Incoming, exchange: &Exchange) {
    for method in calls(incoming).filter(|method| LOGGED.contains(method)) {
        tracing::info!(method, peer = %exchange.peer, "a change was requested over HTTP");
    }
}
