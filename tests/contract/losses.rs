//! Data that are lost, or older than what nodes have seen.

use crate::calls::*;
use crate::fixture::Fixture;
use clawster::cluster::ids::{MessageSeq, Term};
use clawster::cluster::protocol::{Call, Identity, Join, JoinReply, LeaseNews, Numbers, Reply, Rule, ServerId, Tick};
use clawster::cluster::settings::Timing;
use clawster::cluster::time::ServerTime;
use clawster::store::{Notice, Store};
use testkit::memory::MemoryState;

/// The tick of a leader that leads at this instant, with its presence.
fn leading(node: &Node, term: Term, presence: &str) -> Tick {
    Tick { renew: Some(term), leads: true, presence: Some(nonce(presence)), ..tick_of(node) }
}

async fn an_empty_data_set_calls_everybody_and_starts_above_all_numbers<F: Fixture>(mut f: F) {
    let (a, term) = leader(&mut f, "a", "p1").await;
    put(&f, publish_of(&a, vec![packed(1, 7)])).await;
    let known = tick(&f, &a).await.data.numbers;
    f.flush();
    let reply = send_tick(&f, Tick { known, ..tick_of(&a) }).await;
    assert_eq!(reply.identity, Identity::Unknown);
    f.noticed("p1", Notice::Register).await;
    let data = reply.data;
    assert_ne!(data.epoch, a.epoch);
    for (old, new) in
        [(known.token, data.numbers.token), (known.event, data.numbers.event), (known.message, data.numbers.message)]
    {
        assert!(new > old, "{old} {new}");
    }
    assert_eq!((data.event_start.0, data.message_start.0), (data.numbers.event, data.numbers.message));
    assert!(reply.delta.reset);
    let again = admitted(&f, Join { own: a.instance.incarnation, known, ..join_of("a") }).await;
    let next = grant(
        &f,
        clawster::cluster::protocol::Campaign {
            known_token: known.token,
            ..campaign_of(&again, Rule::AbsentLease, Term(0))
        },
    );
    assert!(next.await > term);
}

async fn numbers_start_at_server_time_when_nobody_knows_any<F: Fixture>(f: F) {
    let a = member(&f, "a").await;
    let now = view(&f).await.now.0;
    for number in [a.known.token, a.known.event, a.known.message] {
        let off = number.abs_diff(now * 1000);
        assert!(off < 60_000_000, "{number} is no time in microseconds");
        assert!(number < 1 << 53);
    }
}

async fn a_stale_copy_begins_a_new_data_set_above_what_it_had<F: Fixture>(mut f: F) {
    let a = member(&f, "a").await;
    let first = put(&f, publish_of(&a, vec![packed(1, 4)])).await;
    f.keep_copy();
    let term = elect(&f, &a).await;
    put(&f, publish_of(&a, vec![packed(5, 4)])).await;
    let known = tick(&f, &a).await.data.numbers;
    f.restart_on_copy().await;
    assert_eq!(view(&f).await.data.epoch, a.epoch, "nobody knows better yet");
    let campaign = clawster::cluster::protocol::Campaign {
        known_token: known.token,
        ..campaign_of(&a, Rule::AbsentLease, Term(0))
    };
    assert_eq!(send_campaign(&f, campaign.clone()).await.refused, "stale data");
    let reply = send_tick(&f, Tick { known, ..tick_of(&a) }).await;
    assert_eq!(reply.identity, Identity::Ok, "the copy knows the member");
    assert_ne!(reply.data.epoch, a.epoch);
    assert!(reply.delta.reset);
    assert!(reply.data.message_start.0 > known.message && reply.data.event_start.0 > known.event);
    assert!(grant(&f, campaign).await > term);
    let stale = publish_of(&a, vec![packed(9, 1)]);
    let refused = publish(&f, stale.clone()).await;
    assert_eq!(refused, clawster::cluster::protocol::PublishReply::Refused(Identity::Epoch));
    let epoch = reply.data.epoch;
    let at = put(&f, clawster::cluster::protocol::Publish { epoch, ..stale }).await;
    assert!(at > known.message);
    let kept = positions(&f).await;
    assert_eq!(kept, [first + 3, at]);
}

async fn a_higher_number_of_one_kind_is_enough_to_know_a_stale_copy<F: Fixture>(f: F) {
    let a = member(&f, "a").await;
    let now = view(&f).await.data.numbers;
    let same = send_tick(&f, Tick { known: now, ..tick_of(&a) }).await;
    assert_eq!(same.data.epoch, a.epoch);
    for known in [
        Numbers { token: now.token + 1, ..Numbers::default() },
        Numbers { event: now.event + 3_000_000, ..Numbers::default() },
        Numbers { message: now.message + 6_000_000, ..Numbers::default() },
    ] {
        let before = view(&f).await.data;
        let after = send_tick(&f, Tick { known, ..tick_of(&a) }).await.data;
        assert_ne!(after.epoch, before.epoch, "{known:?}");
        assert!(after.numbers.token > before.numbers.token && after.numbers.event > before.numbers.event);
        assert!(after.numbers.message > before.numbers.message.max(known.message));
    }
}

