//! A takeover waits for what the holder promised, whatever the claimant's own settings are; and who sets those of the cluster.

use crate::calls::*;
use crate::fixture::Fixture;
use crate::lease_calls::*;
use clawster::cluster::ids::Term;
use clawster::cluster::protocol::{
    Acquire, Call, Campaign, Claim, Join, JoinReply, LeaderRecord, PushSettings, Refusal, Reply, Rule, Tick,
};
use clawster::cluster::settings::{LeaderMode, LeaderSettings, Promise, Shared, Timing, Versioned};
use std::time::Duration;

/// Four times the grace of the other tests.
const LONGER: Promise = Promise { grace: Duration::from_secs(4), ..PROMISE };

fn millis(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn gone(presence: &str) -> Rule {
    Rule::Presence { nonce: presence.to_owned() }
}

fn fenced(presence: &str) -> Rule {
    Rule::Fenced { nonce: presence.to_owned() }
}

fn settings(version: u64, promise: Promise) -> Versioned {
    let timing = Timing { lease_ttl: promise.lease, ..Timing::default() };
    let leader = LeaderSettings { mode: promise.mode, presence_grace: promise.grace, ..LeaderSettings::default() };
    Versioned { version, settings: Shared::of(timing, leader) }
}

/// A leader that promises this, whose connection is gone.
async fn lost_leader<F: Fixture>(f: &mut F, promise: Promise) -> (Node, Term) {
    let a = present(f, "a", "p1").await;
    let ask = Campaign { presence: Some(nonce("p1")), promise, ..campaign_of(&a, Rule::Absent, Term(0)) };
    let term = grant(f, ask).await;
    f.hang_up("p1").await;
    (a, term)
}

async fn seen<F: Fixture>(f: &F, node: &Node, rule: Rule, term: Term, seen_for: Duration) -> String {
    send_campaign(f, Campaign { seen_for, ..campaign_of(node, rule, term) }).await.refused
}

async fn shared<F: Fixture>(f: &F, known: u64, wanted: Option<Shared>) -> (Option<Versioned>, Option<Versioned>) {
    let reply = call(f, Call::Settings(PushSettings { known, wanted })).await;
    let Reply::Settings(shown) = reply else { panic!("no answer") };
    (shown.before, shown.after)
}

async fn a_lost_presence_is_waited_for_as_long_as_the_holder_promised<F: Fixture>(mut f: F) {
    let (_, term) = lost_leader(&mut f, LONGER).await;
    let b = member(&f, "b").await;
    // The candidate's own grace is a second.
    assert_eq!(seen(&f, &b, gone("p1"), term, secs(2)).await, "seen too briefly");
    assert_eq!(seen(&f, &b, gone("p1"), term, millis(4_198)).await, "seen too briefly");
    assert_eq!(seen(&f, &b, gone("p1"), term, millis(4_200)).await, "");
    let LeaderRecord { promise, stated, .. } = record(&f).await;
    assert_eq!((promise, stated), (PROMISE, true), "what the new leader follows");
}

async fn nobody_comes_early_unless_the_holder_and_the_data_set_say_fenced<F: Fixture>(mut f: F) {
    let fast = Promise { mode: LeaderMode::Fenced, ..PROMISE };
    let (_, term) = lost_leader(&mut f, PROMISE).await;
    let b = present(&mut f, "b", "p2").await;
    shared(&f, 0, Some(settings(0, fast).settings)).await;
    assert_eq!(seen(&f, &b, fenced("p1"), term, LONG_SEEN).await, "not fenced", "its leader promised to be waited for");
    let ask = Campaign { promise: fast, presence: Some(nonce("p2")), ..campaign_of(&b, gone("p1"), term) };
    let term = grant(&f, ask).await;
    f.hang_up("p2").await;
    let c = member(&f, "c").await;
    shared(&f, 0, Some(settings(0, PROMISE).settings)).await;
    assert_eq!(seen(&f, &c, fenced("p2"), term, LONG_SEEN).await, "not fenced", "the cluster is exclusive again");
    shared(&f, 0, Some(settings(0, fast).settings)).await;
    assert_eq!(seen(&f, &c, fenced("p2"), term, Duration::ZERO).await, "");
}

async fn without_a_record_the_longest_that_anybody_knows_is_waited_for<F: Fixture>(f: F) {
    let long = Promise { lease: secs(60), ..LONGER };
    let a = admitted(&f, Join { settings: settings(1, long), ..join_of("a") }).await;
    assert_eq!(seen(&f, &a, Rule::Absent, Term(0), secs(2)).await, "seen too briefly");
    assert_eq!(seen(&f, &a, Rule::AbsentLease, Term(0), secs(32)).await, "seen too briefly");
    let longer = Promise { grace: secs(9), ..PROMISE };
    let knows = Campaign { promise: longer, seen_for: secs(5), ..campaign_of(&a, Rule::Absent, Term(0)) };
    assert_eq!(send_campaign(&f, knows).await.refused, "seen too briefly", "the candidate knows of a longer one");
    assert_eq!(seen(&f, &a, Rule::AbsentLease, Term(0), secs(63)).await, "");
}

async fn only_a_later_statement_changes_the_promise<F: Fixture>(mut f: F) {
    let (a, term) = leader(&mut f, "a", "p1").await;
    let state = |promise, stated| Tick { renew: Some(term), promise, stated, ..tick_of(&a) };
    send_tick(&f, state(LONGER, 10)).await;
    assert_eq!(record(&f).await.promise, LONGER);
    // A renewal that its sender gave up, and that comes only now.
    send_tick(&f, state(PROMISE, 9)).await;
    assert_eq!(record(&f).await.promise, LONGER);
    send_tick(&f, state(PROMISE, 11)).await;
    assert_eq!(record(&f).await.promise, PROMISE);
    // Another member changes nothing, and another term begins anew.
    let b = member(&f, "b").await;
    send_tick(&f, Tick { renew: Some(term), promise: LONGER, stated: 99, ..tick_of(&b) }).await;
    assert_eq!(record(&f).await.promise, PROMISE);
}

async fn the_newest_settings_win<F: Fixture>(f: F) {
    let a = admitted(&f, Join { settings: settings(0, PROMISE), ..join_of("a") }).await;
    assert_eq!(shared(&f, 0, None).await.1, Some(settings(0, PROMISE)), "out of a file");
    // Somebody who knew the cluster comes back after the first one.
    let knows = Tick { settings: settings(1, LONGER), ..tick_of(&a) };
    assert_eq!(send_tick(&f, knows).await.data.settings, Some(settings(1, LONGER)));
    let other = Tick { settings: settings(1, PROMISE), ..tick_of(&a) };
    assert_eq!(
        send_tick(&f, other).await.data.settings,
        Some(settings(1, LONGER)),
        "of the same version the data set's"
    );
    admitted(&f, Join { settings: settings(0, PROMISE), ..join_of("b") }).await;
    let (before, after) = shared(&f, 7, Some(settings(0, PROMISE).settings)).await;
    let after = after.expect("settings");
    assert_eq!((before, after.settings), (Some(settings(1, LONGER)), settings(0, PROMISE).settings));
    assert!(after.version > 7, "{after:?}");
    let (again, same) = shared(&f, 0, Some(after.settings)).await;
    assert_eq!((again, same), (Some(after), Some(after)), "nothing to change");
    assert_eq!(tick(&f, &a).await.data.settings, Some(after));
}

async fn a_grant_confirms_the_settings_of_the_first_member<F: Fixture>(f: F) {
    let a = admitted(&f, Join { settings: settings(0, PROMISE), ..join_of("a") }).await;
    elect(&f, &a).await;
    assert_eq!(shared(&f, 0, None).await.1, Some(settings(1, PROMISE)));
}

async fn a_lease_of_a_presence_is_claimed_by_its_holders_grace_and_ttl<F: Fixture>(mut f: F) {
    f.subscribe("w1").await;
    f.subscribe("w2").await;
    let known = served(&f, secs(600)).await;
    member(&f, "any").await;
    let ask = |presence: &str| wrapper("n", "bot", presence);
    let known = match known {
        Some(_) => served(&f, secs(600)).await,
        None => None,
    };
    let first = Acquire { grace: secs(4), ttl: secs(40), served: known.clone(), ..ask("w1") };
    let token = taken(&f, first).await;
    f.hang_up("w1").await;
    let claim = Some(Claim::Presence { token, presence: "w1".to_owned() });
    let second = Acquire { claim, served: known.clone(), ..ask("w2") };
    assert_eq!(
        denied(&f, Acquire { seen_for: secs(2), ..second.clone() }).await,
        Refusal::Held,
        "its own grace is 1 s"
    );
    let look = acquire(&f, Acquire { claim: None, ..second.clone() }).await.record.expect("a record");
    assert_eq!(look.grace, secs(4));
    let unchanged = Some(Claim::Expired { token, nonce: look.nonce });
    let unchanged = Acquire { claim: unchanged, ttl: secs(10), ..second.clone() };
    assert_eq!(denied(&f, Acquire { seen_for: secs(20), ..unchanged }).await, Refusal::Held, "its own TTL is 10 s");
    assert!(taken(&f, Acquire { seen_for: millis(4_200), ..second }).await > token);
}

async fn an_id_is_free_only_after_the_clusters_grace<F: Fixture>(mut f: F) {
    f.subscribe("p1").await;
    let ask = Join { settings: settings(1, LONGER), presence: Some(nonce("p1")), ..join_of("a") };
    admitted(&f, ask).await;
    f.hang_up("p1").await;
    let next = Join { process: nonce("next"), dead_presence: Some("p1".to_owned()), ..join_of("a") };
    let early = join(&f, Join { dead_for: secs(2), ..next.clone() }).await;
    assert!(matches!(early, JoinReply::Held { .. }), "its own file says one second: {early:?}");
    admitted(&f, Join { dead_for: millis(4_200), ..next }).await;
}

contract!(
    a_lost_presence_is_waited_for_as_long_as_the_holder_promised,
    nobody_comes_early_unless_the_holder_and_the_data_set_say_fenced,
    without_a_record_the_longest_that_anybody_knows_is_waited_for,
    only_a_later_statement_changes_the_promise,
    the_newest_settings_win,
    a_grant_confirms_the_settings_of_the_first_member,
    a_lease_of_a_presence_is_claimed_by_its_holders_grace_and_ttl,
    an_id_is_free_only_after_the_clusters_grace,
);
