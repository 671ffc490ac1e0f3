//! The signals that end a command.
//!
//! 1. SIGHUP, SIGQUIT, SIGUSR1 and SIGUSR2 end a command as cleanly as SIGTERM: a terminal that closes and a service manager send
//!    the first, and by default each would kill the process without a word to the cluster.
//! 2. A signal that is ignored when this process starts stays ignored (`nohup`).
//! 3. Only a second SIGTERM, SIGINT or SIGQUIT hurries: a terminal that closes sends SIGHUP twice, and systemd may send it right
//!    after SIGTERM.
//!
//! Not here: the reaction (`serve.rs`, `mcp/`, `work/`).

use super::outcome::{Failure, Outcome};
use crate::signals::{HANGUP, INTERRUPT, QUIT, Signals, TERMINATE, USER_1, USER_2, is_ignored};

/// A listener for the signals that end a command.
#[derive(Debug)]
pub(super) struct EndSignals {
    signals: Signals,
    /// Whether the first one has come.
    asked: bool,
}

impl EndSignals {
    /// Waits for the first signal that asks to end, then for each that asks to end at once. Cancel safe.
    pub(super) async fn next(&mut self) {
        loop {
            let number = self.signals.next().await;
            if !self.asked || hurries(number) {
                self.asked = true;
                return;
            }
        }
    }
}

/// Whether a second signal with this number asks to end at once.
fn hurries(number: i32) -> bool {
    matches!(number, TERMINATE | INTERRUPT | QUIT)
}

/// Starts to listen for the signals that end a command.
///
/// # Errors
/// See [`listen`].
pub(super) fn ending() -> Result<EndSignals, Failure> {
    // A shell without job control starts background commands with SIGINT ignored; SIGTERM and SIGINT always count.
    let more = [HANGUP, QUIT, USER_1, USER_2].into_iter().filter(|number| !is_ignored(*number));
    let signals = listen([TERMINATE, INTERRUPT].into_iter().chain(more))?;
    Ok(EndSignals { signals, asked: false })
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
