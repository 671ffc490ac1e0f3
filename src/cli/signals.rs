//! The signals that end a command.
//!
//! Not here: the reaction (`serve.rs`, `mcp/`, `work/`).

use super::outcome::{Failure, Outcome};
use crate::signals::{INTERRUPT, Signals, TERMINATE};

/// Starts to listen for SIGTERM and SIGINT.
///
/// # Errors
/// See [`listen`].
pub(super) fn ending() -> Result<Signals, Failure> {
    listen([TERMINATE, INTERRUPT])
}

/// Starts to listen for signals.
///
/// # Errors
/// [`Failure::Failed`] when the system refuses to install a handler.
pub(super) fn listen(numbers: impl IntoIterator<Item = i32>) -> Result<Signals, Failure> {
    Signals::listen(numbers).map_err(|error| Failure::Failed(format!("cannot wait for signals: {error}")))
}

/// Waits for Ctrl-C.
///
/// # Errors
/// [`Failure::Failed`] when the system refuses to install a handler.
pub(super) async fn interrupted() -> Outcome {
    tokio::signal::ctrl_c().await.map_err(|error| Failure::Failed(format!("cannot wait for Ctrl-C: {error}")))
}