async fn a_leader_writes_its_lost_record_again_only_with_its_presence<F: Fixture>(mut f: F) {
    let (a, term) = leader(&mut f, "a", "p1").await;
    f.flush();
    let again = Join { own: a.instance.incarnation, known: a.known, presence: Some(nonce("p1")), ..join_of("a") };
    let a = admitted(&f, again).await;
    assert_eq!(send_tick(&f, Tick { leads: false, ..leading(&a, term, "p1") }).await.lease, LeaseNews::Lost);
    assert_eq!(send_tick(&f, leading(&a, term, "p0")).await.lease, LeaseNews::Lost);
    assert_eq!(send_tick(&f, Tick { presence: None, ..leading(&a, term, "p1") }).await.lease, LeaseNews::Lost);
    assert_eq!(refusal(&f, &a, Rule::Absent, Term(0)).await, "a leader may live");
    let reply = send_tick(&f, leading(&a, term, "p1")).await;
    assert_eq!(reply.lease, LeaseNews::Renewed);
    let record = reply.leader.expect("it is there again");
    assert_eq!((record.holder, record.term, record.present), (Some(a.instance.clone()), term, true));
    assert_eq!(renew(&f, &a, term).await.lease, LeaseNews::Renewed);
    assert!(watch(&f).await.same_server);
}

async fn a_leader_does_not_write_over_anothers_record<F: Fixture>(mut f: F) {
    let (a, term) = leader(&mut f, "a", "p1").await;
    f.flush();
    let a = admitted(&f, Join { own: a.instance.incarnation, known: a.known, ..join_of("a") }).await;
    let b = member(&f, "b").await;
    let next = grant(&f, campaign_of(&b, Rule::AbsentLease, Term(0))).await;
    let reply = send_tick(&f, leading(&a, term, "p1")).await;
    assert_eq!(reply.lease, LeaseNews::Lost);
    assert_eq!(record(&f).await.term, next);
}

async fn a_cursor_of_lost_data_shows_what_was_lost<F: Fixture>(mut f: F) {
    let a = member(&f, "a").await;
    let first = put(&f, publish_of(&a, vec![packed(1, 4)])).await;
    let known = tick(&f, &a).await.data.numbers;
    f.flush();
    let own = Some((MessageSeq(first + 1), a.epoch.clone()));
    let b = admitted(&f, Join { known, cursor: own, ..join_of("a") }).await;
    assert_eq!(b.cursor.0, first + 1);
    let start = view(&f).await.data.message_start;
    let beyond = Some((MessageSeq(start.0 + 50), a.epoch));
    assert_eq!(admitted(&f, Join { cursor: beyond, ..join_of("b") }).await.cursor, start, "nothing new is skipped");
    let behind = put(&f, publish_of(&b, vec![packed(5, 4)])).await;
    let own = Some((MessageSeq(behind), b.epoch));
    let c = admitted(&f, Join { cursor: own, ..join_of("c") }).await;
    assert_eq!(c.cursor.0, behind, "a node that read in this data set before it could register there goes on");
    assert_eq!(
        admitted(&f, join_of("d")).await.cursor.0,
        behind + 3,
        "one that nobody knows begins at the newest message"
    );
}

async fn a_cursor_is_not_set_back_by_a_stale_copy<F: Fixture>(mut f: F) {
    let (a, b) = (member(&f, "a").await, member(&f, "b").await);
    let first = put(&f, publish_of(&a, vec![packed(1, 4)])).await;
    f.keep_copy();
    acknowledge(&f, &b, &b.epoch, first + 2).await;
    elect(&f, &a).await;
    let known = tick(&f, &a).await.data.numbers;
    f.restart_on_copy().await;
    send_tick(&f, Tick { known, ..tick_of(&a) }).await;
    let own = Some((MessageSeq(first + 2), b.epoch.clone()));
    assert_eq!(admitted(&f, Join { cursor: own, ..join_of("b") }).await.cursor.0, first + 2);
}

async fn subscriptions_outlive_the_data_but_not_the_server<F: Fixture>(mut f: F) {
    leader(&mut f, "a", "p1").await;
    f.flush();
    assert!(watch(&f).await.leader_channel);
    f.restart(true).await;
    let seen = watch(&f).await;
    assert!(!seen.leader_channel && seen.leader.is_none());
}

