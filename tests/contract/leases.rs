//! Leases that are bound to a member's life: one holder, turns by arrival, tokens, ends.

use crate::calls::*;
use crate::fixture::Fixture;
use crate::lease_calls::*;
use clawster::cluster::ids::Term;
use clawster::cluster::protocol::{Acquire, Acquired, Identity, Join, Numbers, Refusal, Renewed};
use clawster::store::Notice;

fn called(ask: &Acquire) -> Notice {
    Notice::Lease(ask.ticket.clone())
}

async fn a_lease_has_one_holder<F: Fixture>(f: F) {
    let (a, b) = (member(&f, "a").await, member(&f, "b").await);
    let token = taken(&f, acquire_of(&a, "bot")).await;
    let refused = acquire(&f, acquire_of(&b, "bot")).await;
    assert_eq!(refused.outcome, Acquired::Refused(Refusal::Held));
    assert!(refused.again.is_some_and(|again| again > secs(15) && again <= secs(21)), "{refused:?}");
    let record = refused.record.expect("the holder's record");
    assert_eq!((record.holder.unwrap().node_id, record.token, record.waiters), (id("a"), token, 0));
    assert!(check(&f, "bot", token).await);
    taken(&f, acquire_of(&b, "bot:2/other")).await;
    assert!(release(&f, &a, "bot", token).await);
    let next = taken(&f, acquire_of(&b, "bot")).await;
    assert!(next > token);
    assert!(!check(&f, "bot", token).await && check(&f, "bot", next).await);
}

async fn waiters_take_turns_by_arrival<F: Fixture>(mut f: F) {
    let a = member(&f, "a").await;
    let (b, c) = (present(&mut f, "b", "p2").await, present(&mut f, "c", "p3").await);
    let token = taken(&f, acquire_of(&a, "bot")).await;
    let (first, second) = (acquire_of(&b, "bot"), acquire_of(&c, "bot"));
    assert_eq!((queued(&f, &first).await, queued(&f, &second).await), (0, 1));
    assert_eq!((queued(&f, &second).await, queued(&f, &first).await), (1, 0), "asking again keeps the place");
    release(&f, &a, "bot", token).await;
    f.noticed("p2", called(&first)).await;
    let kept = lease_record(&f, "bot").await.unwrap();
    assert_eq!((kept.holder, kept.offered_to.as_deref(), kept.waiters), (None, Some(first.ticket.as_str()), 2));
    assert_eq!(denied(&f, acquire_of(&a, "bot")).await, Refusal::Held, "it is kept for the first");
    assert_eq!(queued(&f, &second).await, 1);
    let next = taken(&f, first).await;
    assert_eq!(queued(&f, &second).await, 0);
    release(&f, &b, "bot", next).await;
    f.noticed("p3", called(&second)).await;
    assert!(taken(&f, second).await > next);
}

async fn an_offer_that_is_not_taken_passes_on<F: Fixture>(mut f: F) {
    let (b, c) = (present(&mut f, "b", "p2").await, present(&mut f, "c", "p3").await);
    let token = taken(&f, acquire_of(&b, "bot")).await;
    let (first, second, third) = (acquire_of(&b, "bot"), acquire_of(&c, "bot"), acquire_of(&c, "bot"));
    for ask in [&first, &second, &third] {
        queued(&f, ask).await;
    }
    release(&f, &b, "bot", token).await;
    let due = tick(&f, &b).await.due;
    assert!(due <= GRACE, "{due:?}");
    f.advance(GRACE);
    tick(&f, &c).await;
    f.noticed("p3", called(&second)).await;
    assert_eq!(queued(&f, &first).await, 2, "it lost its place");
    f.advance(GRACE);
    assert_eq!(queued(&f, &first).await, 1, "whoever asks passes it on, too");
    f.noticed("p3", called(&third)).await;
    f.advance(GRACE);
    taken(&f, third).await;
}

