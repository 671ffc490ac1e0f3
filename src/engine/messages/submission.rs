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

/// The bytes that a message without names adds to its payload, with its generated id.
const EXPECTED_FRAME: usize = 56;

/// The messages of a call, ready to be accepted.
pub(crate) struct Submission {
    pub(crate) messages: Prepared,
    /// The members that they are sent to by name.
    pub(crate) recipients: BTreeSet<NodeId>,
}

/// Checks all drafts, fills in missing ids, and encodes them.
pub(crate) fn check(drafts: &[Draft]) -> Result<Submission, Error> {
    let lengths = drafts.iter().map(|draft| draft.payload.get().len() + EXPECTED_FRAME);
    let mut preparation = Preparation::expecting(lengths.sum());
    let mut all = BTreeSet::new();
    let mut generated: Option<Ids> = None;
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
            None => {
                let ids = match &mut generated {
                    Some(ids) => ids,
                    none => none.insert(Ids::new()?),
                };
                preparation.push(ids.another(), true, topic, to.as_deref(), payload);
            }
        }
        all.extend(to.into_iter().flatten());
    }
    Ok(Submission { messages: preparation.finish(), recipients: all })
}

/// New ids of 32 hexadecimal digits. Those of a call follow each other, so that the system is asked once for random numbers.
struct Ids(String);

impl Ids {
    fn new() -> Result<Self, Error> {
        Ok(Self(format!("{:032x}", u128::from_be_bytes(random_bytes()?))))
    }

    /// Counts up in the text, where mostly one digit changes.
    fn another(&mut self) -> &str {
        let kept = self.0.trim_end_matches('f').len();
        let zeros = self.0.len() - kept;
        self.0.truncate(kept);
        match self.0.pop() {
            Some('9') => self.0.push('a'),
            Some(digit) => self.0.push(char::from_u32(u32::from(digit) + 1).unwrap_or('0')),
            // After the last one comes the first one.
            None => {}
        }
        self.0.extend(std::iter::repeat_n('0', zeros));
        &self.0
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_a_call_count_up_and_keep_their_length() {
        let cases =
            [(0_u128, 1_u128), (9, 10), (0xf, 0x10), (0x19ff, 0x1a00), (u128::MAX >> 4, 1 << 124), (u128::MAX, 0)];
        for (before, after) in cases {
            let mut ids = Ids(format!("{before:032x}"));
            assert_eq!(ids.another(), format!("{after:032x}"));
        }
        let (mut ids, first) = (Ids(format!("{:032x}", 0x9f8_u128)), 0x9f8_u128);
        for at in 1..=5_000 {
            assert_eq!(ids.another(), format!("{:032x}", first + at));
        }
    }
}
