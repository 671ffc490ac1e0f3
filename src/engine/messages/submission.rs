//! Checks the messages that a client wants to send, and reports afterwards what happened to them.
//!
//! 1. One bad message refuses the whole call; nothing of it is kept.

use super::outbox::{Accepted, Preparation, Prepared};
use super::progress::Progress;
use crate::cluster::ids::{MessageSeq, NodeId};
use crate::cluster::settings::MAX_MESSAGE_BYTES;
use crate::engine::error::Error;
use crate::engine::node::handle::Draft;
use crate::engine::store_calls::random_bytes;
use std::collections::BTreeSet;

/// The minimum number of bytes that a message adds to its payload and id as JSON.
const FRAME: usize = 20;

/// The messages of a call, ready to be accepted.
pub(crate) struct Submission {
    pub(crate) messages: Prepared,
    /// The members that they are sent to by name.
    pub(crate) recipients: BTreeSet<NodeId>,
}

/// Checks all drafts, fills in missing ids, and encodes them.
pub(crate) fn check(drafts: &[Draft]) -> Result<Submission, Error> {
    let mut preparation = Preparation::default();
    let mut all = BTreeSet::new();
    let mut generated = generated(drafts.iter().filter(|draft| draft.id.is_none()).count())?;
    for (index, draft) in drafts.iter().enumerate() {
        let text = |t: &Option<String>| t.as_ref().map_or(0, String::len);
        let bytes = draft.payload.get().len() + text(&draft.id) + text(&draft.topic) + FRAME;
        if bytes > MAX_MESSAGE_BYTES {
            return Err(Error::MessageTooLarge { index, bytes, max: MAX_MESSAGE_BYTES });
        }
        let to = draft.to.as_ref().map(|names| recipients(names)).transpose()?;
        let (topic, payload) = (draft.topic.as_deref(), &draft.payload);
        match &draft.id {
            Some(id) => preparation.push(id, false, topic, to.as_deref(), payload),
            None => preparation.push(&generated.next().unwrap_or_default(), true, topic, to.as_deref(), payload),
        }
        all.extend(to.into_iter().flatten());
    }
    Ok(Submission { messages: preparation.finish(), recipients: all })
}

/// New ids. Those of a call follow each other, so that the system is asked once.
fn generated(count: usize) -> Result<impl Iterator<Item = String>, Error> {
    let first = if count == 0 { 0 } else { u128::from_be_bytes(random_bytes()?) };
    Ok((0..count as u128).map(move |at| format!("{:032x}", first.wrapping_add(at))))
}

fn recipients(names: &[String]) -> Result<Vec<NodeId>, Error> {
    let known = |name: &String| NodeId::new(name.as_str()).map_err(|_| name.chars().take(80).collect::<String>());
    let (mut good, mut bad) = (Vec::new(), Vec::new());
    for name in names {
        match known(name) {
            Ok(id) => good.push(id),
            Err(name) => bad.push(name),
        }
    }
    // A text that cannot be a node id is not a member either.
    if bad.is_empty() { Ok(good) } else { Err(Error::UnknownNode { names: bad }) }
}

/// What happened to the messages of a call.
#[derive(Debug, Default)]
pub(crate) struct Sent {
    pub(crate) published: usize,
    pub(crate) duplicates: usize,
    pub(crate) queued: usize,
    pub(crate) entries: Vec<Option<MessageSeq>>,
}

impl Sent {
    pub(crate) fn of(accepted: &[Accepted], progress: &Progress) -> Self {
        let mut sent = Self::default();
        let reached = progress.sent();
        let mut places = progress.places();
        sent.entries.reserve(accepted.len());
        for one in accepted {
            let entry = match one {
                Accepted::New { producer_seq } if *producer_seq <= reached => {
                    sent.published += 1;
                    places.place(*producer_seq)
                }
                Accepted::New { .. } => {
                    sent.queued += 1;
                    None
                }
                Accepted::Duplicate { producer_seq, entry } => {
                    sent.duplicates += 1;
                    entry.or_else(|| places.place(*producer_seq))
                }
            };
            sent.entries.push(entry);
        }
        sent
    }
}
