//! The signals that a view handles.
//!
//! 1. A signal that ends the view comes with the exit code that a shell would report: 128 plus its number.
//! 2. SIGTSTP is handled here, so that the terminal is restored before the process stops.
//!
//! Not here: the reaction (`stage.rs`).

use crate::cli::outcome::Failure;
use crate::cli::signals::listen;
use crate::signals::{self, CONTINUE, HANGUP, INTERRUPT, QUIT, STOP, TERMINATE, exit_code};
use rustix::process::{Signal as Number, getpid, getppid, getsid, kill_current_process_group, kill_process};

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
pub(crate) struct Signals(signals::Signals);

impl Signals {
    /// Starts to listen; signals that arrive before [`Self::next`] is called are kept.
    ///
    /// # Errors
    /// When the system refuses to install a handler.
    pub(crate) fn listen() -> Result<Self, Failure> {
        listen([TERMINATE, INTERRUPT, HANGUP, QUIT, STOP, CONTINUE]).map(Self)
    }

    /// Waits for the next signal.
    pub(crate) async fn next(&mut self) -> Asked {
        match self.0.next().await {
            STOP => Asked::Stop,
            CONTINUE => Asked::Continued,
            number => Asked::End(exit_code(number)),
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
