//! Waiting for signals.
//!
//! 1. A signal that arrives while nothing waits for it is not lost.
//!
//! Not here: the reaction (`crate::cli`, `crate::guard`).

use rustix::process::Signal;
use std::io;
use std::task::Poll;
use tokio::signal::unix::{self, SignalKind, signal};

/// SIGHUP.
pub const HANGUP: i32 = Signal::HUP.as_raw();
/// SIGINT, what Ctrl-C sends.
pub const INTERRUPT: i32 = Signal::INT.as_raw();
/// SIGQUIT.
pub const QUIT: i32 = Signal::QUIT.as_raw();
/// SIGUSR1.
pub const USER_1: i32 = Signal::USR1.as_raw();
/// SIGUSR2.
pub const USER_2: i32 = Signal::USR2.as_raw();
/// SIGTERM.
pub const TERMINATE: i32 = Signal::TERM.as_raw();
/// SIGCONT.
pub const CONTINUE: i32 = Signal::CONT.as_raw();
/// SIGTSTP, what Ctrl-Z sends.
pub const STOP: i32 = Signal::TSTP.as_raw();

/// A listener for some signals, given by their numbers.
#[derive(Debug)]
pub struct Signals(Vec<(i32, unix::Signal)>);

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

/// Whether this process was started with a signal ignored, as `nohup` does with SIGHUP. False where the system does not tell.
#[must_use]
pub fn is_ignored(number: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    mask & (1 << (number - 1)) != 0
}

/// The exit code that a shell reports for a process that this signal ended.
#[must_use]
pub fn exit_code(number: i32) -> u8 {
    u8::try_from(128 + number).unwrap_or(255)
}
