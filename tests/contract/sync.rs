//! Messages: one order without holes, each once, kept for those who have not read them. Events: the same order for all.

use crate::calls::*;
use crate::fixture::Fixture;
use clawster::cluster::ids::{EventSeq, MessageSeq};
use clawster::cluster::protocol::{Identity, Join, Packed, Publish, PublishReply};
use clawster::cluster::settings::Timing;
use clawster::store::Store;

async fn messages_get_positions_without_holes<F: Fixture>(f: F) {
    let (a, b) = (member(&f, "a").await, member(&f, "b").await);
    let first = put(&f, publish_of(&a, vec![packed(1, 3), packed(4, 1)])).await;
    assert_eq!(first, a.known.message + 1);
    assert_eq!(put(&f, publish_of(&b, vec![packed(1, 2)])).await, first + 4);
    assert_eq!(positions(&f).await, [first + 2, first + 3, first + 5]);
    let entries = f.store().messages(MessageSeq(first), 2).await.unwrap();
    let told: Vec<_> = entries.iter().map(|e| (e.last.0 - first, e.from.as_str(), e.first_own, e.count)).collect();
    assert_eq!(told, [(2, "a", 1, 3), (3, "a", 4, 1)], "the first one holds messages behind the position");
    assert_eq!((entries[1].body.as_str(), entries[1].producer.as_str()), ("[4]", "producer-a"));
    assert!(f.store().messages(MessageSeq(first + 5), 9).await.unwrap().is_empty());
    assert_eq!(view(&f).await.data.numbers.message, first + 5);
}

async fn what_was_sent_is_not_written_twice<F: Fixture>(f: F) {
    let a = member(&f, "a").await;
    let first = put(&f, publish_of(&a, vec![packed(1, 3)])).await;
    let marked = PublishReply::Marked { producer_seq: 3, seq: MessageSeq(first + 2) };
    for again in [packed(1, 3), packed(3, 5), packed(2, 1)] {
        assert_eq!(publish(&f, publish_of(&a, vec![again])).await, marked);
    }
    assert_eq!(put(&f, publish_of(&a, vec![packed(4, 1)])).await, first + 3);
    assert_eq!(put(&f, publish_of(&a, vec![packed(7, 1)])).await, first + 4, "a place may be left out");
    leave(&f, &a).await;
    let again = member(&f, "a").await;
    let marked = PublishReply::Marked { producer_seq: 7, seq: MessageSeq(first + 4) };
    assert_eq!(publish(&f, publish_of(&again, vec![packed(7, 1)])).await, marked, "the mark outlives the life");
}

async fn a_publish_of_nothing_writes_nothing<F: Fixture>(f: F) {
    let a = member(&f, "a").await;
    let none = PublishReply::Marked { producer_seq: 0, seq: MessageSeq(0) };
    assert_eq!(publish(&f, publish_of(&a, vec![])).await, none);
    let empty = Packed { first: 2, count: 0, body: "[]".to_owned() };
    let first = put(&f, publish_of(&a, vec![packed(1, 1), empty, packed(2, 1)])).await;
    assert_eq!(positions(&f).await, [first, first + 1]);
}

async fn a_stale_sender_is_refused<F: Fixture>(mut f: F) {
    let a = member(&f, "a").await;
    let ask = publish_of(&a, vec![packed(1, 1)]);
    let other = Publish { epoch: "other".to_owned(), ..ask.clone() };
    assert_eq!(publish(&f, other).await, PublishReply::Refused(Identity::Epoch));
    admitted(&f, Join { force: true, process: nonce("rival"), ..join_of("a") }).await;
    assert_eq!(publish(&f, ask.clone()).await, PublishReply::Refused(Identity::Replaced));
    let b = member(&f, "b").await;
    leave(&f, &b).await;
    assert_eq!(publish(&f, publish_of(&b, vec![packed(1, 1)])).await, PublishReply::Refused(Identity::Gone));
    assert!(positions(&f).await.is_empty());
    f.flush();
    assert_eq!(publish(&f, ask).await, PublishReply::Refused(Identity::Epoch));
    assert_eq!(acknowledge(&f, &a, &a.epoch, 5).await, Identity::Epoch);
}

/// Publishes `count` messages one by one, keeping `keep`, and returns the position of the last.
async fn put_many<F: Fixture>(f: &F, node: &Node, from: u64, count: u64, keep: u64) -> u64 {
    let mut last = 0;
    for own in from..from + count {
        last = put(f, Publish { keep, ..publish_of(node, vec![packed(own, 1)]) }).await;
    }
    last
}

async fn old_messages_go_once_all_have_read_them<F: Fixture>(f: F) {
    let a = member(&f, "a").await;
    let b = member(&f, "b").await;
    let last = put_many(&f, &a, 1, 40, 10).await;
    assert_eq!(positions(&f).await.len(), 40, "nobody has read any");
    acknowledge(&f, &a, &a.epoch, last).await;
    acknowledge(&f, &b, &b.epoch, last - 25).await;
    let last = put_many(&f, &a, 41, 1, 10).await;
    assert_eq!(positions(&f).await.first(), Some(&(last - 25)), "b has not read that one");
    acknowledge(&f, &b, &b.epoch, last).await;
    let last = put_many(&f, &a, 42, 1, 10).await;
    let kept = positions(&f).await;
    assert_eq!((kept.len(), kept.first()), (10, Some(&(last - 9))));
}

