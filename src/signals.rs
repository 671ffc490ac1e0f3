//! Waiting for signals.
//!
//! 1. A signal that arrives while nothing waits for it is not lost.
//!
//! Not here: the reaction (`crate::cli`, `crate::guard`).

use std::io;
use std::task::Poll;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// SIGHUP.
pub const HANGUP: i32 = 1;
/// SIGINT, what Ctrl-C sends.
pub const INTERRUPT: i32 = 2;
/// SIGQUIT.
pub const QUIT: i32 = 3;
/// SIGTERM.
pub const TERMINATE: i32 = 15;
/// SIGCONT.
pub const CONTINUE: i32 = 18;
/// SIGTSTP, what Ctrl-Z sends.
pub const STOP: i32 = 20;

/// A listener for some signals, given by their numbers.
#[derive(Debug)]
pub struct Signals(Vec<(i32, Signal)>);

impl Signals {
    /// Starts to listen, within a tokio runtime.
    ///
    /// # Errors
    /// [`io::Error`] when the system refuses to install a handler.
    pub fn listen(numbers: impl IntoIterator<Item = i32>) -> io::Result<Self> {
        let on = |number| Ok((number, signal(SignalKind::from_raw(number))?));
        numbers.into_iter().map(on).collect::<io::Result<_>>().map(Self)
    }

    /// Waits for the next signal and returns its number; of those that arrived together, the first in the list comes first.
    pub async fn next(&mut self) -> i32 {
        let arrived = |cx: &mut std::task::Context<'_>| {
            let found =
                self.0.iter_mut().find_map(|(number, signal)| signal.poll_recv(cx).is_ready().then_some(*number));
            found.map_or(Poll::Pending, Poll::Ready)
        };
        std::future::poll_fn(arrived).await
    }
}

/// The exit code that a shell reports for a process that this signal ended.
#[must_use]
pub fn exit_code(number: i32) -> u8 {
    u8::try_from(128 + number).unwrap_or(255)
}
