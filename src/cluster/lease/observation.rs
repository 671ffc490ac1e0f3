//! What a waiter has observed of another holder's lease, by its own clock, and when it may claim the lease.
//!
//! 1. A claim requires a presence that was gone, or a record that was unchanged, in every observation since some moment.
//!    The time counts from the answer of the first of these observations.
//! 2. The required time is what the holder's record promises, its grace or its TTL, with the margin of `margins.rs`.
//! 3. Another server process proves nothing about observations on the previous one: everything is observed anew.
//!
//! Not here: when to observe (`holder/wait.rs`, `crate::engine::leases`), the leadership's record (`election.rs`), granting
//! a claim (the store checks it again).

use crate::cluster::ids::{NodeId, Term};
use crate::cluster::lease::margins::takeover_wait;
use crate::cluster::protocol::{Claim, LeaseRecord, ServerId};
use crate::cluster::time::{Moment, ServerTime};

/// A value, and since when every observation has shown the same one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Steady<T>(Option<(T, Moment)>);

impl<T> Default for Steady<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T: PartialEq> Steady<T> {
    /// Takes an observation made at `now`; `None`: there was no such value.
    pub fn observe(&mut self, now: Moment, value: Option<T>) {
        let before = self.0.take();
        self.0 = value.map(|value| match before {
            Some((known, since)) if known == value => (known, since),
            _ => (value, now),
        });
    }

    /// The value, and when it was first seen.
    #[must_use]
    pub fn get(&self) -> Option<(&T, Moment)> {
        self.0.as_ref().map(|(value, since)| (value, *since))
    }
}

/// What may be claimed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimable {
    /// The earliest time, on this node's clock.
    pub at: Moment,
    /// The claim for the store.
    pub claim: Claim,
    /// Since when its condition has been observed.
    pub since: Moment,
}

/// The observations of one lease; see the head of this file.
#[derive(Debug, Clone, Default)]
pub struct HolderObservation {
    server: ServerId,
    record: Option<LeaseRecord>,
    /// The token and the renewal nonce of the record.
    unchanged: Steady<(Term, String)>,
    /// The token and the presence of a holder whose presence is gone.
    gone: Steady<(Term, String)>,
    /// When the lease ends on this clock, by the server's last answer.
    ends_at: Moment,
}

impl HolderObservation {
    /// Takes the record that `server` answered at its time `at`; the answer arrived at `now`. Without a record or a holder,
    /// the observation starts over.
    pub fn observe(&mut self, now: Moment, at: ServerTime, record: Option<&LeaseRecord>, server: &ServerId) {
        let Some(record) = record.filter(|record| record.holder.is_some()) else {
            *self = Self::default();
            return;
        };
        if self.server != *server {
            *self = Self { server: server.clone(), ..Self::default() };
        }
        let presence = record.holder.as_ref().and_then(|holder| holder.presence.as_ref());
        let gone = presence.filter(|_| record.same_server && !record.present);
        self.unchanged.observe(now, Some((record.token, record.nonce.clone())));
        self.gone.observe(now, gone.map(|presence| (record.token, presence.to_string())));
        self.ends_at = now + record.expires_at.since(at);
        self.record = Some(record.clone());
    }

    /// The latest record; `None`: the lease was vacant.
    #[must_use]
    pub fn record(&self) -> Option<&LeaseRecord> {
        self.record.as_ref()
    }

    /// The holder of the lease.
    #[must_use]
    pub fn holder(&self) -> Option<&NodeId> {
        Some(&self.record.as_ref()?.holder.as_ref()?.node_id)
    }

    /// Whether the lease is bound to a presence, so that only a claim ends it early.
    #[must_use]
    pub fn by_presence(&self) -> bool {
        let holder = self.record.as_ref().and_then(|record| record.holder.as_ref());
        holder.is_some_and(|holder| holder.presence.is_some())
    }