async fn who_cannot_take_it_is_passed_over<F: Fixture>(mut f: F) {
    let a = member(&f, "a").await;
    let b = member(&f, "b").await;
    let (c, d) = (present(&mut f, "c", "p3").await, present(&mut f, "d", "p4").await);
    let token = taken(&f, acquire_of(&a, "bot")).await;
    let (gone, drains, last) = (acquire_of(&b, "bot"), acquire_of(&c, "bot"), acquire_of(&d, "bot"));
    for ask in [&gone, &drains, &last] {
        queued(&f, ask).await;
    }
    leave(&f, &b).await;
    member(&f, "b").await;
    drain(&f, &c, true).await;
    release(&f, &a, "bot", token).await;
    f.noticed("p4", called(&last)).await;
    assert_eq!(lease_record(&f, "bot").await.unwrap().waiters, 1);
    assert_eq!(denied(&f, Acquire { wait: true, ..drains }).await, Refusal::Draining);
    drain(&f, &d, true).await;
    assert_eq!(denied(&f, last).await, Refusal::Draining);
    assert_eq!(lease_record(&f, "bot").await.unwrap().offered_to, None);
    taken(&f, acquire_of(&a, "bot")).await;
}

async fn a_waiter_gives_up<F: Fixture>(mut f: F) {
    let a = member(&f, "a").await;
    let b = present(&mut f, "b", "p2").await;
    let token = taken(&f, acquire_of(&a, "bot")).await;
    let (first, second) = (acquire_of(&a, "bot"), acquire_of(&b, "bot"));
    assert!(!forget(&f, &first).await);
    queued(&f, &first).await;
    queued(&f, &second).await;
    release(&f, &a, "bot", token).await;
    assert!(forget(&f, &first).await && !forget(&f, &first).await);
    f.noticed("p2", called(&second)).await;
    assert!(forget(&f, &second).await);
    assert_eq!(lease_record(&f, "bot").await.unwrap().waiters, 0);
    let refused = acquire_of(&b, "bot");
    taken(&f, acquire_of(&a, "bot")).await;
    queued(&f, &refused).await;
    assert_eq!(denied(&f, refused.clone()).await, Refusal::Held);
    assert!(!forget(&f, &refused).await, "who asks without waiting gives up its place");
}

async fn the_end_of_a_life_ends_its_leases<F: Fixture>(mut f: F) {
    let (leads, term) = leader(&mut f, "leads", "p1").await;
    let w = present(&mut f, "w", "pw").await;
    let waiting = |name: &str| acquire_of(&w, name);
    let a = member(&f, "a").await;
    taken(&f, acquire_of(&a, "left")).await;
    let ask = waiting("left");
    queued(&f, &ask).await;
    leave(&f, &a).await;
    f.noticed("pw", called(&ask)).await;

    let b = member(&f, "b").await;
    taken(&f, acquire_of(&b, "replaced")).await;
    let ask = waiting("replaced");
    queued(&f, &ask).await;
    admitted(&f, Join { force: true, process: nonce("rival"), ..join_of("b") }).await;
    f.noticed("pw", called(&ask)).await;

    let c = present(&mut f, "c", "p3").await;
    let token = taken(&f, acquire_of(&c, "died")).await;
    let ask = waiting("died");
    queued(&f, &ask).await;
    f.hang_up("p3").await;
    sweep(&f, &leads, term, &[("c", "p3")]).await;
    f.noticed("pw", called(&ask)).await;
    assert_eq!(prolong(&f, &c, "died", token, None).await, Renewed::Stale);
    taken(&f, ask).await;
}

