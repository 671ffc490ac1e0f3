//! JSON-RPC over a unix socket, for the other programs of this user.
//!
//! 1. Only this user (and root) is served: the file's mode is 0600, and the peer's user id is checked as well.
//! 2. A lock beside the socket says who owns it. A socket file left behind by a dead process is replaced; one of a live
//!    process, and anything that is no socket, is left alone.
//! 3. At most [`MAX_CLIENTS`] clients of a node are served at a time; a further one is told so and closed.
//! 4. A listener that closes takes no new clients and frees its path; those that it has are served on.
//!
//! Not here: serving a client (`connection.rs`), where the socket lies (`crate::engine`, `crate::cli`).

use super::batch::Outgoing;
use super::connection::{Limits, report, serve};
use super::errors::RpcError;
use super::framing::{LineSink, WriterSink};
use super::module::Module;
use std::fs::{File, Permissions, TryLockError};
use std::io::{Error, ErrorKind};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

/// The most clients at a time.
pub const MAX_CLIENTS: usize = 256;
/// The longest path of a socket, in bytes: the system's own bound less what a temporary name adds.
pub const MAX_PATH_BYTES: usize = 100;
/// How long a refused client may take to read why.
const REFUSAL_WAIT: Duration = Duration::from_millis(200);
/// The pause after a failed accept, which comes from a lack of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The places for the clients of one node, shared by its listeners: [`MAX_CLIENTS`] of them.
#[derive(Debug, Clone)]
pub struct Places(Arc<Semaphore>);

impl Default for Places {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(MAX_CLIENTS)))
    }
}

/// A socket that listens. Dropping it removes the file.
#[derive(Debug)]
pub struct Listener {
    inner: UnixListener,
    path: PathBuf,
    /// Device and number of the socket's file.
    identity: Option<(u64, u64)>,
    /// Held, not read: the system frees the lock when the process ends, however it ends.
    _lock: File,
}

impl Drop for Listener {
    fn drop(&mut self) {
        // Another file under the name is another process's: it may have come after somebody removed this one and its lock.
        if self.place().is_there() {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

impl Listener {
    /// Listens at a path; its folder must exist. A file `<path>.lock` is kept beside it.
    ///
    /// # Errors
    /// `AddrInUse` when a live process owns the socket, `AlreadyExists` when something else lies there,
    /// `InvalidInput` when the path is longer than [`MAX_PATH_BYTES`], and what the system reports.
    pub fn bind(path: &Path) -> std::io::Result<Self> {
        let shown = path.display();
        if path.as_os_str().len() > MAX_PATH_BYTES {
            let text = format!("the socket path {shown} is longer than {MAX_PATH_BYTES} bytes");
            return Err(Error::new(ErrorKind::InvalidInput, text));
        }
        let lock = lock(path)?;
        match std::fs::symlink_metadata(path) {
            Ok(found) if !found.file_type().is_socket() => {
                let text = format!("{shown} exists and is no socket; move it away");
                return Err(Error::new(ErrorKind::AlreadyExists, text));
            }
            Ok(_) => std::fs::remove_file(path)?,
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let inner = UnixListener::bind(path)?;
        // Until the next line a stranger may connect where the folder lets him; the check of the peer stops him.
        std::fs::set_permissions(path, Permissions::from_mode(0o600))?;
        let identity = identity(path);
        Ok(Self { inner, path: path.to_owned(), identity, _lock: lock })
    }

    /// Where it listens, to see whether that is still so.
    #[must_use]
    pub fn place(&self) -> Place {
        Place { path: self.path.clone(), identity: self.identity }
    }

    /// Serves every client that comes, until `stop` becomes true (or its sender is dropped). Once `close` becomes true the
    /// socket goes away, and only the clients that are there are served on, until they leave or `stop`.
    pub async fn serve(
        self,
        module: Module,
        limits: Limits,
        slots: Places,
        mut close: watch::Receiver<bool>,
        mut stop: watch::Receiver<bool>,
    ) {
        let mut clients = JoinSet::new();
        loop {
            while let Some(done) = clients.try_join_next() {
                report(done);
            }
            let accepted = tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => break,
                _ = close.wait_for(|close| *close) => break,
                accepted = self.inner.accept() => accepted,
            };
            let stream = match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "a client cannot be accepted; trying again");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            if !is_own_user(&stream) {
                tracing::warn!("a client of another user was turned away from the socket");
                continue;
            }
            let Ok(slot) = Arc::clone(&slots.0).try_acquire_owned() else {
                refuse(stream).await;
                continue;
            };
            let (module, limits, stop) = (module.clone(), limits.clone(), stop.clone());
            clients.spawn(async move {
                let (input, output) = stream.into_split();
                let ended = serve(&module, input, WriterSink(output), &limits, stop).await;
                tracing::debug!(?ended, "a client of the socket is gone");
                drop(slot);
            });
        }
        drop(self);
        // Each connection hears of the stop too, and ends within its own bound.
        while let Some(done) = clients.join_next().await {
            report(done);
        }
    }
}

/// The file of a socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    path: PathBuf,
    identity: Option<(u64, u64)>,
}

impl Place {
    /// Whether the file is still there: clients find the process by it.
    #[must_use]
    pub fn is_there(&self) -> bool {
        identity(&self.path) == self.identity
    }
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    path.symlink_metadata().ok().map(|found| (found.dev(), found.ino()))
}

fn lock(path: &Path) -> std::io::Result<File> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let file = File::options().create(true).truncate(false).write(true).open(PathBuf::from(name))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            let text = format!("another live process listens on {}", path.display());
            Err(Error::new(ErrorKind::AddrInUse, text))
        }
        Err(TryLockError::Error(error)) => Err(error),
    }
}

fn is_own_user(stream: &UnixStream) -> bool {
    let own = rustix::process::geteuid().as_raw();
    stream.peer_cred().is_ok_and(|peer| peer.uid() == own || peer.uid() == 0)
}

async fn refuse(stream: UnixStream) {
    let text = format!("this node serves {MAX_CLIENTS} clients already");
    let refusal = Outgoing::refusal(RpcError::overloaded(text)).text;
    let mut sink = WriterSink(stream);
    // A client that does not read its refusal goes without it.
    let _ = tokio::time::timeout(REFUSAL_WAIT, sink.write_line(&refusal)).await;
}
