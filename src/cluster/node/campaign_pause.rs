//! The pause after a campaign that was not granted.
//!
//! 1. A refusal says something about what was asked: the same is not asked again at once. What is new may be asked for at once: a
//!    candidate that lost a race a moment ago takes over without delay when the winner makes room for it.
//! 2. An answer that did not come says nothing: the campaign may have been granted, so nothing is asked before the next look.
//!
//! Not here: when a candidate may ask at all (`crate::cluster::lease::election`).

use crate::cluster::ids::Term;
use crate::cluster::lease::election::Chance;
use crate::cluster::protocol::Rule;
use crate::cluster::time::Moment;

/// Until when a candidate pauses, and about what.
#[derive(Debug, Default)]
pub(super) struct CampaignPause {
    until: Moment,
    /// What was refused; `None`: nothing is known.
    refused: Option<(Term, Rule)>,
}

impl CampaignPause {
    /// The campaign for this was refused.
    pub(super) fn refused(&mut self, seen: Term, rule: Rule, until: Moment) {
        *self = Self { until, refused: Some((seen, rule)) };
    }

    /// A campaign got no answer.
    pub(super) fn unanswered(&mut self, until: Moment) {
        *self = Self { until, refused: None };
    }

    /// The earliest time to ask for this.
    pub(super) fn earliest(&self, chance: &Chance) -> Moment {
        let new = self.refused.as_ref().is_some_and(|(seen, rule)| *seen != chance.seen || *rule != chance.rule);
        if new { chance.at } else { chance.at.max(self.until) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn at(ms: u64) -> Moment {
        Moment(Duration::from_millis(ms))
    }

    fn chance(seen: u64, rule: Rule) -> Chance {
        Chance { at: at(1_000), seen: Term(seen), rule, since: at(900) }
    }

    #[test]
    fn what_was_refused_waits_and_what_is_new_does_not() {
        let mut pause = CampaignPause::default();
        assert_eq!(pause.earliest(&chance(0, Rule::Absent)), at(1_000));
        pause.refused(Term(0), Rule::Absent, at(1_200));
        assert_eq!(pause.earliest(&chance(0, Rule::Absent)), at(1_200));
        assert_eq!(pause.earliest(&chance(7, Rule::Vacant)), at(1_000), "the winner of the race made room");
        pause.refused(Term(7), Rule::Vacant, at(1_300));
        assert_eq!(pause.earliest(&chance(7, Rule::Vacant)), at(1_300));
        let gone = |nonce: &str| Rule::Presence { nonce: nonce.to_owned() };
        assert_eq!(pause.earliest(&chance(7, gone("a"))), at(1_000));
    }

    #[test]
    fn after_a_lost_answer_nothing_is_asked_before_the_next_look() {
        let mut pause = CampaignPause::default();
        pause.unanswered(at(1_200));
        assert_eq!(pause.earliest(&chance(7, Rule::Vacant)), at(1_200));
        assert_eq!(pause.earliest(&chance(0, Rule::Absent)), at(1_200));
    }
}
