//! Which campaign is granted, and why another one is not.

use crate::calls::*;
use crate::fixture::Fixture;
use clawster::cluster::ids::Term;
use clawster::cluster::protocol::{Call, Campaign, Identity, Reply, Rule, Tick};

fn expired(nonce: &str) -> Rule {
    Rule::Expired { nonce: nonce.to_owned() }
}

fn presence(nonce: &str) -> Rule {
    Rule::Presence { nonce: nonce.to_owned() }
}

async fn without_a_record_the_leader_channel_decides<F: Fixture>(mut f: F) {
    let a = member(&f, "a").await;
    f.subscribe("old-leader").await;
    f.take_leader_channel("old-leader").await;
    assert_eq!(refusal(&f, &a, Rule::Absent, Term(0)).await, "a leader may live");
    f.hang_up("old-leader").await;
    let term = elect(&f, &a).await;
    assert!(term.0 > a.instance.incarnation.0);
    let record = record(&f).await;
    assert_eq!((record.holder, record.term, record.handing_to), (Some(a.instance.clone()), term, None));
    assert_eq!(refusal(&f, &a, Rule::Absent, Term(0)).await, "there is a record");
    assert_eq!(refusal(&f, &a, Rule::AbsentLease, Term(0)).await, "there is a record");
    assert_eq!(story(&f).await, ["a new", "a elected Vacant after nobody"]);
}

async fn without_a_record_a_lease_of_waiting_decides_too<F: Fixture>(mut f: F) {
    let a = member(&f, "a").await;
    f.subscribe("old-leader").await;
    f.take_leader_channel("old-leader").await;
    let reply = send_campaign(&f, campaign_of(&a, Rule::AbsentLease, Term(0))).await;
    assert_eq!(reply.refused, "");
    let term = reply.granted.expect("it waited for a lease");
    assert_eq!((reply.token, reply.identity), (term.0, Identity::Ok));
    assert_eq!(reply.leader.expect("the record after the grant").term, term);
}

async fn a_promoted_replica_says_nothing_by_an_empty_channel<F: Fixture>(mut f: F) {
    let a = member(&f, "a").await;
    f.promote_replica().await;
    assert_eq!(refusal(&f, &a, Rule::Absent, Term(0)).await, "a promoted replica knows nothing of subscribers");
    grant(&f, campaign_of(&a, Rule::AbsentLease, Term(0))).await;
}

async fn what_is_no_live_member_is_not_elected<F: Fixture>(mut f: F) {
    let (a, b) = (member(&f, "a").await, member(&f, "b").await);
    let mut stranger = a.clone();
    stranger.instance.node_id = id("x");
    assert_eq!(refusal(&f, &stranger, Rule::Absent, Term(0)).await, "unknown");
    let mut other = a.clone();
    other.instance.incarnation.0 -= 9;
    assert_eq!(refusal(&f, &other, Rule::Absent, Term(0)).await, "replaced");
    leave(&f, &b).await;
    assert_eq!(refusal(&f, &b, Rule::Absent, Term(0)).await, "gone");
    let stale = Campaign { known_token: a.known.token + 9, ..campaign_of(&a, Rule::Absent, Term(0)) };
    assert_eq!(send_campaign(&f, stale).await.refused, "stale data");
    for rule in [Rule::Vacant, expired("n"), presence("n")] {
        assert_eq!(refusal(&f, &a, rule, Term(0)).await, "no record");
    }
    f.flush();
    assert_eq!(refusal(&f, &a, Rule::Absent, Term(0)).await, "epoch");
}

async fn a_resigned_term_is_free_at_once_on_the_same_server<F: Fixture>(mut f: F) {
    let (a, b) = (member(&f, "a").await, member(&f, "b").await);
    let term = elect(&f, &a).await;
    assert_eq!(refusal(&f, &b, Rule::Vacant, term).await, "not vacant");
    assert_eq!(resign(&f, &a, term).await, (Identity::Ok, true));
    assert_eq!(refusal(&f, &b, Rule::Vacant, Term(1)).await, "another term");
    let next = grant(&f, campaign_of(&b, Rule::Vacant, term)).await;
    assert!(next > term);
    assert_eq!(story(&f).await[3..], ["a lost Resigned", "b elected Resigned after a"]);

    resign(&f, &b, next).await;
    f.restart(true).await;
    assert_eq!(refusal(&f, &a, Rule::Vacant, next).await, "granted on another server");
    let seen = record(&f).await.nonce;
    grant(&f, campaign_of(&a, expired(&seen), next)).await;
    assert_eq!(story(&f).await.last().unwrap(), "a elected Resigned after b");
}

