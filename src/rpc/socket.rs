//! JSON-RPC over a unix socket, for other programs of the same user.
//!
//! 1. Only this user (and root) is served: the file's mode is 0600, and the peer's user id is checked as well.
//! 2. A lock file beside the socket says which process owns it. A socket that a dead process left behind is replaced; a
//!    socket of a live process, and anything that is not a socket, is left alone.
//! 3. At most [`MAX_CLIENTS`] clients of a node are served at a time; a further one gets an error and is closed.
//! 4. A listener that closes accepts no new clients and frees its path; existing clients are still served.
//!
//! Not here: serving a client (`connection.rs`), the path of the socket (`crate::engine`, `crate::cli`).

use super::connection::{Limits, report, serve};
use super::errors::RpcError;
use super::framing::{LineSink, WriterSink};
use super::module::Module;
use super::outgoing::Outgoing;
use std::fs::{File, Permissions, TryLockError};
use std::io::{Error, ErrorKind};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

/// The maximum number of clients of a node at a time.
pub const MAX_CLIENTS: usize = 256;
/// The maximum length of a socket path, in bytes: the system's limit minus the length of a temporary suffix.
pub const MAX_PATH_BYTES: usize = 100;
/// How long a refused client has to read the reason.
const REFUSAL_WAIT: Duration = Duration::from_millis(200);
/// The pause after a failed accept, which means that there are no file descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The slots for the clients of one node, shared by its listeners: [`MAX_CLIENTS`] of them.
#[derive(Debug, Clone)]
pub struct Places(Arc<Semaphore>);

impl Default for Places {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(MAX_CLIENTS)))
    }
}

/// A listening socket. Dropping it removes its file.
#[derive(Debug)]
pub struct Listener {
    inner: UnixListener,
    path: PathBuf,
    /// Device and inode of the socket's file.
    identity: Option<(u64, u64)>,
    /// Kept only to hold the lock: the system releases it when the process ends.
    _lock: File,
}

impl Drop for Listener {
    fn drop(&mut self) {
        // Another file at this path belongs to another process, which may have come after somebody removed this one and its
        // lock.
        if self.place().is_there() {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

impl Listener {
    /// Listens at a path; its folder must exist. A lock file `<path>.lock` is kept beside it.
    ///
    /// # Errors
    /// `AddrInUse` when a live process owns the socket, `AlreadyExists` when something else is at the path, `InvalidInput`
    /// when the path is longer than [`MAX_PATH_BYTES`], and errors of the system.
    pub fn bind(path: &Path) -> std::io::Result<Self> {
        let shown = path.display();
        if path.as_os_str().len() > MAX_PATH_BYTES {
            let text = format!("the socket path {shown} is longer than {MAX_PATH_BYTES} bytes");
            return Err(Error::new(ErrorKind::InvalidInput, text));
        }
        let lock = lock(path)?;
        match std::fs::symlink_metadata(path) {
            Ok(found) if !found.file_type().is_socket() => {
                let text = format!("{shown} exists and is not a socket; move it away");
                return Err(Error::new(ErrorKind::AlreadyExists, text));
            }
            Ok(_) => std::fs::remove_file(path)?,
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let inner = UnixListener::bind(path)?;
        // Until the next line another user can connect if the folder allows it; the check of the peer refuses him.
        std::fs::set_permissions(path, Permissions::from_mode(0o600))?;
        let identity = identity(path);
        Ok(Self { inner, path: path.to_owned(), identity, _lock: lock })
    }

    /// The place of the socket's file, to check whether the file is still there.
    #[must_use]
    pub fn place(&self) -> Place {
        Place { path: self.path.clone(), identity: self.identity }
    }

    /// Serves clients until `stop` becomes true (or its sender is dropped). When `close` becomes true, the socket is
    /// removed, and existing clients are served until they leave or `stop` becomes true.
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
                    tracing::warn!(%error, "cannot accept a client on the socket; retrying");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            if !is_own_user(&stream) {
                tracing::warn!("refused a client of another user on the socket");
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
                tracing::debug!(?ended, "a client of the socket disconnected");
                drop(slot);
            });
        }
        drop(self);
        // Each connection sees `stop` too, and ends within its own bound.
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
    let text = format!("this node has reached its limit of {MAX_CLIENTS} clients; close one, then connect again");
    let refusal = Outgoing::refusal(RpcError::overloaded(text)).lines;
    let mut sink = WriterSink(stream);
    // A client that does not read the refusal does not get it.
    let _ = tokio::time::timeout(REFUSAL_WAIT, sink.write_lines(refusal)).await;
}