    /// The first possible claim.
    #[must_use]
    pub fn claimable(&self) -> Option<Claimable> {
        let record = self.record.as_ref()?;
        let by_lease = self.unchanged.get().map(|((token, nonce), since)| Claimable {
            at: (since + takeover_wait(record.ttl)).max(self.ends_at),
            claim: Claim::Expired { token: *token, nonce: nonce.clone() },
            since,
        });
        let by_presence = self.gone.get().map(|((token, presence), since)| Claimable {
            at: since + takeover_wait(record.grace),
            claim: Claim::Presence { token: *token, presence: presence.clone() },
            since,
        });
        by_lease.into_iter().chain(by_presence).min_by_key(|claimable| claimable.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::ids::{Incarnation, Nonce};
    use crate::cluster::protocol::Owner;
    use proptest::prelude::*;
    use std::time::Duration;

    const TTL: Duration = Duration::from_secs(10);
    const GRACE: Duration = Duration::from_secs(1);

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
            ttl: TTL,
            grace: GRACE,
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

    fn server(name: &str) -> ServerId {
        ServerId(name.to_owned())
    }

    fn look(seen: &mut HolderObservation, ms: u64, record: Option<&LeaseRecord>) {
        seen.observe(at(ms), ServerTime(1), record, &server("s"));
    }

    fn claim_at(seen: &HolderObservation) -> (u64, bool) {
        let claimable = seen.claimable().expect("there is a holder");
        (claimable.at.0.as_millis() as u64, matches!(claimable.claim, Claim::Presence { .. }))
    }

    #[test]
    fn a_presence_must_be_gone_all_the_time() {
        let mut seen = HolderObservation::default();
        look(&mut seen, 0, Some(&record(1, "n", false)));
        look(&mut seen, 500, Some(&record(1, "n", true)));
        assert_eq!(claim_at(&seen), (10_500, false), "it is back");
        look(&mut seen, 600, Some(&record(1, "n", false)));
        assert_eq!(claim_at(&seen), (1_650, true));
        look(&mut seen, 1_700, Some(&record(2, "n", false)));
        assert_eq!(claim_at(&seen), (2_750, true), "it is another grant");
    }

    #[test]
    fn a_record_must_be_unchanged_for_its_ttl() {
        let mut seen = HolderObservation::default();
        look(&mut seen, 0, Some(&record(1, "n", true)));
        look(&mut seen, 9_000, Some(&record(1, "m", true)));
        assert_eq!(claim_at(&seen), (19_500, false), "it was renewed");
        look(&mut seen, 19_600, None);
        assert_eq!((seen.claimable(), seen.holder()), (None, None));
    }

    #[test]
    fn another_server_process_is_observed_anew() {
        let mut seen = HolderObservation::default();
        look(&mut seen, 0, Some(&record(1, "n", false)));
        seen.observe(at(900), ServerTime(1), Some(&record(1, "n", false)), &server("t"));
        assert_eq!(claim_at(&seen), (1_950, true));
    }

    proptest! {
        /// Nothing may be claimed unless every look for the promised time showed it, on one server process.
        #[test]
        fn a_claim_was_true_at_every_look_for_as_long_as_the_record_promises(
            looks in prop::collection::vec((1_u64..3_000, 1_u64..3, 0_u8..3, any::<bool>(), any::<bool>(), 0_u8..12), 1..40),
        ) {
            let mut seen = HolderObservation::default();
            let mut history: Vec<(u64, Option<LeaseRecord>, ServerId)> = Vec::new();
            let mut now = 0;
            for (pause, token, nonce, present, same, rare) in looks {
                now += pause;
                let record = LeaseRecord { same_server: same, ..record(token, &format!("n{nonce}"), present) };
                let record = (rare > 0).then_some(record);
                let on = server(if rare == 1 { "t" } else { "s" });
                seen.observe(at(now), ServerTime(1), record.as_ref(), &on);
                history.push((now, record, on.clone()));
                let Some(claimable) = seen.claimable() else { continue };
                let (Claim::Presence { token, .. } | Claim::Expired { token, .. }) = claimable.claim.clone();
                let since = claimable.since.0.as_millis() as u64;
                let wait = if matches!(claimable.claim, Claim::Presence { .. }) { GRACE } else { TTL };
                prop_assert!(claimable.at >= claimable.since + wait, "{claimable:?}");
                for (_, record, server) in history.iter().filter(|(when, ..)| *when >= since) {
                    let record = record.as_ref();
                    prop_assert_eq!(server, &on);
                    prop_assert_eq!(record.map(|record| record.token), Some(token));
                    match &claimable.claim {
                        Claim::Presence { .. } => prop_assert!(record.is_some_and(|r| r.same_server && !r.present)),
                        Claim::Expired { nonce, .. } => prop_assert_eq!(record.map(|r| &r.nonce), Some(nonce)),
                    }
                }
            }
        }
    }
}
