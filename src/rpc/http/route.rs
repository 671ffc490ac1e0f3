//! What is served under which path.
//!
//! 1. Access is checked before anything else of a request is looked at.
//!
//! Not here: connections (`connection.rs`), the answers themselves (`pages.rs`, `calls.rs`, `events.rs`).

use super::access::Caller;
use super::answer::{Answer, failed, guard, not_allowed, plain, refused, refused_call, too_many};
use super::exchange::Exchange;
use super::site::Site;
use super::{calls, events, page, pages};
use crate::engine::node::handle::Node;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::{Method, Request, StatusCode};
use std::sync::Arc;

/// The text of an unknown path.
const INDEX: &str = "not found; there are /, /history.svg, /metrics, /healthz, /readyz, /rpc, /events and /mcp\n";

impl<N: Node> Site<N> {
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
            "/mcp" => mcp(self, request, caller, exchange).await,
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

/// Answers one message of a host.
async fn mcp<N: Node>(site: &Site<N>, mut request: Request<Incoming>, caller: Caller, exchange: &Exchange) -> Answer {
    if request.method() != Method::POST {
        return not_allowed("POST");
    }
    let Ok(place) = Arc::clone(&site.waiting).try_acquire_owned() else {
        return failed(StatusCode::TOO_MANY_REQUESTS, too_many("calls"));
    };
    request.extensions_mut().insert(caller.may_change());
    exchange.stay();
    site.mcp.attach().await;
    let answer = site.mcp.service().await.handle(request).await;
    exchange.answered(Vec::new(), Vec::new(), place);
    answer.map(BodyExt::boxed_unsync)
}
