//! Keeps the private Redis of this process's node running, and detaches from it at the end.
//!
//! 1. Detaching is the last step, when nothing writes to it any longer.
//!
//! Not here: starting it (`crate::embedded`), choosing it (`crate::cli::settle`).

use crate::embedded::EmbeddedServer;
use std::sync::Arc;
use std::time::Duration;

/// How often the private Redis is checked.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// How long the private Redis may take to stop; with the node's own end and the 500 ms of the log, the process ends within 5 s.
const RELEASE_TIMEOUT: Duration = Duration::from_millis(1_100);

/// Restarts the private Redis when it has died. `logged`: the last error that was logged, so that each is logged once.
pub(crate) async fn keep_running(server: Arc<EmbeddedServer>, mut logged: Option<String>) {
    loop {
        tokio::time::sleep(CHECK_INTERVAL).await;
        let checked = Arc::clone(&server);
        let failed = match tokio::task::spawn_blocking(move || checked.ensure_running()).await {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => return,
        };
        if logged != failed {
            match &failed {
                Some(error) => tracing::error!("{error}"),
                None => tracing::info!("the private Redis runs again"),
            }
            logged = failed;
        }
    }
}

/// Detaches from the private Redis, which stops when no other process uses it.
pub(crate) async fn release(server: Arc<EmbeddedServer>) {
    let released = tokio::task::spawn_blocking(move || server.release());
    match tokio::time::timeout(RELEASE_TIMEOUT, released).await {
        Ok(Ok(Ok(stopped))) => tracing::debug!(stopped, "detached from the private Redis"),
        Ok(Ok(Err(error))) => tracing::warn!(%error, "cannot stop the private Redis; its reaper process will"),
        Ok(Err(_)) | Err(_) => {
            tracing::warn!("the private Redis did not stop in time; exiting, its reaper process stops it")
        }
    }
}
