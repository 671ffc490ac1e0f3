//! The process that becomes the command.
//!
//! 1. It asks the kernel to be killed with the process that started it before it becomes the command, and becomes it
//!    only if that one still lives by then.
//! 2. It waits for its standard input, which comes once the terminal is its own.
//! 3. It ends with 127 when there is no such command and 126 when it cannot be run, as shells do.
//!
//! Not here: who watches it from then on (`guardian.rs`, or whoever ties a command to itself).

use super::{LAUNCH_COMMAND, handing, terminal};
use rustix::process::{Signal, getpid, getppid, set_parent_process_death_signal};
use std::ffi::OsString;
use std::io::{self, ErrorKind, PipeWriter};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as Socket;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

/// A process to be started that becomes the command, in a process group of its own, once its standard input is handed to it
/// over the socket.
pub(super) fn launcher(command: &[OsString]) -> io::Result<(Command, Socket)> {
    let (here, there) = Socket::pair()?;
    // Also when the program was replaced since it started.
    let mut launcher = Command::new("/proc/self/exe");
    launcher.arg0("clawster").arg(LAUNCH_COMMAND).arg(getpid().to_string()).arg("--").args(command);
    launcher.stdin(Stdio::from(OwnedFd::from(there))).process_group(0);
    Ok((launcher, here))
}

/// A command to be started that the kernel kills when the thread that starts it has ended, in a process group of its own;
/// and what it reads. All but its standard input is the caller's to set. It gets the caller's variables but for those in
/// `hidden`.
///
/// # Errors
/// Of the system calls; that the command itself cannot be started is how it ends, with 126 or 127.
pub fn tied(command: &[OsString], hidden: &[String]) -> io::Result<(Command, PipeWriter)> {
    let (mut launcher, socket) = launcher(command)?;
    for name in hidden {
        launcher.env_remove(name);
    }
    let (reader, writer) = io::pipe()?;
    // It waits in the socket until the launcher takes it.
    handing::hand(&socket, &reader)?;
    Ok((launcher, writer))
}

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
