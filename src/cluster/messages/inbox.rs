//! The messages that a node has read from the stream and its clients have not acknowledged.
//!
//! 1. (S1) Positions are contiguous: a hole between two entries is a gap, and a gap is reported until it is acknowledged.
//! 2. (S2) A message is offered again until it is acknowledged, and never after that. A producer's message is taken once,
//!    even if it is in the stream twice after a loss of data. A node is not offered its own messages.
//! 3. (S3) Messages are offered in the order of their positions.
//! 4. The memory is bounded; reading pauses while [`Inbox::is_full`].
//! 5. A new data set may hold messages of the one before, such as all that a failover kept: they are read before the rest counts as lost.
//!
//! Not here: reading the stream (`crate::engine::stream_reader`), saving the cursor on disk
//! (`crate::engine::messages::outbox`).

mod data_sets;
mod kept;
mod marks;
mod offer;
mod passed;

pub use kept::Kept;
pub use offer::{BeyondOffered, Offer};
pub use passed::{Passed, Place};

use super::content::Content;
use super::message::{Gap, Producer, Received};
use super::packing::MAX_ENTRY_BYTES;
use crate::cluster::ids::{MessageSeq, NodeId};
use crate::cluster::protocol::{DataSet, Entry};
use std::collections::{BTreeMap, VecDeque};

/// The maximum number of messages in memory before reading pauses.
const MAX_MESSAGES: usize = 16_384;
/// The maximum number of bytes of payload in memory before reading pauses.
const MAX_BYTES: usize = 8 << 20;
/// The maximum number of places where numbers were left out that are remembered, as in `scripts/messages/publish.lua`.
const MAX_LEFT_OUT: usize = 17;
/// The bytes that a message counts in addition to its payload.
const OVERHEAD: usize = 160;

#[derive(Debug, Clone)]
enum Item {
    Gap(Gap),
    Message { received: Received, producer: Producer, own: u64 },
}

impl Item {
    fn last(&self) -> MessageSeq {
        match self {
            Self::Gap(gap) => gap.to,
            Self::Message { received, .. } => received.seq,
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Gap(_) => 0,
            Self::Message { received, .. } => received.message.bytes() + OVERHEAD,
        }
    }
}

/// The inbox; see the head of this file.
#[derive(Debug)]
pub struct Inbox {
    ids: Vec<NodeId>,
    /// The producers of this node's own messages.
    own: Vec<Producer>,
    epoch: String,
    /// Messages up to here are from earlier data sets: what the stream does not hold of them is lost.
    begins: MessageSeq,
    /// Where the gap before `begins` starts at the latest.
    doubted: Option<MessageSeq>,
    /// Where numbers were left out in this data set, oldest first: it holds no message after the first position and up to the second.
    left_out: Vec<(MessageSeq, MessageSeq)>,
    read: MessageSeq,
    acknowledged: MessageSeq,
    offered: MessageSeq,
    /// Set until the first offer after a restart: a client may acknowledge what an earlier process offered.
    earlier: Option<MessageSeq>,
    items: VecDeque<Item>,
    bytes: usize,
    /// Where receiving began under these ids.
    began: MessageSeq,
    passed: Vec<Passed>,
    before: Option<passed::Before>,
    /// Up to here the stream is read a second time, or past the marks of another id: entries up to here do not show what is
    /// new.
    unmarked: MessageSeq,
    marks: marks::Marks,
}

impl Inbox {
    /// An inbox that continues after `cursor`. `marks` are the producers' sequences that earlier processes acknowledged.
    #[must_use]
    pub fn new(
        ids: Vec<NodeId>,
        producer: Producer,
        cursor: MessageSeq,
        data: &DataSet,
        marks: BTreeMap<Producer, u64>,
    ) -> Self {
        Self {
            ids,
            own: vec![producer],
            epoch: data.epoch.clone(),
            begins: data.message_start,
            doubted: None,
            left_out: Vec::new(),
            read: cursor,
            acknowledged: cursor,
            offered: cursor,
            earlier: Some(MessageSeq(data.numbers.message)),
            items: VecDeque::new(),
            bytes: 0,
            began: cursor,
            passed: Vec::new(),
            before: None,
            unmarked: MessageSeq(0),
            marks: marks::Marks::new(marks),
        }
    }

    /// The epoch of the data set that is read.
    #[must_use]
    pub fn epoch(&self) -> &str {
        &self.epoch
    }

    /// The position up to which the stream was read.
    #[must_use]
    pub fn read(&self) -> MessageSeq {
        self.read
    }

    /// The position up to which clients acknowledged.
    #[must_use]
    pub fn acknowledged(&self) -> MessageSeq {
        self.acknowledged
    }