async fn a_restart_with_data_is_another_server<F: Fixture>(mut f: F) {
    let (a, term) = leader(&mut f, "a", "p1").await;
    assert!(watch(&f).await.same_server);
    f.restart(true).await;
    let seen = watch(&f).await;
    assert!(!seen.same_server);
    let record = seen.leader.expect("the record was kept");
    assert_eq!((record.term, record.present, record.presence.as_deref()), (term, false, Some("p1")));
    assert_eq!(renew(&f, &a, term).await.lease, LeaseNews::Lost, "somebody else may have been granted a term since");
    assert_eq!(lead_on(&f, &a, term).await.lease, LeaseNews::Renewed, "a leader that leads knows that nobody was");
    assert_eq!(renew(&f, &a, term).await.lease, LeaseNews::Renewed);
    f.restart(false).await;
    assert_eq!(view(&f).await.data.epoch, "");
}

async fn no_token_and_no_version_comes_twice_after_a_restart<F: Fixture>(mut f: F) {
    let (a, b) = (member(&f, "a").await, member(&f, "b").await);
    f.keep_copy();
    // Another term is granted, and forgotten with the end of the data.
    let forgotten = elect(&f, &a).await;
    let before = tick(&f, &a).await;
    f.restart_on_copy().await;
    let after = tick(&f, &b).await;
    assert!(after.data.numbers.token > forgotten.0, "{:?}", after.data.numbers);
    let again = send_tick(
        &f,
        Tick { epoch: before.data.epoch, version: before.delta.version, floor: before.delta.floor, ..tick_of(&b) },
    )
    .await;
    assert!(again.delta.reset, "the rows behind that version may be other ones now");
    assert!(grant(&f, campaign_of(&b, Rule::AbsentLease, Term(0))).await > forgotten);
}

async fn two_losses_within_a_second_give_no_number_twice<F: Fixture>(mut f: F) {
    let moment = std::time::Duration::from_millis(3);
    member(&f, "a").await;
    f.keep_copy();
    let mut last = newcomer(&f, "b").await;
    for at in 0..4 {
        f.advance(moment);
        f.restart_on_copy().await;
        // Nobody who knows better is there: only the clock tells.
        let next = newcomer(&f, &format!("c{at}")).await;
        assert!(next > last, "{next} after {last}");
        last = next;
    }
    f.advance(moment);
    f.restart(false).await;
    let next = newcomer(&f, "d").await;
    assert!(next > last, "{next} after {last}: the counter ran ahead of the clock");
}

async fn no_position_of_a_message_comes_twice_after_a_lost_tail<F: Fixture>(mut f: F) {
    let (a, b) = (member(&f, "a").await, member(&f, "b").await);
    let first = put(&f, publish_of(&a, vec![packed(1, 4)])).await;
    f.keep_copy();
    let lost = put(&f, publish_of(&a, vec![packed(5, 2)])).await + 1;
    let known = tick(&f, &a).await.data.numbers;
    f.advance(std::time::Duration::from_millis(3));
    f.restart_on_copy().await;
    // One that does not know of them writes first.
    let sender = nonce("other-outbox");
    let theirs = clawster::cluster::protocol::Publish { producer: sender, ..publish_of(&b, vec![packed(1, 2)]) };
    let at = put(&f, theirs.clone()).await;
    assert!(at > lost, "{at} was another message's");
    let more = clawster::cluster::protocol::Publish { entries: vec![packed(3, 1)], ..theirs };
    assert_eq!(put(&f, more).await, at + 2);
    let entries = f.store().messages(MessageSeq(0), 10).await.unwrap();
    let after: Vec<_> = entries.iter().map(|entry| entry.after).collect();
    assert_eq!(after, [None, Some(MessageSeq(first + 3)), None], "whoever read up to there misses nothing");
    let same = send_tick(&f, tick_of(&b)).await;
    assert_eq!(same.data.epoch, b.epoch);
    let told = send_tick(&f, Tick { known, ..tick_of(&a) }).await;
    assert_ne!(
        told.data.epoch, a.epoch,
        "whoever saw one of the lost shows that some were, also after others were written"
    );
    assert_eq!(send_tick(&f, Tick { known, ..tick_of(&a) }).await.data.epoch, told.data.epoch, "once");
}

