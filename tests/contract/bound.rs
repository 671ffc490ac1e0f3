//! Leases that are bound to a presence: nobody gets one while its holder may go on.

use crate::calls::*;
use crate::fixture::Fixture;
use crate::lease_calls::*;
use clawster::cluster::ids::Term;
use clawster::cluster::protocol::{Acquire, Acquired, Claim, Join, Numbers, Refusal, Renewed, Tick};
use clawster::store::Notice;

/// The grace and 5 % of it.
const WAITED: std::time::Duration = std::time::Duration::from_millis(1050);

/// A process with a standing presence that has known server and data set for long.
async fn ready<F: Fixture>(f: &mut F, node: &str, presence: &str) -> Acquire {
    if view(f).await.data.epoch.is_empty() {
        member(f, "founder").await;
    }
    f.subscribe(presence).await;
    Acquire { served: served(f, secs(600)).await, ..wrapper(node, "bot", presence) }
}

fn gone(token: Term, presence: &str) -> Option<Claim> {
    Some(Claim::Presence { token, presence: presence.to_owned() })
}

async fn unchanged<F: Fixture>(f: &F) -> Option<Claim> {
    let record = lease_record(f, "bot").await.expect("there is a record");
    Some(Claim::Expired { token: record.token, nonce: record.nonce })
}

async fn a_presence_must_be_subscribed<F: Fixture>(mut f: F) {
    member(&f, "n").await;
    let ask = ready(&mut f, "n", "w1").await;
    assert_eq!(denied(&f, wrapper("n", "bot", "nobody")).await, Refusal::NoPresence);
    let token = taken(&f, ask.clone()).await;
    let record = lease_record(&f, "bot").await.unwrap();
    assert!(record.present && record.same_server);
    assert_eq!(record.holder, Some(ask.owner.clone()));
    assert!(matches!(hold_on(&f, &ask, token, "w1", false).await, Renewed::Until(_)));
    f.hang_up("w1").await;
    assert!(!lease_record(&f, "bot").await.unwrap().present);
    assert_eq!(hold_on(&f, &ask, token, "w1", true).await, Renewed::NoPresence);
    f.subscribe("w2").await;
    assert!(matches!(hold_on(&f, &ask, token, "w2", true).await, Renewed::Until(_)));
    assert!(lease_record(&f, "bot").await.unwrap().present, "it is bound to the new connection");
}

async fn only_the_process_that_was_granted_it_ends_a_lease<F: Fixture>(mut f: F) {
    let n = member(&f, "n").await;
    let held = ready(&mut f, "n", "w1").await;
    let token = taken(&f, held.clone()).await;
    let process = ready(&mut f, "n", "w2").await;
    for foreign in [&n as &dyn Claimant, &process] {
        assert!(!release(&f, foreign, "bot", token).await, "{:?}", foreign.proof());
        assert_eq!(prolong(&f, foreign, "bot", token, None).await, Renewed::Stale, "{:?}", foreign.proof());
    }
    assert_eq!(hold_on(&f, &process, token, "w2", true).await, Renewed::Stale, "another process of the same host");
    assert!(lease_record(&f, "bot").await.unwrap().present, "it is still bound to the first connection");
    assert!(matches!(hold_on(&f, &held, token, "w1", true).await, Renewed::Until(_)));
    f.hang_up("w1").await;
    assert!(!release(&f, &process, "bot", token).await);
    let elsewhere = Acquire { owner: process.owner, ..held };
    assert!(release(&f, &elsewhere, "bot", token).await, "the ticket proves it over any connection");
    assert!(release(&f, &elsewhere, "bot", token).await);
    assert!(!release(&f, &n, "bot", token).await);
}

