//! What a leader does and is asked for: registering, handing over, resigning, sweeping.

use crate::calls::*;
use crate::fixture::Fixture;
use clawster::cluster::ids::Term;
use clawster::cluster::protocol::{HandedOver, Identity, Join, LeaseNews, Rule};
use clawster::store::Notice;

async fn a_presence_is_registered_only_when_it_is_subscribed<F: Fixture>(mut f: F) {
    let a = member(&f, "a").await;
    let term = elect(&f, &a).await;
    assert_eq!(register(&f, &a, "p1", Some(term)).await, (Identity::Ok, false, false));
    f.subscribe("p1").await;
    assert_eq!(register(&f, &a, "p1", None).await, (Identity::Ok, true, false));
    assert_eq!(register(&f, &a, "p1", Some(term)).await, (Identity::Ok, true, false), "without the leader channel");
    f.take_leader_channel("p1").await;
    assert_eq!(register(&f, &a, "p1", Some(Term(term.0 - 1))).await, (Identity::Ok, true, false), "of another term");
    assert_eq!(register(&f, &a, "p1", Some(term)).await, (Identity::Ok, true, true));
    let now = record(&f).await;
    assert_eq!((now.presence.as_deref(), now.present), (Some("p1"), true));
    f.hang_up("p1").await;
    assert!(!record(&f).await.present);
    leave(&f, &a).await;
    f.subscribe("p2").await;
    assert_eq!(register(&f, &a, "p2", None).await, (Identity::Gone, false, false));
}

async fn a_leader_registers_again_on_another_server<F: Fixture>(mut f: F) {
    let (a, term) = leader(&mut f, "a", "p1").await;
    f.restart(true).await;
    assert!(!watch(&f).await.same_server);
    f.subscribe("p2").await;
    f.take_leader_channel("p2").await;
    assert_eq!(register(&f, &a, "p2", Some(term)).await, (Identity::Ok, true, false), "the term is not confirmed here");
    assert_eq!(lead_on(&f, &a, term).await.lease, LeaseNews::Renewed);
    assert_eq!(record(&f).await.presence, None, "nothing here proves its life yet");
    assert_eq!(register(&f, &a, "p2", Some(term)).await, (Identity::Ok, true, true));
    assert!(watch(&f).await.same_server);
    assert!(record(&f).await.present);
}

async fn a_handover_asks_the_leader_for_a_live_candidate<F: Fixture>(mut f: F) {
    let b = member(&f, "b").await;
    admitted(&f, Join { candidate: false, ..join_of("barred") }).await;
    assert_eq!(hand_over(&f, "b").await, (HandedOver::Vacant, None));
    let (a, term) = leader(&mut f, "a", "p1").await;
    assert_eq!(hand_over(&f, "nobody").await.0, HandedOver::Unknown);
    assert_eq!(hand_over(&f, "barred").await.0, HandedOver::Barred);
    let (outcome, marked) = hand_over(&f, "b").await;
    assert_eq!((outcome, marked.unwrap().handing_to), (HandedOver::Asked, Some(id("b"))));
    f.noticed("p1", Notice::HandOver).await;
    assert_eq!(renew(&f, &a, term).await.leader.unwrap().handing_to, Some(id("b")), "a renewal keeps the mark");
    let (outcome, cleared) = hand_over(&f, "a").await;
    assert_eq!((outcome, cleared.unwrap().handing_to), (HandedOver::Same, None));
    assert_eq!(record(&f).await.handing_to, None);
    resign(&f, &a, term).await;
    let (outcome, marked) = hand_over(&f, "b").await;
    assert_eq!((outcome, marked.unwrap().handing_to), (HandedOver::Vacant, Some(id("b"))));
    leave(&f, &b).await;
    assert_eq!(hand_over(&f, "b").await.0, HandedOver::Unknown);
}

async fn only_its_holder_resigns_a_term<F: Fixture>(f: F) {
    let (a, b) = (member(&f, "a").await, member(&f, "b").await);
    assert_eq!(resign(&f, &a, Term(1)).await, (Identity::Ok, false));
    let term = elect(&f, &a).await;
    assert_eq!(resign(&f, &b, term).await, (Identity::Ok, false));
    assert_eq!(resign(&f, &a, Term(term.0 - 1)).await, (Identity::Ok, false));
    assert_eq!(resign(&f, &a, term).await, (Identity::Ok, true));
    assert_eq!(resign(&f, &a, term).await, (Identity::Ok, false));
    let now = record(&f).await;
    assert_eq!((now.holder, now.term, now.nonce), (None, term, format!("vacant-{term}")));
    assert_eq!(tick(&f, &a).await.identity, Identity::Ok, "it stays a member");
}

