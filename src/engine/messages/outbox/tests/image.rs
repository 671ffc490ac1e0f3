//! A disk in memory that loses power: what was not synced is there, is not there, or is there in part.
//!
//! 1. A write reaches the platter at a sync. What was written since the last one survives a crash in any combination, in any
//!    order, each write torn at any sector.
//! 2. A disk that lies says that it synced and does not; the next honest sync makes up for it.
//! 3. From the moment of a crash on every access fails, until [`Image::after_crash`].

use super::faults::{Backend, Media};
use redb::{BackendError, StorageBackend};
use std::fs::File;
use std::io;
use std::ops::Bound;
use std::os::unix::fs::MetadataExt;
use std::sync::{Arc, Mutex, PoisonError};

/// What a disk writes as a whole, in bytes.
const SECTOR: usize = 512;

/// Numbers that look random and come again for the same seed (splitmix64).
#[derive(Debug, Clone)]
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Below `bound`, which is not 0.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    pub(super) fn chance(&mut self, of_hundred: u64) -> bool {
        self.below(100) < of_hundred
    }
}

#[derive(Debug, Clone)]
enum Unsynced {
    Write(usize, Vec<u8>),
    Length(usize),
}

/// When and how the disk fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    /// Power is lost.
    Crash,
    /// One access fails with an error of the device.
    Io,
    /// No room from here on, until the next opening.
    Full,
    /// One sync is not done, though it says so, and power is lost soon after.
    Lie,
}

#[derive(Debug)]
struct State {
    /// What a reader sees.
    now: Vec<u8>,
    /// What a crash leaves.
    platter: Vec<u8>,
    unsynced: Vec<Unsynced>,
    /// After how many accesses what happens.
    planned: Option<(u64, Failure)>,
    dead: bool,
    full: bool,
    lied: bool,
    /// The file that the store believes in; another one is an empty disk, because the earlier was set aside.
    file: Option<u64>,
}

/// The disk.
#[derive(Debug, Clone)]
pub(super) struct Image(Arc<Mutex<State>>);

impl Image {
    pub(super) fn new() -> Self {
        Self::of(Vec::new(), None)
    }

    fn of(platter: Vec<u8>, file: Option<u64>) -> Self {
        Self(Arc::new(Mutex::new(State {
            now: platter.clone(),
            platter,
            unsynced: Vec::new(),
            planned: None,
            dead: false,
            full: false,
            lied: false,
            file,
        })))
    }

    fn state<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Fails at the access `after` this one.
    pub(super) fn plan(&self, after: u64, failure: Failure) {
        self.state(|state| state.planned = Some((after, failure)));
    }

    /// Whether a sync was only pretended, and none was done since.
    pub(super) fn lied(&self) -> bool {
        self.state(|state| state.lied)
    }

    /// Room again, and nothing planned.
    pub(super) fn make_room(&self) {
        self.state(|state| (state.full, state.planned) = (false, None));
    }

    /// The disk as the next process finds it after power was lost now.
    pub(super) fn after_crash(&self, random: &mut Random) -> Self {
        let (mut platter, mut unsynced) =
            self.state(|state| (std::mem::take(&mut state.platter), std::mem::take(&mut state.unsynced)));
        // Some of it, in an order of the disk's own.
        for at in (1..unsynced.len()).rev() {
            if random.chance(20) {
                unsynced.swap(at, random.below(at as u64 + 1) as usize);
            }
        }
        let most = [0, 50, 90, 100][random.below(4) as usize];
        for change in unsynced {
            if !random.chance(most) {
                continue;
            }
            match change {
                Unsynced::Length(length) => platter.resize(length, 0),
                Unsynced::Write(offset, mut bytes) => {
                    if random.chance(25) {
                        let sectors = bytes.len().div_ceil(SECTOR) as u64;
                        bytes.truncate((random.below(sectors + 1) as usize) * SECTOR);
                    }
                    put(&mut platter, offset, &bytes);
                }
            }
        }
        Self::of(platter, self.state(|state| state.file))
    }

    /// Flips one bit of what is stored.
    pub(super) fn flip(&self, random: &mut Random) {
        self.state(|state| {
            if !state.platter.is_empty() {
                let at = random.below(state.platter.len() as u64) as usize;
                state.platter[at] ^= 1 << random.below(8);
                state.now.clone_from(&state.platter);
            }
        });
    }
}

fn put(image: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    let end = offset + bytes.len();
    if image.len() < end {
        image.resize(end, 0);
    }
    image[offset..end].copy_from_slice(bytes);
}

impl State {
    /// Counts an access, and fails it where it is its turn. Whether this is a sync that shall only be pretended.
    fn access(&mut self, syncs: bool) -> io::Result<bool> {
        if self.dead {
            return Err(io::Error::other("no power"));
        }
        match &mut self.planned {
            Some((0, failure)) => {
                let failure = *failure;
                if failure == Failure::Lie && !syncs {
                    return Ok(false);
                }
                self.planned = None;
                match failure {
                    Failure::Crash => self.dead = true,
                    Failure::Io => {}
                    Failure::Full => self.full = true,
                    Failure::Lie => {
                        // A lie only shows where power is lost before the next sync.
                        self.lied = true;
                        self.planned = Some((2, Failure::Crash));
                        return Ok(true);
                    }
                }
                Err(io::Error::other("planned"))
            }
            Some((left, _)) => {
                *left -= 1;
                Ok(false)
            }
            None => Ok(false),
        }
    }

    fn room(&self) -> io::Result<()> {
        if self.full { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }
}

impl Media for Image {
    fn backend(&self, file: File) -> io::Result<Backend> {
        let inode = file.metadata()?.ino();
        self.state(|state| {
            if state.dead {
                return Err(io::Error::other("no power"));
            }
            if state.file.is_some_and(|known| known != inode) {
                state.now.clear();
                state.platter.clear();
                state.unsynced.clear();
            }
            state.file = Some(inode);
            Ok(())
        })?;
        Ok(Backend(Box::new(self.clone())))
    }
}

impl StorageBackend for Image {
    fn len(&self) -> io::Result<u64> {
        self.state(|state| Ok(state.now.len() as u64))
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.state(|state| {
            state.access(false)?;
            let offset = offset as usize;
            let bytes = state.now.get(offset..offset + out.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
            out.copy_from_slice(bytes);
            Ok(())
        })
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.state(|state| {
            state.access(false)?;
            state.room()?;
            state.now.resize(len as usize, 0);
            state.unsynced.push(Unsynced::Length(len as usize));
            Ok(())
        })
    }

    fn sync_data(&self) -> io::Result<()> {
        self.state(|state| {
            if state.access(true)? {
                return Ok(());
            }
            state.room()?;
            state.platter.clone_from(&state.now);
            state.unsynced.clear();
            state.lied = false;
            Ok(())
        })
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.state(|state| {
            if let Err(error) = state.access(false) {
                // Power that is lost during a write leaves a part of it.
                if state.dead {
                    state.unsynced.push(Unsynced::Write(offset as usize, data.to_vec()));
                }
                return Err(error);
            }
            state.room()?;
            put(&mut state.now, offset as usize, data);
            state.unsynced.push(Unsynced::Write(offset as usize, data.to_vec()));
            Ok(())
        })
    }

    fn close(&self) -> io::Result<()> {
        Ok(())
    }
    fn try_lock_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<bool, BackendError> {
        Ok(true)
    }
    fn try_lock_shared_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<bool, BackendError> {
        Ok(true)
    }
    fn unlock_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<(), BackendError> {
        Ok(())
    }
    fn query_lock_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<bool, BackendError> {
        Ok(false)
    }
}
