//! The events of the cluster as server-sent events.
//!
//! 1. A stream is a subscription like any other: the same filter, order and gaps. The `id` of an event is its `id` in the stream, so that
//!    a client that connects again resumes after the last event that it saw.
//! 2. A client that reads slowly holds up only itself; what it missed is one `cluster.gap` event.
//! 3. A comment is sent while nothing happens, so that both sides notice a lost connection.
//!
//! Not here: subscriptions (`crate::rpc::subscription`).

use super::answer::{Answer, failed, plain, status_of, too_many, with_status_headers};
use super::exchange::Exchange;
use super::site::Site;
use crate::engine::node::handle::Node;
use crate::rpc::budget::{Budget, Held};
use crate::rpc::outgoing::{AfterWrite, Outgoing};
use crate::rpc::request;
use crate::rpc::subscription::Session;
use http_body_util::BodyExt;
use hyper::body::{Body, Bytes, Frame};
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{Request, Response, StatusCode};
use serde_json::json;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::{Interval, MissedTickBehavior};

/// How often a comment is sent.
const COMMENT_INTERVAL: Duration = Duration::from_secs(15);
/// The maximum number of events, and of their bytes, that wait to be written.
const EVENTS_QUEUED: usize = 16;
const UNWRITTEN_BYTES: usize = 2 << 20;
/// Begins a stream: the time after which a browser connects again.
const BEGINNING: &[u8] = b"retry: 2000\n\n";
const COMMENT: &[u8] = b":\n\n";
/// What a browser sends when it connects again.
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// Begins a stream of events.
pub(super) async fn stream<N: Node, B>(site: &Site<N>, request: &Request<B>, exchange: &Exchange) -> Answer {
    match begin(site, request, exchange).await {
        Ok(stream) => {
            let mut response = Response::new(stream.boxed_unsync());
            let kind = HeaderValue::from_static("text/event-stream; charset=utf-8");
            response.headers_mut().insert(CONTENT_TYPE, kind);
            response
        }
        Err(answer) => answer,
    }
}

async fn begin<N: Node, B>(site: &Site<N>, request: &Request<B>, exchange: &Exchange) -> Result<EventStream, Answer> {
    let params = parameters(request).map_err(|text| plain(StatusCode::BAD_REQUEST, format!("{text}\n")))?;
    let busy = |_| failed(StatusCode::TOO_MANY_REQUESTS, too_many("event streams"));
    let place = Arc::clone(&site.streams).try_acquire_owned().map_err(busy)?;
    let (out, queue) = mpsc::channel(EVENTS_QUEUED);
    let session = Arc::new(Session::new(out, Budget::new(UNWRITTEN_BYTES)).server_sent());
    let params = Some(request::Params::from(params.to_string()));
    let outcome = site.module.call(&session, "cluster.subscribe", params).await;
    if let Some(kind) = outcome.error {
        let text = format!("{{{}", outcome.tail);
        return Err(with_status_headers(super::answer::full(status_of(kind), super::answer::JSON, text)));
    }
    exchange.stay();
    outcome.after.into_iter().for_each(AfterWrite::written);
    let mut comments = tokio::time::interval(COMMENT_INTERVAL);
    comments.set_missed_tick_behavior(MissedTickBehavior::Delay);
    comments.reset();
    let mut stop = exchange.stop.clone();
    let stopped = Box::pin(async move { drop(stop.wait_for(|stop| *stop).await) });
    Ok(EventStream { begun: false, queue, comments, stopped, held: Vec::new(), _session: session, _place: place })
}

/// The parameters of the subscription, from the query and from what a browser adds.
fn parameters<B>(request: &Request<B>) -> Result<serde_json::Value, String> {
    let (mut after, mut events) = (None, Vec::new());
    for (name, value) in url::form_urlencoded::parse(request.uri().query().unwrap_or_default().as_bytes()) {
        match &*name {
            "after" if !value.is_empty() => after = Some(value.into_owned()),
            "after" => {}
            "events" => events.extend(value.split(',').map(ToOwned::to_owned)),
            _ => {
                return Err("the parameters are after (an event id) and events (names, separated by commas)".to_owned());
            }
        }
    }
    // The newer position: a browser repeats the address with which it began.
    if let Some(last) = request.headers().get(LAST_EVENT_ID).and_then(|last| last.to_str().ok()) {
        after = Some(last.to_owned()).filter(|last| !last.is_empty()).or(after);
    }
    let mut params = json!({});
    if let Some(after) = after {
        params["after"] = after.into();
    }
    if !events.is_empty() {
        params["events"] = events.into();
    }
    Ok(params)
}

/// The body of a stream.
struct EventStream {
    begun: bool,
    queue: mpsc::Receiver<Outgoing>,
    comments: Interval,
    stopped: Pin<Box<dyn Future<Output = ()> + Send>>,
    /// The share of the budget of what was given last.
    held: Vec<Held>,
    _session: Arc<Session>,
    _place: OwnedSemaphorePermit,
}

impl Body for EventStream {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let frame = |bytes| Poll::Ready(Some(Ok(Frame::data(bytes))));
        if !std::mem::replace(&mut self.begun, true) {
            return frame(Bytes::from_static(BEGINNING));
        }
        self.held.clear();
        if let Poll::Ready(next) = self.queue.poll_recv(cx) {
            let Some(Outgoing { lines, held, .. }) = next else { return Poll::Ready(None) };
            self.held = held;
            self.comments.reset();
            return frame(Bytes::from(lines));
        }
        if self.stopped.as_mut().poll(cx).is_ready() {
            return Poll::Ready(None);
        }
        ready!(self.comments.poll_tick(cx));
        frame(Bytes::from_static(COMMENT))
    }
}
