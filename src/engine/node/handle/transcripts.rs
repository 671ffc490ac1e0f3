//! Copies of transcripts, as the outer layers use them.
//!
//! Not here: the work itself (`crate::engine::transcripts`).

use crate::cluster::protocol::{ReadTranscript, TranscriptItem};
use crate::engine::error::Error;
use std::time::Duration;

/// Items to append to the copy of a session's transcript; the fields are those of [`crate::cluster::protocol::AppendTranscript`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppendRequest {
    /// The key of the session.
    pub session: String,
    /// The items, oldest first: JSON texts of objects, whose size is not checked yet.
    pub items: Vec<String>,
    /// How many items the copy keeps, at least 1.
    pub keep_items: u32,
    /// The copy expires this long after the call.
    pub keep_for: Duration,
    /// Whether everything that the copy held is removed first.
    pub restart: bool,
}

/// A copy after an append.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Appended {
    /// The position of the newest item; `None`: the copy is empty.
    pub position: Option<String>,
    /// How many items the copy holds.
    pub kept: u64,
}

/// A part of a copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excerpt {
    /// The items, oldest first.
    pub items: Vec<TranscriptItem>,
    /// Whether they begin with the oldest item of the copy.
    pub from_start: bool,
    /// Whether there are more behind them.
    pub more: bool,
}

/// The part of a node that keeps copies of transcripts.
pub trait Transcripts: Send + Sync + 'static {
    /// Appends items to a copy.
    fn append_transcript(&self, request: AppendRequest) -> impl Future<Output = Result<Appended, Error>> + Send;
    /// Reads items of a copy.
    fn read_transcript(&self, request: ReadTranscript) -> impl Future<Output = Result<Excerpt, Error>> + Send;
}
