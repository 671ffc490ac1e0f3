//! Gives the terminal to the command while it runs in the foreground.
//!
//! 1. The command gets the terminal only if standard input and output are both that terminal and the owner is in its foreground, so
//!    that a part of a pipeline does not take it away from the other parts.
//! 2. SIGTTOU is blocked in owner and guardian, so that they can take the terminal back from the background; the launcher unblocks it
//!    for the command.
//!
//! Not here: when it is given (`guardian.rs`).

use nix::sys::signal::{SigSet, Signal};
use rustix::process::Pid;
use rustix::termios::{tcgetpgrp, tcsetpgrp};
use std::io::{self, IsTerminal};
use std::os::fd::OwnedFd;

/// A terminal whose foreground process group may be changed.
#[derive(Debug)]
pub struct Terminal {
    file: OwnedFd,
    /// The owner's process group, which the terminal is given back to.
    home: Pid,
}

fn background_output() -> SigSet {
    let mut set = SigSet::empty();
    set.add(Signal::SIGTTOU);
    set
}

/// Blocks SIGTTOU in this thread and everything it starts: changing the terminal from the background does not stop them then.
pub fn block_background_stops() -> io::Result<()> {
    background_output().thread_block().map_err(io::Error::from)
}

/// Undoes [`block_background_stops`].
pub(super) fn unblock_background_stops() -> io::Result<()> {
    background_output().thread_unblock().map_err(io::Error::from)
}

impl Terminal {
    /// The terminal of these two files; `None` if one of them is not a terminal. `home`: the owner's process group.
    #[must_use]
    pub fn of(input: OwnedFd, output: impl IsTerminal, home: Pid) -> Option<Self> {
        (input.is_terminal() && output.is_terminal()).then_some(Self { file: input, home })
    }

    /// Makes the command's process group the foreground group. Does nothing, and returns false, unless the owner's group is in the
    /// foreground.
    pub(super) fn lend(&self, group: Pid) -> bool {
        let mine = tcgetpgrp(&self.file).is_ok_and(|foreground| foreground == self.home);
        mine && tcsetpgrp(&self.file, group).is_ok()
    }

    /// Whether this group is the foreground group.
    pub(super) fn is_lent_to(&self, group: Pid) -> bool {
        tcgetpgrp(&self.file).is_ok_and(|foreground| foreground == group)
    }

    /// Makes the owner's group the foreground group again, if the command's group still is.
    pub(super) fn take_back(&self, group: Pid) {
        if self.is_lent_to(group) {
            // It fails only if the terminal is gone.
            let _ = tcsetpgrp(&self.file, self.home);
        }
    }
}