async fn a_new_server_process_grants_nothing_at_once<F: Fixture>(mut f: F) {
    let n = member(&f, "n").await;
    f.subscribe("w1").await;
    let ask = wrapper("n", "bot", "w1");
    let refused = acquire(&f, ask.clone()).await;
    assert_eq!(refused.outcome, Acquired::Refused(Refusal::Unsettled));
    assert_eq!(refused.again, Some(WAITED), "{refused:?}");
    let known = served(&f, WAITED).await;
    let short = served(&f, GRACE).await;
    let refused = acquire(&f, Acquire { served: short, ..ask.clone() }).await;
    assert!(refused.again.is_some_and(|again| again <= WAITED - GRACE), "{refused:?}");
    for other in [
        known.clone().map(|mut k| {
            k.epoch = "other".to_owned();
            k
        }),
        known.clone().map(|mut k| {
            k.server.0 = "other".to_owned();
            k
        }),
    ] {
        assert_eq!(denied(&f, Acquire { served: other, ..ask.clone() }).await, Refusal::Unsettled);
    }
    taken(&f, acquire_of(&n, "members")).await;
    let token = taken(&f, Acquire { served: known, ..ask.clone() }).await;
    release(&f, &ask, "bot", token).await;
    taken(&f, ask.clone()).await;
    for _ in 0..2 {
        f.advance(secs(9));
        tick(&f, &n).await;
    }
    taken(&f, Acquire { name: lease_name("second"), ..ask }).await;
}

async fn a_presence_that_is_gone_ends_it<F: Fixture>(mut f: F) {
    let held = ready(&mut f, "n", "w1").await;
    let ask = ready(&mut f, "m", "w2").await;
    let token = taken(&f, held.clone()).await;
    let claimed = |claim| Acquire { claim, ..ask.clone() };
    assert_eq!(denied(&f, claimed(gone(token, "w1"))).await, Refusal::Held, "it is there");
    f.hang_up("w1").await;
    assert_eq!(denied(&f, claimed(None)).await, Refusal::Held);
    assert_eq!(denied(&f, claimed(gone(Term(token.0 - 1), "w1"))).await, Refusal::Held);
    f.subscribe("w3").await;
    hold_on(&f, &held, token, "w3", true).await;
    assert_eq!(denied(&f, claimed(gone(token, "w1"))).await, Refusal::Held, "registered again");
    f.hang_up("w3").await;
    assert!(taken(&f, claimed(gone(token, "w3"))).await > token);
    assert_eq!(hold_on(&f, &held, token, "w3", true).await, Renewed::Stale);
}

async fn an_unchanged_record_ends_it<F: Fixture>(mut f: F) {
    let held = ready(&mut f, "n", "w1").await;
    let ask = ready(&mut f, "m", "w2").await;
    let token = taken(&f, held.clone()).await;
    let seen = unchanged(&f).await;
    hold_on(&f, &held, token, "w1", true).await;
    assert_eq!(denied(&f, Acquire { claim: seen, ..ask.clone() }).await, Refusal::Held, "renewed");
    let claim = unchanged(&f).await;
    assert!(taken(&f, Acquire { claim, ..ask }).await > token);
}

async fn only_the_first_waiter_takes_it<F: Fixture>(mut f: F) {
    let held = ready(&mut f, "n", "w1").await;
    let (first, second, third) =
        (ready(&mut f, "m", "w2").await, ready(&mut f, "m", "w3").await, ready(&mut f, "m", "w4").await);
    let token = taken(&f, held).await;
    assert_eq!((queued(&f, &first).await, queued(&f, &second).await, queued(&f, &third).await), (0, 1, 2));
    f.hang_up("w1").await;
    let claim = gone(token, "w1");
    assert_eq!(
        queued(&f, &Acquire { claim: claim.clone(), ..second.clone() }).await,
        1,
        "it ends the lease for the first"
    );
    f.noticed("w2", Notice::Lease(first.ticket.clone())).await;
    let next = taken(&f, first.clone()).await;
    f.noticed("w3", Notice::Lease(second.ticket.clone())).await;
    assert_eq!(queued(&f, &second).await, 0, "who is the first now watches");
    f.hang_up("w3").await;
    release(&f, &first, "bot", next).await;
    f.noticed("w4", Notice::Lease(third.ticket.clone())).await;
    taken(&f, third).await;
}

async fn a_grant_is_not_told_again_to_another_connection<F: Fixture>(mut f: F) {
    let ask = ready(&mut f, "n", "w1").await;
    let token = taken(&f, ask.clone()).await;
    assert_eq!(taken(&f, ask.clone()).await, token);
    f.hang_up("w1").await;
    let later = Acquire { ticket: ask.ticket.clone(), ..ready(&mut f, "n", "w2").await };
    assert_eq!(denied(&f, later.clone()).await, Refusal::Held, "its former connection may hold it yet");
    assert!(taken(&f, Acquire { claim: gone(token, "w1"), ..later }).await > token);
}

