//! What runs once for a key, and a node that takes no new work.

use crate::calls::*;
use crate::fixture::Fixture;
use crate::lease_calls::*;
use clawster::cluster::members::member::StoredStatus;
use clawster::cluster::protocol::{Acquire, HandedOver, Identity, Once, Refusal, Renewed, Rule};
use clawster::store::Notice;

async fn a_key_is_granted_once_until_its_time_has_passed<F: Fixture>(mut f: F) {
    let first = once(&f, once_of("a", &["k1", "k 2\u{e9}"])).await;
    assert!(first.iter().all(|grant| grant.granted && grant.by == id("a") && grant.at == first[0].at), "{first:?}");
    let second = once(&f, once_of("b", &["k1", "k3", "k3"])).await;
    assert_eq!(second.iter().map(|grant| grant.granted).collect::<Vec<_>>(), [false, true, false]);
    assert_eq!((second[0].by.as_str(), second[0].at), ("a", first[0].at));
    assert!(
        !once(&f, once_of("a", &["k1"])).await[0].granted,
        "without a request's name the same node is another caller"
    );
    f.advance(secs(59));
    assert!(!once(&f, once_of("b", &["k1"])).await[0].granted);
    f.advance(secs(2));
    let again = once(&f, once_of("b", &["k1"])).await;
    assert!(again[0].granted && again[0].by == id("b") && again[0].at.0 > 0);
    assert!(view(&f).await.data.epoch.is_empty(), "nobody needs to be a member");
}

async fn a_repeated_request_is_granted_again<F: Fixture>(f: F) {
    let ask = |node: &str, request: &str| Once { request_id: request.to_owned(), ..once_of(node, &["k"]) };
    let first = once(&f, ask("a", "r 1 2")).await;
    assert_eq!(once(&f, ask("a", "r 1 2")).await, first);
    assert!(!once(&f, ask("a", "r")).await[0].granted);
    assert!(!once(&f, ask("b", "r 1 2")).await[0].granted);
    assert!(!once(&f, ask("a", "")).await[0].granted);
}

async fn what_never_began_is_given_back_by_the_request_that_was_granted_it<F: Fixture>(f: F) {
    let ask = |node: &str, request: &str| Once { request_id: request.to_owned(), ..once_of(node, &["k"]) };
    let back = |node: &str, request: &str| Once { give_back: true, ..ask(node, request) };
    assert!(!once(&f, back("a", "r")).await[0].granted, "nothing to give back");
    assert!(once(&f, ask("a", "r")).await[0].granted, "and asking so took nothing");
    for (node, request) in [("b", "r"), ("a", "s"), ("a", "")] {
        let left = once(&f, back(node, request)).await;
        assert!(!left[0].granted && left[0].by == id("a"), "{node} {request}: {left:?}");
    }
    assert!(!once(&f, ask("b", "other")).await[0].granted, "it is still taken");
    assert!(once(&f, back("a", "r")).await[0].granted);
    assert!(!once(&f, back("a", "r")).await[0].granted, "once is enough");
    let next = once(&f, ask("b", "other")).await;
    assert!(next[0].granted && next[0].by == id("b"));
    assert!(!once(&f, back("a", "r")).await[0].granted, "the next one's is not given back by a late repetition");
    assert!(!once(&f, ask("c", "late")).await[0].granted);
}

async fn ten_thousand_keys_are_one_call<F: Fixture>(f: F) {
    let keys: Vec<String> = (0..10_000).map(|n| format!("key {n}")).collect();
    let ask = || Once { keys: keys.clone(), ..once_of("a", &[]) };
    assert!(once(&f, ask()).await.iter().all(|grant| grant.granted));
    let second = once(&f, ask()).await;
    assert!(second.len() == 10_000 && second.iter().all(|grant| !grant.granted));
}

async fn a_draining_node_gets_nothing_and_keeps_what_it_has<F: Fixture>(mut f: F) {
    let (a, b) = (member(&f, "a").await, member(&f, "b").await);
    let token = taken(&f, acquire_of(&a, "bot")).await;
    f.subscribe("w1").await;
    let held = Acquire { served: served(&f, secs(600)).await, ..wrapper("a", "channel", "w1") };
    taken(&f, held.clone()).await;
    let waits = acquire_of(&b, "bot");
    queued(&f, &waits).await;
    let done = drain(&f, &a, true).await;
    assert_eq!((done.identity, done.resigned, done.running_tasks, done.leases), (Identity::Ok, false, 0, 2));
    f.noticed("w1", Notice::Drain).await;
    let row = view(&f).await.delta.rows.into_iter().find(|row| row.node_id == id("a")).unwrap();
    assert_eq!(row.status, StoredStatus::Draining);
    assert_eq!(tick(&f, &a).await.identity, Identity::Ok);
    assert_eq!(denied(&f, acquire_of(&a, "free")).await, Refusal::Draining);
    assert_eq!(denied(&f, Acquire { name: lease_name("free"), ..held.clone() }).await, Refusal::Draining);
    assert!(matches!(prolong(&f, &a, "bot", token, None).await, Renewed::Until(_)), "what runs finishes");
    release(&f, &a, "bot", token).await;
    taken(&f, waits).await;
    let again = drain(&f, &a, true).await;
    assert_eq!(again.leases, 1);
    let before = view(&f).await.delta.version;
    drain(&f, &a, false).await;
    assert!(view(&f).await.delta.version > before);
    taken(&f, acquire_of(&a, "free")).await;
    drain(&f, &a, true).await;
    leave(&f, &a).await;
    assert_eq!(drain(&f, &a, true).await.identity, Identity::Gone);
    let a = member(&f, "a").await;
    taken(&f, acquire_of(&a, "another")).await;
}

async fn a_draining_leader_makes_room<F: Fixture>(mut f: F) {
    let (a, term) = leader(&mut f, "a", "p1").await;
    let b = member(&f, "b").await;
    assert!(drain(&f, &a, true).await.resigned);
    assert_eq!(story(&f).await.last().unwrap(), "a lost Handover");
    assert_eq!(refusal(&f, &a, Rule::Vacant, term).await, "draining");
    assert_eq!(hand_over(&f, "a").await.0, HandedOver::Barred);
    let next = grant(&f, campaign_of(&b, Rule::Vacant, term)).await;
    drain(&f, &a, false).await;
    resign(&f, &b, next).await;
    grant(&f, campaign_of(&a, Rule::Vacant, next)).await;
}

contract!(
    a_key_is_granted_once_until_its_time_has_passed,
    a_repeated_request_is_granted_again,
    ten_thousand_keys_are_one_call,
    what_never_began_is_given_back_by_the_request_that_was_granted_it,
    a_draining_node_gets_nothing_and_keeps_what_it_has,
    a_draining_leader_makes_room,
);
