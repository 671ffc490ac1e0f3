//! The transitions of copies of transcripts: append to one, read one.
//!
//! 1. A copy is bounded: by a number of items, by [`TRANSCRIPT_BYTES`], and by a time after the last append. The oldest items go first.
//! 2. A position names one item of one append, for ever: also after a restart of the copy, its expiry, or a loss of data, no other
//!    item gets it.
//! 3. An append that arrives twice with its nonce is done once.
//!
//! Not here: what an item means (the gateway's plugin; to the cluster it is JSON text).

use super::data_set::{Identity, Instance};
use crate::cluster::ids::{NodeId, Nonce};
use std::time::Duration;

/// The maximum size of all items of a copy in bytes; the newest item stays in any case.
pub const TRANSCRIPT_BYTES: usize = 1 << 20;

/// The maximum size of an item in bytes.
pub const TRANSCRIPT_ITEM_BYTES: usize = 64 << 10;

/// The maximum number of items of an append, and of a copy.
pub const TRANSCRIPT_ITEMS: (u64, u64) = (100, 1000);

/// Appends items to the copy of a session's transcript.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppendTranscript {
    /// The caller.
    pub instance: Instance,
    /// The key of the session: 1 to 512 bytes without control characters.
    pub session: String,
    /// The items, oldest first: JSON texts of objects, each of at most [`TRANSCRIPT_ITEM_BYTES`].
    pub items: Vec<String>,
    /// How many items the copy keeps, at least 1.
    pub keep_items: u32,
    /// The copy expires this long after the call.
    pub keep_for: Duration,
    /// Whether everything that the copy held is removed first.
    pub restart: bool,
    /// The same in a repeated call.
    pub nonce: Nonce,
}

/// The answer to [`AppendTranscript`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppendReply {
    /// Whether the store knows the caller; otherwise nothing happened.
    pub identity: Identity,
    /// The position of the newest item; `None`: the copy is empty.
    pub position: Option<String>,
    /// How many items the copy holds.
    pub kept: u64,
}

/// Reads items of the copy of a session's transcript, oldest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadTranscript {
    /// The key of the session.
    pub session: String,
    /// Only items behind this position; `None`, or one that the copy does not hold: all.
    pub after: Option<String>,
    /// The maximum number of items.
    pub limit: u32,
}

/// The answer to [`ReadTranscript`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TranscriptPage {
    /// Whether the items begin with the oldest of the copy.
    pub from_start: bool,
    /// Whether there are more behind them.
    pub more: bool,
    /// Where reading goes on, also when no item of the page could be read; `None`: nothing was looked at.
    pub last: Option<String>,
    /// The items.
    pub items: Vec<TranscriptItem>,
}

/// An item of a copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TranscriptItem {
    /// Its position.
    pub position: String,
    /// The node that appended it.
    pub node_id: NodeId,
    /// JSON text of an object.
    pub item: String,
}

/// A transition of copies of transcripts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TranscriptCall {
    /// See [`AppendTranscript`].
    Append(AppendTranscript),
    /// See [`ReadTranscript`].
    Read(ReadTranscript),
}

/// The store's answer to a [`TranscriptCall`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TranscriptReply {
    /// To [`AppendTranscript`].
    Appended(AppendReply),
    /// To [`ReadTranscript`].
    Read(TranscriptPage),
}
