//! Chooses the Redis of a host without any Redis configuration: the one at 127.0.0.1:6379, or a private one.
//!
//! 1. The first choice is kept until the file `+redis-choice` is removed.
//! 2. A choice is saved only after it worked: on a host without a server program one can still be installed.

use super::server::Folder;
use super::{EmbeddedServer, Error, Seek, socket_path, wire};
use std::fmt;
use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

const FILE: &str = "+redis-choice";

/// An earlier choice on this host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remembered {
    /// The Redis at 127.0.0.1:6379.
    Local,
    /// The private server.
    Embedded,
}

impl Remembered {
    fn word(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Embedded => "embedded",
        }
    }
}

/// The Redis to use. Its `Display` text tells the user, in one sentence.
#[derive(Debug)]
pub enum Choice {
    /// The Redis at this address.
    Local6379 {
        /// Its address.
        address: SocketAddr,
        /// Whether this is an earlier choice.
        remembered: bool,
        /// A problem of its current answer, with what to do.
        note: Option<&'static str>,
    },
    /// The private server.
    Embedded {
        /// Keeps the server running as long as this lives.
        server: EmbeddedServer,
        /// Whether this is an earlier choice.
        remembered: bool,
        /// Why it does not answer yet; `None` if it does.
        trouble: Option<Error>,
    },
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local6379 { address, remembered, note } => {
                let why = if *remembered { ", as before" } else { ", which answers" };
                write!(f, "no Redis is configured; using the Redis at {address}{why}")?;
                note.map_or(Ok(()), |note| write!(f, "; {note}"))
            }
            Self::Embedded { server, remembered, .. } => {
                let why = if *remembered { ", as before" } else { "" };
                write!(f, "no Redis is configured; using a private Redis at {}{why}", server.socket().display())?;
                write!(f, " (other hosts cannot use it; set REDIS_HOST for a cluster across several hosts)")
            }
        }
    }
}

/// The earlier choice in this state directory; `None`: there is none, or the file's content is unknown.
#[must_use]
pub fn remembered(state_dir: &Path) -> Option<Remembered> {
    match fs::read_to_string(state_dir.join(FILE)).ok()?.trim() {
        "local" => Some(Remembered::Local),
        "embedded" => Some(Remembered::Embedded),
        _ => None,
    }
}

/// Chooses the Redis for a host without any Redis configuration, and starts the private one if that is the choice. Blocks at most
/// 1.5 s to check the local port, and about `timeout` for the private server (22 ms measured).
///
/// # Errors
/// See [`Error`]. A temporary error is returned in `trouble` beside the server instead, and the choice is not saved.
pub fn choose(state_dir: &Path, seek: &Seek, timeout: Duration) -> Result<Choice, Error> {
    let folder = Folder::open(state_dir, seek)?;
    // Held throughout, so that two nodes that start together cannot choose differently.
    let lock = match folder.lock_start_within(timeout) {
        Ok(lock) => lock,
        Err(busy @ Error::Busy { .. }) => return Ok(choose_unlocked(folder, state_dir, seek, busy)),
        Err(error) => return Err(error),
    };
    let before = remembered(state_dir);
    let private = |folder: Folder| {
        let (server, trouble) = folder.attach(seek, &lock, timeout)?;
        Ok(Choice::Embedded { server, remembered: before.is_some(), trouble })
    };
    let choice = match before {
        Some(Remembered::Local) => local(seek.local, true),
        None if wire::ping_tcp(seek.local).is_redis() => local(seek.local, false),
        Some(Remembered::Embedded) | None => private(folder)?,
    };
    if before.is_none() {
        match &choice {
            Choice::Local6379 { .. } => remember(state_dir, Remembered::Local)?,
            // A server that does not answer yet is running.
            Choice::Embedded { trouble: None | Some(Error::Silent { .. }), .. } => {
                remember(state_dir, Remembered::Embedded)?;
            }
            Choice::Embedded { .. } => {}
        }
    }
    drop(lock);
    Ok(choice)
}

/// The choice while another process holds the lock for long: that process starts or stops the private server, because checking the
/// local port is quick.
fn choose_unlocked(folder: Folder, state_dir: &Path, seek: &Seek, busy: Error) -> Choice {
    match remembered(state_dir) {
        Some(Remembered::Local) => local(seek.local, true),
        before => {
            let server = folder.attach_later(seek);
            Choice::Embedded { server, remembered: before.is_some(), trouble: Some(busy) }
        }
    }
}

fn local(address: SocketAddr, remembered: bool) -> Choice {
    let note = match wire::ping_tcp(address) {
        wire::Answer::WantsPassword => Some("it requires a password: set REDIS_PASSWORD"),
        answer if answer.is_redis() => None,
        _ => Some("it does not answer now; to choose again, remove the file +redis-choice in the state directory"),
    };
    Choice::Local6379 { address, remembered, note }
}

pub(super) fn remember(state_dir: &Path, choice: Remembered) -> Result<(), Error> {
    let path = state_dir.join(FILE);
    let fresh = PathBuf::from(format!("{}.new", path.display()));
    let write = || -> std::io::Result<()> {
        let mut file = fs::File::create(&fresh)?;
        writeln!(file, "{}", choice.word())?;
        file.sync_all()?;
        fs::rename(&fresh, &path)
    };
    write().map_err(Error::file("cannot write", &path))
}

/// Finds the Redis of this host without starting anything.
impl Remembered {
    /// The socket of the private server in this state directory; `None` if the choice is not the private server.
    #[must_use]
    pub fn socket(self, state_dir: &Path) -> Option<PathBuf> {
        (self == Self::Embedded).then(|| socket_path(state_dir))
    }
}
