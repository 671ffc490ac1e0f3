//! Who is a member: joining, being overdue, leaving, being forgotten.

use crate::calls::*;
use crate::fixture::Fixture;
use clawster::cluster::ids::{Incarnation, MessageSeq};
use clawster::cluster::members::member::StoredStatus;
use clawster::cluster::protocol::{
    Call, ForgetMembers, Forgotten, Identity, Join, JoinReply, Publish, PublishReply, Reply,
};
use clawster::cluster::settings::Timing;

async fn the_first_member_sets_the_times_and_later_ones_adopt_them<F: Fixture>(f: F) {
    assert_eq!(view(&f).await.data.timing, None);
    member(&f, "a").await;
    let other = Timing { heartbeat_interval: secs(1), heartbeat_ttl: secs(3), lease_ttl: secs(3) };
    let JoinReply::Joined { data, .. } = join(&f, Join { settings: with(other), ..join_of("b") }).await else {
        panic!("held")
    };
    assert_eq!(data.timing, Some(join_of("a").settings.settings.timing));
}

async fn joining_again_keeps_the_life_and_updates_the_metadata<F: Fixture>(f: F) {
    let first = member(&f, "a").await;
    let before = view(&f).await;
    let again = member(&f, "a").await;
    assert_eq!(again.instance, first.instance);
    assert_eq!(view(&f).await.delta.version, before.delta.version, "nothing has changed");
    admitted(&f, Join { metadata: r#"{"name":"Anna","version":"2"}"#.to_owned(), ..join_of("a") }).await;
    let after = view(&f).await;
    assert_eq!(after.delta.rows[0].metadata.name, "Anna");
    assert_eq!(after.delta.rows[0].joined_at, before.delta.rows[0].joined_at);
    assert!(after.delta.version > before.delta.version);
    assert_eq!(story(&f).await, ["a new"]);
}

async fn each_life_has_a_higher_number_than_all_before<F: Fixture>(f: F) {
    let a = member(&f, "a").await;
    let b = member(&f, "b").await;
    leave(&f, &a).await;
    let again = member(&f, "a").await;
    assert!(a.instance.incarnation < b.instance.incarnation && b.instance.incarnation < again.instance.incarnation);
    assert_eq!(story(&f).await, ["a new", "b new", "a left Left", "a back"]);
}

async fn a_member_that_was_declared_dead_comes_back_as_the_same_life<F: Fixture>(mut f: F) {
    let (a, b) = (member(&f, "a").await, member(&f, "b").await);
    for _ in 0..4 {
        f.advance(secs(10));
        tick(&f, &b).await;
    }
    assert_eq!(tick(&f, &a).await.identity, Identity::Gone);
    let back = admitted(&f, Join { own: a.instance.incarnation, ..join_of("a") }).await;
    assert_eq!(back.instance, a.instance);
    assert_eq!(tick(&f, &a).await.identity, Identity::Ok);
    assert_eq!(story(&f).await, ["a new", "b new", "a left HeartbeatTimeout", "a back"]);
}

async fn leaving_ends_the_membership_once<F: Fixture>(f: F) {
    let (a, _) = (member(&f, "a").await, member(&f, "b").await);
    assert_eq!(leave(&f, &a).await, (Identity::Ok, false));
    assert_eq!(leave(&f, &a).await, (Identity::Gone, false));
    let now = view(&f).await;
    assert_eq!((now.alive, now.beats.len()), (1, 1));
    let row = now.delta.rows.iter().find(|row| row.node_id == a.instance.node_id).expect("the row stays");
    assert_eq!(row.status, StoredStatus::Left);
    assert_eq!(story(&f).await, ["a new", "b new", "a left Left"]);
}

async fn a_first_join_starts_at_the_newest_message_and_a_later_one_where_it_stopped<F: Fixture>(f: F) {
    let a = member(&f, "a").await;
    let first = put(&f, publish_of(&a, vec![packed(1, 5)])).await;
    let b = member(&f, "b").await;
    assert_eq!(b.cursor.0, first + 4);
    put(&f, publish_of(&a, vec![packed(6, 5)])).await;
    assert_eq!(acknowledge(&f, &b, &b.epoch, first + 6).await, Identity::Ok);
    leave(&f, &b).await;
    assert_eq!(member(&f, "b").await.cursor.0, first + 6);
    let further = Some((MessageSeq(first + 8), b.epoch.clone()));
    assert_eq!(admitted(&f, Join { cursor: further, ..join_of("b") }).await.cursor.0, first + 8);
    let back = Some((MessageSeq(first + 1), b.epoch));
    assert_eq!(admitted(&f, Join { cursor: back, ..join_of("b") }).await.cursor.0, first + 8);
}

async fn a_member_that_is_away_for_seven_days_is_forgotten<F: Fixture>(mut f: F) {
    let (a, b) = (admitted(&f, Join { settings: slow(), ..join_of("a") }).await, member(&f, "b").await);
    put(&f, publish_of(&a, vec![packed(1, 1)])).await;
    leave(&f, &a).await;
    let before = view(&f).await.delta;
    let (seen, floor) = (before.version, before.floor);
    f.advance(secs(7 * 86_400 - 60));
    assert!(!tick(&f, &b).await.delta.rows.is_empty());
    assert!(!view_from(&f, &b.epoch, seen, floor, 100).await.delta.reset, "not yet");
    f.advance(secs(61));
    tick(&f, &b).await;
    let news = view_from(&f, &b.epoch, seen, floor, 100).await.delta;
    assert!(news.reset);
    assert_eq!(news.rows.iter().map(|row| row.node_id.as_str()).collect::<Vec<_>>(), ["b"]);
    let again = member(&f, "a").await;
    assert_eq!(story(&f).await.last().unwrap(), "a new");
    let wrote = publish(&f, publish_of(&again, vec![packed(1, 1)])).await;
    assert!(matches!(wrote, PublishReply::Written { .. }), "its mark is forgotten, too: {wrote:?}");
}

async fn members_that_are_away_are_forgotten_when_asked<F: Fixture>(mut f: F) {
    let (a, b) = (member(&f, "a").await, member(&f, "b").await);
    put(&f, publish_of(&a, vec![packed(1, 1)])).await;
    leave(&f, &a).await;
    let before = view(&f).await.delta;
    let members = ["a", "b", "nobody"].map(id).to_vec();
    let Reply::ForgotMembers(outcomes) = call(&f, Call::ForgetMembers(ForgetMembers { members })).await else {
        panic!("another reply")
    };
    let expected = [("a", Forgotten::Forgotten), ("b", Forgotten::Alive), ("nobody", Forgotten::Unknown)];
    assert_eq!(outcomes, expected.map(|(name, outcome)| (id(name), outcome)));
    let news = view_from(&f, &b.epoch, before.version, before.floor, 100).await.delta;
    assert!(news.reset, "readers drop the row");
    assert_eq!(news.rows.iter().map(|row| row.node_id.as_str()).collect::<Vec<_>>(), ["b"]);
    f.advance(secs(1));
    tick(&f, &b).await;
    let again = member(&f, "a").await;
    assert_eq!(story(&f).await.last().unwrap(), "a new");
    let wrote = publish(&f, publish_of(&again, vec![packed(1, 1)])).await;
    assert!(matches!(wrote, PublishReply::Written { .. }), "its mark is forgotten, too: {wrote:?}");
}

async fn a_member_that_came_back_is_not_forgotten<F: Fixture>(mut f: F) {
    let a = admitted(&f, Join { settings: slow(), ..join_of("a") }).await;
    let first = put(&f, publish_of(&a, vec![packed(1, 4)])).await;
    acknowledge(&f, &a, &a.epoch, first + 1).await;
    leave(&f, &a).await;
    let a = member(&f, "a").await;
    f.advance(secs(7 * 86_400 + 1));
    assert_eq!(tick(&f, &a).await.identity, Identity::Ok);
    assert_eq!(tick(&f, &a).await.identity, Identity::Ok);
    assert_eq!(member(&f, "a").await.cursor.0, first + 1);
}

async fn a_rename_keeps_the_producers_mark_when_the_old_id_is_forgotten<F: Fixture>(mut f: F) {
    let a = admitted(&f, Join { settings: slow(), ..join_of("a") }).await;
    put(&f, publish_of(&a, vec![packed(1, 3)])).await;
    let ask = Join { rename_from: Some(id("a")), ..join_of("b") };
    let b = admitted(&f, Join { process: join_of("a").process, producer: join_of("a").producer, ..ask }).await;
    f.advance(secs(7 * 86_400 + 1));
    tick(&f, &b).await;
    let resent = Publish { producer: join_of("a").producer, ..publish_of(&b, vec![packed(1, 3)]) };
    let answer = publish(&f, resent).await;
    assert!(matches!(answer, PublishReply::Marked { producer_seq: 3, .. }), "{answer:?}");
}

async fn metadata_that_are_no_json_still_make_a_member<F: Fixture>(f: F) {
    let mut versions = Vec::new();
    for metadata in ["no json", "7", r#"{"name":7}"#, r#"{"name":""}"#] {
        let node = admitted(&f, Join { metadata: metadata.to_owned(), ..join_of("a") }).await;
        assert_eq!(tick(&f, &node).await.identity, Identity::Ok);
        versions.push(node.instance.incarnation);
    }
    assert_eq!(story(&f).await, ["a new"]);
    assert!(versions.iter().all(|instance| *instance == versions[0] && *instance != Incarnation(0)));
}

async fn a_join_takes_the_old_number_into_a_new_data_set<F: Fixture>(mut f: F) {
    let a = member(&f, "a").await;
    f.flush();
    let again = Join { own: a.instance.incarnation, known: a.known, ..join_of("a") };
    assert_eq!(admitted(&f, again).await.instance, a.instance);
    let b = member(&f, "b").await;
    assert!(b.instance.incarnation > a.instance.incarnation);
}

contract!(
    the_first_member_sets_the_times_and_later_ones_adopt_them,
    joining_again_keeps_the_life_and_updates_the_metadata,
    each_life_has_a_higher_number_than_all_before,
    a_member_that_was_declared_dead_comes_back_as_the_same_life,
    leaving_ends_the_membership_once,
    a_first_join_starts_at_the_newest_message_and_a_later_one_where_it_stopped,
    a_member_that_is_away_for_seven_days_is_forgotten,
    members_that_are_away_are_forgotten_when_asked,
    a_member_that_came_back_is_not_forgotten,
    a_rename_keeps_the_producers_mark_when_the_old_id_is_forgotten,
    metadata_that_are_no_json_still_make_a_member,
    a_join_takes_the_old_number_into_a_new_data_set,
);
