//! The signals that a view takes.
//!
//! 1. A signal that asks for the end names the exit code that a shell would give: 128 and its number.
//! 2. A stop asked for by the terminal comes here first, so that it is given back before.
//!
//! Not here: what is done about them (`stage.rs`).

use crate::cli::outcome::Failure;
use rustix::process::{Signal as Number, getpid, getppid, getsid, kill_current_process_group, kill_process};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// SIGTSTP, what Ctrl-Z sends.
const STOP: i32 = 20;
/// SIGCONT.
const CONTINUE: i32 = 18;

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    /// The end, with this exit code.
    End(u8),
    /// To stop, until it is continued.
    Stop,
    /// It was continued.
    Continued,
}

/// Listens for them.
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
    /// Listens from now on; what comes before anybody asks is kept.
    ///
    /// # Errors
    /// When the system refuses.
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

    /// The next one.
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

/// Asks the whole process group to stop, as the terminal does where it sees Ctrl-Z itself. Nothing happens where nobody would
/// be there to continue it: this is no job of a shell then.
pub(crate) fn stop_group() -> bool {
    let is_job = getppid().is_some_and(|parent| getsid(Some(parent)).ok() == getsid(None).ok());
    is_job && kill_current_process_group(Number::TSTP).is_ok()
}

/// Stops this process, now; that it was continued again is told by [`Signals::next`].
pub(crate) fn stop_here() -> bool {
    kill_process(getpid(), Number::STOP).is_ok()
}
