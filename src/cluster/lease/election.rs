//! When a candidate may ask for leadership, by its own clock.
//!
//! 1. Expiry: the record (term and renewal nonce) has been unchanged for one lease on this clock, whatever the server's
//!    clock says. The leader counts the same lease from before it sent its renewal, so it has stopped by then.
//! 2. Presence: the leader's registered connection has been gone for the grace on this clock. Every answered ping on it was
//!    sent before it was seen gone, so the leader has stopped by then.
//! 3. No record: the leader channel has had no subscriber for the grace, or there was no record for one lease.
//! 4. An observation on one server process says nothing about another process. A record that an earlier process granted may
//!    be taken once it was unchanged, and the leader channel free, for the grace: all connections broke with that process,
//!    unless its data were loaded by a process that was already running.
//! 5. Clock rates may differ by 5 %: leaders wait 5 % less, candidates 5 % more.
//! 6. Grace, lease and mode are those that the holder promised in its record. If the record has none (no record, or an
//!    older version), or another leader may have followed it, the longest of the record's and this node's values count. The
//!    store compares them with what the candidate says it has observed, so that a candidate that knows less only asks in
//!    vain.
//!
//! A known limit: after the loss of a whole data set, a node that knows no settings of the cluster (it was never a member,
//! and its state directory has none) uses its own configuration. If the old leader was cut off from Redis at the moment of
//! the loss and follows a longer grace than that configuration, and no third node that knows the settings is alive, that
//! node is elected while the old leader still leads, for at most the difference of the two graces.
//!
//! Not here: who counts as leader (`leadership.rs`); the script checks again that the observation still holds.

use crate::cluster::ids::{NodeId, Term};
use crate::cluster::lease::margins::takeover_wait;
use crate::cluster::lease::observation::Steady;
use crate::cluster::protocol::{LeaderRecord, Rule, ServerId};
use crate::cluster::settings::{LeaderMode, Promise};
use crate::cluster::time::{Moment, ServerTime};
use std::time::Duration;

/// How long `fenced` candidates wait before they check a second time.
const RECHECK_DELAY: Duration = Duration::from_millis(20);
/// The delay between candidates of neighbouring rank, so that the first one usually wins alone.
const RANK_DELAY: Duration = Duration::from_millis(50);

/// What one answer of the store shows about the leader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaderLook<'a> {
    /// The record.
    pub record: Option<&'a LeaderRecord>,
    /// The server that answered.
    pub server: &'a ServerId,
    /// That server's time.
    pub at: ServerTime,
    /// Only from a watch: whether the leader registered on this server process, and whether the leader channel is held.
    pub watch: Option<(bool, bool)>,
}

/// What a candidate may ask for, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chance {
    /// The earliest time.
    pub at: Moment,
    /// The term of the observed record; 0 without one.
    pub seen: Term,
    /// The rule that allows it.
    pub rule: Rule,
    /// Since when its condition has been observed.
    pub since: Moment,
}

