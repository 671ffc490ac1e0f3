//! Moves the private server's data when its folder was removed: into a new server, in a new folder.
//!
//! 1. From the first copied key to its end the old server refuses writes, so every acknowledged write is copied.
//! 2. The new server listens on the folder's socket only after all data is copied.
//! 3. A server removes the files at its socket and pid paths when it ends, even if they belong to a new server by then: so the old
//!    server ends first.
//! 4. If a step fails, the old server accepts writes again, and the move is retried later.
//!
//! The old server is reached through an existing connection, because its socket was removed with the folder. The caller holds the
//! start lock.
//!
//! Not here: noticing the removal (`hold.rs`).

use super::server::{Folder, StartLock};
use super::wire::{Reply, Talk};
use super::{Error, Seek};
use std::io;
use std::time::Duration;

/// How long the old server may take to end.
const END_TIMEOUT: Duration = Duration::from_secs(5);

impl Folder {
    /// Starts a server in this new folder with the old server's data; an empty one if the old server cannot be reached.
    pub(super) fn move_over(
        &self,
        old: Option<Talk>,
        seek: &Seek,
        lock: &StartLock,
        timeout: Duration,
    ) -> Result<(), Error> {
        // Another process of this host may already have moved the data.
        if self.live_pid().is_some() {
            return self.start(seek, lock, timeout);
        }
        let path = self.socket.display();
        let Some(mut old) = old else {
            tracing::error!(file = %path, "the private Redis's folder was removed, and its data is lost; starting an empty server");
            return self.start(seek, lock, timeout);
        };
        tracing::warn!(file = %path, "the private Redis's folder was removed; moving its data to a new server");
        let beside = self.listening_at(self.socket.with_added_extension("new"));
        beside.start(seek, lock, timeout)?;
        let copied = Talk::connect(&beside.socket).and_then(|mut new| copy(&mut old, &mut new));
        let closed = beside.stop(lock);
        match copied.map_err(Error::file("cannot copy the data of the private Redis to", &beside.socket)).and(closed) {
            Ok(()) => {}
            Err(error) => {
                // It fails only if the old server is gone.
                let _ = refuse_writes(&mut old, false);
                return Err(error);
            }
        }
        old.end(END_TIMEOUT).map_err(Error::file("cannot stop the old private Redis at", &self.socket))?;
        self.start(seek, lock, timeout)
    }
}

fn refuse_writes(server: &mut Talk, refuse: bool) -> io::Result<()> {
    // The only way to refuse writes that servers of all versions have and that this connection can undo.
    let replicas: &[u8] = if refuse { b"1" } else { b"0" };
    server.ask(&[b"CONFIG", b"SET", b"min-replicas-to-write", replicas]).and_then(ok)
}

fn copy(old: &mut Talk, new: &mut Talk) -> io::Result<()> {
    refuse_writes(old, true)?;
    let Reply::List(keys) = old.ask(&[b"KEYS", b"*"])? else { return Err(unexpected("no list of keys")) };
    for key in keys {
        let Reply::Text(key) = key else { return Err(unexpected("a key that is not a string")) };
        let Reply::Number(left) = old.ask(&[b"PTTL", &key])? else { return Err(unexpected("no time to live")) };
        match old.ask(&[b"DUMP", &key])? {
            Reply::Text(content) => {
                let left = left.max(0).to_string();
                new.ask(&[b"RESTORE", &key, left.as_bytes(), &content]).and_then(ok)?;
            }
            // The key has expired meanwhile.
            Reply::Nothing => {}
            _ => return Err(unexpected("no content of a key")),
        }
    }
    Ok(())
}

fn ok(reply: Reply) -> io::Result<()> {
    match reply {
        Reply::Word(_) => Ok(()),
        other => Err(unexpected(&format!("{other:?}"))),
    }
}

fn unexpected(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("unexpected answer: {what}"))
}
