//! The heartbeat: who is alive, the stall guard, the news, the lease.

use crate::calls::*;
use crate::fixture::Fixture;
use clawster::cluster::ids::{MessageSeq, Term};
use clawster::cluster::members::member::StoredStatus;
use clawster::cluster::protocol::{Call, Identity, Instance, Join, LeaseNews, Reply, Tick, View};
use std::collections::BTreeSet;

async fn a_tick_tells_the_caller_who_it_is<F: Fixture>(mut f: F) {
    let a = member(&f, "a").await;
    assert_eq!(tick(&f, &a).await.identity, Identity::Ok);
    let stranger = Node { instance: Instance { node_id: id("x"), ..a.instance.clone() }, ..a.clone() };
    assert_eq!(tick(&f, &stranger).await.identity, Identity::Unknown);
    let mut other = a.clone();
    other.instance.incarnation.0 -= 1;
    assert_eq!(tick(&f, &other).await.identity, Identity::Replaced);
    leave(&f, &a).await;
    assert_eq!(tick(&f, &a).await.identity, Identity::Gone);
    f.flush();
    assert_eq!(tick(&f, &a).await.identity, Identity::Unknown, "a tick opens a new data set");
}

async fn a_tick_ends_at_most_16_overdue_members<F: Fixture>(mut f: F) {
    for n in 0..20 {
        member(&f, &format!("m{n:02}")).await;
    }
    f.advance(secs(14));
    let a = member(&f, "a").await;
    f.advance(secs(14));
    assert_eq!(tick(&f, &a).await.alive, 21);
    f.advance(secs(3));
    let reply = tick(&f, &a).await;
    assert_eq!((reply.alive, reply.due), (5, secs(0)));
    let reply = tick(&f, &a).await;
    assert_eq!(reply.alive, 1);
    assert!(reply.due > secs(20) && reply.due <= TTL, "{:?}", reply.due);
    let ends: BTreeSet<String> =
        story(&f).await.into_iter().filter(|line| line.ends_with("HeartbeatTimeout")).collect();
    assert_eq!(ends.len(), 20, "one event each");
    let offline = view(&f).await.delta.rows.iter().filter(|row| row.status == StoredStatus::Offline).count();
    assert_eq!(offline, 20);
}

async fn a_silence_of_more_than_half_a_ttl_moves_deadlines_once<F: Fixture>(mut f: F) {
    let (_, a) = (member(&f, "idle").await, member(&f, "a").await);
    f.advance(secs(3600));
    assert_eq!(tick(&f, &a).await.alive, 2, "nobody could beat");
    let due = tick(&f, &a).await.due;
    assert!(due > secs(25), "{due:?}");
    for _ in 0..2 {
        f.advance(secs(14));
        assert_eq!(tick(&f, &a).await.alive, 2);
    }
    f.advance(secs(3));
    assert_eq!(tick(&f, &a).await.alive, 1, "the silence counts once");
}

async fn a_lone_survivor_does_not_keep_the_dead_alive<F: Fixture>(mut f: F) {
    let (_, a) = (member(&f, "dead").await, member(&f, "a").await);
    for _ in 0..4 {
        f.advance(secs(8));
        tick(&f, &a).await;
    }
    assert_eq!(tick(&f, &a).await.alive, 1, "a quarter of a TTL is no stall");
}

