//! The signals that a view handles.
//!
//! 1. A signal that ends the view comes with the exit code that a shell would report: 128 plus its number.
//! 2. SIGTSTP is handled here, so that the terminal is restored before the process stops.
//!
//! Not here: the reaction (`stage.rs`).

use crate::cli::outcome::Failure;
use rustix::process::{Signal as Number, getpid, getppid, getsid, kill_current_process_group, kill_process};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// SIGTSTP, what Ctrl-Z sends.
const STOP: i32 = 20;
/// SIGCONT.
const CONTINUE: i32 = 18;

/// What a signal requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    /// To end, with this exit code.
    End(u8),
    /// To stop until SIGCONT.
    Stop,
    /// The process was continued by SIGCONT.
    Continued,
}

/// A listener for the signals.
#[derive(Debug)]
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
    quit: Signal,
    stop: Signal,
    continued: Signal,
}

impl Signals {
    /// Starts to listen; signals that arrive before [`Self::next`] is called are kept.
    ///
    /// # Errors
    /// When the system refuses to install a handler.
    pub(crate) fn listen() -> Result<Self, Failure> {
        let on = |kind| signal(kind).map_err(|error| Failure::Failed(format!("cannot wait for signals: {error}")));
        Ok(Self {
            terminate: on(SignalKind::terminate())?,
            interrupt: on(SignalKind::interrupt())?,
            hangup: on(SignalKind::hangup())?,
            quit: on(SignalKind::quit())?,
            stop: on(SignalKind::from_raw(STOP))?,
            continued: on(SignalKind::from_raw(CONTINUE))?,
        })
    }

    /// Waits for the next signal.
    pub(crate) async fn next(&mut self) -> Asked {
        tokio::select! {
            _ = self.terminate.recv() => Asked::End(143),
            _ = self.interrupt.recv() => Asked::End(130),
            _ = self.hangup.recv() => Asked::End(129),
            _ = self.quit.recv() => Asked::End(131),
            _ = self.stop.recv() => Asked::Stop,
            _ = self.continued.recv() => Asked::Continued,
        }
    }
}

/// Stops the whole process group, like the terminal does on Ctrl-Z. Does nothing if this process is not a shell's job, because then
/// nothing would continue it.
pub(crate) fn stop_group() -> bool {
    let is_job = getppid().is_some_and(|parent| getsid(Some(parent)).ok() == getsid(None).ok());
    is_job && kill_current_process_group(Number::TSTP).is_ok()
}

/// Stops this process now; [`Signals::next`] reports when it is continued.
pub(crate) fn stop_here() -> bool {
    kill_process(getpid(), Number::STOP).is_ok()
}