async fn a_late_member_keeps_its_lease_until_it_is_over<F: Fixture>(mut f: F) {
    let a = member(&f, "a").await;
    let w = present(&mut f, "w", "pw").await;
    let token = taken(&f, Acquire { ttl: secs(40), ..acquire_of(&a, "bot") }).await;
    let ask = acquire_of(&w, "bot");
    queued(&f, &ask).await;
    for _ in 0..3 {
        f.advance(secs(12));
        tick(&f, &w).await;
    }
    assert_eq!(tick(&f, &a).await.identity, Identity::Gone);
    assert!(check(&f, "bot", token).await);
    assert_eq!(queued(&f, &ask).await, 0);
    let due = tick(&f, &w).await.due;
    assert!(due <= secs(5), "{due:?}");
    f.advance(secs(5));
    assert!(!check(&f, "bot", token).await);
    tick(&f, &w).await;
    f.noticed("pw", called(&ask)).await;
    taken(&f, ask).await;
}

async fn a_stall_of_the_server_ends_no_lease<F: Fixture>(mut f: F) {
    let (a, b) = (member(&f, "a").await, member(&f, "b").await);
    let token = taken(&f, acquire_of(&a, "bot")).await;
    f.advance(secs(3600));
    assert!(check(&f, "bot", token).await);
    assert_eq!(denied(&f, acquire_of(&b, "bot")).await, Refusal::Held);
    assert!(matches!(prolong(&f, &a, "bot", token, Some(secs(10))).await, Renewed::Until(_)));
    f.advance(secs(8));
    assert_eq!(denied(&f, acquire_of(&b, "bot")).await, Refusal::Held);
    f.advance(secs(3));
    assert_eq!(prolong(&f, &a, "bot", token, None).await, Renewed::Stale);
    assert!(taken(&f, acquire_of(&b, "bot")).await > token, "whoever asks finds it over");
}

async fn a_repeated_request_gets_its_first_grant<F: Fixture>(mut f: F) {
    let a = member(&f, "a").await;
    let b = member(&f, "b").await;
    let asked = |node: &Node, name: &str| Acquire { request_id: "r 1".to_owned(), ..acquire_of(node, name) };
    let first = acquire(&f, asked(&a, "bot")).await;
    let Acquired::Granted { token, expires_at, again: false } = first.outcome else { panic!("{first:?}") };
    let told = Acquired::Granted { token, expires_at, again: true };
    assert_eq!(acquire(&f, asked(&a, "bot")).await.outcome, told);
    assert_eq!(denied(&f, asked(&b, "bot")).await, Refusal::Held, "another node's request is another one");
    release(&f, &a, "bot", token).await;
    assert_eq!(acquire(&f, asked(&a, "bot")).await.outcome, told, "also after its end");
    leave(&f, &a).await;
    let next = taken(&f, asked(&b, "bot")).await;
    assert!(next > token, "a refusal is not remembered");
    let a = member(&f, "a").await;
    assert_eq!(denied(&f, asked(&a, "bot")).await, Refusal::Held, "it ended with the life that was granted it");
    assert!(taken(&f, asked(&a, "other")).await > next);
    f.advance(secs(3700));
    release(&f, &b, "bot", next).await;
    let a = admitted(&f, Join { force: true, ..join_of("a") }).await;
    assert!(taken(&f, asked(&a, "bot")).await > next, "after an hour it is another one");
}

async fn a_lost_answer_is_told_again_by_its_ticket<F: Fixture>(f: F) {
    let a = member(&f, "a").await;
    let ask = acquire_of(&a, "bot");
    let token = taken(&f, ask.clone()).await;
    let again = acquire(&f, ask.clone()).await;
    assert!(matches!(again.outcome, Acquired::Granted { token: told, again: true, .. } if told == token));
    release(&f, &a, "bot", token).await;
    assert!(taken(&f, ask).await > token);
}