    /// The number of unacknowledged messages of this data set up to `newest`. Positions before its beginning count as far as messages
    /// were found there: between two data sets the sequence numbers jump by as much as the clock.
    #[must_use]
    pub fn lag(&self, newest: MessageSeq) -> u64 {
        let from = self.acknowledged.max(self.begins).0;
        let remains = if self.acknowledged < self.begins { self.remains() } else { 0 };
        let empty = |(after, to): &(MessageSeq, MessageSeq)| to.0.min(newest.0).saturating_sub(after.0.max(from));
        remains + newest.0.saturating_sub(from).saturating_sub(self.left_out.iter().map(empty).sum())
    }

    /// Whether reading should pause.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.items.len() >= MAX_MESSAGES || self.bytes >= MAX_BYTES
    }

    /// The number of waiting messages and gaps.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.items.len()
    }

    /// Whether no message waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Sets the ids that messages to this node may carry, the current one first.
    pub fn set_ids(&mut self, ids: Vec<NodeId>) {
        self.ids = ids;
    }

    fn push_gap(&mut self, mut gap: Gap) {
        if gap.to <= self.acknowledged {
            return;
        }
        if gap.from <= self.acknowledged {
            gap.from = self.acknowledged.next();
            gap.count = gap.count.map(|_| gap.to.0 - self.acknowledged.0);
        }
        // Between two gaps that do not touch there are messages for other nodes, which are not missing.
        if let Some(Item::Gap(last)) = self.items.back_mut()
            && last.to.next() == gap.from
        {
            last.to = gap.to;
            last.count = last.count.zip(gap.count).map(|(a, b)| a + b);
        } else {
            self.items.push_back(Item::Gap(gap));
        }
    }

    /// Whether an entry follows what was read without a hole. If not, read the data set first, because a hole may mean a
    /// new epoch.
    #[must_use]
    pub fn follows(&self, entry: &Entry) -> bool {
        entry.last.0.saturating_sub(entry.count) <= self.read.0
    }

    /// The entry that ends at `last` cannot be read: its messages are lost for this node, and that is reported as a gap.
    pub fn mark_lost(&mut self, last: MessageSeq) {
        if last > self.begins {
            self.give_up_remains();
        }
        if last > self.read {
            self.push_gap(Gap { from: self.read.next(), to: last, count: self.hole(last.0) });
            self.read = last;
        }
    }

    /// Takes an entry of the stream; returns how many of its messages are new and for this node: they are the [`newest`](Self::newest).
    pub fn take(&mut self, entry: &Entry) -> usize {
        if entry.last <= self.read {
            return 0;
        }
        let before_first = entry.last.0.saturating_sub(entry.count);
        if before_first >= self.begins.0 {
            self.give_up_remains();
        }
        if let Some(after) = entry.after.filter(|after| after.0 < before_first && before_first > self.read.0) {
            // Sequence numbers were left out: the messages before them are missing, they are not.
            self.mark_lost(after);
            if self.seeks_remains() {
                // Somebody who saw one of these numbers may have begun the data set that is read for.
                self.push_gap(Gap { from: self.read.next(), to: MessageSeq(before_first), count: None });
            }
            self.left_out.drain(..(self.left_out.len() + 1).saturating_sub(MAX_LEFT_OUT));
            self.left_out.push((after, MessageSeq(before_first)));
            self.read = MessageSeq(before_first);
        }
        if before_first > self.read.0 {
            let gap = Gap { from: self.read.next(), to: MessageSeq(before_first), count: self.hole(before_first) };
            self.push_gap(gap);
            self.read = MessageSeq(before_first);
        }
        if self.is_own(entry) && self.is_later_than_all(before_first) {
            // Nothing in it is for this node: it need not be taken apart.
            self.marks.read(&entry.producer, entry.first_own.saturating_add(entry.count).saturating_sub(1));
            self.read = entry.last;
            return 0;
        }
        let messages = Content::read(&entry.body).unwrap_or_default();
        if messages.len() as u64 != entry.count {
            // Clawster did not write this entry: its positions are lost, and that is reported.
            self.mark_lost(entry.last);
            return 0;
        }
        let waiting = self.items.len();
        for (offset, message) in (0..).zip(messages) {
            let seq = MessageSeq(before_first + 1 + offset);
            if seq > self.read {
                self.take_message(entry, seq, entry.first_own.saturating_add(offset), message);
            }
        }
        self.read = entry.last;
        self.keep_alone(waiting, entry.body.len());
        self.items.len() - waiting
    }

    fn take_message(&mut self, entry: &Entry, seq: MessageSeq, own: u64, message: Content) {
        if seq > self.unmarked && self.marks.has_read(&entry.producer, own) {
            return;
        }
        self.marks.read(&entry.producer, own);
        let again = seq <= self.unmarked && message.to().is_none() && self.marks.had_before(&entry.producer, own);
        if again || seq <= self.acknowledged || self.has_passed(seq, &message) {
            self.marks.acknowledge(&entry.producer, own);
            return;
        }
        let meant = message.to().is_none_or(|to| to.iter().any(|id| self.ids.contains(id)));
        if self.is_own(entry) || !meant {
            return;
        }
        let received = Received { seq, from: entry.from.clone(), sent_at: entry.at, message };
        let item = Item::Message { received, producer: entry.producer.clone(), own };
        self.bytes += item.bytes();
        self.items.push_back(item);
    }

    /// Copies the messages from `first` on, which share a text of `bytes`, where they are less than half of it. So the texts in memory are at
    /// most twice the messages' own, and the part of one entry that is acknowledged already. Clawster's own entries with several messages are
    /// no larger than [`MAX_ENTRY_BYTES`]; those of an entry that is larger are copied.
    fn keep_alone(&mut self, first: usize, bytes: usize) {
        let own = |item: &Item| match item {
            Item::Message { received, .. } => received.message.bytes(),
            Item::Gap(_) => 0,
        };
        let too_large = bytes > MAX_ENTRY_BYTES && self.items.len() > first + 1;
        if too_large || self.items.range(first..).map(own).sum::<usize>() * 2 < bytes {
            for item in self.items.range_mut(first..) {
                if let Item::Message { received, .. } = item {
                    received.message = received.message.alone();
                }
            }
        }
    }

    /// The newest waiting messages, newest first; gaps between them do not count.
    pub fn newest(&self, count: usize) -> impl Iterator<Item = &Received> {
        let messages = self.items.iter().rev().filter_map(|item| match item {
            Item::Message { received, .. } => Some(received),
            Item::Gap(_) => None,
        });
        messages.take(count)
    }

    /// Acknowledges everything up to `cursor`; an older cursor changes nothing. True if the cursor moved.
    ///
    /// # Errors
    /// [`BeyondOffered`] when the cursor is beyond what was offered.
    pub fn acknowledge(&mut self, cursor: MessageSeq) -> Result<bool, BeyondOffered> {
        if cursor <= self.acknowledged {
            return Ok(false);
        }
        if cursor > self.offered && self.acknowledge_before(cursor) {
            return Ok(true);
        }
        if cursor > self.offered && self.earlier.is_none_or(|head| cursor > head) {
            return Err(BeyondOffered { asked: cursor, offered: self.offered });
        }
        self.acknowledged = cursor;
        self.offered = self.offered.max(cursor);
        self.drop_acknowledged();
        // An earlier process may have offered messages beyond what was read: reading continues where it was, so that the
        // marks of their producers are not missed, and takes nothing that is already acknowledged.
        Ok(true)
    }

    /// Removes acknowledged messages, and remembers the producers' sequences in them.
    fn drop_acknowledged(&mut self) {
        let cursor = self.acknowledged;
        while self.items.front().is_some_and(|item| item.last() <= cursor) {
            let Some(item) = self.items.pop_front() else { break };
            self.bytes = self.bytes.saturating_sub(item.bytes());
            if let Item::Message { received, producer, own } = item {
                self.marks.acknowledge(&producer, own);
                if received.message.to().is_none() {
                    self.marks.have(&producer, own, received.seq <= self.begins);
                }
            }
        }
        // A gap that nobody has been told of yet is told whole.
        if let Some(Item::Gap(gap)) = self.items.front_mut()
            && gap.from <= cursor
            && gap.to <= self.offered
        {
            gap.from = cursor.next();
            gap.count = gap.count.map(|_| gap.to.0 - cursor.0);
        }
    }

    /// Acknowledges what was read if no message waits: then it was only this node's own messages and those for others. So a
    /// sender that never receives does not hold up trimming. True if the cursor moved.
    pub fn pass_over(&mut self) -> bool {
        let moves = self.items.is_empty() && self.read > self.acknowledged;
        if moves {
            self.acknowledged = self.read;
            self.offered = self.offered.max(self.read);
        }
        moves
    }

    /// Takes back marks that could not be saved.
    pub fn return_marks(&mut self, marks: BTreeMap<Producer, u64>) {
        self.marks.return_fresh(marks);
    }

    /// The producers' sequences acknowledged since the last call, to be saved with the cursor.
    pub fn take_marks(&mut self) -> BTreeMap<Producer, u64> {
        self.marks.take_fresh()
    }
}

#[cfg(test)]
mod tests;
