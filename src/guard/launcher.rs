//! The launcher: the process that becomes the command.
//!
//! 1. Before it becomes the command it asks the kernel to kill it when its parent dies, and it continues only if the parent is still
//!    alive then.
//! 2. It waits for its standard input, which the parent passes after giving it the terminal.
//! 3. Like a shell, it exits with 127 if the command does not exist and with 126 if it cannot be run.
//!
//! Not here: guarding the command (`guardian.rs`, or the caller of [`tied`]).

use super::{LAUNCH_COMMAND, handing, terminal};
use rustix::process::{Signal, getpid, getppid, set_parent_process_death_signal};
use std::ffi::OsString;
use std::io::{self, ErrorKind, PipeWriter};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as Socket;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

/// Prepares a process that becomes the command, in its own process group, once its standard input is passed to it over the socket.
pub(super) fn launcher(command: &[OsString]) -> io::Result<(Command, Socket)> {
    let (here, there) = Socket::pair()?;
    // Works even if the program file was replaced since the start.
    let mut launcher = Command::new("/proc/self/exe");
    launcher.arg0("clawster").arg(LAUNCH_COMMAND).arg(getpid().to_string()).arg("--").args(command);
    launcher.stdin(Stdio::from(OwnedFd::from(there))).process_group(0);
    Ok((launcher, here))
}

/// Prepares a command, in its own process group, that the kernel kills when the thread that starts it ends; with the writing end of
/// its standard input. The caller may set everything else. The command gets the caller's environment variables except `hidden`.
///
/// # Errors
/// Errors of the system calls. If the command itself cannot be started, the process exits with 126 or 127.
pub fn tied(command: &[OsString], hidden: &[String]) -> io::Result<(Command, PipeWriter)> {
    let (mut launcher, socket) = launcher(command)?;
    for name in hidden {
        launcher.env_remove(name);
    }
    let (reader, writer) = io::pipe()?;
    // It stays in the socket until the launcher receives it.
    handing::hand(&socket, &reader)?;
    Ok((launcher, writer))
}

/// Becomes the command; returns only if that failed, with the exit code and a message.
#[must_use]
pub fn launch(guardian: i32, command: &[OsString]) -> (u8, String) {
    let Some((program, arguments)) = command.split_first() else { return (2, "no command was given".to_owned()) };
    match prepare(guardian) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => return (137, String::new()),
        Err(error) => return (126, format!("cannot prepare to run {}: {error}", program.display())),
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