async fn a_restart_that_loses_nothing_is_no_gap<F: Fixture>(mut f: F) {
    let a = member(&f, "a").await;
    let last = put(&f, publish_of(&a, vec![packed(1, 4)])).await + 3;
    for own in [5, 6] {
        let known = tick(&f, &a).await.data.numbers;
        f.advance(std::time::Duration::from_millis(3));
        f.restart(true).await;
        let reply = send_tick(&f, Tick { known, ..tick_of(&a) }).await;
        assert_eq!((reply.data.epoch, reply.data.numbers.message), (a.epoch.clone(), known.message));
        let at = put(&f, publish_of(&a, vec![packed(own, 1)])).await;
        let entries = f.store().messages(MessageSeq(at - 1), 10).await.unwrap();
        assert_eq!(entries[0].after, Some(MessageSeq(known.message)));
        assert!(at > last);
    }
    assert_eq!(positions(&f).await.len(), 3, "nothing was trimmed");
}

/// The number that a new member gets.
async fn newcomer<F: Fixture>(f: &F, id: &str) -> u64 {
    admitted(f, Join { known: Numbers::default(), ..join_of(id) }).await.instance.incarnation.0
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(256))]

    /// Whatever copies a server comes back with, and however soon, its counter rises, as long as its clock does.
    #[test]
    fn numbers_rise_across_all_losses(steps in proptest::collection::vec((0_u8..4, 0_usize..8, 1_u64..2_000), 1..60)) {
        let mut state = MemoryState::new(ServerId("s".to_owned()));
        let (mut copies, mut last, mut now) = (vec![state.clone()], 0, 1_700_000_000_000_u64);
        for (at, (what, which, passed)) in steps.into_iter().enumerate() {
            now += passed;
            match what {
                0 => copies.push(state.clone()),
                1 => {
                    state = copies[which % copies.len()].clone();
                    state.restart(ServerId(format!("s{at}")), true);
                }
                2 => state = copies[which % copies.len()].fork(ServerId(format!("s{at}"))),
                _ => {}
            }
            let join = Join { fresh_epoch: nonce(&format!("e{at}")), ..join_of(&format!("n{at}")) };
            let Reply::Join(reply) = state.apply(&Call::Join(Box::new(join)), ServerTime(now)) else { panic!("no join") };
            let JoinReply::Joined { incarnation, .. } = *reply else { panic!("not joined") };
            proptest::prop_assert!(incarnation.0 > last, "{} after {last}", incarnation.0);
            last = incarnation.0;
        }
    }
}

async fn a_lease_granted_after_a_silence_is_no_longer_than_a_lease<F: Fixture>(mut f: F) {
    let timing = Timing { heartbeat_interval: secs(100), heartbeat_ttl: secs(300), lease_ttl: secs(300) };
    let a = admitted(&f, Join { settings: with(timing), ..join_of("a") }).await;
    f.advance(secs(1000));
    elect(&f, &a).await;
    let reply = tick(&f, &a).await;
    let left = reply.leader.unwrap().expires_at.since(reply.now);
    assert!(left <= timing.lease_ttl, "{left:?}");
}

async fn all_rows_come_in_pages_even_below_the_floor<F: Fixture>(mut f: F) {
    for name in ["a", "b", "c", "d", "e"] {
        member(&f, name).await;
    }
    f.restart(true).await;
    member(&f, "f").await;
    let (epoch, mut version, mut floor) = (view(&f).await.data.epoch, 0, 0);
    let mut seen = std::collections::BTreeSet::new();
    for page in 0..8 {
        let delta = view_from(&f, &epoch, version, floor, 2).await.delta;
        assert_eq!(delta.reset, page == 0, "a page does not start over");
        seen.extend(delta.rows.iter().map(|row| row.node_id.to_string()));
        (version, floor) = (delta.version, delta.floor);
        if !delta.more {
            break;
        }
    }
    assert_eq!(seen.len(), 6, "{seen:?}");
    let after = view_from(&f, &epoch, version, floor, 2).await.delta;
    assert!(!after.reset && after.rows.is_empty(), "{after:?}");
}

contract!(
    an_empty_data_set_calls_everybody_and_starts_above_all_numbers,
    numbers_start_at_server_time_when_nobody_knows_any,
    a_stale_copy_begins_a_new_data_set_above_what_it_had,
    a_higher_number_of_one_kind_is_enough_to_know_a_stale_copy,
    a_leader_writes_its_lost_record_again_only_with_its_presence,
    a_leader_does_not_write_over_anothers_record,
    a_cursor_of_lost_data_shows_what_was_lost,
    a_cursor_is_not_set_back_by_a_stale_copy,
    subscriptions_outlive_the_data_but_not_the_server,
    a_restart_with_data_is_another_server,
    all_rows_come_in_pages_even_below_the_floor,
    a_lease_granted_after_a_silence_is_no_longer_than_a_lease,
    no_token_and_no_version_comes_twice_after_a_restart,
    two_losses_within_a_second_give_no_number_twice,
    no_position_of_a_message_comes_twice_after_a_lost_tail,
    a_restart_that_loses_nothing_is_no_gap,
);
