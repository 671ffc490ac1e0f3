//! What a waiter sees of the holder before it, by its own clock.
//!
//! 1. A claim is made only for a presence that was gone, or a record that was unchanged, all the time between two looks
//!    that are long enough apart; the time counts from when the first look was answered to when the claim is sent.
//!
//! Not here: whether the claim is granted (the store checks it again), when to look (`waiting.rs`).

use crate::cluster::ids::Term;
use crate::cluster::protocol::{Claim, LeaseRecord};
use crate::cluster::time::Moment;
use std::time::Duration;

/// What waiters add to a wait, because their clock may be fast.
const FAST: f64 = 1.05;

/// What was seen so far.
#[derive(Debug, Default)]
pub(super) struct Sight {
    gone: Option<(Term, String, Moment)>,
    unchanged: Option<(Term, String, Moment)>,
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
        self.unchanged = since(&self.unchanged, &record.nonce);
        let gone = !record.present && record.same_server;
        self.gone = if gone { since(&self.gone, presence.as_str()) } else { None };
    }

    /// What can be claimed at `now` of a lease with this TTL.
    pub(super) fn claim(&self, now: Moment, grace: Duration, ttl: Duration) -> Option<Claim> {
        let ripe = |seen: &&(Term, String, Moment), wait: Duration| now.since(seen.2) >= wait.mul_f64(FAST);
        if let Some((token, presence, _)) = self.gone.as_ref().filter(|seen| ripe(seen, grace)) {
            return Some(Claim::Presence { token: *token, presence: presence.clone() });
        }
        let (token, nonce, _) = self.unchanged.as_ref().filter(|seen| ripe(seen, ttl))?;
        Some(Claim::Expired { token: *token, nonce: nonce.clone() })
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
        let (grace, ttl) = (Duration::from_secs(1), Duration::from_secs(10));
        let mut sight = Sight::default();
        sight.see(at(0), Some(&record(1, "n", false)));
        sight.see(at(500), Some(&record(1, "n", true)));
        sight.see(at(600), Some(&record(1, "n", false)));
        assert_eq!(sight.claim(at(1_600), grace, ttl), None, "it was back at 500 ms");
        let claim = Claim::Presence { token: Term(1), presence: "p".to_owned() };
        assert_eq!(sight.claim(at(1_650), grace, ttl), Some(claim));
        sight.see(at(1_700), Some(&record(2, "n", false)));
        assert_eq!(sight.claim(at(2_700), grace, ttl), None, "it is another grant");
    }

    #[test]
    fn a_record_must_be_unchanged_for_its_ttl() {
        let (grace, ttl) = (Duration::from_secs(1), Duration::from_secs(10));
        let mut sight = Sight::default();
        sight.see(at(0), Some(&record(1, "n", true)));
        sight.see(at(9_000), Some(&record(1, "m", true)));
        assert_eq!(sight.claim(at(11_000), grace, ttl), None, "it was renewed");
        let claim = Claim::Expired { token: Term(1), nonce: "m".to_owned() };
        assert_eq!(sight.claim(at(19_500), grace, ttl), Some(claim));
        sight.see(at(19_600), None);
        assert_eq!(sight.claim(at(40_000), grace, ttl), None);
    }
}
