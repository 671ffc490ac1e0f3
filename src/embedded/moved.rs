//! The private server's folder was removed under it: what it holds is carried into a new server, in a folder that is made again.
//!
//! 1. From the first key that is copied to its end the old server refuses writes, so nothing is acknowledged that is not copied.
//! 2. The new server listens on the socket of the folder only once it has everything.
//! 3. The old server removes its socket and its pid file when it ends, whatever stands there by then: so it ends first.
//! 4. When something fails, the old server takes writes again, and it is tried again later.
//!
//! The way to the old server is a connection that was made before: its socket goes with the folder. The caller has the start lock.
//!
//! Not here: who notices (`hold.rs`).

use super::server::{Folder, StartLock};
use super::wire::{Reply, Talk};
use super::{Error, Seek};
use std::io;
use std::time::Duration;

/// How long the old server has for its end.
const END: Duration = Duration::from_secs(5);

impl Folder {
    /// Starts a server in this new folder with all that the old one holds; an empty one where there is no way to the old one any more.
    pub(super) fn move_over(
        &self,
        old: Option<Talk>,
        seek: &Seek,
        lock: &StartLock,
        patience: Duration,
    ) -> Result<(), Error> {
        // Another process of this host may have done all of it.
        if self.live_pid().is_some() {
            return self.start(seek, lock, patience);
        }
        let path = self.socket.display();
        let Some(mut old) = old else {
            tracing::error!(socket = %path, "the folder of the private Redis was removed, and its data with it; a new server begins empty");
            return self.start(seek, lock, patience);
        };
        tracing::warn!(socket = %path, "the folder of the private Redis was removed; its data are carried into a new server");
        let beside = self.listening_at(self.socket.with_added_extension("new"));
        beside.start(seek, lock, patience)?;
        let copied = Talk::connect(&beside.socket).and_then(|mut new| copy(&mut old, &mut new));
        let closed = beside.stop(lock);
        match copied.map_err(Error::file("cannot copy the data of the private Redis to", &beside.socket)).and(closed) {
            Ok(()) => {}
            Err(error) => {
                // Where this fails too, the server is gone.
                let _ = refuse_writes(&mut old, false);
                return Err(error);
            }
        }
        old.end(END).map_err(Error::file("cannot end the earlier private Redis at", &self.socket))?;
        self.start(seek, lock, patience)
    }
}

fn refuse_writes(server: &mut Talk, refuse: bool) -> io::Result<()> {
    // The only refusal that servers of every version know, and that this connection can take back.
    let replicas: &[u8] = if refuse { b"1" } else { b"0" };
    server.ask(&[b"CONFIG", b"SET", b"min-replicas-to-write", replicas]).and_then(ok)
}

fn copy(old: &mut Talk, new: &mut Talk) -> io::Result<()> {
    refuse_writes(old, true)?;
    let Reply::List(keys) = old.ask(&[b"KEYS", b"*"])? else { return Err(odd("no list of keys")) };
    for key in keys {
        let Reply::Text(key) = key else { return Err(odd("a key that is no text")) };
        let Reply::Number(left) = old.ask(&[b"PTTL", &key])? else { return Err(odd("no time to live")) };
        match old.ask(&[b"DUMP", &key])? {
            Reply::Text(content) => {
                let left = left.max(0).to_string();
                new.ask(&[b"RESTORE", &key, left.as_bytes(), &content]).and_then(ok)?;
            }
            // It expired meanwhile.
            Reply::Nothing => {}
            _ => return Err(odd("no content of a key")),
        }
    }
    Ok(())
}

fn ok(reply: Reply) -> io::Result<()> {
    match reply {
        Reply::Word(_) => Ok(()),
        other => Err(odd(&format!("{other:?}"))),
    }
}

fn odd(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("an unexpected answer: {what}"))
}
