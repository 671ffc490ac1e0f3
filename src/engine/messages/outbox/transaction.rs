//! One transaction: the changes of calls to the tables.
//!
//! 1. A call is checked (duplicates, the size limit) before its first write, so that a refused call does not affect the
//!    others of the transaction.
//! 2. Memory is not changed here: the change is returned as [`Outcome`], to be applied after the commit.
//!
//! Not here: grouping calls into transactions, and their durability (`writer.rs`).

use super::memory::{Facts, Mark, Memory, SavedChange, Unsent};
use super::prepared::Prepared;
use super::tables::{ADOPTED_IDS, ADOPTED_UNSENT, IDS, MARKS, NO_ENTRY, NUMBERS, RECENT, TEXTS, UNSENT};
use super::{AcceptError, Accepted};
use crate::cluster::ids::MessageSeq;
use crate::cluster::messages::message::Producer;
use redb::{ReadableTable, ReadableTableMetadata, Table, WriteTransaction};
use std::collections::HashMap;

/// How long an id is remembered, in milliseconds.
const REMEMBERED_MS: u64 = 24 * 60 * 60 * 1000;

/// The maximum number of remembered ids.
const REMEMBERED_IDS: u64 = 100_000;

/// The change to memory, to be applied after the commit.
#[derive(Debug)]
pub(super) struct Outcome {
    unsent: Unsent,
    facts: Facts,
    adopted: u64,
    marks: HashMap<Producer, Mark>,
    forgotten: Vec<Producer>,
    touches: u64,
    confirmed: bool,
    /// The new producer of the store, if it changes.
    pub(super) producer: Option<Producer>,
}

impl Outcome {
    pub(super) fn take_over(self, memory: &mut Memory) {
        memory.unsent = self.unsent;
        memory.facts = self.facts;
        memory.adopted = self.adopted;
        memory.touches = self.touches;
        memory.confirmed = self.confirmed;
        memory.marks.extend(self.marks);
        for producer in self.forgotten {
            memory.marks.remove(&producer);
        }
    }
}

/// The open tables of a transaction.
pub(super) struct Change<'t> {
    numbers: Table<'t, &'static str, u64>,
    pub(super) texts: Table<'t, &'static str, &'static str>,
    unsent: Table<'t, u64, &'static [u8]>,
    ids: Table<'t, &'static str, (u64, u64, u64)>,
    recent: Table<'t, u64, &'static str>,
    marks: Table<'t, &'static str, (u64, u64)>,
    pub(super) adopted_unsent: Table<'t, (&'static str, u64), &'static [u8]>,
    pub(super) adopted_ids: Table<'t, &'static str, (u64, u64)>,
    pub(super) adopted: u64,
    counts: Unsent,
    pub(super) facts: Facts,
    pub(super) facts_changed: bool,
    pub(super) confirmed: bool,
    pub(super) new_producer: Option<Producer>,
    touched: HashMap<Producer, Mark>,
    touches: u64,
}

impl<'t> Change<'t> {
    pub(super) fn begin(transaction: &'t WriteTransaction, memory: &Memory) -> Result<Self, redb::Error> {
        Ok(Self {
            numbers: transaction.open_table(NUMBERS)?,
            texts: transaction.open_table(TEXTS)?,
            unsent: transaction.open_table(UNSENT)?,
            ids: transaction.open_table(IDS)?,
            recent: transaction.open_table(RECENT)?,
            marks: transaction.open_table(MARKS)?,
            adopted_unsent: transaction.open_table(ADOPTED_UNSENT)?,
            adopted_ids: transaction.open_table(ADOPTED_IDS)?,
            adopted: memory.adopted,
            counts: memory.unsent,
            facts: memory.facts.clone(),
            facts_changed: false,
            confirmed: memory.confirmed,
            new_producer: None,
            touched: HashMap::new(),
            touches: memory.touches,
        })
    }