async fn who_becomes_the_first_is_told_to_watch<F: Fixture>(mut f: F) {
    let held = ready(&mut f, "n", "w1").await;
    taken(&f, held).await;
    let (first, second) = (ready(&mut f, "m", "w2").await, ready(&mut f, "m", "w3").await);
    queued(&f, &first).await;
    queued(&f, &second).await;
    assert!(forget(&f, &first).await);
    f.noticed("w3", Notice::Lease(second.ticket.clone())).await;
    let reply = acquire(&f, Acquire { wait: true, ..second }).await;
    assert_eq!((reply.outcome, reply.again), (Acquired::Queued { before: 0 }, Some(secs(10))));
}

async fn another_server_process_waits_for_the_holder<F: Fixture>(mut f: F) {
    let held = ready(&mut f, "n", "w1").await;
    let token = taken(&f, held.clone()).await;
    f.restart(true).await;
    assert!(!lease_record(&f, "bot").await.unwrap().same_server);
    f.subscribe("w2").await;
    let ask = wrapper("m", "bot", "w2");
    for claim in [None, gone(token, "w1"), unchanged(&f).await] {
        assert_eq!(denied(&f, Acquire { claim, ..ask.clone() }).await, Refusal::Held);
    }
    let short = served(&f, GRACE).await;
    assert_eq!(denied(&f, Acquire { served: short, ..ask.clone() }).await, Refusal::Held);
    f.subscribe("w3").await;
    assert_eq!(
        hold_on(&f, &held, token, "w3", false).await,
        Renewed::Stale,
        "who holds it no more does not get it back"
    );
    assert!(matches!(hold_on(&f, &held, token, "w3", true).await, Renewed::Until(_)), "who holds it goes on");
    let known = served(&f, WAITED).await;
    assert_eq!(denied(&f, Acquire { served: known, ..ask.clone() }).await, Refusal::Held);
    f.restart(true).await;
    f.subscribe("w2").await;
    let known = served(&f, WAITED).await;
    assert!(taken(&f, Acquire { served: known, ..ask }).await > token);
}

async fn a_vacancy_of_another_server_process_proves_nothing<F: Fixture>(mut f: F) {
    let first = ready(&mut f, "n", "w1").await;
    let token = taken(&f, first.clone()).await;
    release(&f, &first, "bot", token).await;
    f.restart(true).await;
    f.subscribe("w2").await;
    let ask = wrapper("m", "bot", "w2");
    assert_eq!(denied(&f, ask.clone()).await, Refusal::Unsettled);
    let known = served(&f, GRACE).await;
    assert_eq!(queued(&f, &Acquire { served: known, ..ask.clone() }).await, 0, "it keeps its turn meanwhile");
    f.subscribe("w3").await;
    let other = Acquire { served: served(&f, WAITED).await, ..wrapper("m", "bot", "w3") };
    assert_eq!(queued(&f, &other).await, 1);
    f.noticed("w2", Notice::Lease(ask.ticket.clone())).await;
    assert_eq!(queued(&f, &ask).await, 0);
    taken(&f, Acquire { served: served(&f, WAITED).await, ..ask }).await;
}

async fn a_promoted_replica_waits_for_a_ttl<F: Fixture>(mut f: F) {
    let held = ready(&mut f, "n", "w1").await;
    let token = taken(&f, held).await;
    f.promote_replica().await;
    f.subscribe("w2").await;
    let ask = wrapper("m", "bot", "w2");
    let known = served(&f, LEASE).await;
    assert_eq!(denied(&f, Acquire { served: known, ..ask.clone() }).await, Refusal::Held);
    let known = served(&f, LEASE.mul_f64(1.05)).await;
    assert!(taken(&f, Acquire { served: known, ..ask.clone() }).await > token);
    let absent = Acquire { name: lease_name("absent"), served: served(&f, WAITED).await, ..ask };
    assert_eq!(denied(&f, absent).await, Refusal::Unsettled);
}

