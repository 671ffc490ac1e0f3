//! What a waiter sees of the holder before it, by its own clock.
//!
//! 1. A claim is made only for a presence that was gone, or a record that was unchanged, all the time between two looks
//!    that are long enough apart; the time counts from when the first look was answered to when the claim is sent.
//! 2. How long is long enough is what the holder's record promises: its grace, its TTL.
//!
//! Not here: whether the claim is granted (the store checks it again), when to look (`waiting.rs`).

use crate::cluster::ids::Term;
use crate::cluster::lease::margins::takeover_wait;
use crate::cluster::protocol::{Claim, LeaseRecord};
use crate::cluster::time::Moment;
use std::time::Duration;

/// What was seen so far.
#[derive(Debug, Default)]
pub(super) struct Sight {
    gone: Option<(Term, String, Moment)>,
    unchanged: Option<(Term, String, Moment)>,
    /// The record's grace and TTL.
    promise: (Duration, Duration),
}

impl Sight {
    /// Takes a record that was answered at `now`.
    pub(super) fn see(&mut self, now: Moment, record: Option<&LeaseRecord>) {
        let held = record.and_then(|record| Some((record, record.holder.as_ref()?.presence.as_ref()?)));
        let Some((record, presence)) = held else {
            *self = Self::default();
            return;
        };
        let since = |known: &Option<(Term, String, Moment)>, text: &str| {
            let same = known.as_ref().filter(|(token, seen, _)| *token == record.token && seen == text);
            Some((record.token, text.to_owned(), same.map_or(now, |(.., since)| *since)))
        };
        self.promise = (record.grace, record.ttl);
        self.unchanged = since(&self.unchanged, &record.nonce);
        let gone = !record.present && record.same_server;
        self.gone = if gone { since(&self.gone, presence.as_str()) } else { None };
    }

    /// By when the holder has stopped once its presence is gone; at least a moment.
    pub(super) fn grace(&self) -> Duration {
        self.promise.0.max(Duration::from_millis(100))
    }

    /// What can be claimed at `now`, and for how long it has been seen.
    pub(super) fn claim(&self, now: Moment) -> Option<(Claim, Duration)> {
        let (grace, ttl) = self.promise;
        let ripe = |seen: &&(Term, String, Moment), wait: Duration| now.since(seen.2) >= takeover_wait(wait);
        if let Some((token, presence, since)) = self.gone.as_ref().filter(|seen| ripe(seen, grace)) {
            let claim = Claim::Presence { token: *token, presence: presence.clone() };
            return Some((claim, now.since(*since)));
        }
        let (token, nonce, since) = self.unchanged.as_ref().filter(|seen| ripe(seen, ttl))?;
        Some((Claim::Expired { token: *token, nonce: nonce.clone() }, now.since(*since)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::ids::{Incarnation, NodeId, Nonce};
    use crate::cluster::protocol::Owner;
    use crate::cluster::time::ServerTime;

    fn record(token: u64, nonce: &str, present: bool) -> LeaseRecord {
        let owner = Owner {
            node_id: NodeId::new("w").unwrap(),
            incarnation: Incarnation(0),
            presence: Some(Nonce::new("p").unwrap()),
        };
        LeaseRecord {
            holder: Some(owner),
            token: Term(token),
            expires_at: ServerTime(0),
            ttl: Duration::from_secs(10),
            grace: Duration::from_secs(1),
            nonce: nonce.to_owned(),
            present,
            same_server: true,
            offered_to: None,
            waiters: 1,
        }
    }

    fn at(ms: u64) -> Moment {
        Moment(Duration::from_millis(ms))
    }

    #[test]
    fn a_presence_must_be_gone_all_the_time() {
        let mut sight = Sight::default();
        sight.see(at(0), Some(&record(1, "n", false)));
        sight.see(at(500), Some(&record(1, "n", true)));
        sight.see(at(600), Some(&record(1, "n", false)));
        assert_eq!(sight.claim(at(1_600)), None, "it was back at 500 ms");
        let claim = Claim::Presence { token: Term(1), presence: "p".to_owned() };
        assert_eq!(sight.claim(at(1_650)), Some((claim, Duration::from_millis(1_050))));
        sight.see(at(1_700), Some(&record(2, "n", false)));
        assert_eq!(sight.claim(at(2_700)), None, "it is another grant");
    }

    #[test]
    fn a_record_must_be_unchanged_for_its_ttl() {
        let mut sight = Sight::default();
        sight.see(at(0), Some(&record(1, "n", true)));
        sight.see(at(9_000), Some(&record(1, "m", true)));
        assert_eq!(sight.claim(at(11_000)), None, "it was renewed");
        let claim = Claim::Expired { token: Term(1), nonce: "m".to_owned() };
        assert_eq!(sight.claim(at(19_500)), Some((claim, Duration::from_millis(10_500))));
        sight.see(at(19_600), None);
        assert_eq!(sight.claim(at(40_000)), None);
    }
}
