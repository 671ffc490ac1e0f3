//! The process that becomes the command.
//!
//! 1. It asks the kernel to be killed with the guardian before it becomes the command, and becomes it only if the guardian
//!    still lives by then.
//! 2. It waits for its standard input, which comes once the terminal is its own.
//! 3. It ends with 127 when there is no such command and 126 when it cannot be run, as shells do.
//!
//! Not here: who watches it from then on (`guardian.rs`).

use super::{handing, terminal};
use rustix::process::{Signal, getppid, set_parent_process_death_signal};
use std::ffi::OsString;
use std::io::{self, ErrorKind};
use std::os::unix::process::CommandExt;
use std::process::Command;

/// Becomes the command; returns only when that failed, with the exit code and what to say.
#[must_use]
pub fn launch(guardian: i32, command: &[OsString]) -> (u8, String) {
    let Some((program, arguments)) = command.split_first() else { return (2, "no command was given".to_owned()) };
    match prepare(guardian) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => return (137, String::new()),
        Err(error) => return (126, format!("cannot prepare {}: {error}", program.display())),
    }
    // Returns only when it failed.
    let error = Command::new(program).args(arguments).exec();
    let code = if error.kind() == ErrorKind::NotFound { 127 } else { 126 };
    (code, format!("cannot run {}: {error}", program.display()))
}

fn prepare(guardian: i32) -> io::Result<()> {
    let socket = handing::from_stdin()?;
    set_parent_process_death_signal(Some(Signal::KILL))?;
    if getppid().is_none_or(|parent| parent.as_raw_nonzero().get() != guardian) {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    let input = handing::take(&socket)?;
    rustix::stdio::dup2_stdin(&input)?;
    terminal::unblock_background_stops()
}