async fn a_grant_that_was_lost_is_written_again_by_its_holder<F: Fixture>(mut f: F) {
    let n = member(&f, "n").await;
    f.keep_copy();
    let held = ready(&mut f, "n", "w1").await;
    let token = taken(&f, held.clone()).await;
    f.restart_on_copy().await;
    assert_eq!(lease_record(&f, "bot").await, None);
    for name in ["w2", "w3"] {
        f.subscribe(name).await;
    }
    let ask = wrapper("m", "bot", "w2");
    assert_eq!(denied(&f, ask.clone()).await, Refusal::Unsettled, "there may be a holder");
    assert_eq!(hold_on(&f, &held, token, "w3", false).await, Renewed::Stale);
    assert!(matches!(hold_on(&f, &held, token, "w3", true).await, Renewed::Until(_)));
    assert!(check(&f, "bot", token).await);
    let known = served(&f, WAITED).await;
    assert_eq!(denied(&f, Acquire { served: known, ..ask }).await, Refusal::Held);
    assert!(taken(&f, acquire_of(&n, "other")).await > token);
}

async fn a_flushed_lease_stays_its_holders<F: Fixture>(mut f: F) {
    let held = ready(&mut f, "n", "w1").await;
    let ask = ready(&mut f, "m", "w2").await;
    let token = taken(&f, held.clone()).await;
    f.flush();
    let refused = acquire(&f, ask.clone()).await;
    assert_eq!(refused.outcome, Acquired::Refused(Refusal::Unsettled), "another data set than it knew");
    f.noticed("w1", Notice::Register).await;
    assert!(matches!(hold_on(&f, &held, token, "w1", true).await, Renewed::Until(_)));
    assert!(release(&f, &held, "bot", token).await);
    assert!(taken(&f, ask).await > token);
    f.flush();
    let held = Acquire { name: lease_name("first"), ..held };
    assert!(matches!(hold_on(&f, &held, Term(1 << 52), "w1", true).await, Renewed::Until(_)));
    assert!(view(&f).await.data.numbers.token > 1 << 52, "no token comes twice");
}

async fn a_jump_of_the_clock_ends_no_lease_of_a_presence<F: Fixture>(mut f: F) {
    let n = member(&f, "n").await;
    let held = Acquire { ttl: secs(4), ..ready(&mut f, "n", "w1").await };
    let ask = ready(&mut f, "m", "w2").await;
    let token = taken(&f, held.clone()).await;
    queued(&f, &ask).await;
    f.advance(secs(14));
    tick(&f, &n).await;
    assert_eq!(queued(&f, &ask).await, 0, "less than half a TTL may be a jump");
    assert!(matches!(hold_on(&f, &held, token, "w1", true).await, Renewed::Until(_)), "its own clock knows better");
    for _ in 0..2 {
        f.advance(secs(10));
        tick(&f, &n).await;
    }
    f.noticed("w2", Notice::Lease(ask.ticket.clone())).await;
    assert!(taken(&f, ask).await > token);
}

async fn a_members_end_leaves_what_a_presence_holds<F: Fixture>(mut f: F) {
    let n = member(&f, "n").await;
    let held = ready(&mut f, "n", "w1").await;
    let token = taken(&f, held).await;
    leave(&f, &n).await;
    assert!(check(&f, "bot", token).await);
    let other = member(&f, "other").await;
    assert_eq!(denied(&f, acquire_of(&other, "bot")).await, Refusal::Held);
    f.hang_up("w1").await;
    let ask = Acquire { claim: gone(token, "w1"), ..acquire_of(&other, "bot") };
    assert!(taken(&f, ask).await > token, "a member's life ends it by the same rules");
}

/// What a data set that began without settings waits for beside strangers: the default lease, and 5 % of it.
const STRANGE: std::time::Duration = std::time::Duration::from_millis(31_500);

async fn a_silent_holder_is_waited_for_after_a_flush<F: Fixture>(mut f: F) {
    let held = ready(&mut f, "n", "w1").await;
    let ask = ready(&mut f, "m", "w2").await;
    taken(&f, held).await;
    f.flush();
    assert_eq!(denied(&f, ask.clone()).await, Refusal::Unsettled);
    let known = served(&f, WAITED).await;
    let refused = acquire(&f, Acquire { served: known, ..ask.clone() }).await;
    assert_eq!(refused.outcome, Acquired::Refused(Refusal::Unsettled), "its answered pings may let it go on");
    assert_eq!(refused.again, Some(GRACE / 4), "until it is heard of");
    f.hang_up("w1").await;
    let known = served(&f, STRANGE - std::time::Duration::from_millis(2)).await;
    assert_eq!(denied(&f, Acquire { served: known, ..ask.clone() }).await, Refusal::Unsettled);
    let known = served(&f, STRANGE).await;
    taken(&f, Acquire { served: known, ..ask }).await;
}

