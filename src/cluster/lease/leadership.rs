//! Whether this node leads now, by its own clock.
//!
//! 1. It leads only before the deadline of its lease: the lease less 5 % and 50 ms, since the last confirmed renewal was
//!    sent.
//! 2. It leads only while its last answered ping on its registered presence was sent less than the grace less 5 % ago. Only
//!    pings that were sent after the registration was confirmed count.
//! 3. The caller passes the current time; no "yes" is ever stored.
//! 4. Lease and grace are those that this leader stated in its record ([`Promise`]). When the settings of the cluster
//!    change, a shorter time is followed at once and stated with the next renewal; a longer one is stated first, and
//!    followed once the answer confirmed that the record has it. So the record always promises at least what is followed
//!    here, and a candidate that waits for the record's promise waits long enough, even if calls and answers are lost.
//!
//! Not here: how leadership is won (`election.rs`).

use crate::cluster::ids::{Nonce, Term};
use crate::cluster::lease::margins::{acting_time, lease_time};
use crate::cluster::settings::Promise;
use crate::cluster::time::Moment;
use std::time::Duration;

/// A term that this node holds, and until when it may act as leader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leadership {
    /// The term.
    pub term: Term,
    /// The times that this leader follows; its record promises at least these (invariant 4).
    follows: Promise,
    /// When the last confirmed grant or renewal was sent.
    confirmed: Option<Moment>,
    registered: Option<(Nonce, Moment)>,
    /// When the last answered ping that counts was sent.
    pinged: Option<Moment>,
    /// Only renewals sent since then count.
    doubted: Moment,
    /// Whether it is making room for another leader: it does not lead any more, but the store does not know yet.
    pub resigning: bool,
}

/// When a lease confirmed by the answer to a call sent at `sent` ends for its holder.
#[must_use]
pub fn lease_deadline(sent: Moment, lease: Duration) -> Moment {
    sent + lease_time(lease)
}

impl Leadership {
    /// A term granted by the answer to a call sent at `sent`, which stated `promise`. It does not lead before its presence
    /// is registered.
    #[must_use]
    pub fn granted(term: Term, sent: Moment, promise: Promise) -> Self {
        Self { confirmed: Some(sent), ..Self::found(term, promise) }
    }

    /// A term whose record names this node as holder, not confirmed yet.
    #[must_use]
    pub fn found(term: Term, promise: Promise) -> Self {
        Self {
            term,
            follows: promise,
            confirmed: None,
            registered: None,
            pinged: None,
            doubted: Moment::default(),
            resigning: false,
        }
    }

    /// Called when there is reason to believe that the term is over: it does not lead until a renewal sent from now on is confirmed.
    pub fn doubt(&mut self, now: Moment) {
        self.confirmed = None;
        self.doubted = now;
    }

    /// Called when a renewal sent at `sent`, which stated `promise`, was confirmed: the record promises that from now on.
    pub fn renewed(&mut self, sent: Moment, promise: Promise) {
        if sent >= self.doubted {
            self.confirmed = self.confirmed.max(Some(sent));
        }
        self.follows = promise;
    }

    /// Called with the settings of the cluster. Shorter times are followed at once; longer ones only once a renewal has
    /// stated them.
    pub fn shorten(&mut self, wanted: Promise) {
        self.follows = self.follows.shortest(wanted);
    }

    /// The times that this leader follows.
    #[must_use]
    pub fn follows(&self) -> Promise {
        self.follows
    }

    /// Called when the connection was stored as the leader's; the answer arrived at `now`.
    pub fn registered(&mut self, presence: Nonce, now: Moment) {
        self.registered = Some((presence, now));
    }

    /// Called when the connection is gone. What its answered pings allow remains allowed.
    pub fn unregistered(&mut self) {
        self.registered = None;
    }

    /// Whether this connection is registered.
    #[must_use]
    pub fn is_registered(&self, presence: &Nonce) -> bool {
        self.registered.as_ref().is_some_and(|(nonce, _)| nonce == presence)
    }

    /// Called when a ping sent at `sent` on this connection was answered.
    pub fn answered(&mut self, presence: &Nonce, sent: Moment) {
        if let Some((nonce, since)) = &self.registered
            && nonce == presence
            && sent >= *since
        {
            self.pinged = self.pinged.max(Some(sent));
        }
    }

    /// When this node stops leading unless something confirms its leadership again.
    #[must_use]
    pub fn until(&self) -> Moment {
        match (self.confirmed, self.pinged) {
            (Some(confirmed), Some(pinged)) if !self.resigning => {
                lease_deadline(confirmed, self.follows.lease).min(pinged + acting_time(self.follows.grace))
            }
            _ => Moment::default(),
        }
    }