async fn a_replaced_leader_may_still_resign<F: Fixture>(f: F) {
    let a = member(&f, "a").await;
    let term = elect(&f, &a).await;
    admitted(&f, Join { force: true, process: nonce("rival"), ..join_of("a") }).await;
    assert_eq!(record(&f).await.holder, Some(a.instance.clone()), "it may lead until it has stopped");
    assert_eq!(resign(&f, &a, term).await, (Identity::Replaced, true));
}

async fn a_leader_that_leaves_resigns<F: Fixture>(f: F) {
    let (a, b) = (member(&f, "a").await, member(&f, "b").await);
    let term = elect(&f, &a).await;
    assert_eq!(leave(&f, &a).await, (Identity::Ok, true));
    grant(&f, campaign_of(&b, Rule::Vacant, term)).await;
    assert_eq!(story(&f).await[3..], ["a lost Resigned", "a left Left", "b elected Resigned after a"]);
}

fn pair(node: &str, presence: &str) -> (String, String) {
    (node.to_owned(), presence.to_owned())
}

async fn a_sweep_ends_those_who_are_still_gone<F: Fixture>(mut f: F) {
    let (a, term) = leader(&mut f, "a", "p1").await;
    let b = present(&mut f, "b", "p2").await;
    let c = present(&mut f, "c", "p3").await;
    present(&mut f, "d", "p4").await;
    member(&f, "without").await;
    assert_eq!(sweep(&f, &a, term, &[]).await, (true, vec![]));
    f.hang_up("p2").await;
    f.hang_up("p3").await;
    assert_eq!(sweep(&f, &a, term, &[]).await, (true, vec![pair("b", "p2"), pair("c", "p3")]));
    f.subscribe("p5").await;
    register(&f, &b, "p5", None).await;
    let (leads, gone) = sweep(&f, &a, term, &[("b", "p2"), ("c", "p3"), ("d", "p4"), ("nobody", "p9")]).await;
    assert!(leads && gone.is_empty(), "{gone:?}");
    assert_eq!(tick(&f, &b).await.identity, Identity::Ok, "it registered again");
    assert_eq!(tick(&f, &c).await.identity, Identity::Gone);
    let ends: Vec<String> = story(&f).await.into_iter().filter(|line| line.contains(" left ")).collect();
    assert_eq!(ends, ["c left ProcessDied"]);
}

async fn a_sweep_never_ends_its_leader_and_only_a_leader_sweeps<F: Fixture>(mut f: F) {
    let (a, term) = leader(&mut f, "a", "p1").await;
    let b = present(&mut f, "b", "p2").await;
    f.hang_up("p1").await;
    assert_eq!(sweep(&f, &a, term, &[("a", "p1")]).await, (true, vec![]));
    assert_eq!(sweep(&f, &b, term, &[("a", "p1")]).await, (false, vec![]));
    assert_eq!(sweep(&f, &a, Term(term.0 - 1), &[]).await, (false, vec![]));
    assert_eq!(tick(&f, &a).await.identity, Identity::Ok);
    resign(&f, &a, term).await;
    assert_eq!(sweep(&f, &a, term, &[]).await, (false, vec![]));
}

async fn after_a_stall_a_sweep_ends_nobody_for_one_ttl<F: Fixture>(mut f: F) {
    let (a, term) = leader(&mut f, "a", "p1").await;
    let b = present(&mut f, "b", "p2").await;
    f.advance(secs(16));
    tick(&f, &a).await;
    f.hang_up("p2").await;
    assert_eq!(sweep(&f, &a, term, &[("b", "p2")]).await, (true, vec![pair("b", "p2")]));
    assert_eq!(tick(&f, &b).await.identity, Identity::Ok);
    for _ in 0..3 {
        f.advance(secs(11));
        tick(&f, &a).await;
        tick(&f, &b).await;
    }
    assert_eq!(sweep(&f, &a, term, &[("b", "p2")]).await, (true, vec![]));
    assert_eq!(tick(&f, &b).await.identity, Identity::Gone);
}

async fn a_sweep_passes_over_registrations_of_another_server<F: Fixture>(mut f: F) {
    let (a, term) = leader(&mut f, "a", "p1").await;
    let b = present(&mut f, "b", "p2").await;
    f.restart(true).await;
    assert_eq!(sweep(&f, &a, term, &[("b", "p2")]).await, (true, vec![]));
    assert_eq!(tick(&f, &b).await.identity, Identity::Ok);
}

contract!(
    a_presence_is_registered_only_when_it_is_subscribed,
    a_leader_registers_again_on_another_server,
    a_handover_asks_the_leader_for_a_live_candidate,
    only_its_holder_resigns_a_term,
    a_replaced_leader_may_still_resign,
    a_leader_that_leaves_resigns,
    a_sweep_ends_those_who_are_still_gone,
    a_sweep_never_ends_its_leader_and_only_a_leader_sweeps,
    after_a_stall_a_sweep_ends_nobody_for_one_ttl,
    a_sweep_passes_over_registrations_of_another_server,
);
