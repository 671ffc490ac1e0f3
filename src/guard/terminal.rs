//! The terminal, lent to the command while it runs in the foreground.
//!
//! 1. It is lent only when standard input and output are both that terminal and the owner is in its foreground: a part
//!    of a pipeline takes it from nobody.
//! 2. SIGTTOU is blocked in owner and guardian, so that they can take the terminal back from the background; the launcher
//!    unblocks it for the command.
//!
//! Not here: who lends it (`guardian.rs`).

use nix::sys::signal::{SigSet, Signal};
use rustix::process::Pid;
use rustix::termios::{tcgetpgrp, tcsetpgrp};
use std::io::{self, IsTerminal};
use std::os::fd::OwnedFd;

/// A terminal that this process group may have in its foreground.
#[derive(Debug)]
pub struct Terminal {
    file: OwnedFd,
    /// The process group that lends it.
    home: Pid,
}

fn background_output() -> SigSet {
    let mut set = SigSet::empty();
    set.add(Signal::SIGTTOU);
    set
}

/// Keeps this thread, and all that it starts, from being stopped for touching the terminal from the background.
pub fn block_background_stops() -> io::Result<()> {
    background_output().thread_block().map_err(io::Error::from)
}

/// Undoes [`block_background_stops`].
pub(super) fn unblock_background_stops() -> io::Result<()> {
    background_output().thread_unblock().map_err(io::Error::from)
}

impl Terminal {
    /// The terminal of these two files, when they are one; `home` is the process group of the owner, which may lend it.
    #[must_use]
    pub fn of(input: OwnedFd, output: impl IsTerminal, home: Pid) -> Option<Self> {
        (input.is_terminal() && output.is_terminal()).then_some(Self { file: input, home })
    }

    /// Lends it to the command's process group. Nothing happens while the owner's group is not in the foreground.
    pub(super) fn lend(&self, group: Pid) -> bool {
        let mine = tcgetpgrp(&self.file).is_ok_and(|foreground| foreground == self.home);
        mine && tcsetpgrp(&self.file, group).is_ok()
    }

    /// Whether it is lent to this group.
    pub(super) fn is_lent_to(&self, group: Pid) -> bool {
        tcgetpgrp(&self.file).is_ok_and(|foreground| foreground == group)
    }

    /// Takes it back from the command's group, if that still has it.
    pub(super) fn take_back(&self, group: Pid) {
        if self.is_lent_to(group) {
            // Where the terminal is gone there is nothing to take back.
            let _ = tcsetpgrp(&self.file, self.home);
        }
    }
}
