//! How a data set begins, and goes on with another server process: its numbers, and the settings of the cluster.
//!
//! 1. A data set that knows less than a caller is a stale copy: a new one begins, above everything that anyone has seen.
//! 2. If the last writes may be lost, no fencing number is given twice, however often and from whichever copy the data is restored.

use super::data::{TTL, score};
use super::state::Step;
use clawster::cluster::ids::Nonce;
use clawster::cluster::protocol::{Numbers, ServerId};
use clawster::cluster::settings::{Shared, Versioned};
use clawster::cluster::time::millis;
use clawster::store::Notice;

/// How far a counter is lifted that is ahead of the clock.
const LIFT: u64 = 1_000_000;

impl Step<'_> {
    /// Opens the data set for a caller that knows these numbers.
    pub(super) fn open(&mut self, known: Numbers, fresh_epoch: &Nonce) {
        let numbers = self.data.numbers;
        let had_data = !self.data.epoch.is_empty();
        let top = known.max(numbers);
        self.settle();
        // Whoever knows a number that was left out has seen a message that is lost.
        let (from, to) = self.data.left_out;
        let lost = known.message > from && known.message < to;
        if had_data && known.max(numbers) == numbers && !lost {
            return;
        }
        // A counter that `settle` lifted already is lifted to the same.
        let lifted =
            Numbers { token: self.lift(top.token), event: self.lift(top.event), message: self.lift(top.message) };
        self.data.numbers = self.data.numbers.max(lifted);
        self.data.epoch = fresh_epoch.to_string();
        self.data.event_start = self.data.numbers.event;
        self.data.message_start = self.data.numbers.message;
        self.data.left_out = (0, 0);
        self.data.floor = self.data.version;
        // Records of this very process that lie in a copy which somebody put under it may be older than the newest. A data
        // set that began on it just now is no such copy: the caller that began it knew less.
        let known = self.data.longest.max(score(self.data.lease)).max(TTL);
        let old = self.cluster_now().saturating_sub(self.data.settled_at) > known;
        self.data.doubt |= had_data && !self.begun && old;
        if let Some(record) = self.data.leader.as_mut().filter(|_| self.data.doubt) {
            record.server = ServerId::default();
        }
        self.begun = true;
        self.server.notice(Notice::Register);
    }

    /// What a counter goes on at once some of its last numbers may be lost: the server's time in microseconds, which a counter that
    /// began at it stays behind; only where that clock was set back, so much above the counter. `shared/keys_and_clock.lua` reasons it out.
    fn lift(&self, top: u64) -> u64 {
        let micros = self.now.0.saturating_mul(1000);
        if micros > top {
            return micros;
        }
        let since = score(self.now.0).saturating_sub(self.data.last_tick.unwrap_or(score(self.now.0)));
        top.saturating_add(LIFT).saturating_add(u64::try_from(since).unwrap_or(0).saturating_mul(1000))
    }

    /// The first write of another server process than the last one: the last writes of that one may be lost, so no number
    /// that fences and no version of the rows may come a second time.
    pub(super) fn settle(&mut self) {
        let known = self.data.server.replace(self.server.id.clone());
        if known.is_some() && known != self.data.server {
            self.moved = true;
            self.begun = true;
            self.data.doubt = false;
            self.data.numbers.token = self.lift(self.data.numbers.token);
            self.data.message_lift = self.lift(self.data.numbers.message);
            self.data.version += LIFT;
            self.data.floor = self.data.version;
        }
    }

    /// Takes the settings that the caller knows where they are newer than those of the data set.
    pub(super) fn take_settings(&mut self, known: &Versioned) {
        if known.version > self.data.settings || self.data.interval == 0 {
            self.write_settings(known.version.max(self.data.settings), &known.settings);
        }
    }

    fn write_settings(&mut self, version: u64, settings: &Shared) {
        let Shared { timing, presence_grace, mode } = settings;
        self.data.settings = version;
        self.data.interval = millis(timing.heartbeat_interval);
        self.data.ttl = millis(timing.heartbeat_ttl);
        self.data.lease = millis(timing.lease_ttl);
        self.data.grace = millis(*presence_grace);
        self.data.mode = *mode;
    }

    /// Shows the settings, or changes them for all: as they were, and as they are.
    pub(super) fn settings(&mut self, known: u64, wanted: Option<&Shared>) -> (Option<Versioned>, Option<Versioned>) {
        let before = self.data_set().settings;
        if let Some(wanted) = wanted.filter(|w| before.is_none_or(|b| b.settings != **w || b.version == 0)) {
            let next = self.data.settings.max(known).saturating_add(1);
            self.write_settings(next.max(self.now.0.saturating_mul(1000)), wanted);
            self.server.notice(Notice::Register);
        }
        (before, self.data_set().settings)
    }
}
