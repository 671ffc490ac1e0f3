//! The signals that are meant for the command.
//!
//! 1. A signal that is ignored when this process starts stays ignored, also for the command (`nohup`, background jobs).
//!
//! Not here: the reaction to a signal (`guardian.rs`, `crate::cli`).

use crate::signals::{self, CONTINUE, HANGUP, INTERRUPT, QUIT, TERMINATE, USER_1, USER_2, is_ignored};
use std::io;

/// The signals that are forwarded.
const PASSED_ON: [i32; 6] = [HANGUP, INTERRUPT, QUIT, USER_1, USER_2, TERMINATE];

/// A signal that arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forwarded {
    /// A signal to forward to the command.
    Signal(i32),
    /// This process was continued, perhaps in the foreground.
    Continued,
}

impl Forwarded {
    /// Whether the signal asks the command to end.
    #[must_use]
    pub fn ends(self) -> bool {
        matches!(self, Self::Signal(HANGUP | INTERRUPT | QUIT | TERMINATE))
    }
}

/// A listener for signals.
#[derive(Debug)]
pub struct Signals(signals::Signals);

impl Signals {
    /// Installs the handlers. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// When a handler cannot be installed.
    pub fn listen() -> io::Result<Self> {
        let counted = PASSED_ON.into_iter().chain([CONTINUE]).filter(|number| !is_ignored(*number));
        signals::Signals::listen(counted).map(Self)
    }

    /// Waits for the next signal.
    pub async fn next(&mut self) -> Forwarded {
        match self.0.next().await {
            CONTINUE => Forwarded::Continued,
            number => Forwarded::Signal(number),
        }
    }
}
