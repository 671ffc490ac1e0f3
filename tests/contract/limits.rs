//! Limits: permits of a rate, and slots: never more than there are, in the order of arrival, once for a repeated call.

use crate::calls::*;
use crate::fixture::Fixture;
use clawster::cluster::ids::{LimitName, Nonce, TaskToken};
use clawster::cluster::protocol::{
    AcquireSlot, Call, ForgetSlot, Identity, LimitCall, LimitReply, Permits, PermitsReply, ReleaseSlot, RenewSlot,
    Reply, Slot, SlotReply, TakePermits,
};
use clawster::cluster::time::ServerTime;
use clawster::store::Notice;
use std::time::Duration;

fn limit(text: &str) -> LimitName {
    LimitName::new(text).unwrap()
}

async fn limit_call<F: Fixture>(f: &F, ask: LimitCall) -> LimitReply {
    let Reply::Limit(reply) = call(f, Call::Limit(Box::new(ask))).await else { panic!("no answer about limits") };
    reply
}

/// One permit of ten a second, at most five at once.
fn take_of(node: &Node, name: &str) -> TakePermits {
    TakePermits {
        instance: node.instance.clone(),
        name: limit(name),
        permits: 1,
        rate: 10,
        per: secs(1),
        burst: 5,
        wait: secs(0),
        request_id: None,
    }
}

async fn take<F: Fixture>(f: &F, ask: TakePermits) -> PermitsReply {
    let LimitReply::Taken(reply) = limit_call(f, LimitCall::Take(ask)).await else { panic!("no answer") };
    assert_eq!(reply.identity, Identity::Ok);
    reply
}

/// How many of `count` single permits are granted at once.
async fn granted<F: Fixture>(f: &F, ask: &TakePermits, count: usize) -> usize {
    let mut sum = 0;
    for _ in 0..count {
        sum += usize::from(matches!(take(f, ask.clone()).await.outcome, Permits::Granted { .. }));
    }
    sum
}

/// A rate so slow that the time that a test takes returns no permit.
fn slow_of(node: &Node, name: &str) -> TakePermits {
    TakePermits { rate: 1, per: secs(10), ..take_of(node, name) }
}

async fn a_bucket_holds_its_burst_and_fills_at_its_rate<F: Fixture>(mut f: F) {
    let (a, b) = (member(&f, "a").await, member(&f, "b").await);
    let (of_a, of_b) = (slow_of(&a, "x"), slow_of(&b, "x"));
    assert_eq!(take(&f, of_a.clone()).await.remaining, 4);
    assert_eq!(granted(&f, &of_b, 9).await, 4, "both nodes share it");
    let Permits::Refused { retry_after } = take(&f, of_a.clone()).await.outcome else { panic!("there is none") };
    assert!(retry_after > secs(5) && retry_after <= secs(10), "{retry_after:?}");
    assert_eq!(granted(&f, &slow_of(&a, "other"), 9).await, 5, "another name is another bucket");
    f.advance(secs(14));
    assert_eq!(granted(&f, &of_b, 9).await, 1, "one came back in ten seconds");
    for _ in 0..9 {
        f.advance(secs(14));
        tick(&f, &a).await;
    }
    assert_eq!(granted(&f, &of_a, 9).await, 5, "it holds no more than its burst");
}

async fn several_permits_are_taken_together_or_not_at_all<F: Fixture>(f: F) {
    let a = member(&f, "a").await;
    let three = TakePermits { permits: 3, ..slow_of(&a, "x") };
    assert_eq!(granted(&f, &three, 3).await, 1);
    assert_eq!(take(&f, three).await.remaining, 2);
    assert_eq!(granted(&f, &slow_of(&a, "x"), 3).await, 2);
}

async fn waiters_get_later_times_in_the_order_in_which_they_asked<F: Fixture>(f: F) {
    let (a, b) = (member(&f, "a").await, member(&f, "b").await);
    assert_eq!(granted(&f, &slow_of(&a, "x"), 5).await, 5);
    let mut last = Duration::ZERO;
    for n in 0..6 {
        let node = if n % 2 == 0 { &a } else { &b };
        let ask = TakePermits { wait: secs(600), permits: 1 + n % 2, ..slow_of(node, "x") };
        let Permits::Granted { wait, .. } = take(&f, ask).await.outcome else { panic!("it can be there in time") };
        let more = wait.saturating_sub(last);
        // Each wait is rounded up to a millisecond.
        let most = secs(10 + 10 * (n % 2)) + Duration::from_millis(1);
        assert!(more > secs(8 + 10 * (n % 2)) && more <= most, "{last:?}, then {wait:?}");
        last = wait;
    }
    let short = take(&f, TakePermits { wait: secs(30), ..slow_of(&a, "x") }).await.outcome;
    assert!(matches!(short, Permits::Refused { retry_after } if retry_after > secs(80)), "{short:?}");
    let next = take(&f, TakePermits { wait: secs(600), ..slow_of(&a, "x") }).await.outcome;
    let Permits::Granted { wait, .. } = next else { panic!("{next:?}") };
    assert!(wait <= last + secs(10), "a refusal takes no place");
}

