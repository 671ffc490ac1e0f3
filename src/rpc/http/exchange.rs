//! What a connection and the answer to its request share: the deadline, and what waits for the answer to be written.
//!
//! Not here: serving the connection (`connection.rs`).

use crate::clock;
use crate::cluster::time::Moment;
use crate::rpc::budget::Held;
use crate::rpc::outgoing::AfterWrite;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, watch};

/// How long a connection may take, from its beginning to the last byte of the answer.
pub(super) const CONNECTION_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the answer of a call may take to be read.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// What a connection and the answer to its request share.
pub(super) struct Exchange {
    /// The client's address.
    pub(super) peer: SocketAddr,
    /// Becomes true when the server stops.
    pub(super) stop: watch::Receiver<bool>,
    deadline: watch::Sender<Option<Moment>>,
    has_place: AtomicBool,
    after: Mutex<AfterAnswer>,
}

#[derive(Default)]
struct AfterAnswer {
    actions: Vec<AfterWrite>,
    /// Kept until the answer is written.
    _held: Vec<Held>,
    _place: Option<OwnedSemaphorePermit>,
}

impl Exchange {
    pub(super) fn new(peer: SocketAddr, stop: watch::Receiver<bool>) -> Self {
        Self {
            peer,
            stop,
            deadline: watch::Sender::new(Some(clock::now() + CONNECTION_TIMEOUT)),
            has_place: AtomicBool::new(false),
            after: Mutex::default(),
        }
    }

    /// Whether the connection got a place of its own, and is not closed to make room for others.
    pub(super) fn has_place(&self) -> bool {
        self.has_place.load(Ordering::Relaxed)
    }

    /// Gives the connection a place of its own, without a deadline.
    pub(super) fn stay(&self) {
        self.has_place.store(true, Ordering::Relaxed);
        self.deadline.send_replace(None);
    }

    /// Takes what must be kept or done until and after the answer has been written, and sets the deadline for that.
    pub(super) fn answered(&self, actions: Vec<AfterWrite>, held: Vec<Held>, place: OwnedSemaphorePermit) {
        *self.after.lock().unwrap_or_else(PoisonError::into_inner) =
            AfterAnswer { actions, _held: held, _place: Some(place) };
        self.deadline.send_replace(Some(clock::now() + ANSWER_TIMEOUT));
    }

    /// Waits for the deadline; for ever while there is none.
    pub(super) async fn deadline(&self) {
        let mut deadline = self.deadline.subscribe();
        loop {
            let at = *deadline.borrow_and_update();
            let passed = async {
                match at {
                    Some(at) => tokio::time::sleep(at.since(clock::now())).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = passed => return,
                changed = deadline.changed() => if changed.is_err() { return },
            }
        }
    }

    /// Runs what waited: the answer has been written.
    pub(super) fn written(&self) {
        let after = std::mem::take(&mut *self.after.lock().unwrap_or_else(PoisonError::into_inner));
        after.actions.into_iter().for_each(AfterWrite::written);
    }
}
