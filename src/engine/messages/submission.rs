//! Checks the messages that a client wants to send, and reports afterwards what happened to them.
//!
//! 1. One bad message refuses the whole call; nothing of it is kept.

use super::outbox::{Accepted, Drafted};
use super::progress::Progress;
use crate::cluster::ids::{MessageSeq, NodeId};
use crate::cluster::messages::message::Message;
use crate::cluster::settings::MAX_MESSAGE_BYTES;
use crate::engine::error::Error;
use crate::engine::node::handle::Draft;
use crate::engine::store_calls::nonce;

/// The minimum number of bytes that a message adds to its payload and id as JSON.
const FRAME: usize = 20;

/// Checks all drafts and fills in missing ids.
pub(crate) fn check(drafts: &[Draft]) -> Result<Vec<Drafted>, Error> {
    drafts.iter().enumerate().map(|(index, draft)| one(index, draft)).collect()
}

fn one(index: usize, draft: &Draft) -> Result<Drafted, Error> {
    let text = |t: &Option<String>| t.as_ref().map_or(0, String::len);
    let bytes = draft.payload.get().len() + text(&draft.id) + text(&draft.topic) + FRAME;
    if bytes > MAX_MESSAGE_BYTES {
        return Err(Error::MessageTooLarge { index, bytes, max: MAX_MESSAGE_BYTES });
    }
    let to = match &draft.to {
        None => None,
        Some(names) => Some(recipients(names)?),
    };
    let id = match &draft.id {
        Some(id) => id.clone(),
        None => generated()?,
    };
    let message = Message { id, topic: draft.topic.clone(), to, payload: draft.payload.clone() };
    Ok(Drafted { message, generated_id: draft.id.is_none() })
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

fn generated() -> Result<String, Error> {
    nonce().map(|nonce| nonce.to_string())
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
        for one in accepted {
            let entry = match one {
                Accepted::New { producer_seq } if *producer_seq <= reached => {
                    sent.published += 1;
                    progress.place(*producer_seq)
                }
                Accepted::New { .. } => {
                    sent.queued += 1;
                    None
                }
                Accepted::Duplicate { producer_seq, entry } => {
                    sent.duplicates += 1;
                    entry.or_else(|| progress.place(*producer_seq))
                }
            };
            sent.entries.push(entry);
        }
        sent
    }
}
