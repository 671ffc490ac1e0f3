//! Whether this store's sequences are still its own: a state directory that was put back from a backup, or a machine from a snapshot,
//! has forgotten sequences that the stream knows, and would give them out again, to messages that everybody takes for known.
//!
//! 1. Before its first write a process asks for the producer's mark. One beyond what the store had accepted before shows that the
//!    store was put back: it goes on under a new producer.
//! 2. What such a store had accepted by then was sent, by the process that it was copied from. What came later is sent, under the
//!    new producer.
//! 3. Where that border lies is on disk as long as nobody has asked, however often the node is started in between.
//!
//! Not here: asking (`super::super::publisher`).

use super::memory::SavedChange;
use super::tables::TEXTS;
use super::transaction::Change;
use super::writer::Job;
use super::{NodeStore, Shared};
use crate::cluster::ids::Nonce;
use crate::cluster::messages::message::Producer;
use crate::engine::state_dir::StateError;
use redb::{ReadableTable, WriteTransaction};
use std::io;
use std::sync::PoisonError;

/// What became of a store whose producer's mark was asked for.
#[derive(Debug)]
pub struct Confirmed {
    /// Up to this sequence, what it accepted may have been sent.
    pub border: u64,
    /// Under which producer it goes on, where another copy of it has used its own.
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
    /// The stream was asked; the store goes on under another producer, where it must: what it accepted up to the border was sent.
    /// True: that must be durable before anything is sent.
    pub(super) fn confirm(
        &mut self,
        renewed: Option<&(Producer, u64)>,
        before: &Producer,
    ) -> Result<bool, redb::Error> {
        self.confirmed = true;
        let known = self.facts.unconfirmed.take().is_some();
        self.facts_changed |= known;
        let Some((producer, border)) = renewed else { return Ok(known) };
        self.facts_changed = true;
        self.texts.insert("producer", producer.as_str())?;
        self.new_producer = Some(producer.clone());
        self.facts.apply(&SavedChange { producers: vec![before.clone()], ..SavedChange::default() });
        self.remove_unsent_up_to(*border)?;
        Ok(true)
    }
}

/// The producer that a file opened again must have.
pub(super) fn restore(transaction: &WriteTransaction, producer: &Producer) -> Result<(), redb::Error> {
    let mut texts = transaction.open_table(TEXTS)?;
    let same = texts.get("producer")?.is_some_and(|text| text.value() == producer.as_str());
    if !same {
        texts.insert("producer", producer.as_str())?;
    }
    Ok(())
}

impl NodeStore {
    /// The stream was found to have this producer's messages up to `mark`, and this process had sent those up to `sent`.
    ///
    /// # Errors
    /// [`StateError`] when the disk fails; nothing is known then.
    pub fn confirm(&self, mark: u64, sent: u64) -> Result<Confirmed, StateError> {
        let border = {
            let memory = self.shared.memory();
            memory.facts.unconfirmed.unwrap_or(memory.began).max(sent)
        };
        if mark <= border {
            self.ask(|reply| Job::Confirm { renewed: None, reply })?;
            return Ok(Confirmed { border, renewed: None });
        }
        let mut bytes = [0; 16];
        let path = self.shared.disk.path();
        getrandom::fill(&mut bytes).map_err(|error| StateError::io(&path, &io::Error::other(error.to_string())))?;
        let producer = Nonce::from_bytes(bytes);
        let renewed = Some((producer.clone(), border));
        self.ask(|reply| Job::Confirm { renewed, reply })?;
        Ok(Confirmed { border, renewed: Some(producer) })
    }
}