async fn a_repeated_request_takes_no_more_permits<F: Fixture>(f: F) {
    let (a, b) = (member(&f, "a").await, member(&f, "b").await);
    let ask = TakePermits { request_id: Some("r 1".to_owned()), ..slow_of(&a, "x") };
    let first = take(&f, ask.clone()).await;
    for _ in 0..3 {
        let again = take(&f, ask.clone()).await;
        let (Permits::Granted { at, .. }, Permits::Granted { at: same, .. }) = (first.outcome, again.outcome) else {
            panic!("{first:?}, then {again:?}")
        };
        assert_eq!((at, again.remaining), (same, 4));
    }
    let other = TakePermits { request_id: Some("r 1".to_owned()), ..slow_of(&b, "x") };
    assert_eq!(take(&f, other).await.remaining, 3, "another node's request is another one");
    let late = TakePermits { request_id: Some("r 2".to_owned()), permits: 5, ..slow_of(&a, "x") };
    assert!(matches!(take(&f, late.clone()).await.outcome, Permits::Refused { .. }));
    let waits = TakePermits { wait: secs(60), ..late };
    assert!(matches!(take(&f, waits).await.outcome, Permits::Granted { .. }), "a refusal is not remembered");
}

async fn a_jump_of_the_clock_neither_stops_nor_fills_a_bucket<F: Fixture>(mut f: F) {
    let a = member(&f, "a").await;
    f.advance(secs(14));
    tick(&f, &a).await;
    let ask = TakePermits { rate: 1, per: secs(4), ..take_of(&a, "x") };
    assert_eq!(granted(&f, &ask, 9).await, 5);
    f.turn_back(secs(14));
    assert_eq!(granted(&f, &ask, 9).await, 0, "nothing is won");
    f.advance(secs(10));
    assert_eq!(granted(&f, &ask, 9).await, 2, "it fills although the clock shows an earlier time");
    f.advance(secs(86_400));
    assert_eq!(granted(&f, &ask, 9).await, 0, "a day that nobody noticed is no time");
    f.advance(secs(10));
    assert_eq!(granted(&f, &ask, 9).await, 3, "five in twenty seconds");
}

async fn of_two_rates_neither_is_exceeded<F: Fixture>(mut f: F) {
    let a = member(&f, "a").await;
    let slow = slow_of(&a, "x");
    let fast = TakePermits { rate: 10, per: secs(1), ..slow.clone() };
    assert_eq!(granted(&f, &slow, 5).await, 5);
    for _ in 0..3 {
        f.advance(secs(12));
        assert_eq!(granted(&f, &fast, 1).await, 1, "filled at the slower rate");
        assert_eq!(granted(&f, &slow, 1).await, 0);
    }
    assert_eq!(granted(&f, &fast, 1).await, 0);
    f.advance(secs(1));
    assert_eq!(granted(&f, &fast, 9).await, 5, "the new rate counts from the call that brought it");
    let less = TakePermits { burst: 2, ..fast.clone() };
    f.advance(secs(10));
    assert_eq!(granted(&f, &less, 9).await, 2, "so does the new burst");
}

async fn only_members_take_permits_and_slots<F: Fixture>(f: F) {
    let a = member(&f, "a").await;
    leave(&f, &a).await;
    let LimitReply::Taken(taken) = limit_call(&f, LimitCall::Take(take_of(&a, "x"))).await else { panic!() };
    assert_eq!(taken.identity, Identity::Gone);
    let LimitReply::Slot(slot) = limit_call(&f, LimitCall::Acquire(slot_of(&a, "x", 1))).await else { panic!() };
    assert_eq!(slot.identity, Identity::Gone);
}

