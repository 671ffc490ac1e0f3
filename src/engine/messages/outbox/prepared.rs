//! The messages of a call as they are written to the file and to the stream.
//!
//! 1. The caller encodes and packs messages, not the writer; nothing parses or encodes them again on their way to the stream.
//! 2. An id uses at most [`LONGEST_KEY`] bytes in the file, however long it is. A generated id is not remembered.
//!
//! Not here: detecting duplicates (`transaction.rs`).

use super::Accepted;
use crate::cluster::ids::NodeId;
use crate::cluster::messages::packing::{Packer, write_message};
use crate::cluster::protocol::Packed;
use serde_json::value::RawValue;

/// Packs the messages of a call, one after the other.
#[derive(Debug, Default)]
pub struct Preparation {
    packer: Packer,
    keys: Vec<(usize, String)>,
    count: usize,
}

impl Preparation {
    /// For messages of about this many bytes in all.
    pub fn expecting(bytes: usize) -> Self {
        Self { packer: Packer::expecting(bytes), ..Self::default() }
    }

    /// Adds a message. `generated_id`: its id was generated here, so no later message can have it.
    pub fn push(
        &mut self,
        id: &str,
        generated_id: bool,
        topic: Option<&str>,
        to: Option<&[NodeId]>,
        payload: &RawValue,
    ) {
        if !generated_id {
            self.keys.push((self.count, key(id)));
        }
        self.packer.push(self.count as u64, |out| write_message(out, id, topic, to, payload));
        self.count += 1;
    }

    /// The packed messages.
    #[must_use]
    pub fn finish(self) -> Prepared {
        Prepared { entries: self.packer.finish(), keys: self.keys, count: self.count }
    }
}

/// The messages of a call, to be accepted as a whole.
#[derive(Debug, Default)]
pub struct Prepared {
    /// Their sequences count from 0 within the call.
    pub(super) entries: Vec<Packed>,
    /// The places of the messages whose ids are remembered, and the keys by which they are.
    pub(super) keys: Vec<(usize, String)>,
    pub(super) count: usize,
}

impl Prepared {
    /// The bytes of the messages.
    pub(super) fn bytes(&self) -> u64 {
        self.entries.iter().map(Packed::message_bytes).sum()
    }

    /// A copy of the entries, with sequences from here on.
    pub(super) fn numbered(&self, first: u64) -> Vec<Packed> {
        self.entries.iter().map(|entry| Packed { first: first + entry.first, ..entry.clone() }).collect()
    }

    /// The entries of the messages that are new by this plan; their sequences count from 0.
    pub(super) fn into_new(self, plan: &[Accepted]) -> Vec<Packed> {
        let is_new = |accepted: &Accepted| matches!(accepted, Accepted::New { .. });
        if plan.iter().all(is_new) {
            return self.entries;
        }
        let mut next = 0;
        let mut rest = Vec::with_capacity(self.entries.len());
        for entry in self.entries {
            let kept = entry.only(next, |at| plan.get((entry.first + at) as usize).is_some_and(is_new));
            next += kept.as_ref().map_or(0, |kept| kept.count);
            rest.extend(kept);
        }
        rest
    }
}

/// The maximum length of a key. A longer id is replaced by its beginning, its length and a hash.
const LONGEST_KEY: usize = 256;

fn key(id: &str) -> String {
    if id.len() <= LONGEST_KEY {
        return id.to_owned();
    }
    // FNV-1a over 128 bits: the same in every release. Only a client itself could make two of its own ids collide.
    let mut hash = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d_u128;
    for byte in id.bytes() {
        hash = (hash ^ u128::from(byte)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b);
    }
    let beginning: String = id.chars().take(32).collect();
    format!("{beginning}\0{}\0{hash:032x}", id.len())
}
