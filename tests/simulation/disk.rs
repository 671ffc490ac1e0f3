//! What a host keeps on its disk under one node id: the contract of `engine::outbox`, without a disk.
//!
//! 1. What was accepted is there after a crash, with its place; a place is never given twice.
//! 2. A removal may be lost in a crash, if it is younger than a second; a cursor that was acknowledged is not.
//! 3. One process at a time holds it; a rename takes it along.
//!
//! Not here: sending and receiving (`messages.rs`), the real thing (`engine::outbox`, with tests of its own).

use crate::clock::{SECOND, Time};
use crate::message_checks::Log;
use crate::rng::Rng;
use clawster::cluster::ids::{MessageSeq, NodeId, Nonce};
use clawster::cluster::messages::inbox::{Kept, Place};
use clawster::cluster::messages::message::{Message, Outgoing, Producer};
use std::collections::{BTreeMap, VecDeque};

/// Whose disk it is: the host, and the node id that its store has.
pub(crate) type DiskKey = (usize, NodeId);

/// See the module's text.
#[derive(Debug)]
pub(crate) struct Disk {
    pub(crate) producer: Producer,
    pub(crate) accepted: u64,
    pub(crate) unsent: VecDeque<Outgoing>,
    removed: VecDeque<(Time, Outgoing)>,
    pub(crate) cursor: Option<(MessageSeq, String)>,
    /// What belongs to the cursor.
    pub(crate) place: Option<Place>,
    pub(crate) marks: BTreeMap<Producer, u64>,
    /// The process that has it open.
    pub(crate) holder: Option<usize>,
    /// What the client of this node saw; it outlives the node's processes.
    pub(crate) log: Log,
}

impl Disk {
    pub(crate) fn new(name: &str) -> Self {
        Self {
            producer: Nonce::new(name).expect("a nonce"),
            accepted: 0,
            unsent: VecDeque::new(),
            removed: VecDeque::new(),
            cursor: None,
            place: None,
            marks: BTreeMap::new(),
            holder: None,
            log: Log::default(),
        }
    }

    /// What an inbox takes from it.
    pub(crate) fn kept(&self) -> Kept {
        let (own, marks) = (vec![self.producer.clone()], self.marks.clone());
        Kept { own, marks, cursor: self.cursor.clone(), place: self.place.clone() }
    }

    /// Under which id the cursor is.
    pub(crate) fn cursor_of(&self) -> Option<NodeId> {
        self.place.as_ref().map(|place| place.owner.clone())
    }

    pub(crate) fn accept(&mut self, message: Message) {
        self.accepted += 1;
        self.unsent.push_back(Outgoing { producer_seq: self.accepted, message });
    }

    /// What waits behind `after`.
    pub(crate) fn next_batch(&self, after: u64, most: usize) -> Vec<Outgoing> {
        self.unsent.iter().filter(|message| message.producer_seq > after).take(most).cloned().collect()
    }

    /// The stream has everything up to this place.
    pub(crate) fn sent(&mut self, now: Time, up_to: u64) {
        while self.unsent.front().is_some_and(|message| message.producer_seq <= up_to) {
            let message = self.unsent.pop_front().expect("it is there");
            self.removed.push_back((now, message));
        }
        while self.removed.front().is_some_and(|(at, _)| now > at + SECOND) {
            self.removed.pop_front();
        }
    }

    /// The process that held it was killed. True: removals were lost.
    pub(crate) fn crash(&mut self, now: Time, rng: &mut Rng) -> bool {
        self.holder = None;
        let mut back = false;
        if rng.chance(500) {
            while let Some((at, message)) = self.removed.pop_back() {
                if now <= at + SECOND {
                    self.unsent.push_front(message);
                    back = true;
                }
            }
        }
        self.removed.clear();
        back
    }
}