async fn what_the_member_table_says_comes_in_pages<F: Fixture>(f: F) {
    let mut a = member(&f, "a").await;
    for n in 0..199 {
        a = member(&f, &format!("m{n:03}")).await;
    }
    let page = tick(&f, &a).await;
    assert_eq!((page.delta.reset, page.delta.more, page.delta.rows.len()), (false, true, 128));
    assert_eq!((page.alive, page.beats.len()), (200, 32));
    let rest = send_tick(&f, Tick { version: page.delta.version, ..tick_of(&a) }).await;
    assert_eq!((rest.delta.reset, rest.delta.more, rest.delta.rows.len()), (false, false, 72));
    let none = send_tick(&f, Tick { version: rest.delta.version, ..tick_of(&a) }).await;
    assert_eq!((none.delta.version, none.delta.rows.len()), (rest.delta.version, 0));
    let ids: BTreeSet<_> = page.delta.rows.iter().chain(&rest.delta.rows).map(|row| row.node_id.clone()).collect();
    assert_eq!(ids.len(), 200);

    let changed = admitted(&f, Join { metadata: r#"{"name":"new"}"#.to_owned(), ..join_of("m007") }).await;
    let news = send_tick(&f, Tick { version: rest.delta.version, ..tick_of(&a) }).await;
    assert_eq!(news.delta.rows.len(), 1);
    assert_eq!(news.delta.rows[0].node_id, changed.instance.node_id);

    let ahead = send_tick(&f, Tick { version: 1_000_000, ..tick_of(&a) }).await;
    assert!(ahead.delta.reset && ahead.delta.rows.len() == 128, "a version that is none yet");
    let other = send_tick(&f, Tick { version: news.delta.version, epoch: "other".to_owned(), ..tick_of(&a) }).await;
    assert!(other.delta.reset && other.delta.rows.len() == 128, "a view of another data set");
}

async fn a_view_returns_as_much_as_was_asked_for<F: Fixture>(f: F) {
    for name in ["a", "b", "c"] {
        member(&f, name).await;
    }
    for (rows, beats) in [(0, 0), (2, 1), (3, 3), (9, 9)] {
        let ask = Call::View(View { epoch: String::new(), version: 0, floor: 0, rows, beats });
        let Reply::View(reply) = call(&f, ask).await else { panic!("no answer") };
        assert_eq!(reply.delta.rows.len() as u64, rows.min(3));
        assert_eq!(reply.beats.len() as u64, beats.min(3));
        assert_eq!(reply.delta.more, rows <= 3);
        assert_eq!(reply.alive, 3);
    }
}

async fn beats_come_oldest_first_in_server_time<F: Fixture>(mut f: F) {
    let a = member(&f, "a").await;
    f.advance(secs(5));
    member(&f, "b").await;
    let before = view(&f).await;
    let names =
        |beats: &[(clawster::cluster::ids::NodeId, _)]| beats.iter().map(|(id, _)| id.to_string()).collect::<Vec<_>>();
    assert_eq!(names(&before.beats), ["a", "b"]);
    let age = before.now.since(before.beats[0].1);
    assert!(age >= secs(5) && age < secs(9), "{age:?}");
    f.advance(secs(10));
    let after = tick(&f, &a).await;
    assert_eq!(names(&after.beats), ["b", "a"]);
    assert!(after.now.since(after.beats[1].1) < secs(4), "its beat is of now");
}

async fn a_renewal_needs_holder_and_term<F: Fixture>(mut f: F) {
    let (a, b) = (member(&f, "a").await, member(&f, "b").await);
    let term = elect(&f, &a).await;
    assert_eq!(tick(&f, &a).await.lease, LeaseNews::None);
    f.advance(secs(10));
    let before = record(&f).await;
    let reply = renew(&f, &a, term).await;
    assert_eq!(reply.lease, LeaseNews::Renewed);
    let after = reply.leader.expect("there is a record");
    assert!(after.expires_at.since(reply.now) > secs(26));
    assert_ne!(after.nonce, before.nonce);
    assert_eq!(renew(&f, &b, term).await.lease, LeaseNews::Lost);
    assert_eq!(renew(&f, &a, Term(term.0 + 1)).await.lease, LeaseNews::Lost);
    leave(&f, &a).await;
    assert_eq!(renew(&f, &a, term).await.lease, LeaseNews::Lost);
}

async fn a_lease_outlives_a_silence_of_the_server<F: Fixture>(mut f: F) {
    let (a, b) = (member(&f, "a").await, member(&f, "b").await);
    let term = elect(&f, &a).await;
    f.advance(secs(3600));
    let seen = tick(&f, &b).await;
    assert!(seen.leader.expect("there is a record").expires_at > seen.now, "the guard moved it, too");
    assert_eq!(renew(&f, &a, term).await.lease, LeaseNews::Renewed);
}

async fn a_tick_acknowledges_in_its_own_data_set<F: Fixture>(f: F) {
    let a = member(&f, "a").await;
    let first = put(&f, publish_of(&a, vec![packed(1, 9)])).await;
    let ticked =
        |epoch: &str, seq| Tick { epoch: epoch.to_owned(), acknowledged: Some(MessageSeq(seq)), ..tick_of(&a) };
    send_tick(&f, ticked(&a.epoch, first + 3)).await;
    assert_eq!(member(&f, "a").await.cursor.0, first + 3);
    send_tick(&f, ticked("other", first + 5)).await;
    assert_eq!(member(&f, "a").await.cursor.0, first + 3);
    send_tick(&f, ticked(&a.epoch, first + 1)).await;
    assert_eq!(member(&f, "a").await.cursor.0, first + 3, "it never moves back");
}

contract!(
    a_tick_tells_the_caller_who_it_is,
    a_tick_ends_at_most_16_overdue_members,
    a_silence_of_more_than_half_a_ttl_moves_deadlines_once,
    a_lone_survivor_does_not_keep_the_dead_alive,
    what_the_member_table_says_comes_in_pages,
    a_view_returns_as_much_as_was_asked_for,
    beats_come_oldest_first_in_server_time,
    a_renewal_needs_holder_and_term,
    a_lease_outlives_a_silence_of_the_server,
    a_tick_acknowledges_in_its_own_data_set,
);
