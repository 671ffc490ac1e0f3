//! The requests to the writer.
//!
//! Not here: carrying them out (`writer.rs`, `transaction.rs`).

use super::memory::SavedChange;
use super::prepared::Prepared;
use super::{AcceptError, Accepted};
use crate::cluster::messages::message::{Producer, Run};
use crate::cluster::protocol::Packed;
use crate::engine::state_dir::StateError;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;

/// A part of the content of another store.
#[derive(Debug, Default)]
pub(super) struct Part {
    /// Single messages of an older version: their producer, sequence and JSON.
    pub(super) singles: Vec<(String, u64, Vec<u8>)>,
    pub(super) packed: Vec<(String, Packed)>,
    pub(super) ids: Vec<(String, u64, u64)>,
}

type Reply<T> = SyncSender<Result<T, StateError>>;

/// Called when messages of a call can be sent: once they are on disk, or before (`ahead.rs`); on the writer's thread, or on that of the caller.
#[derive(Clone)]
pub struct Woken(pub(super) Arc<dyn Fn() + Send + Sync>);

impl Woken {
    /// Calls this; it must not wait.
    pub fn new(wake: impl Fn() + Send + Sync + 'static) -> Self {
        Self(Arc::new(wake))
    }
}

impl std::fmt::Debug for Woken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Woken")
    }
}

/// Takes the outcome of a request, on the writer's thread.
pub(super) struct Answer<T>(Box<dyn FnOnce(T) + Send>);

/// Takes the outcome of a call.
pub(super) type Accepting = Answer<Result<Vec<Accepted>, AcceptError>>;

impl<T> Answer<T> {
    pub(super) fn new(take: impl FnOnce(T) + Send + 'static) -> Self {
        Self(Box::new(take))
    }

    pub(super) fn give(self, outcome: T) {
        (self.0)(outcome);
    }
}

impl<T> std::fmt::Debug for Answer<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Answer")
    }
}

/// A request to the writer.
#[derive(Debug)]
pub(super) enum Job {
    Accept {
        messages: Prepared,
        /// The sequence of the first one, if they got theirs in the queue (`line.rs`).
        first: Option<u64>,
        now_wall_ms: u64,
        /// Without one, the messages are sent once they are on disk.
        woken: Option<Woken>,
        reply: Accepting,
    },
    Sent {
        runs: Vec<Run>,
        reply: Reply<()>,
    },
    Save {
        change: Box<SavedChange>,
        reply: Answer<Result<(), StateError>>,
    },
    Adopt {
        part: Box<Part>,
        reply: Reply<()>,
    },
    AdoptedSent {
        producer: Producer,
        run: Run,
        reply: Reply<()>,
    },
    /// The producer's mark was checked: changes the producer if needed, and removes messages that were sent.
    Confirm {
        renewed: Option<(Producer, u64)>,
        reply: Reply<()>,
    },
    Flush {
        reply: Reply<()>,
    },
}

impl Job {
    /// The change, if it only saves the state of the node.
    pub(super) fn saved(&self) -> Option<&SavedChange> {
        match self {
            Self::Save { change, .. } => Some(change),
            _ => None,
        }
    }

    /// The bytes of the messages in it.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Accept { messages, .. } => messages.bytes() as usize,
            _ => 0,
        }
    }
}