async fn a_slow_member_keeps_a_hundred_times_as_many<F: Fixture>(f: F) {
    let a = member(&f, "a").await;
    member(&f, "slow").await;
    let entries = (0..150).map(|n| packed(1 + 2 * n, 2)).collect();
    let last = put(&f, Publish { keep: 2, ..publish_of(&a, entries) }).await + 299;
    assert_eq!(positions(&f).await.first(), Some(&(last - 198)));
    acknowledge(&f, &a, &a.epoch, last).await;
    let last = put_many(&f, &a, 301, 1, 2).await;
    let kept = positions(&f).await;
    assert!(kept[0] >= last - 200 && kept[0] <= last - 198, "{} {last}", kept[0]);
}

async fn a_call_trims_more_than_it_puts<F: Fixture>(f: F) {
    let a = member(&f, "a").await;
    for call in 0..6 {
        let entries = (0..200).map(|n| packed(1 + call * 200 + n, 1)).collect();
        let last = put(&f, Publish { keep: 10, ..publish_of(&a, entries) }).await + 199;
        acknowledge(&f, &a, &a.epoch, last).await;
    }
    assert!(positions(&f).await.len() <= 210, "{}", positions(&f).await.len());
}

async fn a_backlog_is_kept_for_an_hour_of_absence<F: Fixture>(mut f: F) {
    let hours = Timing { heartbeat_interval: secs(3600), heartbeat_ttl: secs(36_000), lease_ttl: secs(36_000) };
    let a = admitted(&f, Join { settings: with(hours), ..join_of("a") }).await;
    let away = member(&f, "away").await;
    put_many(&f, &a, 1, 20, 5).await;
    leave(&f, &away).await;
    f.advance(secs(3500));
    let last = put_many(&f, &a, 21, 1, 5).await;
    acknowledge(&f, &a, &a.epoch, last).await;
    put_many(&f, &a, 22, 1, 5).await;
    assert_eq!(positions(&f).await.len(), 22);
    f.advance(secs(200));
    put_many(&f, &a, 23, 1, 5).await;
    assert_eq!(positions(&f).await.len(), 5);
    assert!(member(&f, "away").await.cursor.0 < last, "what it missed shows as a gap");
}

async fn many_who_are_away_do_not_hide_one_who_reads<F: Fixture>(mut f: F) {
    let hours = Timing { heartbeat_interval: secs(3600), heartbeat_ttl: secs(36_000), lease_ttl: secs(36_000) };
    let a = admitted(&f, Join { settings: with(hours), ..join_of("a") }).await;
    for n in 0..20 {
        let gone = member(&f, &format!("gone{n:02}")).await;
        leave(&f, &gone).await;
    }
    let first = put_many(&f, &a, 1, 1, 5).await;
    member(&f, "reader").await;
    f.advance(secs(4000));
    for own in 2..40 {
        let last = put_many(&f, &a, own, 1, 5).await;
        acknowledge(&f, &a, &a.epoch, last).await;
        assert!(positions(&f).await.contains(&(first + 1)), "the reader has not read it");
    }
    assert!(!positions(&f).await.contains(&first), "nobody needs it any more");
}

async fn a_cursor_never_moves_back<F: Fixture>(f: F) {
    let a = member(&f, "a").await;
    let first = put(&f, publish_of(&a, vec![packed(1, 9)])).await;
    assert_eq!(acknowledge(&f, &a, &a.epoch, first + 5).await, Identity::Ok);
    assert_eq!(acknowledge(&f, &a, &a.epoch, first + 2).await, Identity::Ok);
    assert_eq!(member(&f, "a").await.cursor.0, first + 5);
    assert_eq!(acknowledge(&f, &a, "other", first + 8).await, Identity::Epoch);
    assert_eq!(member(&f, "a").await.cursor.0, first + 5);
    let leaving = clawster::cluster::protocol::Call::Leave(clawster::cluster::protocol::Leave {
        instance: a.instance.clone(),
        acknowledged: Some(MessageSeq(first + 7)),
    });
    call(&f, leaving).await;
    assert_eq!(member(&f, "a").await.cursor.0, first + 7);
}

async fn events_are_read_in_pages_of_one_order<F: Fixture>(f: F) {
    let start = member(&f, "a").await.known.event;
    for n in 0..30 {
        member(&f, &format!("m{n}")).await;
    }
    let all = events(&f).await;
    assert_eq!((all.len(), all[0].seq.0), (31, start));
    let mut paged = Vec::new();
    let mut after = EventSeq(0);
    loop {
        let page = f.store().events(after, 7).await.unwrap();
        let Some(last) = page.last() else { break };
        after = last.seq;
        paged.extend(page);
    }
    assert_eq!(paged, all);
}

contract!(
    messages_get_positions_without_holes,
    what_was_sent_is_not_written_twice,
    a_publish_of_nothing_writes_nothing,
    a_stale_sender_is_refused,
    old_messages_go_once_all_have_read_them,
    a_slow_member_keeps_a_hundred_times_as_many,
    a_call_trims_more_than_it_puts,
    a_backlog_is_kept_for_an_hour_of_absence,
    many_who_are_away_do_not_hide_one_who_reads,
    a_cursor_never_moves_back,
    events_are_read_in_pages_of_one_order,
);
