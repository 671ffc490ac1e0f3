//! The signals that end a process of clawster: SIGTERM and SIGINT.
//!
//! 1. A signal that arrives while nothing waits for it is not lost.
//!
//! Not here: the reaction (`serve.rs`, `mcp/`).

use super::outcome::Failure;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// A listener for both signals.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Starts to listen.
    ///
    /// # Errors
    /// [`Failure::Failed`] when the system refuses to install a handler.
    pub(super) fn listen() -> Result<Self, Failure> {
        let on = |kind| signal(kind).map_err(|error| Failure::Failed(format!("cannot wait for signals: {error}")));
        Ok(Self { terminate: on(SignalKind::terminate())?, interrupt: on(SignalKind::interrupt())? })
    }

    /// Waits for the next signal.
    pub(super) async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
