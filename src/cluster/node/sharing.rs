//! The settings of the cluster: adopted from the data set, and restored to a data set that lost them.
//!
//! 1. The higher version counts; with the same version, the data set's. Version 0 comes from a configuration, and never
//!    counts against another.
//! 2. A leader follows shorter times as soon as it learns of them, before it states them; it follows longer times only
//!    after it stated them (`crate::cluster::lease::leadership`).
//! 3. A difference from the configuration is logged once per process, a change every time.
//!
//! Not here: who may change the settings (`crate::cli`, the store's `settings` transition).

use super::{Effect, Node, Note};
use crate::cluster::protocol::DataSet;
use crate::cluster::settings::{Promise, Shared, Versioned};
use crate::cluster::time::{Moment, millis};

/// The settings that this node knows.
#[derive(Debug)]
pub(super) struct Sharing {
    /// The configured settings.
    configured: Shared,
    /// The settings of the cluster, as far as known.
    known: Versioned,
    /// Whether they came from a data set, in this process.
    adopted: bool,
}

impl Sharing {
    pub(super) fn new(configured: Shared, remembered: Option<Versioned>) -> Self {
        let known = remembered.unwrap_or(Versioned { version: 0, settings: configured });
        Self { configured, known, adopted: false }
    }
}

impl Node {
    /// The settings of the cluster as far as this node knows them; initially the configured or the saved ones.
    #[must_use]
    pub fn shared(&self) -> Versioned {
        self.sharing.known
    }

    /// The promise of this node as leader with those settings.
    pub(super) fn promise(&self) -> Promise {
        self.sharing.known.settings.promise()
    }

    /// The number of a statement made now: later ones are higher.
    pub(super) fn stated(now: Moment) -> u64 {
        millis(now.0)
    }

    /// Takes the settings from an answer.
    pub(super) fn adopt(&mut self, now: Moment, data: &DataSet) {
        let Some(found) = data.settings else { return };
        let before = self.sharing.known;
        if found.version < before.version {
            // Lost, or a stale copy: the next heartbeat carries the settings that this node knows.
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
