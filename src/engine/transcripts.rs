//! Copies of chat transcripts, for the gateway that takes an account of a channel over.
//!
//! 1. An append is repeated with the same nonce until it is answered, so that a lost answer doubles no item.
//!
//! Not here: the bounds of a copy (`crate::cluster::protocol`), what an item means (the gateway's plugin).

use super::error::Error;
use super::node::handle::{AppendRequest, Appended, Excerpt, Transcripts};
use super::node::running::RunningNode;
use super::store_calls::{Caller, known, nonce};
use crate::cluster::protocol::{
    AppendReply, AppendTranscript, ReadTranscript, TRANSCRIPT_BYTES, TRANSCRIPT_ITEM_BYTES, TranscriptPage,
};
use std::sync::Arc;

/// How many pages without a readable item are passed over; more of them are another program's fault.
const MOST_EMPTY_PAGES: usize = 8;

fn caller(node: &RunningNode) -> Caller {
    Caller { store: Arc::clone(&node.store), status: node.status.clone(), node: node.node.downgrade() }
}

/// The newest of the items that fit together into a copy: the others would be removed at once.
fn fitting(mut items: Vec<String>, keep_items: u32) -> Vec<String> {
    let mut bytes = 0;
    let fits = items.iter().rev().take(usize::try_from(keep_items).unwrap_or(usize::MAX)).take_while(|item| {
        bytes += item.len();
        bytes <= TRANSCRIPT_BYTES
    });
    let kept = fits.count();
    items.split_off(items.len() - kept)
}

impl Transcripts for RunningNode {
    async fn append_transcript(&self, request: AppendRequest) -> Result<Appended, Error> {
        let AppendRequest { session, items, keep_items, keep_for, restart } = request;
        if let Some(item) = items.iter().find(|item| item.len() > TRANSCRIPT_ITEM_BYTES) {
            return Err(Error::TooLarge { what: "an item", bytes: item.len(), max: TRANSCRIPT_ITEM_BYTES });
        }
        let (items, nonce) = (fitting(items, keep_items), nonce()?);
        let call = |instance| AppendTranscript {
            instance,
            session: session.clone(),
            items: items.clone(),
            keep_items,
            keep_for,
            restart,
            nonce: nonce.clone(),
        };
        let judge = |AppendReply { identity, position, kept }| known(identity, Appended { position, kept });
        caller(self).repeat(call, judge).await
    }

    async fn read_transcript(&self, request: ReadTranscript) -> Result<Excerpt, Error> {
        let caller = caller(self);
        let mut page: TranscriptPage = caller.repeat(|_| request.clone(), Ok).await?;
        let from_start = page.from_start;
        for _ in 0..MOST_EMPTY_PAGES {
            let (true, true, Some(last)) = (page.items.is_empty(), page.more, &page.last) else { break };
            let next = ReadTranscript { after: Some(last.clone()), ..request.clone() };
            page = caller.repeat(|_| next.clone(), Ok).await?;
        }
        Ok(Excerpt { items: page.items, from_start, more: page.more })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_items_that_would_stay_are_sent() {
        let items: Vec<String> = ["1", "2", "3"].map(str::to_owned).into();
        assert_eq!(fitting(items.clone(), 9), items);
        assert_eq!(fitting(items, 2), ["2", "3"]);
        let large: Vec<String> = (0..20).map(|_| "x".repeat(TRANSCRIPT_ITEM_BYTES)).collect();
        assert_eq!(fitting(large, 1000).len(), 16);
        assert_eq!(fitting(Vec::new(), 1), Vec::<String>::new());
    }
}