    /// Whether it leads.
    #[must_use]
    pub fn leads(&self, now: Moment) -> bool {
        now < self.until()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_doubted_term_leads_again_only_by_a_renewal_sent_after_the_doubt() {
        let at = |ms: u64| Moment(Duration::from_millis(ms));
        let mode = crate::cluster::settings::LeaderMode::Exclusive;
        let promise = Promise { lease: Duration::from_secs(30), grace: Duration::from_secs(10), mode };
        let nonce = Nonce::new("n").expect("a nonce");
        let mut held = Leadership::granted(Term(3), at(1_000), promise);
        held.registered(nonce.clone(), at(1_000));
        held.answered(&nonce, at(1_000));
        assert!(held.leads(at(1_500)));
        held.doubt(at(1_500));
        assert!(!held.leads(at(1_500)));
        held.renewed(at(1_400), promise);
        assert!(!held.leads(at(1_600)), "that renewal was sent before the doubt");
        held.renewed(at(1_500), promise);
        assert!(held.leads(at(1_600)));
    }

    use crate::cluster::settings::LeaderMode;

    const LEASE: Duration = Duration::from_secs(30);
    const GRACE: Duration = Duration::from_secs(1);
    const PROMISE: Promise = Promise { grace: GRACE, lease: LEASE, mode: LeaderMode::Exclusive };

    fn at(ms: u64) -> Moment {
        Moment(Duration::from_millis(ms))
    }

    fn nonce(text: &str) -> Nonce {
        Nonce::new(text).expect("a nonce")
    }

    #[test]
    fn a_grant_alone_does_not_lead() {
        let leadership = Leadership::granted(Term(1), at(0), PROMISE);
        assert!(!leadership.leads(at(1)));
    }

    #[test]
    fn only_pings_sent_after_the_registration_count() {
        let mut leadership = Leadership::granted(Term(1), at(0), PROMISE);
        leadership.registered(nonce("a"), at(10));
        leadership.answered(&nonce("a"), at(9));
        assert!(!leadership.leads(at(20)), "a ping from before the registration proves nothing");
        leadership.answered(&nonce("b"), at(11));
        assert!(!leadership.leads(at(20)), "nor does one on another connection");
        leadership.answered(&nonce("a"), at(11));
        assert!(leadership.leads(at(20)));
        assert!(leadership.leads(at(960)) && !leadership.leads(at(961)), "the grace less 5 % from when it was sent");
    }

    #[test]
    fn the_lease_ends_before_any_candidate_may_think_so() {
        let mut leadership = Leadership::granted(Term(1), at(0), PROMISE);
        leadership.registered(nonce("a"), at(1));
        leadership.answered(&nonce("a"), at(28_449));
        assert!(leadership.leads(at(28_449)) && !leadership.leads(at(28_450)));
        leadership.renewed(at(20_000), PROMISE);
        assert!(leadership.leads(at(28_500)));
        leadership.resigning = true;
        assert!(!leadership.leads(at(28_500)));
    }

    fn leading() -> Leadership {
        let mut leadership = Leadership::granted(Term(1), at(0), PROMISE);
        leadership.registered(nonce("a"), at(1));
        leadership.answered(&nonce("a"), at(1_000));
        leadership
    }

    #[test]
    fn a_shorter_promise_is_followed_at_once_also_for_what_was_confirmed_before() {
        let mut leadership = leading();
        assert_eq!(leadership.until(), at(1_950));
        leadership.shorten(Promise { grace: Duration::from_millis(500), ..PROMISE });
        assert_eq!(leadership.until(), at(1_475), "the ping of before counts for the shorter grace");
        leadership.shorten(Promise { lease: Duration::from_millis(1_000), ..PROMISE });
        assert_eq!(leadership.until(), at(900), "and the renewal of before for the shorter lease");
    }

    #[test]
    fn a_longer_promise_is_followed_only_once_the_record_has_it() {
        let mut leadership = leading();
        let longer = Promise { grace: Duration::from_secs(4), ..PROMISE };
        leadership.shorten(longer);
        assert_eq!(leadership.until(), at(1_950), "nothing said so yet");
        leadership.renewed(at(1_200), longer);
        assert_eq!(leadership.until(), at(4_800));
        leadership.shorten(PROMISE);
        assert_eq!(leadership.until(), at(1_950), "shorter again");
    }
}
