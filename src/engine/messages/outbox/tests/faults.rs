//! Where a test keeps a store's bytes: a file that can be told to be full.

use redb::backends::FileBackend;
use redb::{BackendError, StorageBackend};
use std::fs::File;
use std::io;
use std::ops::Bound;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// Gives a store the place of its bytes, each time that it is opened.
pub(crate) trait Media: std::fmt::Debug + Send + Sync {
    fn backend(&self, file: File) -> io::Result<Backend>;
}

/// Any such place.
#[derive(Debug)]
pub(crate) struct Backend(pub(crate) Box<dyn StorageBackend>);

impl StorageBackend for Backend {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }
    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read(offset, out)
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }
    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }
    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write(offset, data)
    }
    fn close(&self) -> io::Result<()> {
        self.0.close()
    }
    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.0.try_lock_range(start, end)
    }
    fn try_lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.0.try_lock_shared_range(start, end)
    }
    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.0.unlock_range(start, end)
    }
    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.0.query_lock_range(start, end)
    }
}

/// A file whose faults are set from outside.
#[derive(Debug)]
pub(crate) struct FaultyFile(pub(crate) Arc<Faults>);

impl Media for FaultyFile {
    fn backend(&self, file: File) -> io::Result<Backend> {
        let inner = FileBackend::new(file).map_err(|error| io::Error::other(error.to_string()))?;
        Ok(Backend(Box::new(Faulty { inner, faults: Arc::clone(&self.0) })))
    }
}

/// What goes wrong with the file, and how often it was synced.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    pub(crate) full: AtomicBool,
    /// Only syncing fails: the worst case, as the data may be there all the same.
    pub(crate) sync_fails: AtomicBool,
    pub(crate) syncs: AtomicU64,
    /// As `sync_fails`, for the next time only.
    pub(crate) sync_fails_once: AtomicBool,
    /// While a test holds it, syncing waits.
    pub(crate) held: Mutex<()>,
    /// How often syncing began.
    pub(crate) asked: AtomicU64,
}

impl Faults {
    fn check(&self) -> io::Result<()> {
        if self.full.load(Ordering::SeqCst) { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }
}

#[derive(Debug)]
pub(crate) struct Faulty {
    inner: FileBackend,
    faults: Arc<Faults>,
}

impl StorageBackend for Faulty {
    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }
    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.inner.read(offset, out)
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.faults.check()?;
        self.inner.set_len(len)
    }
    fn sync_data(&self) -> io::Result<()> {
        self.faults.asked.fetch_add(1, Ordering::SeqCst);
        drop(self.faults.held.lock());
        self.faults.check()?;
        if self.faults.sync_fails_once.swap(false, Ordering::SeqCst) || self.faults.sync_fails.load(Ordering::SeqCst) {
            return Err(io::Error::other("the disk does not answer"));
        }
        self.faults.syncs.fetch_add(1, Ordering::SeqCst);
        self.inner.sync_data()
    }
    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.faults.check()?;
        self.inner.write(offset, data)
    }
    fn close(&self) -> io::Result<()> {
        self.inner.close()
    }
    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.inner.try_lock_range(start, end)
    }
    fn try_lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.inner.try_lock_shared_range(start, end)
    }
    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.inner.unlock_range(start, end)
    }
    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.inner.query_lock_range(start, end)
    }
}