    /// Brings a reopened file to the state of memory: removes messages whose commit was reported as failed, and marks
    /// everything else to be written.
    pub(super) fn restore(&mut self, memory: &Memory) -> Result<(), redb::Error> {
        let last = memory.unsent.last_accepted_seq;
        self.unsent.retain_in(last.saturating_add(1).., |_, _| false)?;
        loop {
            let newest = self.recent.last()?.map(|(seq, _)| seq.value());
            let Some(seq) = newest.filter(|seq| *seq > last) else { break };
            self.forget(seq)?;
        }
        // The caller repeats removals that were not durable; until then the counts are those of the file.
        self.counts = Unsent { messages: self.unsent.len()?, bytes: 0, last_accepted_seq: last };
        for row in self.unsent.iter()? {
            self.counts.bytes += row?.1.value().len() as u64;
        }
        self.adopted = self.adopted_unsent.len()?;
        self.facts_changed = true;
        self.touched.clone_from(&memory.marks);
        Ok(())
    }

    /// Accepts the messages of a call, or refuses them; a refused call writes nothing.
    pub(super) fn accept(
        &mut self,
        messages: &[Prepared],
        now_ms: u64,
        bound: u64,
    ) -> Result<Result<Vec<Accepted>, AcceptError>, redb::Error> {
        let plan = self.plan(messages, now_ms)?;
        let is_new = |accepted: &Accepted| matches!(accepted, Accepted::New { .. });
        let new = messages.iter().zip(&plan).filter(|(_, accepted)| is_new(accepted));
        let asked: u64 = new.map(|(message, _)| message.json.len() as u64).sum();
        let waiting = self.counts.bytes;
        if asked > 0 && waiting.saturating_add(asked) > bound {
            return Ok(Err(AcceptError::Full { waiting, asked, bound }));
        }
        if !self.confirmed && self.facts.unconfirmed.is_none() && plan.iter().any(is_new) {
            self.facts.unconfirmed = Some(self.counts.last_accepted_seq);
            self.facts_changed = true;
        }
        let mut remembered = 0u64;
        for (message, accepted) in messages.iter().zip(&plan) {
            let Accepted::New { producer_seq } = *accepted else { continue };
            self.unsent.insert(producer_seq, message.json.as_slice())?;
            self.counts.messages += 1;
            self.counts.bytes += message.json.len() as u64;
            self.counts.last_accepted_seq = producer_seq;
            let Some(key) = message.key.as_deref() else { continue };
            let earlier = self.ids.insert(key, (producer_seq, now_ms, NO_ENTRY))?.map(|row| row.value().0);
            if let Some(earlier) = earlier {
                self.recent.remove(earlier)?;
            }
            self.recent.insert(producer_seq, key)?;
            remembered += 1;
        }
        self.forget_old(now_ms, remembered)?;
        Ok(Ok(plan))
    }

    fn plan(&self, messages: &[Prepared], now_ms: u64) -> Result<Vec<Accepted>, redb::Error> {
        let mut plan = Vec::with_capacity(messages.len());
        let mut inside: HashMap<&str, u64> = HashMap::new();
        let mut last = self.counts.last_accepted_seq;
        for message in messages {
            if let Some(key) = message.key.as_deref() {
                if let Some(producer_seq) = inside.get(key).copied() {
                    plan.push(Accepted::Duplicate { producer_seq, entry: None });
                    continue;
                }
                let known = self.ids.get(key)?.map(|row| row.value());
                if let Some((producer_seq, _, entry)) = known.filter(|(_, at, _)| is_fresh(*at, now_ms)) {
                    let entry = (entry != NO_ENTRY).then_some(MessageSeq(entry));
                    plan.push(Accepted::Duplicate { producer_seq, entry });
                    continue;
                }
                if let Some(duplicate) = self.adopted_duplicate(key, |at| is_fresh(at, now_ms), NO_ENTRY)? {
                    plan.push(duplicate);
                    continue;
                }
            }
            last += 1;
            if let Some(key) = message.key.as_deref() {
                inside.insert(key, last);
            }
            plan.push(Accepted::New { producer_seq: last });
        }
        Ok(plan)
    }

    /// Forgets ids beyond the limit, and some that are too old; only some, to keep transactions short.
    fn forget_old(&mut self, now_ms: u64, remembered: u64) -> Result<(), redb::Error> {
        let mut surplus = self.recent.len()?.saturating_sub(REMEMBERED_IDS);
        for _ in 0..surplus.saturating_add(2 * remembered + 64) {
            let Some((seq, key)) = self.recent.first()?.map(|(seq, key)| (seq.value(), key.value().to_owned())) else {
                return Ok(());
            };
            let at = self.ids.get(key.as_str())?.map(|row| row.value().1);
            if surplus == 0 && at.is_some_and(|at| is_fresh(at, now_ms)) {
                return Ok(());
            }
            surplus = surplus.saturating_sub(1);
            self.forget(seq)?;
        }
        Ok(())
    }

