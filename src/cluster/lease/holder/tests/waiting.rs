//! Waiting in line, claiming, and giving up.

use super::*;
use crate::cluster::protocol::Claim;

#[test]
fn the_first_in_line_claims_what_a_dead_process_held_after_the_grace() {
    let mut play = Play::new(|_| {});
    play.up();
    let queued = play.reply(Acquired::Queued { before: 0 }, Some(record(true, "n")));
    play.answer(queued);
    play.until(10_250);
    play.answer(watched(record(false, "n")));
    for step in 2..=5 {
        play.until(10_000 + step * 250);
        assert!(matches!(play.call, Some((_, LeaseCall::Watch { .. }))), "{:?}", play.call);
        play.answer(watched(record(false, "n")));
    }
    play.until(11_301);
    let claim = play.asked().claim.clone();
    assert_eq!(claim, Some(Claim::Presence { token: Term(5), presence: "p".to_owned() }));
    let refused = play.reply(Acquired::Queued { before: 0 }, Some(record(false, "n")));
    play.answer(refused);
    assert!(play.call.is_none(), "a refused claim is not repeated at once");
    play.until(11_560);
    assert!(play.call.is_some());
}

#[test]
fn a_frozen_holder_is_claimed_when_its_record_was_unchanged_for_the_lease() {
    let mut play = Play::new(|_| {});
    play.up();
    let queued = play.reply(Acquired::Queued { before: 0 }, Some(record(true, "n")));
    play.answer(queued);
    let mut claimed = None;
    for step in 1..400 {
        play.until(10_000 + step * 100);
        match &play.call {
            Some((_, LeaseCall::Watch { .. })) => {
                let mut seen = record(true, "n");
                seen.expires_at = ServerTime(1_030_000_u64.saturating_sub(step * 100));
                play.answer(watched(seen));
            }
            Some((_, LeaseCall::Acquire(acquire))) if acquire.claim.is_some() => {
                claimed = Some(play.now);
                break;
            }
            Some(_) => {
                let queued = play.reply(Acquired::Queued { before: 0 }, Some(record(true, "n")));
                play.answer(queued);
            }
            None => {}
        }
    }
    let claimed = claimed.expect("a claim");
    assert!(claimed >= at(41_500) && claimed <= at(42_000), "{claimed:?}");
}

#[test]
fn others_in_line_sleep_until_they_are_called() {
    let mut play = Play::new(|_| {});
    play.up();
    let ticket = play.asked().ticket.clone();
    let queued = play.reply(Acquired::Queued { before: 3 }, Some(record(false, "n")));
    play.answer(queued);
    play.until(14_900);
    assert!(play.call.is_none());
    play.input(Input::Called(text("somebody-else")));
    assert!(play.call.is_none());
    play.input(Input::Called(ticket.clone()));
    assert_eq!((&play.asked().ticket, &play.asked().claim), (&ticket, &None));
}

#[test]
fn a_grant_whose_answer_was_lost_counts_from_the_first_question() {
    let mut play = Play::new(|_| {});
    play.up();
    play.fail();
    play.until(15_000);
    play.grant(true);
    assert!(matches!(play.call, Some((_, LeaseCall::Renew { .. }))), "the store has to know the connection");
    play.until(40_000);
    assert!(!play.has(|effect| matches!(effect, Effect::Start { .. })));
    assert!(!matches!(play.call, Some((_, LeaseCall::Release { .. }))), "one call at a time");
    play.fail();
    play.until(40_300);
    assert!(matches!(play.call, Some((_, LeaseCall::Release { .. }))), "{:?}", play.call);
}

#[test]
fn who_does_not_wait_ends_with_the_holders_name_and_who_is_interrupted_leaves_the_queue() {
    let mut play = Play::new(|terms| terms.wait = Wait::Not);
    play.up();
    let refused = play.reply(Acquired::Refused(Refusal::Held), Some(record(true, "n")));
    play.answer(refused);
    assert_eq!(play.end(), Some(&End::Held(Some(node("b")))));

    let mut play = Play::new(|terms| terms.wait = Wait::Until(at(12_000)));
    play.up();
    let queued = play.reply(Acquired::Queued { before: 2 }, Some(record(true, "n")));
    play.answer(queued);
    play.until(12_000);
    play.answer(LeaseReply::Forgotten { waited: true });
    assert_eq!(play.end(), Some(&End::Held(Some(node("b")))));

    let mut play = Play::new(|_| {});
    play.up();
    let queued = play.reply(Acquired::Queued { before: 2 }, Some(record(true, "n")));
    play.answer(queued);
    play.input(Input::Quit { code: 143 });
    assert!(matches!(&play.call, Some((_, LeaseCall::Forget { .. }))), "{:?}", play.call);
    play.answer(LeaseReply::Forgotten { waited: true });
    assert_eq!(play.end(), Some(&End::Code(143)));

    let mut play = Play::new(|terms| terms.wait = Wait::Not);
    let nonce = play.line.clone().expect("a line");
    play.input(Input::PresenceRefused { nonce, error: "connection refused".to_owned() });
    assert_eq!(play.end(), Some(&End::Away("connection refused".to_owned())));
}