fn restarted(nonce: &str) -> Rule {
    Rule::Restarted { nonce: nonce.to_owned() }
}

async fn a_record_of_an_earlier_server_process_is_open<F: Fixture>(mut f: F) {
    let b = member(&f, "b").await;
    let (_, term) = leader(&mut f, "a", "p1").await;
    let seen = record(&f).await.nonce;
    assert_eq!(refusal(&f, &b, restarted(&seen), term).await, "confirmed on this server");
    f.restart(true).await;
    assert_eq!(refusal(&f, &b, restarted("n"), term).await, "renewed");
    assert_eq!(refusal(&f, &b, presence("p1"), term).await, "registered on another server");
    assert!(grant(&f, campaign_of(&b, restarted(&seen), term)).await > term);
    assert_eq!(story(&f).await.last().unwrap(), "b elected Expired after a");
}

async fn an_older_record_under_a_living_leader_is_not_open<F: Fixture>(mut f: F) {
    let b = member(&f, "b").await;
    let (_, term) = leader(&mut f, "a", "p1").await;
    let seen = record(&f).await.nonce;
    // As it looks when a copy with another process's record is put under a server that runs: no connection breaks.
    f.restart(true).await;
    f.subscribe("p2").await;
    f.take_leader_channel("p2").await;
    assert_eq!(refusal(&f, &b, restarted(&seen), term).await, "a leader may live");
    f.hang_up("p2").await;
    grant(&f, campaign_of(&b, restarted(&seen), term)).await;
}

async fn a_record_that_was_never_registered_waits_for_its_lease<F: Fixture>(mut f: F) {
    let (a, b) = (member(&f, "a").await, member(&f, "b").await);
    let term = elect(&f, &a).await;
    let seen = record(&f).await.nonce;
    f.restart(true).await;
    assert_eq!(refusal(&f, &b, restarted(&seen), term).await, "never registered");
    f.promote_replica().await;
    let why = "a promoted replica knows nothing of subscribers";
    assert_eq!(refusal(&f, &b, restarted(&seen), term).await, why);
}

async fn a_vacancy_is_kept_for_whom_it_was_made_for_a_grace<F: Fixture>(mut f: F) {
    let (a, b, c) = (member(&f, "a").await, member(&f, "b").await, member(&f, "c").await);
    let term = elect(&f, &a).await;
    hand_over(&f, "b").await;
    resign(&f, &a, term).await;
    assert_eq!(refusal(&f, &c, Rule::Vacant, term).await, "kept for another candidate");
    let next = grant(&f, campaign_of(&b, Rule::Vacant, term)).await;
    assert_eq!(story(&f).await[4..], ["a lost Handover", "b elected Handover after a"]);
    hand_over(&f, "a").await;
    resign(&f, &b, next).await;
    assert_eq!(refusal(&f, &c, Rule::Vacant, next).await, "kept for another candidate");
    f.advance(GRACE);
    grant(&f, campaign_of(&c, Rule::Vacant, next)).await;
}

async fn an_expired_lease_needs_an_unchanged_record<F: Fixture>(mut f: F) {
    let (a, b) = (member(&f, "a").await, member(&f, "b").await);
    let term = elect(&f, &a).await;
    let seen = record(&f).await.nonce;
    assert_eq!(refusal(&f, &b, expired(&seen), term).await, "not expired");
    assert_eq!(refusal(&f, &b, expired("other"), term).await, "renewed");
    for _ in 0..3 {
        f.advance(secs(11));
        tick(&f, &b).await;
    }
    assert_eq!(refusal(&f, &b, expired("other"), term).await, "renewed");
    assert_eq!(refusal(&f, &b, expired(&seen), Term(term.0 - 1)).await, "another term");
    let next = grant(&f, campaign_of(&b, expired(&seen), term)).await;
    assert!(next > term);
    assert_eq!(story(&f).await.last().unwrap(), "b elected Expired after a");
    assert_eq!(renew(&f, &a, term).await.lease, clawster::cluster::protocol::LeaseNews::Lost);
}