async fn tokens_rise_for_ever<F: Fixture>(mut f: F) {
    let a = member(&f, "a").await;
    let mut last = a.instance.incarnation.0;
    let mut higher = |token: u64| {
        assert!(token > last, "{token} after {last}");
        last = token;
    };
    let token = taken(&f, acquire_of(&a, "bot")).await;
    higher(token.0);
    higher(elect(&f, &a).await.0);
    higher(taken(&f, acquire_of(&a, "other")).await.0);
    release(&f, &a, "bot", token).await;
    higher(taken(&f, acquire_of(&a, "bot")).await.0);
    let known = tick(&f, &a).await.data.numbers;
    f.flush();
    let ask = Acquire { known, ..acquire_of(&a, "bot") };
    assert_eq!(denied(&f, ask).await, Refusal::NoMember(Identity::Unknown), "its data set is a new one");
    let a = admitted(&f, Join { own: a.instance.incarnation, known, ..join_of("a") }).await;
    higher(taken(&f, acquire_of(&a, "bot")).await.0);
    let known = tick(&f, &a).await.data.numbers;
    f.restart(false).await;
    let a = admitted(&f, Join { known, ..join_of("a") }).await;
    higher(a.instance.incarnation.0);
    higher(taken(&f, acquire_of(&a, "bot")).await.0);
}

async fn a_stale_token_is_refused<F: Fixture>(f: F) {
    let (a, b) = (member(&f, "a").await, member(&f, "b").await);
    assert_eq!(prolong(&f, &a, "bot", Term(1), None).await, Renewed::Stale);
    assert!(!release(&f, &a, "bot", Term(1)).await && !check(&f, "bot", Term(1)).await);
    let token = taken(&f, acquire_of(&a, "bot")).await;
    let Renewed::Until(until) = prolong(&f, &a, "bot", token, Some(secs(600))).await else { panic!("not renewed") };
    assert!(until.since(view(&f).await.now) > secs(590));
    assert!(release(&f, &a, "bot", token).await);
    assert!(release(&f, &a, "bot", token).await, "a second release is answered alike");
    assert_eq!(prolong(&f, &a, "bot", token, None).await, Renewed::Stale);
    assert!(!check(&f, "bot", token).await);
    let next = taken(&f, acquire_of(&b, "bot")).await;
    assert!(!release(&f, &a, "bot", token).await, "somebody else was granted it since");
    assert_eq!(prolong(&f, &a, "bot", token, None).await, Renewed::Stale);
    assert!(check(&f, "bot", next).await);
}

async fn only_the_life_that_was_granted_it_ends_a_lease<F: Fixture>(mut f: F) {
    let (a, b) = (member(&f, "a").await, member(&f, "b").await);
    let token = taken(&f, acquire_of(&a, "bot")).await;
    f.subscribe("w1").await;
    let process = wrapper("a", "bot", "w1");
    let mut other_life = a.clone();
    other_life.instance.incarnation.0 += 1;
    for foreign in [&b as &dyn Claimant, &other_life, &process] {
        assert!(!release(&f, foreign, "bot", token).await, "{:?}", foreign.proof());
        assert_eq!(prolong(&f, foreign, "bot", token, None).await, Renewed::Stale, "{:?}", foreign.proof());
    }
    assert!(check(&f, "bot", token).await, "everybody may ask");
    assert!(matches!(prolong(&f, &a, "bot", token, None).await, Renewed::Until(_)));
    assert!(release(&f, &a, "bot", token).await && release(&f, &a, "bot", token).await);
    assert!(!release(&f, &b, "bot", token).await, "it was never b's");
    assert!(!release(&f, &process, "bot", token).await);
}

async fn the_leadership_is_the_lease_named_leader<F: Fixture>(mut f: F) {
    let b = member(&f, "b").await;
    let (a, term) = leader(&mut f, "a", "p1").await;
    assert_eq!(denied(&f, Acquire { wait: true, ..acquire_of(&b, "leader") }).await, Refusal::Leadership);
    let reply = acquire(&f, acquire_of(&a, "leader")).await;
    assert!(matches!(reply.outcome, Acquired::Granted { token, again: true, .. } if token == term), "{reply:?}");
    let held = reply.record.unwrap();
    assert_eq!((held.holder.unwrap().node_id, held.token, held.present, held.ttl), (id("a"), term, true, TTL));
    assert!(check(&f, "leader", term).await && !check(&f, "leader", Term(term.0 - 1)).await);
    assert!(matches!(prolong(&f, &a, "leader", term, None).await, Renewed::Until(_)));
    assert_eq!(prolong(&f, &b, "leader", term, None).await, Renewed::Stale, "it is another's");
    assert!(!release(&f, &a, "leader", term).await, "it is resigned");
    resign(&f, &a, term).await;
    assert!(!check(&f, "leader", term).await);
    assert_eq!(denied(&f, acquire_of(&a, "leader")).await, Refusal::Leadership);
}

