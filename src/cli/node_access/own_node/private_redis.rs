//! The private Redis of a node of this process: kept running, and left at the end.
//!
//! 1. It is left last, when nothing writes to it any more.
//!
//! Not here: starting it (`crate::embedded`), choosing it (`crate::cli::settle`).

use crate::embedded::EmbeddedServer;
use std::sync::Arc;
use std::time::Duration;

/// How often it is looked at.
const LOOK_AFTER: Duration = Duration::from_secs(1);
/// How long it may take to stop; with the node's own end, and the 300 ms of the log, the end stays below 5 s.
const RELEASE_WITHIN: Duration = Duration::from_millis(1_100);

/// Starts the private Redis again when it died.
pub(crate) async fn keep_running(server: Arc<EmbeddedServer>, mut told: Option<String>) {
    loop {
        tokio::time::sleep(LOOK_AFTER).await;
        let looked = Arc::clone(&server);
        let failed = match tokio::task::spawn_blocking(move || looked.ensure_running()).await {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => return,
        };
        if told != failed {
            match &failed {
                Some(error) => tracing::error!("{error}"),
                None => tracing::info!("the private Redis runs again"),
            }
            told = failed;
        }
    }
}

/// Leaves the private Redis, which stops when nobody else uses it.
pub(crate) async fn release(server: Arc<EmbeddedServer>) {
    let released = tokio::task::spawn_blocking(move || server.release());
    match tokio::time::timeout(RELEASE_WITHIN, released).await {
        Ok(Ok(Ok(stopped))) => tracing::debug!(stopped, "left the private Redis"),
        Ok(Ok(Err(error))) => tracing::warn!(%error, "the private Redis was not stopped"),
        Ok(Err(_)) | Err(_) => tracing::warn!("the private Redis takes long to stop"),
    }
}
