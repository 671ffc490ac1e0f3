//! The settings of the cluster: adopted from the data set, brought back to one that lost them.
//!
//! 1. The higher version counts; of the same version, the data set's. Version 0 is a file's, and never counts against another.
//! 2. A node that leads shortens what it follows in the moment in which it learns of shorter times, before it states them, and
//!    follows longer ones only after it stated them (`crate::cluster::lease::leadership`).
//! 3. A difference from the configuration is told once per process, a change as often as it happens.
//!
//! Not here: who may change them (`crate::cli`, the store's `settings` transition).

use super::{Effect, Node, Note};
use crate::cluster::protocol::DataSet;
use crate::cluster::settings::{Promise, Shared, Versioned};
use crate::cluster::time::{Moment, millis};

/// What this node knows of the settings.
#[derive(Debug)]
pub(super) struct Sharing {
    /// As its configuration has them.
    configured: Shared,
    /// As the cluster has them, as far as it knows.
    known: Versioned,
    /// They came from a data set, in this process.
    adopted: bool,
}

impl Sharing {
    pub(super) fn new(configured: Shared, remembered: Option<Versioned>) -> Self {
        let known = remembered.unwrap_or(Versioned { version: 0, settings: configured });
        Self { configured, known, adopted: false }
    }
}

impl Node {
    /// The settings of the cluster as far as this node knows them; at first its configuration's, or those that were remembered.
    #[must_use]
    pub fn shared(&self) -> Versioned {
        self.sharing.known
    }

    /// What this node promises as the leader by those settings.
    pub(super) fn promise(&self) -> Promise {
        self.sharing.known.settings.promise()
    }

    /// The number that goes with a statement made now: later ones are higher.
    pub(super) fn stated(now: Moment) -> u64 {
        millis(now.0)
    }

    /// Takes the settings that an answer showed.
    pub(super) fn adopt(&mut self, now: Moment, data: &DataSet) {
        let Some(found) = data.settings else { return };
        let before = self.sharing.known;
        if found.version < before.version {
            // Lost, or a stale copy: the next tick brings what this node knows.
            return;
        }
        let first = !std::mem::replace(&mut self.sharing.adopted, true);
        if first && found.settings != self.sharing.configured {
            let configured = Box::new(self.sharing.configured);
            self.effects.push(Effect::Note(Note::SettingsDiffer { configured, adopted: Box::new(found.settings) }));
        }
        if found == before {
            return;
        }
        self.sharing.known = found;
        self.effects.push(Effect::Settings(found));
        if found.settings == before.settings {
            return;
        }
        if !first {
            let (before, after) = (Box::new(before.settings), Box::new(found.settings));
            self.effects.push(Effect::Note(Note::SettingsChanged { before, after }));
        }
        self.follow(now);
    }

    fn follow(&mut self, now: Moment) {
        let Shared { timing, presence_grace, mode } = self.sharing.known.settings;
        self.timing = timing;
        self.settings.leader.presence_grace = presence_grace;
        self.settings.leader.mode = mode;
        let wanted = self.promise();
        match &mut self.leadership {
            Some(leadership) => {
                leadership.shorten(wanted);
                self.beat_now(now);
            }
            None => self.beat_within(now, timing.heartbeat_interval),
        }
    }
}