impl Chance {
    fn after(since: Moment, wait: Duration, seen: Term, rule: Rule) -> Self {
        Self { at: since + wait, seen, rule, since }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Key {
    Absent,
    Record(Term, String),
}

/// The observations of one candidate.
#[derive(Debug, Clone, Default)]
pub struct Observation {
    server: ServerId,
    key: Option<Key>,
    unchanged_since: Moment,
    gone: Steady<String>,
    strange_since: Option<Moment>,
    channel_clear_since: Option<Moment>,
    last_seen: Moment,
    expired: bool,
    vacant: bool,
    handing_to: Option<NodeId>,
    /// What the record promises, and whether its holder stated that itself.
    promise: Option<(Promise, bool)>,
}

impl Observation {
    /// Takes an answer that arrived at `now`. `longest_gap` is the longest pause between two answers that still counts as
    /// continuous observation: after a longer one (Redis was away) everything is observed anew.
    pub fn observe(&mut self, now: Moment, look: &LeaderLook<'_>, longest_gap: Duration) {
        let key = match look.record {
            None => Key::Absent,
            Some(record) => Key::Record(record.term, record.nonce.clone()),
        };
        let lapsed = self.key.is_none() || now.since(self.last_seen) > longest_gap;
        if lapsed || self.server != *look.server {
            *self = Self { server: look.server.clone(), unchanged_since: now, ..Self::default() };
        } else if self.key.as_ref() != Some(&key) {
            self.unchanged_since = now;
            self.strange_since = None;
        }
        self.key = Some(key);
        self.last_seen = now;
        self.expired = look.record.is_some_and(|record| look.at > record.expires_at);
        self.vacant = look.record.is_some_and(|record| record.holder.is_none());
        self.handing_to = look.record.and_then(|record| record.handing_to.clone());
        self.promise = look.record.map(|record| (record.promise, record.stated));
        if let Some((same_server, channel_held)) = look.watch {
            self.see_presence(now, look.record, same_server);
            let strange = look.record.is_some() && !same_server;
            self.strange_since = strange.then(|| self.strange_since.unwrap_or(now));
            let counts = !channel_held && (strange || look.record.is_none());
            self.channel_clear_since = counts.then(|| self.channel_clear_since.unwrap_or(now));
        } else if look.record.is_some() {
            self.channel_clear_since = None;
        }
    }

    fn see_presence(&mut self, now: Moment, record: Option<&LeaderRecord>, same_server: bool) {
        let gone = record.filter(|r| same_server && !r.present && r.holder.is_some()).and_then(|r| r.presence.clone());
        self.gone.observe(now, gone);
    }

    /// Forgets everything, because the connection to the store was in doubt.
    pub fn forget(&mut self) {
        *self = Self::default();
    }

    /// The longest times that the record's holder may follow. `known`: the settings of the cluster as this node knows them.
    fn promised(&self, known: Promise) -> Promise {
        match self.promise {
            Some((promise, true)) => promise,
            Some((promise, false)) => Promise { mode: LeaderMode::Exclusive, ..known.longest(promise) },
            None => known,
        }
    }

    /// What this candidate may ask for now, or next. `known`: the promise of a leader that follows the settings of the
    /// cluster, as this node knows them. `rank` staggers the candidates.
    #[must_use]
    pub fn chance(&self, me: &NodeId, known: Promise, rank: usize) -> Option<Chance> {
        let stagger = RANK_DELAY.saturating_mul(u32::try_from(rank.min(20)).unwrap_or(20));
        let promised = self.promised(known);
        // Another leader may have followed the record's on a server process whose last writes are lost.
        let longest = known.longest(self.promise.map_or(known, |(promise, _)| promise));
        let lease = if self.strange_since.is_some() { longest.lease } else { promised.lease };
        let lease = takeover_wait(lease) + stagger;
        let lease_is_over = self.unchanged_since + lease <= self.last_seen;
        let grace = takeover_wait(longest.grace) + stagger;
        match self.key.as_ref()? {
            Key::Absent => {
                let by_lease = Chance::after(self.unchanged_since, lease, Term(0), Rule::AbsentLease);
                if lease_is_over {
                    // A candidate that was refused because of the channel (a promoted replica knows no subscribers) can use
                    // the expiry of the lease.
                    return Some(by_lease);
                }
                let by_channel =
                    self.channel_clear_since.map(|since| Chance::after(since, grace, Term(0), Rule::Absent));
                Some(by_channel.into_iter().fold(by_lease, |a, b| if b.at < a.at { b } else { a }))
            }
            Key::Record(term, nonce) => {
                let expired = || Rule::Expired { nonce: nonce.clone() };
                let by_lease = || Chance::after(self.unchanged_since, lease, *term, expired());
                let strange_since = self.strange_since.zip(self.channel_clear_since).map(|(a, b)| a.max(b));
                let by_restart = strange_since
                    .map(|since| Chance::after(since, grace, *term, Rule::Restarted { nonce: nonce.clone() }));
                if self.vacant {
                    let mine = self.handing_to.as_ref() == Some(me);
                    let kept = if self.handing_to.is_none() || mine { stagger } else { grace };
                    let kept = if mine { Duration::ZERO } else { kept };
                    let vacant = || Chance::after(self.unchanged_since, kept, *term, Rule::Vacant);
                    // A candidate that was refused as "granted on another server" can use the expiry of the lease.
                    return Some(if lease_is_over { by_lease() } else { by_restart.unwrap_or_else(vacant) });
                }
                let by_presence = self.gone.get().map(|(gone, since)| {
                    let nonce = gone.clone();
                    match promised.mode {
                        LeaderMode::Fenced if known.mode == LeaderMode::Fenced => {
                            Chance::after(since, RECHECK_DELAY + stagger, *term, Rule::Fenced { nonce })
                        }
                        _ => {
                            let wait = takeover_wait(promised.grace) + stagger;
                            Chance::after(since, wait, *term, Rule::Presence { nonce })
                        }
                    }
                });
                let by_lease = self.expired.then(by_lease);
                if lease_is_over && by_lease.is_some() {
                    return by_lease;
                }
                [by_presence, by_restart, by_lease].into_iter().flatten().min_by_key(|chance| chance.at)
            }
        }
    }

    /// Whether something is wrong with the leadership, so that it makes sense to check more often.
    #[must_use]
    pub fn trouble(&self) -> bool {
        match &self.key {
            None => true,
            Some(Key::Absent) => true,
            Some(Key::Record(..)) => {
                self.vacant || self.expired || self.gone.get().is_some() || self.strange_since.is_some()
            }
        }
    }
}