async fn only_live_members_ask_for_their_life<F: Fixture>(f: F) {
    let (a, b) = (member(&f, "a").await, member(&f, "b").await);
    let other = Node {
        instance: clawster::cluster::protocol::Instance { node_id: id("x"), ..a.instance.clone() },
        ..a.clone()
    };
    assert_eq!(denied(&f, acquire_of(&other, "bot")).await, Refusal::NoMember(Identity::Unknown));
    let mut other = a.clone();
    other.instance.incarnation.0 -= 1;
    assert_eq!(denied(&f, acquire_of(&other, "bot")).await, Refusal::NoMember(Identity::Replaced));
    leave(&f, &b).await;
    assert_eq!(denied(&f, acquire_of(&b, "bot")).await, Refusal::NoMember(Identity::Gone));
    let known = Numbers { token: a.known.token + 9, ..Numbers::default() };
    let before = view(&f).await.data.epoch;
    let reply = acquire(&f, Acquire { known, ..acquire_of(&a, "bot") }).await;
    assert_ne!(reply.epoch, before, "a copy that knows less begins a new data set");
    assert!(reply.token > known.token);
}

async fn at_most_a_thousand_wait<F: Fixture>(f: F) {
    let a = member(&f, "a").await;
    let token = taken(&f, acquire_of(&a, "bot")).await;
    for n in 0..1000 {
        assert_eq!(queued(&f, &acquire_of(&a, "bot")).await, n);
    }
    assert_eq!(denied(&f, Acquire { wait: true, ..acquire_of(&a, "bot") }).await, Refusal::Overloaded);
    release(&f, &a, "bot", token).await;
    assert_eq!(lease_record(&f, "bot").await.unwrap().waiters, 1000);
}

async fn a_vacant_record_is_forgotten_after_a_day<F: Fixture>(mut f: F) {
    let a = admitted(&f, Join { settings: slow(), ..join_of("a") }).await;
    let token = taken(&f, acquire_of(&a, "bot")).await;
    release(&f, &a, "bot", token).await;
    f.advance(secs(80_000));
    assert!(lease_record(&f, "bot").await.is_some());
    taken(&f, acquire_of(&a, "bot")).await;
    f.advance(secs(80_000));
    assert!(lease_record(&f, "bot").await.is_some(), "a held one is not");
    tick(&f, &a).await;
    f.advance(secs(86_401));
    assert_eq!(lease_record(&f, "bot").await, None);
    assert!(taken(&f, acquire_of(&a, "bot")).await > token);
}

contract!(
    a_lease_has_one_holder,
    waiters_take_turns_by_arrival,
    an_offer_that_is_not_taken_passes_on,
    who_cannot_take_it_is_passed_over,
    a_waiter_gives_up,
    the_end_of_a_life_ends_its_leases,
    a_late_member_keeps_its_lease_until_it_is_over,
    a_stall_of_the_server_ends_no_lease,
    a_repeated_request_gets_its_first_grant,
    a_lost_answer_is_told_again_by_its_ticket,
    tokens_rise_for_ever,
    a_stale_token_is_refused,
    only_the_life_that_was_granted_it_ends_a_lease,
    the_leadership_is_the_lease_named_leader,
    only_live_members_ask_for_their_life,
    at_most_a_thousand_wait,
    a_vacant_record_is_forgotten_after_a_day,
);