async fn a_dead_leader_is_replaced_by_its_presence<F: Fixture>(mut f: F) {
    let (a, term) = leader(&mut f, "a", "p1").await;
    let b = present(&mut f, "b", "p2").await;
    assert_eq!(refusal(&f, &b, presence("p1"), term).await, "present");
    assert_eq!(refusal(&f, &b, presence("p0"), term).await, "registered again");
    assert_eq!(refusal(&f, &b, presence("p1"), Term(1)).await, "another term");
    f.hang_up("p1").await;
    let ask = Campaign { presence: Some(nonce("p2")), ..campaign_of(&b, presence("p1"), term) };
    let next = grant(&f, ask).await;
    assert!(next > term);
    let now = record(&f).await;
    assert_eq!((now.holder, now.presence.as_deref(), now.present), (Some(b.instance.clone()), Some("p2"), true));
    assert_eq!(tick(&f, &a).await.identity, Identity::Gone, "the leader's process was the member's");
    assert_eq!(story(&f).await[3..], ["a left ProcessDied", "b elected ProcessDied after a"]);
    resign(&f, &b, next).await;
    assert_eq!(refusal(&f, &b, presence("p2"), next).await, "vacant");
}

async fn a_presence_of_another_server_elects_nobody<F: Fixture>(mut f: F) {
    let (_, term) = leader(&mut f, "a", "p1").await;
    let b = member(&f, "b").await;
    f.restart(true).await;
    assert_eq!(refusal(&f, &b, presence("p1"), term).await, "registered on another server");
    f.promote_replica().await;
    assert_eq!(refusal(&f, &b, presence("p1"), term).await, "registered on another server");
}

async fn a_member_that_registered_again_survives_its_leaders_presence<F: Fixture>(mut f: F) {
    let (a, term) = leader(&mut f, "a", "p1").await;
    let b = member(&f, "b").await;
    f.subscribe("p3").await;
    assert_eq!(register(&f, &a, "p3", None).await, (Identity::Ok, true, false));
    f.hang_up("p1").await;
    grant(&f, campaign_of(&b, presence("p1"), term)).await;
    assert_eq!(tick(&f, &a).await.identity, Identity::Ok);
}

async fn a_grant_stores_only_a_presence_that_is_subscribed<F: Fixture>(f: F) {
    let a = member(&f, "a").await;
    grant(&f, Campaign { presence: Some(nonce("nobody")), ..campaign_of(&a, Rule::Absent, Term(0)) }).await;
    let now = record(&f).await;
    assert_eq!((now.presence, now.present), (None, false));
    assert_eq!(refusal(&f, &a, presence("nobody"), now.term).await, "registered again");
}

async fn a_watch_changes_nothing<F: Fixture>(f: F) {
    assert!(watch(&f).await.epoch.is_empty());
    let a = member(&f, "a").await;
    let term = elect(&f, &a).await;
    let seen = watch(&f).await;
    assert_eq!(seen.epoch, a.epoch);
    assert!(seen.same_server && !seen.leader_channel);
    assert_eq!(seen.leader.as_ref().map(|leader| leader.term), Some(term));
    assert_eq!(watch(&f).await.leader, seen.leader);
    let ask = Call::Tick(Box::new(Tick { version: 1, ..tick_of(&a) }));
    let Reply::Tick(reply) = call(&f, ask).await else { panic!("no answer") };
    assert_eq!(reply.leader, seen.leader);
}

contract!(
    without_a_record_the_leader_channel_decides,
    without_a_record_a_lease_of_waiting_decides_too,
    a_promoted_replica_says_nothing_by_an_empty_channel,
    what_is_no_live_member_is_not_elected,
    a_resigned_term_is_free_at_once_on_the_same_server,
    a_vacancy_is_kept_for_whom_it_was_made_for_a_grace,
    a_record_of_an_earlier_server_process_is_open,
    an_older_record_under_a_living_leader_is_not_open,
    a_record_that_was_never_registered_waits_for_its_lease,
    an_expired_lease_needs_an_unchanged_record,
    a_dead_leader_is_replaced_by_its_presence,
    a_presence_of_another_server_elects_nobody,
    a_member_that_registered_again_survives_its_leaders_presence,
    a_grant_stores_only_a_presence_that_is_subscribed,
    a_watch_changes_nothing,
);
