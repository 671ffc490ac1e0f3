//! Whether this node leads, at this instant, by its own clock.
//!
//! 1. It leads only before its lease's deadline, counted from before the last confirmed renewal was sent, less 5 % and
//!    50 ms.
//! 2. It leads only while its last answered ping on its registered presence was sent less than the grace, less 5 %, ago.
//!    Only pings sent after the registration was confirmed count.
//! 3. Whoever asks checks with the time of asking; nothing here is a stored "yes".
//!
//! Not here: how leadership is won (`election.rs`).

use super::ids::{Nonce, Term};
use super::time::Moment;
use std::time::Duration;

/// What leaders take off a wait, because their clock may be slow.
const SLOW: f64 = 0.95;
/// What leaders take off their lease on top.
const SAFETY: Duration = Duration::from_millis(50);

/// A term that this node holds, and until when it may act on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leadership {
    /// The term.
    pub term: Term,
    lease_until: Moment,
    registered: Option<(Nonce, Moment)>,
    present_until: Moment,
    /// It is making room for another: it does not lead any more, the store does not know yet.
    pub resigning: bool,
}

/// When a lease that was confirmed by an answer to a call sent at `sent` is over for its holder.
#[must_use]
pub fn lease_deadline(sent: Moment, lease: Duration) -> Moment {
    sent + lease.mul_f64(SLOW).saturating_sub(SAFETY)
}

impl Leadership {
    /// A term that was granted by an answer to a call sent at `sent`. It does not lead before its presence is registered.
    #[must_use]
    pub fn granted(term: Term, sent: Moment, lease: Duration) -> Self {
        Self { lease_until: lease_deadline(sent, lease), ..Self::found(term) }
    }

    /// A term that the record names this node the holder of, not confirmed yet.
    #[must_use]
    pub fn found(term: Term) -> Self {
        let never = Moment::default();
        Self { term, lease_until: never, registered: None, present_until: never, resigning: false }
    }

    /// A renewal sent at `sent` was confirmed.
    pub fn renewed(&mut self, sent: Moment, lease: Duration) {
        self.lease_until = self.lease_until.max(lease_deadline(sent, lease));
    }

    /// The connection was stored as the leader's; the answer arrived at `now`.
    pub fn registered(&mut self, presence: Nonce, now: Moment) {
        self.registered = Some((presence, now));
    }

    /// The connection is gone. What its answered pings allow stays allowed.
    pub fn unregistered(&mut self) {
        self.registered = None;
    }

    /// Whether this connection is registered.
    #[must_use]
    pub fn is_registered(&self, presence: &Nonce) -> bool {
        self.registered.as_ref().is_some_and(|(nonce, _)| nonce == presence)
    }

    /// A ping sent at `sent` on this connection was answered.
    pub fn answered(&mut self, presence: &Nonce, sent: Moment, grace: Duration) {
        if let Some((nonce, since)) = &self.registered
            && nonce == presence
            && sent >= *since
        {
            self.present_until = self.present_until.max(sent + grace.mul_f64(SLOW));
        }
    }

    /// The moment at which this node stops leading unless something confirms it again.
    #[must_use]
    pub fn until(&self) -> Moment {
        if self.resigning { Moment::default() } else { self.lease_until.min(self.present_until) }
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

    const LEASE: Duration = Duration::from_secs(30);
    const GRACE: Duration = Duration::from_secs(1);

    fn at(ms: u64) -> Moment {
        Moment(Duration::from_millis(ms))
    }

    fn nonce(text: &str) -> Nonce {
        Nonce::new(text).expect("a nonce")
    }

    #[test]
    fn a_grant_alone_does_not_lead() {
        let leadership = Leadership::granted(Term(1), at(0), LEASE);
        assert!(!leadership.leads(at(1)));
    }

    #[test]
    fn only_pings_sent_after_the_registration_count() {
        let mut leadership = Leadership::granted(Term(1), at(0), LEASE);
        leadership.registered(nonce("a"), at(10));
        leadership.answered(&nonce("a"), at(9), GRACE);
        assert!(!leadership.leads(at(20)), "a ping from before the registration proves nothing");
        leadership.answered(&nonce("b"), at(11), GRACE);
        assert!(!leadership.leads(at(20)), "nor does one on another connection");
        leadership.answered(&nonce("a"), at(11), GRACE);
        assert!(leadership.leads(at(20)));
        assert!(leadership.leads(at(960)) && !leadership.leads(at(961)), "the grace less 5 % from when it was sent");
    }

    #[test]
    fn the_lease_ends_before_any_candidate_may_think_so() {
        let mut leadership = Leadership::granted(Term(1), at(0), LEASE);
        leadership.registered(nonce("a"), at(1));
        leadership.answered(&nonce("a"), at(28_449), GRACE);
        assert!(leadership.leads(at(28_449)) && !leadership.leads(at(28_450)));
        leadership.renewed(at(20_000), LEASE);
        assert!(leadership.leads(at(28_500)));
        leadership.resigning = true;
        assert!(!leadership.leads(at(28_500)));
    }
}