fn slot_of(node: &Node, name: &str, slots: u64) -> AcquireSlot {
    let ticket = fresh();
    AcquireSlot {
        instance: node.instance.clone(),
        name: limit(name),
        request_id: ticket.to_string(),
        ticket,
        slots,
        ttl: secs(20),
        wait: false,
        grace: GRACE,
    }
}

async fn ask<F: Fixture>(f: &F, ask: &AcquireSlot) -> SlotReply {
    let LimitReply::Slot(reply) = limit_call(f, LimitCall::Acquire(ask.clone())).await else { panic!("no answer") };
    assert_eq!(reply.identity, Identity::Ok);
    reply
}

/// The token of a slot that must be granted.
async fn hold<F: Fixture>(f: &F, request: &AcquireSlot) -> TaskToken {
    match ask(f, request).await.outcome {
        Slot::Granted { token, .. } => token,
        other => panic!("not granted: {other:?}"),
    }
}

async fn is_full<F: Fixture>(f: &F, request: &AcquireSlot) -> bool {
    matches!(ask(f, request).await.outcome, Slot::Full { .. })
}

async fn release<F: Fixture>(f: &F, node: &Node, name: &str, token: TaskToken) -> Option<u64> {
    let call = ReleaseSlot { instance: node.instance.clone(), name: limit(name), token };
    let LimitReply::Released(in_use) = limit_call(f, LimitCall::Release(call)).await else { panic!("no answer") };
    in_use
}

async fn renew_slot<F: Fixture>(f: &F, node: &Node, token: TaskToken, ttl: Option<Duration>) -> Option<ServerTime> {
    let call = RenewSlot { instance: node.instance.clone(), name: limit("x"), token, ttl };
    let LimitReply::Renewed(until) = limit_call(f, LimitCall::Renew(call)).await else { panic!("no answer") };
    until
}

async fn forget<F: Fixture>(f: &F, request: &AcquireSlot) {
    let AcquireSlot { instance, name, ticket, request_id, .. } = request.clone();
    let call = ForgetSlot { instance, name, ticket, request_id };
    assert_eq!(limit_call(f, LimitCall::Forget(call)).await, LimitReply::Forgotten);
}

async fn so_many_hold_a_slot_and_no_more<F: Fixture>(f: F) {
    let (a, b) = (member(&f, "a").await, member(&f, "b").await);
    let first = hold(&f, &slot_of(&a, "x", 2)).await;
    let second = ask(&f, &slot_of(&b, "x", 2)).await;
    let Slot::Granted { token, expires_at } = second.outcome else { panic!("{second:?}") };
    assert!(token > first && second.in_use == 2, "{second:?}");
    let now = view(&f).await.now;
    assert!(expires_at > now && expires_at.since(now) <= secs(20));
    assert!(is_full(&f, &slot_of(&a, "x", 2)).await);
    hold(&f, &slot_of(&a, "y", 1)).await;
    assert_eq!(release(&f, &b, "x", first).await, None, "only its holder releases it");
    assert_eq!(release(&f, &a, "y", first).await, None, "under its name");
    assert_eq!(release(&f, &a, "x", first).await, Some(1));
    assert_eq!(release(&f, &a, "x", first).await, Some(1), "the first answer may have been lost");
    assert!(hold(&f, &slot_of(&b, "x", 2)).await > token);
    assert!(is_full(&f, &slot_of(&a, "x", 1)).await, "fewer slots: those in use count");
    hold(&f, &slot_of(&a, "x", 3)).await;
}

async fn a_slot_ends_by_its_time_and_with_its_holders_life<F: Fixture>(mut f: F) {
    let (a, b) = (member(&f, "a").await, member(&f, "b").await);
    let first = hold(&f, &slot_of(&a, "x", 1)).await;
    f.advance(secs(14));
    let until = renew_slot(&f, &a, first, None).await.expect("it is renewed");
    assert!(until.since(view(&f).await.now) > secs(15));
    assert_eq!(renew_slot(&f, &b, first, None).await, None, "only by its holder");
    f.advance(secs(14));
    assert!(is_full(&f, &slot_of(&b, "x", 1)).await, "the renewal counts");
    f.advance(secs(14));
    assert_eq!(renew_slot(&f, &a, first, Some(secs(60))).await, None, "too late");
    let second = hold(&f, &slot_of(&b, "x", 1)).await;
    assert_eq!(release(&f, &a, "x", first).await, None, "stale");
    leave(&f, &b).await;
    let third = hold(&f, &slot_of(&a, "x", 1)).await;
    assert!(second < third);
    let a =
        admitted(&f, clawster::cluster::protocol::Join { process: nonce("other"), force: true, ..join_of("a") }).await;
    let fourth = hold(&f, &slot_of(&a, "x", 1)).await;
    assert_eq!(release(&f, &a, "x", third).await, None, "of an earlier life");
    assert_eq!(release(&f, &a, "x", fourth).await, Some(0));
}

