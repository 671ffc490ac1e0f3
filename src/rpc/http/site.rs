//! What is served under which path.
//!
//! 1. Access is checked before anything else of a request is looked at.
//!
//! Not here: connections (`connection.rs`), the answers themselves (`pages.rs`, `calls.rs`, `events.rs`).

use super::access::{Access, Caller};
use super::answer::{Answer, guard, not_allowed, plain, refused, refused_call};
use super::connection::Exchange;
use super::page::Painter;
use super::{calls, events, page, pages};
use crate::engine::node::handle::Node;
use crate::rpc::budget::Budget;
use crate::rpc::module::Module;
use hyper::body::Incoming;
use hyper::{Method, Request, StatusCode};
use std::sync::Arc;
use tokio::sync::Semaphore;

/// The maximum number of calls at a time, and of further calls that wait for something.
pub(super) const MAX_CALLS: usize = 64;
/// The maximum number of event streams at a time.
pub(super) const MAX_STREAMS: usize = 32;
/// The maximum number of bytes of requests that are worked on at a time, and of answers that wait to be written.
const HELD_BYTES: usize = 32 << 20;

/// The text of an unknown path.
const INDEX: &str = "not found; there are /, /history.svg, /metrics, /healthz, /readyz, /rpc and /events\n";

/// What one server serves.
pub struct Site<N> {
    pub(super) node: Arc<N>,
    pub(super) module: Module,
    pub(super) access: Access,
    /// The maximum length of a JSON-RPC text, in bytes.
    pub(super) max_text_bytes: usize,
    pub(super) calls: Arc<Semaphore>,
    pub(super) waiting: Arc<Semaphore>,
    pub(super) streams: Arc<Semaphore>,
    pub(super) pictures: Semaphore,
    pub(super) painter: Painter,
    pub(super) requests_held: Arc<Budget>,
    pub(super) answers_held: Arc<Budget>,
}

impl<N> std::fmt::Debug for Site<N> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Site").field("access", &self.access).finish_non_exhaustive()
    }
}

impl<N: Node> Site<N> {
    /// The pages and methods of a node. `max_text_bytes`: the maximum length of a JSON-RPC text. `painter` draws the history.
    #[must_use]
    pub fn new(node: Arc<N>, module: &Module, access: Access, max_text_bytes: usize, painter: Painter) -> Self {
        Self {
            node,
            module: module.over("http"),
            access,
            max_text_bytes,
            calls: Arc::new(Semaphore::new(MAX_CALLS)),
            waiting: Arc::new(Semaphore::new(MAX_CALLS)),
            streams: Arc::new(Semaphore::new(MAX_STREAMS)),
            pictures: Semaphore::new(1),
            painter,
            requests_held: Budget::new(HELD_BYTES),
            answers_held: Budget::new(HELD_BYTES),
        }
    }

    /// Answers one request.
    pub(super) async fn answer(&self, request: Request<Incoming>, exchange: &Exchange) -> Answer {
        let mut answer = self.route(request, exchange).await;
        guard(answer.headers_mut());
        answer
    }

    async fn route(&self, request: Request<Incoming>, exchange: &Exchange) -> Answer {
        let path = request.uri().path();
        let reads = matches!(*request.method(), Method::GET | Method::HEAD);
        let probe = matches!(path, "/healthz" | "/readyz");
        let caller = match self.access.admit(request.headers(), request.uri(), request.version(), probe) {
            Ok(caller) => caller,
            Err(refusal) if path == "/rpc" => return refused_call(refusal),
            // What asks for the token in a browser.
            Err(refusal) if path == "/" && reads && refusal.status == StatusCode::UNAUTHORIZED => {
                return page::page(StatusCode::UNAUTHORIZED);
            }
            Err(refusal) => return refused(refusal),
        };
        match path {
            "/rpc" if request.method() == Method::POST => self.call(request, caller, exchange).await,
            "/rpc" => not_allowed("POST"),
            "/events" if request.method() == Method::GET => events::stream(self, &request, exchange).await,
            "/events" => not_allowed("GET"),
            "/" | "/history.svg" | "/metrics" | "/healthz" | "/readyz" if !reads => not_allowed("GET, HEAD"),
            "/" => page::page(StatusCode::OK),
            "/history.svg" => page::picture(self, &request).await,
            "/metrics" => pages::metrics(&*self.node).await,
            "/healthz" => pages::health(&*self.node).await,
            "/readyz" => pages::readiness(&*self.node).await,
            _ => plain(StatusCode::NOT_FOUND, INDEX),
        }
    }

    async fn call(&self, request: Request<Incoming>, caller: Caller, exchange: &Exchange) -> Answer {
        match calls::answer(self, request, caller, exchange).await {
            Ok(answer) | Err(answer) => answer,
        }
    }
}
