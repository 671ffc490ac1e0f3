//! Encoding messages for the file, and decoding them.
//!
//! 1. The caller encodes messages, not the writer.
//! 2. An id uses at most [`LONGEST_KEY`] bytes in the file, however long it is.
//!
//! Not here: detecting duplicates (`transaction.rs`).

use super::tables::UNSENT;
use crate::cluster::messages::message::{Message, Outgoing};
use crate::engine::state_dir::StateError;
use redb::{Database, ReadableDatabase};
use std::path::Path;

/// A message to accept.
#[derive(Debug, Clone)]
pub struct Drafted {
    /// The message, with its id filled in.
    pub message: Message,
    /// Whether the id was generated here: then it is not remembered.
    pub generated_id: bool,
}

/// A message as it is stored in the file.
#[derive(Debug)]
pub(super) struct Prepared {
    /// The key by which its id is remembered; `None` for a generated id.
    pub(super) key: Option<String>,
    pub(super) json: Vec<u8>,
}

/// The maximum length of a key. A longer id is replaced by its beginning, its length and a hash.
const LONGEST_KEY: usize = 256;

pub(super) fn prepare(drafts: &[Drafted], path: &Path) -> Result<Vec<Prepared>, StateError> {
    let prepare = |draft: &Drafted| {
        let json = serde_json::to_vec(&draft.message).map_err(|error| StateError::Io {
            path: path.to_owned(),
            detail: format!("a message cannot be written as JSON: {error}"),
            remedy: "report this as a defect",
            full: false,
        })?;
        Ok(Prepared { key: (!draft.generated_id).then(|| key(&draft.message.id)), json })
    };
    drafts.iter().map(prepare).collect()
}

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

pub(super) fn read_batch(
    database: &Database,
    after: u64,
    max_messages: usize,
    max_bytes: usize,
) -> Result<Vec<Outgoing>, redb::Error> {
    let Some(first) = after.checked_add(1) else { return Ok(Vec::new()) };
    let table = database.begin_read()?.open_table(UNSENT)?;
    let mut batch = Vec::new();
    let mut bytes = 0usize;
    for row in table.range(first..)? {
        let (seq, json) = row?;
        bytes = bytes.saturating_add(json.value().len());
        if batch.len() >= max_messages || (bytes > max_bytes && !batch.is_empty()) {
            break;
        }
        match serde_json::from_slice(json.value()) {
            Ok(message) => batch.push(Outgoing { producer_seq: seq.value(), message }),
            // The message stays in the file for analysis; blocking all later messages would be worse.
            Err(error) => {
                tracing::error!(seq = seq.value(), %error, "cannot read an unsent message in the outbox; it is skipped and not sent")
            }
        }
    }
    Ok(batch)
}