    fn forget(&mut self, seq: u64) -> Result<(), redb::Error> {
        let Some(key) = self.recent.remove(seq)?.map(|key| key.value().to_owned()) else { return Ok(()) };
        let current = self.ids.get(key.as_str())?.map(|row| row.value().0);
        if current == Some(seq) {
            self.ids.remove(key.as_str())?;
        }
        Ok(())
    }

    /// Removes messages that are in the stream, and remembers their positions. (S1) The newest position is saved in the same
    /// transaction: if Redis loses the message, the next process of this node knows a sequence number that Redis does not,
    /// and all members get a gap.
    pub(super) fn sent(&mut self, assigned: &[(u64, MessageSeq)]) -> Result<(), redb::Error> {
        if let Some(newest) = assigned.iter().map(|(_, seq)| *seq).max() {
            self.facts.saw_message(newest);
            self.facts_changed = true;
        }
        for (seq, entry) in assigned {
            let removed = self.unsent.remove(seq)?.map(|json| json.value().len() as u64);
            if let Some(bytes) = removed {
                self.counts.messages = self.counts.messages.saturating_sub(1);
                self.counts.bytes = self.counts.bytes.saturating_sub(bytes);
            }
            let Some(key) = self.recent.get(seq)?.map(|key| key.value().to_owned()) else { continue };
            let known = self.ids.get(key.as_str())?.map(|row| row.value());
            if let Some((_, at, _)) = known.filter(|(known, _, _)| known == seq) {
                self.ids.insert(key.as_str(), (*seq, at, entry.0))?;
            }
        }
        Ok(())
    }

    /// Removes messages that are in the stream at unknown positions.
    pub(super) fn remove_unsent_up_to(&mut self, last: u64) -> Result<(), redb::Error> {
        let (mut messages, mut bytes) = (0, 0);
        for row in self.unsent.extract_from_if(..=last, |_, _| true)? {
            messages += 1;
            bytes += row?.1.value().len() as u64;
        }
        self.counts.messages = self.counts.messages.saturating_sub(messages);
        self.counts.bytes = self.counts.bytes.saturating_sub(bytes);
        Ok(())
    }

    /// Saves the state of the node.
    pub(super) fn save(&mut self, change: &SavedChange, memory: &Memory) {
        self.facts.apply(change);
        self.facts_changed = true;
        self.touches += 1;
        for (producer, seq) in &change.marks {
            let known = self.touched.get(producer).or_else(|| memory.marks.get(producer));
            let seq = known.map_or(*seq, |mark| mark.seq.max(*seq));
            self.touched.insert(producer.clone(), Mark { seq, touched: self.touches });
        }
    }

    /// Writes the remaining changes and closes the tables.
    pub(super) fn finish(mut self, memory: &Memory) -> Result<Outcome, redb::Error> {
        self.numbers.insert("last_seq", self.counts.last_accepted_seq)?;
        self.numbers.insert("unsent_messages", self.counts.messages)?;
        self.numbers.insert("unsent_bytes", self.counts.bytes)?;
        if self.facts_changed {
            let json = serde_json::to_string(&self.facts).map_err(|error| redb::Error::Io(error.into()))?;
            self.texts.insert("saved", json.as_str())?;
        }
        let forgotten = memory.superfluous(&self.touched);
        for (producer, mark) in &self.touched {
            self.marks.insert(producer.as_str(), (mark.seq, mark.touched))?;
        }
        for producer in &forgotten {
            self.marks.remove(producer.as_str())?;
        }
        Ok(Outcome {
            unsent: self.counts,
            facts: self.facts,
            adopted: self.adopted,
            marks: self.touched,
            forgotten,
            touches: self.touches,
            confirmed: self.confirmed,
            producer: self.new_producer,
        })
    }
}

/// Whether an id is recent enough to count. If the clock was set back, an id counts as recent, so that nothing is sent
/// twice.
fn is_fresh(at_ms: u64, now_ms: u64) -> bool {
    now_ms.saturating_sub(at_ms) < REMEMBERED_MS
}