async fn a_holder_that_is_heard_of_after_a_flush_delays_nobody<F: Fixture>(mut f: F) {
    let held = ready(&mut f, "n", "w1").await;
    let (ask, waits) = (ready(&mut f, "m", "w2").await, ready(&mut f, "m", "w3").await);
    let token = taken(&f, held.clone()).await;
    f.flush();
    assert!(matches!(hold_on(&f, &held, token, "w1", true).await, Renewed::Until(_)));
    let known = served(&f, WAITED).await;
    let ask = Acquire { name: lease_name("second"), served: known.clone(), ..ask };
    assert_eq!(denied(&f, ask.clone()).await, Refusal::Unsettled, "of the third nobody knows what it holds");
    assert_eq!(denied(&f, waits.clone()).await, Refusal::Held, "a call that may be older than the data set");
    assert_eq!(denied(&f, ask.clone()).await, Refusal::Unsettled);
    assert_eq!(denied(&f, Acquire { served: known, ..waits }).await, Refusal::Held);
    taken(&f, ask).await;
}

async fn members_delay_nobody_after_a_flush<F: Fixture>(mut f: F) {
    f.subscribe("p1").await;
    let present = Join { presence: Some(nonce("p1")), ..join_of("n") };
    let n = admitted(&f, present.clone()).await;
    let ask = ready(&mut f, "m", "w1").await;
    f.flush();
    assert_eq!(denied(&f, ask.clone()).await, Refusal::Unsettled);
    let ask = Acquire { served: served(&f, WAITED).await, ..ask };
    assert_eq!(denied(&f, ask.clone()).await, Refusal::Unsettled);
    admitted(&f, Join { own: n.instance.incarnation, ..present }).await;
    taken(&f, ask).await;
}

async fn a_copy_under_a_running_process_proves_nothing<F: Fixture>(mut f: F) {
    let n = member(&f, "n").await;
    let held = ready(&mut f, "n", "w1").await;
    let ask = ready(&mut f, "m", "w2").await;
    for _ in 0..4 {
        f.advance(secs(9));
        tick(&f, &n).await;
    }
    let token = taken(&f, held.clone()).await;
    // Somebody knows higher numbers than this data set: it is an older copy.
    let known = Numbers { token: token.0 + 5_000_000, ..Numbers::default() };
    send_tick(&f, Tick { known, ..tick_of(&n) }).await;
    f.hang_up("w1").await;
    let ask = Acquire { claim: gone(token, "w1"), served: served(&f, WAITED).await, ..ask };
    assert_eq!(denied(&f, ask.clone()).await, Refusal::Held, "another may have been granted it after that record");
    assert!(release(&f, &held, "bot", token).await);
    assert_eq!(denied(&f, ask.clone()).await, Refusal::Unsettled, "nor does a vacancy say");
    taken(&f, Acquire { served: served(&f, STRANGE).await, ..ask }).await;
}

async fn a_jump_of_the_clock_before_the_first_member_settles_nothing<F: Fixture>(mut f: F) {
    f.subscribe("w1").await;
    let ask = wrapper("n", "bot", "w1");
    assert_eq!(denied(&f, ask.clone()).await, Refusal::Unsettled);
    f.advance(secs(60));
    assert_eq!(denied(&f, ask).await, Refusal::Unsettled);
}

contract!(
    a_presence_must_be_subscribed,
    only_the_process_that_was_granted_it_ends_a_lease,
    a_new_server_process_grants_nothing_at_once,
    a_presence_that_is_gone_ends_it,
    an_unchanged_record_ends_it,
    only_the_first_waiter_takes_it,
    a_grant_is_not_told_again_to_another_connection,
    who_becomes_the_first_is_told_to_watch,
    another_server_process_waits_for_the_holder,
    a_vacancy_of_another_server_process_proves_nothing,
    a_promoted_replica_waits_for_a_ttl,
    a_grant_that_was_lost_is_written_again_by_its_holder,
    a_flushed_lease_stays_its_holders,
    a_jump_of_the_clock_ends_no_lease_of_a_presence,
    a_members_end_leaves_what_a_presence_holds,
    a_silent_holder_is_waited_for_after_a_flush,
    a_holder_that_is_heard_of_after_a_flush_delays_nobody,
    members_delay_nobody_after_a_flush,
    a_copy_under_a_running_process_proves_nothing,
    a_jump_of_the_clock_before_the_first_member_settles_nothing,
);
