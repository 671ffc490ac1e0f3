//! The signals that are meant for the command.
//!
//! 1. A signal that is ignored when this process starts stays ignored, also for the command (`nohup`, background jobs).
//!
//! Not here: the reaction to a signal (`guardian.rs`, `crate::cli`).

use std::io;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// The signals that are forwarded: SIGHUP, SIGINT, SIGQUIT, SIGUSR1, SIGUSR2, SIGTERM.
const PASSED_ON: [i32; 6] = [1, 2, 3, 10, 12, 15];
/// SIGCONT: this process was continued, perhaps in the foreground.
const CONTINUED: i32 = 18;

/// A signal that arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forwarded {
    /// A signal to forward to the command.
    Signal(i32),
    /// This process was continued.
    Continued,
}

impl Forwarded {
    /// Whether the signal asks the command to end.
    #[must_use]
    pub fn ends(self) -> bool {
        matches!(self, Self::Signal(1 | 2 | 3 | 15))
    }
}

/// A listener for signals.
#[derive(Debug)]
pub struct Signals {
    arrived: mpsc::Receiver<Forwarded>,
    _tasks: JoinSet<()>,
}

impl Signals {
    /// Installs the handlers. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// When a handler cannot be installed.
    pub fn listen() -> io::Result<Self> {
        let (sender, arrived) = mpsc::channel(16);
        let mut tasks = JoinSet::new();
        let ignored = ignored();
        for number in PASSED_ON.into_iter().chain([CONTINUED]) {
            if ignored & (1 << (number - 1)) != 0 {
                continue;
            }
            let mut incoming = signal(SignalKind::from_raw(number))?;
            let sender = sender.clone();
            let what = if number == CONTINUED { Forwarded::Continued } else { Forwarded::Signal(number) };
            tasks.spawn(async move {
                while incoming.recv().await.is_some() {
                    if sender.send(what).await.is_err() {
                        return;
                    }
                }
            });
        }
        Ok(Self { arrived, _tasks: tasks })
    }

    /// Waits for the next signal.
    pub async fn next(&mut self) -> Forwarded {
        match self.arrived.recv().await {
            Some(what) => what,
            // All signals are ignored in this process.
            None => std::future::pending().await,
        }
    }
}

/// The mask of ignored signals, bit 0 for signal 1.
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}
