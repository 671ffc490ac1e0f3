//! Metrics and probes.
//!
//! Not here: who may see them (`access.rs`), where the numbers come from (`crate::engine`).

use super::answer::{Answer, full, plain};
use crate::engine::node::handle::Observed;
use hyper::StatusCode;
use hyper::header::HeaderValue;

/// The content type that Prometheus expects.
const METRICS: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");

pub(super) async fn metrics<N: Observed>(node: &N) -> Answer {
    full(StatusCode::OK, METRICS, node.metrics_text().await)
}

pub(super) async fn health<N: Observed>(node: &N) -> Answer {
    match node.health().await.trouble {
        None => plain(StatusCode::OK, "ok\n"),
        Some(trouble) => plain(StatusCode::SERVICE_UNAVAILABLE, format!("{trouble}\n")),
    }
}

pub(super) async fn readiness<N: Observed>(node: &N) -> Answer {
    let health = node.health().await;
    let missing: Vec<String> = health.trouble.into_iter().chain(health.missing).collect();
    match missing.is_empty() {
        true => plain(StatusCode::OK, "ready\n"),
        false => plain(StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {}\n", missing.join("; "))),
    }
}