async fn waiters_get_slots_in_the_order_in_which_they_came<F: Fixture>(mut f: F) {
    let (a, b) = (present(&mut f, "a", "pa").await, present(&mut f, "b", "pb").await);
    let held = [hold(&f, &slot_of(&a, "x", 2)).await, hold(&f, &slot_of(&a, "x", 2)).await];
    let waits = |node: &Node| AcquireSlot { wait: true, ..slot_of(node, "x", 2) };
    let queue = [waits(&b), waits(&a), waits(&b)];
    for waiter in &queue {
        assert!(is_full(&f, waiter).await);
    }
    assert_eq!(release(&f, &a, "x", held[0]).await, Some(1));
    f.noticed("pb", Notice::Lease(queue[0].ticket.clone())).await;
    assert!(is_full(&f, &slot_of(&a, "x", 2)).await, "the free one is reserved");
    assert!(is_full(&f, &queue[1]).await, "and not for the second");
    let first = hold(&f, &queue[0]).await;
    assert_eq!(hold(&f, &queue[0]).await, first, "a repeated call gets it again");
    release(&f, &a, "x", held[1]).await;
    f.noticed("pa", Notice::Lease(queue[1].ticket.clone())).await;
    assert!(is_full(&f, &queue[2]).await);
    f.advance(GRACE * 2);
    let third = hold(&f, &queue[2]).await;
    assert!(third > first, "the second did not take it in its grace");
    assert!(is_full(&f, &queue[1]).await);
}

async fn who_gives_up_or_dies_stands_in_nobodys_way<F: Fixture>(f: F) {
    let (a, b, c) = (member(&f, "a").await, member(&f, "b").await, member(&f, "c").await);
    let held = hold(&f, &slot_of(&a, "x", 1)).await;
    let waits = |node: &Node| AcquireSlot { wait: true, ..slot_of(node, "x", 1) };
    let (gives_up, dies, last) = (waits(&b), waits(&b), waits(&c));
    for waiter in [&gives_up, &dies, &last] {
        assert!(is_full(&f, waiter).await);
    }
    forget(&f, &gives_up).await;
    assert_eq!(ask(&f, &gives_up).await.outcome, Slot::Barred, "it arrives late");
    leave(&f, &b).await;
    release(&f, &a, "x", held).await;
    let token = hold(&f, &last).await;
    forget(&f, &last).await;
    assert_eq!(release(&f, &c, "x", token).await, None, "the grant was given back");
    hold(&f, &slot_of(&a, "x", 1)).await;
}

async fn a_repeated_request_gets_its_slot_again<F: Fixture>(f: F) {
    let (a, b) = (member(&f, "a").await, member(&f, "b").await);
    let named = |node: &Node| AcquireSlot { request_id: "r 1".to_owned(), ..slot_of(node, "x", 3) };
    let token = hold(&f, &named(&a)).await;
    assert_eq!(hold(&f, &named(&a)).await, token);
    assert_eq!(ask(&f, &named(&a)).await.in_use, 1);
    assert_ne!(hold(&f, &named(&b)).await, token);
    let unknown: Nonce = nonce("t");
    assert_eq!(release(&f, &a, "x", token).await, Some(1));
    forget(&f, &AcquireSlot { ticket: unknown, ..named(&b) }).await;
    assert_eq!(ask(&f, &slot_of(&a, "x", 3)).await.in_use, 2, "another attempt's grant stays");
}

contract! {
    a_bucket_holds_its_burst_and_fills_at_its_rate,
    several_permits_are_taken_together_or_not_at_all,
    waiters_get_later_times_in_the_order_in_which_they_asked,
    a_repeated_request_takes_no_more_permits,
    a_jump_of_the_clock_neither_stops_nor_fills_a_bucket,
    of_two_rates_neither_is_exceeded,
    only_members_take_permits_and_slots,
    so_many_hold_a_slot_and_no_more,
    a_slot_ends_by_its_time_and_with_its_holders_life,
    waiters_get_slots_in_the_order_in_which_they_came,
    who_gives_up_or_dies_stands_in_nobodys_way,
    a_repeated_request_gets_its_slot_again,
}
