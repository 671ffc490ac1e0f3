//! The process that restores the terminal when a view was killed and could not restore it itself.
//!
//! ```text
//!  shell ── the view ──socket── restorer (its own process group, the same terminal)
//!               └ kill -9 ─────▶ end of the socket: restores the previous modes and screen
//! ```
//!
//! 1. A view that ends normally kills its restorer; so the end of the socket means that the view died with its screen open.
//! 2. Modes are only restored while they are the view's: a shell that already uses the terminal has set its own.
//! 3. It has its own process group, so that signals from the terminal to the view do not end it.
//!
//! Not here: the restoration by the view itself (`terminal.rs`).

use crate::guard::block_background_stops;
use rustix::net::sockopt::Timeout;
use rustix::net::sockopt::set_socket_timeout;
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as Socket;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// The hidden subcommand that runs the restorer.
pub(crate) const KEEP_COMMAND: &str = "keep-screen";
/// How long a view waits for its restorer to start; after that it runs without one.
const START_TIMEOUT: Duration = Duration::from_secs(2);
/// The control sequence that resets colours, leaves the alternate screen and shows the cursor.
const RESTORE: &[u8] = b"\x1b[0m\x1b[?1049l\x1b[?25h";

/// A running restorer; dropping this kills it.
#[derive(Debug)]
pub(crate) struct TerminalRestorer {
    child: Child,
    /// The restorer waits for the end of this socket.
    _line: Socket,
}

impl TerminalRestorer {
    /// Starts the restorer, and waits until it has read the terminal's modes: call this before changing them.
    ///
    /// # Errors
    /// Errors of the system calls, and a restorer that is not ready in time.
    pub(crate) fn start() -> io::Result<Self> {
        let (mut here, there) = Socket::pair()?;
        let mut command = Command::new("/proc/self/exe");
        command.arg0("clawster").arg(KEEP_COMMAND).process_group(0);
        command.stdin(Stdio::from(OwnedFd::from(there))).stdout(Stdio::inherit()).stderr(Stdio::null());
        let child = command.spawn()?;
        // Drops this process's copy of the other end; only the restorer has it now.
        drop(command);
        set_socket_timeout(&here, Timeout::Recv, Some(START_TIMEOUT))?;
        let mut restorer = Self { child, _line: here.try_clone()? };
        match here.read(&mut [0]) {
            Ok(1) => Ok(restorer),
            Ok(_) => {
                let ended = restorer.child.wait()?;
                Err(io::Error::other(format!("the process that restores the terminal ended: {ended}")))
            }
            Err(error) => Err(error),
        }
    }
}

impl Drop for TerminalRestorer {
    fn drop(&mut self) {
        // Kills and reaps it; it fails only if the process is dead already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs the restorer: standard input is the socket, standard output the terminal. Returns once the view is dead.
///
/// # Errors
/// When this was not started by a view.
pub(crate) fn run_restorer() -> io::Result<()> {
    let (line, terminal) = (rustix::stdio::stdin(), rustix::stdio::stdout());
    // Otherwise the terminal would stop this process when it sets modes from the background.
    block_background_stops()?;
    let before = tcgetattr(terminal)?;
    rustix::io::write(line, b"r")?;
    loop {
        match io::stdin().read(&mut [0; 16]) {
            Ok(0) => break,
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    // A shell's line editor also reads single keys, but leaves signal keys to the terminal.
    let is_the_views = !tcgetattr(terminal)?.local_modes.intersects(LocalModes::ISIG | LocalModes::ICANON);
    let mut out = io::stdout().lock();
    out.write_all(RESTORE)?;
    out.flush()?;
    if is_the_views {
        tcsetattr(terminal, OptionalActions::Now, &before)?;
    }
    Ok(())
}
