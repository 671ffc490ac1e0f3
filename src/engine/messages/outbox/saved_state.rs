//! The saved state of the node in a transaction: its cursor, numbers and marks.
//!
//! Not here: what it consists of (`memory.rs`), the messages (`transaction.rs`).

use super::memory::{Facts, Mark, Memory, SavedChange};
use crate::cluster::messages::message::Producer;
use redb::Table;
use std::collections::HashMap;

/// The changes of the saved state of the node.
pub(super) struct SavedState {
    pub(super) facts: Facts,
    pub(super) facts_changed: bool,
    pub(super) touched: HashMap<Producer, Mark>,
    pub(super) touches: u64,
}

impl SavedState {
    pub(super) fn begin(memory: &Memory) -> Self {
        Self { facts: memory.facts.clone(), facts_changed: false, touched: HashMap::new(), touches: memory.touches }
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

    /// Writes the changes; returns the producers whose marks are forgotten.
    pub(super) fn write(
        &self,
        memory: &Memory,
        texts: &mut Table<'_, &'static str, &'static str>,
        marks: &mut Table<'_, &'static str, (u64, u64)>,
    ) -> Result<Vec<Producer>, redb::Error> {
        if self.facts_changed {
            let json = serde_json::to_string(&self.facts).map_err(|error| redb::Error::Io(error.into()))?;
            texts.insert("saved", json.as_str())?;
        }
        let forgotten = memory.superfluous(&self.touched);
        for (producer, mark) in &self.touched {
            marks.insert(producer.as_str(), (mark.seq, mark.touched))?;
        }
        for producer in &forgotten {
            marks.remove(producer.as_str())?;
        }
        Ok(forgotten)
    }
}
