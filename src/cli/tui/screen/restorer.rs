//! The process that restores the terminal when a view was killed and could not do it itself.
//!
//! ```text
//!  shell ── the view ──socket── keeper (a process group of its own, the same terminal)
//!               └ kill -9 ─────▶ end of the socket: back to the modes and the screen of before
//! ```
//!
//! 1. A view that ends by itself kills its keeper; so the end of the socket means that the view died with its screen open.
//! 2. Modes are only given back while they are the view's: a shell that has taken the terminal already has set its own.
//! 3. It is in a process group of its own, so that what the terminal sends to the view does not end it.
//!
//! Not here: what the view does itself (`terminal.rs`).

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

/// The hidden subcommand that is the keeper.
pub(crate) const KEEP_COMMAND: &str = "keep-screen";
/// How long a view waits for its keeper; then it goes on without one.
const START: Duration = Duration::from_secs(2);
/// What leaves the alternate screen, shows the cursor and ends all colours.
const RESTORE: &[u8] = b"\x1b[0m\x1b[?1049l\x1b[?25h";

/// A running keeper; dropping it ends it.
#[derive(Debug)]
pub(crate) struct TerminalRestorer {
    child: Child,
    /// Its end is what the keeper waits for.
    _line: Socket,
}

impl TerminalRestorer {
    /// Starts it, and waits until it knows the terminal's modes: call this before they are changed.
    ///
    /// # Errors
    /// Of the system calls, and when it does not get ready in time.
    pub(crate) fn start() -> io::Result<Self> {
        let (mut here, there) = Socket::pair()?;
        let mut command = Command::new("/proc/self/exe");
        command.arg0("clawster").arg(KEEP_COMMAND).process_group(0);
        command.stdin(Stdio::from(OwnedFd::from(there))).stdout(Stdio::inherit()).stderr(Stdio::null());
        let child = command.spawn()?;
        // The command holds the other end until here; what is left of it after this is the keeper's.
        drop(command);
        set_socket_timeout(&here, Timeout::Recv, Some(START))?;
        let mut keeper = Self { child, _line: here.try_clone()? };
        match here.read(&mut [0]) {
            Ok(1) => Ok(keeper),
            Ok(_) => {
                let ended = keeper.child.wait()?;
                Err(io::Error::other(format!("it ended: {ended}")))
            }
            Err(error) => Err(error),
        }
    }
}

impl Drop for TerminalRestorer {
    fn drop(&mut self) {
        // It is killed and reaped; that it was dead already is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Is the keeper: standard input is the socket, standard output the terminal. Returns once the view is dead.
///
/// # Errors
/// When this was not started by a view.
pub(crate) fn keep() -> io::Result<()> {
    let (line, terminal) = (rustix::stdio::stdin(), rustix::stdio::stdout());
    // Else the terminal would stop this process for setting modes from the background.
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
    // A shell's line editor takes keys one by one, too, but leaves those that send signals to the terminal.
    let is_the_views = !tcgetattr(terminal)?.local_modes.intersects(LocalModes::ISIG | LocalModes::ICANON);
    let mut out = io::stdout().lock();
    out.write_all(RESTORE)?;
    out.flush()?;
    if is_the_views {
        tcsetattr(terminal, OptionalActions::Now, &before)?;
    }
    Ok(())
}
