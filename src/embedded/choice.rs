//! Which Redis a host uses when nothing is configured: the one at 127.0.0.1:6379, or a private one.
//!
//! 1. What was chosen first is chosen ever after, until the file `+redis-choice` is removed.
//! 2. Nothing is remembered before it worked: a host without a server program may install one and start again.

use super::server::Folder;
use super::{EmbeddedServer, Error, Seek, socket_path, wire};
use std::fmt;
use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

const FILE: &str = "+redis-choice";

/// What was chosen on this host before.
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

/// What to use. Shown to the user by its `Display` text, one sentence.
#[derive(Debug)]
pub enum Choice {
    /// The Redis at this address.
    Local6379 {
        /// Where.
        address: SocketAddr,
        /// Whether an earlier start chose it.
        remembered: bool,
        /// What it answers just now, when that needs attention.
        note: Option<&'static str>,
    },
    /// The private server; it runs at least as long as the guard lives.
    Embedded {
        /// The guard.
        server: EmbeddedServer,
        /// Whether an earlier start chose it.
        remembered: bool,
        /// Why it does not answer yet, when it does not.
        trouble: Option<Error>,
    },
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local6379 { address, remembered, note } => {
                let why = if *remembered { ", as chosen before" } else { ": it answers there" };
                write!(f, "no Redis is configured; using the one at {address}{why}")?;
                note.map_or(Ok(()), |note| write!(f, "; {note}"))
            }
            Self::Embedded { server, remembered, .. } => {
                let why = if *remembered { ", as chosen before" } else { "" };
                write!(f, "no Redis is configured; using a private one at {}{why}", server.socket().display())?;
                write!(f, " (other hosts cannot join it: set REDIS_HOST for a cluster of several hosts)")
            }
        }
    }
}

/// What was chosen in this state directory before; `None`: nothing yet, or the file says something unknown.
#[must_use]
pub fn remembered(state_dir: &Path) -> Option<Remembered> {
    match fs::read_to_string(state_dir.join(FILE)).ok()?.trim() {
        "local" => Some(Remembered::Local),
        "embedded" => Some(Remembered::Embedded),
        _ => None,
    }
}

/// Chooses the Redis for a host on which none is configured, and starts the private one when that is the choice. Blocks:
/// at most 1.5 s for the look at the local port, and about `patience` for the private server (22 ms measured).
///
/// # Errors
/// See [`Error`], but for what may pass, which is told beside the server; nothing is remembered then.
pub fn choose(state_dir: &Path, seek: &Seek, patience: Duration) -> Result<Choice, Error> {
    let folder = Folder::open(state_dir, seek)?;
    // Held throughout, so that two nodes that start together cannot choose differently.
    let lock = match folder.lock_start_within(patience) {
        Ok(lock) => lock,
        Err(busy @ Error::Busy { .. }) => return Ok(choose_unlocked(folder, state_dir, seek, busy)),
        Err(error) => return Err(error),
    };
    let before = remembered(state_dir);
    let private = |folder: Folder| {
        let (server, trouble) = folder.attach(seek, &lock, patience)?;
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
            // One that is silent runs.
            Choice::Embedded { trouble: None | Some(Error::Silent { .. }), .. } => {
                remember(state_dir, Remembered::Embedded)?;
            }
            Choice::Embedded { .. } => {}
        }
    }
    drop(lock);
    Ok(choice)
}

/// What is used while another process holds the lock for long: that one starts or stops the private server, as a look at
/// the local port takes no time.
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
        wire::Answer::WantsPassword => Some("it wants a password: set REDIS_PASSWORD"),
        answer if answer.is_redis() => None,
        _ => Some("nothing answers there now; remove the file +redis-choice in the state directory to choose again"),
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

/// Where a reader finds the Redis of this host when nothing is configured, without starting anything.
impl Remembered {
    /// The private server's socket in this state directory.
    #[must_use]
    pub fn socket(self, state_dir: &Path) -> Option<PathBuf> {
        (self == Self::Embedded).then(|| socket_path(state_dir))
    }
}
