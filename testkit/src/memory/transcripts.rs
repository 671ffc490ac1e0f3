//! Copies of transcripts: the counterpart of `scripts/transcripts/`.
//!
//! 1. Ids rise within a copy, also across a restart of it and when the clock goes back; they begin anew once it has expired.

use super::state::Step;
use clawster::cluster::ids::Nonce;
use clawster::cluster::protocol::{
    AppendReply, AppendTranscript, Identity, ReadTranscript, TRANSCRIPT_BYTES, TranscriptCall, TranscriptItem,
    TranscriptPage, TranscriptReply,
};
use clawster::cluster::time::ServerTime;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// How long the answer to an append is kept for a repeated one.
const ANSWER_KEPT_FOR: Duration = Duration::from_mins(1);
/// How many bytes of items a page has.
const PAGE_BYTES: usize = 2 << 20;

/// A copy.
#[derive(Debug, Clone, Default)]
struct Copied {
    items: VecDeque<TranscriptItem>,
    /// Of the newest item that it ever held: the server's time, and a number among those of that time.
    last_id: (u64, u64),
    expires: ServerTime,
}

impl Copied {
    fn bytes(&self) -> usize {
        self.items.iter().map(|item| item.item.len()).sum()
    }

    fn next_id(&mut self, now: ServerTime) -> (u64, u64) {
        let (at, number) = self.last_id;
        self.last_id = if now.0 > at { (now.0, 0) } else { (at, number + 1) };
        self.last_id
    }
}

/// All copies.
#[derive(Debug, Clone, Default)]
pub(super) struct Transcripts {
    copies: BTreeMap<String, Copied>,
    /// The position and the number of items after an append, and until when that is known.
    done: BTreeMap<Nonce, (Option<String>, u64, ServerTime)>,
}

impl Step<'_> {
    pub(super) fn transcript(&mut self, call: &TranscriptCall) -> TranscriptReply {
        let now = self.now;
        self.data.transcripts.copies.retain(|_, copy| copy.expires > now);
        self.data.transcripts.done.retain(|_, (_, _, until)| *until > now);
        match call {
            TranscriptCall::Append(append) => TranscriptReply::Appended(self.append_transcript(append)),
            TranscriptCall::Read(read) => TranscriptReply::Read(self.read_transcript(read)),
        }
    }

    fn append_transcript(&mut self, append: &AppendTranscript) -> AppendReply {
        self.guard_stall();
        let identity = self.identify(&append.instance, "");
        if identity != Identity::Ok {
            return AppendReply { identity, position: None, kept: 0 };
        }
        let (now, all) = (self.now, &mut self.data.transcripts);
        if let Some((position, kept, _)) = all.done.get(&append.nonce) {
            return AppendReply { identity, position: position.clone(), kept: *kept };
        }
        let copy = all.copies.entry(append.session.clone()).or_default();
        if append.restart {
            copy.items.clear();
        }
        let tag: String = append.nonce.as_str().chars().take(8).collect();
        for item in &append.items {
            let (at, number) = copy.next_id(now);
            let position = format!("{at}-{number}-{tag}");
            let node_id = append.instance.node_id.clone();
            copy.items.push_back(TranscriptItem { position, node_id, item: item.clone() });
        }
        let most = usize::try_from(append.keep_items).unwrap_or(usize::MAX);
        while copy.items.len() > 1 && (copy.items.len() > most || copy.bytes() > TRANSCRIPT_BYTES) {
            copy.items.pop_front();
        }
        copy.expires = now.plus(append.keep_for);
        let (position, kept) = (copy.items.back().map(|item| item.position.clone()), copy.items.len() as u64);
        all.done.insert(append.nonce.clone(), (position.clone(), kept, now.plus(ANSWER_KEPT_FOR)));
        AppendReply { identity, position, kept }
    }

    fn read_transcript(&self, read: &ReadTranscript) -> TranscriptPage {
        let none = VecDeque::new();
        let items = self.data.transcripts.copies.get(&read.session).map_or(&none, |copy| &copy.items);
        let there = |after: &String| items.iter().position(|item| item.position == *after);
        let behind = read.after.as_ref().and_then(there);
        let limit = usize::try_from(read.limit).unwrap_or(usize::MAX);
        let first = behind.map_or(0, |at| at + 1);
        let (mut page, mut bytes) = (Vec::new(), 0);
        for item in items.iter().skip(first).take(limit) {
            bytes += item.item.len();
            if bytes > PAGE_BYTES && !page.is_empty() {
                break;
            }
            page.push(item.clone());
        }
        let more = first + page.len() < items.len();
        let last = page.last().map(|item| item.position.clone());
        TranscriptPage { from_start: behind.is_none(), more, last, items: page }
    }
}
