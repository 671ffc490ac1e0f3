//! The signals that ask a process of clawster for its end.
//!
//! 1. A signal that comes while nobody waits is not lost.
//!
//! Not here: what is done about them (`serve.rs`, `mcp.rs`).

use super::outcome::Failure;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals that end the node.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Listens from now on.
    ///
    /// # Errors
    /// [`Failure::Failed`] when the system refuses.
    pub(super) fn listen() -> Result<Self, Failure> {
        let on = |kind| signal(kind).map_err(|error| Failure::Failed(format!("cannot wait for signals: {error}")));
        Ok(Self { terminate: on(SignalKind::terminate())?, interrupt: on(SignalKind::interrupt())? })
    }

    /// Waits for the next one.
    pub(super) async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
