//! Detects that a store was copied: a state directory restored from a backup, or a machine restored from a snapshot, has
//! forgotten sequences that the stream knows. It would use them again, for messages that then count as duplicates.
//!
//! 1. Before its first write a process asks for the mark of its producer. A mark beyond what the store had accepted before
//!    shows that the store was copied: it continues under a new producer.
//! 2. What such a store had accepted by then was sent, by the process that it was copied from. Later messages are sent
//!    under the new producer.
//! 3. The border between the two is kept on disk until the mark was checked, however often the node restarts in between.
//!
//! Not here: asking for the mark (`super::super::publisher`).

use super::job::Job;
use super::memory::SavedChange;
use super::tables::TEXTS;
use super::transaction::Change;
use super::{NodeStore, Shared};
use crate::cluster::messages::message::Producer;
use crate::engine::random;
use crate::engine::state_dir::StateError;
use redb::{ReadableTable, WriteTransaction};
use std::sync::PoisonError;

/// The result of checking the mark of a store's producer.
#[derive(Debug)]
pub struct Confirmed {
    /// The sequence up to which accepted messages may have been sent.
    pub border: u64,
    /// The new producer, if another copy of the store has used the old one.
    pub renewed: Option<Producer>,
}

impl Shared {
    pub(super) fn producer(&self) -> Producer {
        self.producer.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn set_producer(&self, producer: Producer) {
        *self.producer.write().unwrap_or_else(PoisonError::into_inner) = producer;
    }
}

impl Change<'_> {
    /// Records that the mark was checked, and changes the producer if needed; what the store accepted up to the border
    /// counts as sent. True: the change must be durable before anything is sent.
    pub(super) fn confirm(
        &mut self,
        renewed: Option<&(Producer, u64)>,
        before: &Producer,
    ) -> Result<bool, redb::Error> {
        self.confirmed = true;
        let known = self.state.facts.unconfirmed.take().is_some();
        self.state.facts_changed |= known;
        let Some((producer, border)) = renewed else { return Ok(known) };
        self.state.facts_changed = true;
        self.texts.insert("producer", producer.as_str())?;
        self.new_producer = Some(producer.clone());
        self.state.facts.apply(&SavedChange { producers: vec![before.clone()], ..SavedChange::default() });
        self.remove(0, *border)?;
        Ok(true)
    }
}

/// Sets the producer that a reopened file must have.
pub(super) fn restore(transaction: &WriteTransaction, producer: &Producer) -> Result<(), redb::Error> {
    let mut texts = transaction.open_table(TEXTS)?;
    let same = texts.get("producer")?.is_some_and(|text| text.value() == producer.as_str());
    if !same {
        texts.insert("producer", producer.as_str())?;
    }
    Ok(())
}

impl NodeStore {
    /// Records that the stream has this producer's messages up to `mark`, of which this process sent those up to `sent`.
    ///
    /// # Errors
    /// [`StateError`] when the disk fails; then the result is unknown.
    pub fn confirm(&self, mark: u64, sent: u64) -> Result<Confirmed, StateError> {
        let border = {
            let memory = self.shared.memory();
            memory.facts.unconfirmed.unwrap_or(memory.began).max(sent)
        };
        if mark <= border {
            self.ask(|reply| Job::Confirm { renewed: None, reply })?;
            return Ok(Confirmed { border, renewed: None });
        }
        let path = self.shared.disk.path();
        let producer = random::nonce().map_err(|error| StateError::io(&path, &error))?;
        let renewed = Some((producer.clone(), border));
        self.ask(|reply| Job::Confirm { renewed, reply })?;
        Ok(Confirmed { border, renewed: Some(producer) })
    }
}
