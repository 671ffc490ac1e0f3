//! The pages: their paths and their content.
//!
//! 1. A page is plain text; HEAD returns only its head.
//!
//! Not here: connections (`mod.rs`).

use crate::engine::node::handle::Observed;
use http_body_util::Full;
use hyper::body::{Body, Bytes};
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};

/// The content type that Prometheus expects.
const METRICS: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
const PLAIN: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
/// The answer to any other path.
const INDEX: &str = "not found; the pages are /metrics, /healthz and /readyz\n";

/// Answers one request.
pub(super) async fn answer<N: Observed, B: Body>(node: &N, request: &Request<B>) -> Response<Full<Bytes>> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut refused = page(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD are served\n".to_owned());
        refused.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return refused;
    }
    match request.uri().path() {
        "/metrics" => {
            let mut metrics = page(StatusCode::OK, node.metrics_text().await);
            metrics.headers_mut().insert(CONTENT_TYPE, METRICS);
            metrics
        }
        "/healthz" => match node.health().await.trouble {
            None => page(StatusCode::OK, "ok\n".to_owned()),
            Some(trouble) => page(StatusCode::SERVICE_UNAVAILABLE, format!("{trouble}\n")),
        },
        "/readyz" => {
            let health = node.health().await;
            let missing: Vec<String> = health.trouble.into_iter().chain(health.missing).collect();
            match missing.is_empty() {
                true => page(StatusCode::OK, "ready\n".to_owned()),
                false => page(StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {}\n", missing.join("; "))),
            }
        }
        _ => page(StatusCode::NOT_FOUND, INDEX.to_owned()),
    }
}

fn page(status: StatusCode, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, PLAIN);
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
