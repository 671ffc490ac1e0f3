//! What the inbox promises, one rule at a time.
//!
//! Not here: random streams and restarts (`tests/streams.rs`).

mod kept;
mod left_out;
mod memory;
mod remains;
mod renames;
mod streams;

use super::offer::line_bytes;
use super::*;
use crate::cluster::messages::message::{Message, Outgoing};
use crate::cluster::messages::packing::pack;
use crate::cluster::time::ServerTime;
use serde_json::value::RawValue;

fn id(name: &str) -> NodeId {
    NodeId::new(name).expect("an id")
}

fn producer(name: &str) -> Producer {
    Producer::new(name).expect("a producer")
}

fn message(name: &str, to: Option<&[&str]>, payload: &str) -> Message {
    Message {
        id: name.to_owned(),
        topic: None,
        to: to.map(|ids| ids.iter().map(|name| id(name)).collect()),
        payload: RawValue::from_string(payload.to_owned()).expect("JSON"),
    }
}

/// The data set `epoch`, with messages from behind `start` up to `head`.
fn data(epoch: &str, start: u64, head: u64) -> DataSet {
    DataSet {
        epoch: epoch.to_owned(),
        numbers: crate::cluster::protocol::Numbers { message: head, ..Default::default() },
        event_start: crate::cluster::ids::EventSeq(0),
        message_start: MessageSeq(start),
        timing: None,
        settings: None,
    }
}

/// The inbox of `me`, whose outbox is `out-me`, behind `cursor`.
fn inbox(cursor: u64) -> Inbox {
    Inbox::new(vec![id("me")], producer("out-me"), MessageSeq(cursor), &data("e1", 0, cursor), BTreeMap::new())
}

/// An entry of `from`'s outbox `out-<from>`, its messages called `<from><own>`, that ends at `last`.
fn entry_with(last: u64, from: &str, first_own: u64, messages: &[Message]) -> Entry {
    let outgoing: Vec<Outgoing> = (first_own..)
        .zip(messages)
        .map(|(producer_seq, message)| Outgoing { producer_seq, message: message.clone() })
        .collect();
    let packed = pack(&outgoing).pop().expect("one entry");
    Entry {
        last: MessageSeq(last),
        producer: producer(&format!("out-{from}")),
        from: id(from),
        first_own,
        count: packed.count,
        at: ServerTime(7),
        after: None,
        body: packed.body.into(),
    }
}

fn entry(last: u64, from: &str, first_own: u64, count: u64) -> Entry {
    let named = |own| message(&format!("{from}{own}"), None, "1");
    entry_with(last, from, first_own, &(first_own..first_own + count).map(named).collect::<Vec<_>>())
}

fn names(received: &[Received]) -> Vec<String> {
    received.iter().map(|received| received.message.id()).collect()
}

fn seqs(received: &[Received]) -> Vec<u64> {
    received.iter().map(|received| received.seq.0).collect()
}

fn all(inbox: &mut Inbox) -> Offer {
    inbox.offer(usize::MAX, usize::MAX)
}

fn gap(from: u64, to: u64, count: Option<u64>) -> Option<Gap> {
    Some(Gap { from: MessageSeq(from), to: MessageSeq(to), count })
}

fn acknowledge(inbox: &mut Inbox, cursor: u64) {
    assert_eq!(inbox.acknowledge(MessageSeq(cursor)), Ok(true));
}

/// Another data set begins, and the stream holds nothing after what was read.
fn lose(inbox: &mut Inbox, data: &DataSet) {
    inbox.begin_epoch(data);
    inbox.found_nothing_after(inbox.read());
}

// Gaps (S1).

#[test]
fn a_hole_is_a_gap_that_is_told_until_it_is_acknowledged() {
    let mut inbox = inbox(2);
    inbox.taken(&entry(6, "a", 4, 2));
    let offer = all(&mut inbox);
    assert_eq!((offer.gap, seqs(&offer.received), offer.cursor), (gap(3, 4, Some(2)), vec![5, 6], MessageSeq(6)));
    assert_eq!(all(&mut inbox), offer);
    acknowledge(&mut inbox, 6);
    assert_eq!(all(&mut inbox).gap, None);
}

#[test]
fn a_gap_behind_a_message_waits_for_the_next_offer() {
    let mut inbox = inbox(0);
    inbox.taken(&entry(1, "a", 1, 1));
    inbox.taken(&entry(4, "a", 4, 1));
    let first = all(&mut inbox);
    assert_eq!((first.gap, seqs(&first.received), first.cursor, first.more), (None, vec![1], MessageSeq(1), true));
    acknowledge(&mut inbox, 1);
    let second = all(&mut inbox);
    assert_eq!((second.gap, seqs(&second.received), second.more), (gap(2, 3, Some(2)), vec![4], false));
}

#[test]
fn gaps_that_touch_are_one_and_an_unknown_length_stays_unknown() {
    let mut inbox = inbox(0);
    let bad = Entry { body: "{not a list".to_owned().into(), ..entry(5, "a", 4, 2) };
    inbox.taken(&bad);
    assert_eq!(all(&mut inbox).gap, gap(1, 5, Some(5)));
    lose(&mut inbox, &data("e2", 9, 9));
    assert_eq!((all(&mut inbox).gap, inbox.waiting()), (gap(1, 9, None), 1));
    acknowledge(&mut inbox, 5);
    assert_eq!(all(&mut inbox).gap, gap(6, 9, None));
}

#[test]
fn what_was_lost_with_a_data_set_is_no_lag() {
    let mut inbox = inbox(4);
    assert_eq!((inbox.lag(MessageSeq(4)), inbox.lag(MessageSeq(6)), inbox.lag(MessageSeq(3))), (0, 2, 0));
    lose(&mut inbox, &data("e2", 1_000_000, 1_000_000));
    assert_eq!((inbox.lag(MessageSeq(1_000_000)), inbox.lag(MessageSeq(1_000_003))), (0, 3));
    all(&mut inbox);
    acknowledge(&mut inbox, 5);
    assert_eq!(inbox.lag(MessageSeq(1_000_003)), 3, "a gap that is acknowledged in part");
    acknowledge(&mut inbox, 1_000_000);
    assert_eq!(inbox.lag(MessageSeq(1_000_003)), 3);
    let data = data("e3", 2_000_000, 2_000_001);
    let restarted = Inbox::new(vec![id("me")], producer("out-me"), MessageSeq(4), &data, BTreeMap::new());
    assert_eq!(restarted.lag(MessageSeq(2_000_001)), 1);
}

#[test]
fn gaps_with_own_messages_between_them_stay_two_and_count_only_what_is_missing() {
    let mut inbox = inbox(0);
    inbox.taken(&entry(4, "me", 1, 2));
    inbox.taken(&entry(9, "me", 3, 1));
    let first = all(&mut inbox);
    assert_eq!((first.gap, first.cursor, first.more), (gap(1, 2, Some(2)), MessageSeq(2), true));
    acknowledge(&mut inbox, 2);
    let second = all(&mut inbox);
    assert_eq!((second.gap, second.cursor, second.more), (gap(5, 8, Some(4)), MessageSeq(9), false));
}

#[test]
fn a_gap_that_is_acknowledged_in_part_shrinks() {
    let mut inbox = inbox(0);
    inbox.taken(&entry(11, "a", 11, 1));
    all(&mut inbox);
    acknowledge(&mut inbox, 4);
    assert_eq!(all(&mut inbox).gap, gap(5, 10, Some(6)));
    acknowledge(&mut inbox, 10);
    let offer = all(&mut inbox);
    assert_eq!((offer.gap, seqs(&offer.received)), (None, vec![11]));
}

#[test]
fn an_entry_that_clawster_did_not_write_is_a_gap_and_the_next_one_is_read() {
    let of = |last, count, body: &str| Entry { body: body.to_owned().into(), count, ..entry(last, "x", 1, 1) };
    for odd in [of(2, 2, "[]"), of(2, 2, ""), of(2, 2, "null"), of(2, 0, "[]"), of(2, 2, r#"[{"id":1}]"#)] {
        let mut inbox = inbox(0);
        assert_eq!(inbox.taken(&odd), [], "{odd:?}");
        assert_eq!(names(&inbox.taken(&entry(3, "a", 1, 1))), ["a1"]);
        assert_eq!(all(&mut inbox).gap, gap(1, 2, Some(2)), "{odd:?}");
    }
}

#[test]
fn an_entry_follows_when_there_is_no_hole_before_it() {
    let inbox = inbox(4);
    let follows = [entry(4, "a", 1, 2), entry(5, "a", 1, 2), entry(6, "a", 1, 2)].map(|entry| inbox.follows(&entry));
    assert_eq!((follows, inbox.follows(&entry(7, "a", 1, 2))), ([true; 3], false));
}

// Once and to whom (S2).

#[test]
fn a_node_is_not_offered_its_own_messages_nor_those_for_others() {
    let mut inbox = inbox(0);
    assert_eq!(inbox.taken(&Entry { from: id("elder-me"), ..entry(1, "me", 1, 1) }), [], "its outbox under another id");
    let lost = Entry { producer: producer("other"), ..entry(2, "me", 1, 1) };
    assert_eq!(inbox.taken(&lost), [], "its id, an outbox that was lost since");
    assert_eq!(inbox.taken(&entry_with(3, "a", 1, &[message("x", Some(&["b", "c"]), "1")])), []);
    assert_eq!((inbox.is_empty(), all(&mut inbox).cursor), (true, MessageSeq(3)), "acknowledged along with the rest");
    let meant = [message("y", Some(&["b", "me"]), "1"), message("z", Some(&[]), "1")];
    assert_eq!(names(&inbox.taken(&entry_with(5, "a", 2, &meant))), ["y"]);
    inbox.set_ids(vec![id("me-2"), id("me")]);
    assert_eq!(names(&inbox.taken(&entry_with(6, "a", 4, &[message("w", Some(&["me-2"]), "1")]))), ["w"]);
    let own = Entry { body: "{not a list".to_owned().into(), ..entry(8, "me", 5, 2) };
    assert_eq!((inbox.taken(&own), inbox.read(), inbox.waiting()), (vec![], MessageSeq(8), 2), "not even taken apart");
}

#[test]
fn a_message_comes_again_until_it_is_acknowledged_and_never_after_that() {
    let mut inbox = inbox(0);
    let stream = entry(3, "a", 1, 3);
    assert_eq!(names(&inbox.taken(&stream)), ["a1", "a2", "a3"]);
    let offer = all(&mut inbox);
    assert_eq!(all(&mut inbox), offer);
    acknowledge(&mut inbox, 2);
    assert_eq!(names(&all(&mut inbox).received), ["a3"]);
    assert_eq!(inbox.taken(&stream), [], "read again");
    acknowledge(&mut inbox, 3);
    assert_eq!((all(&mut inbox).received, inbox.acknowledge(MessageSeq(1))), (vec![], Ok(false)));
}

#[test]
fn what_a_producer_puts_in_again_after_a_loss_of_data_is_taken_once() {
    let mut inbox = inbox(0);
    inbox.taken(&entry(2, "a", 1, 2));
    inbox.begin_epoch(&data("e2", 5, 5));
    assert_eq!(names(&inbox.taken(&entry(8, "a", 1, 3))), ["a3"]);
    assert_eq!(names(&inbox.taken(&entry(9, "b", 1, 1))), ["b1"], "another producer's sequence is another one");
}

#[test]
fn marks_kept_with_the_cursor_drop_duplicates_after_a_restart() {
    let mut before = inbox(0);
    before.taken(&entry(3, "a", 1, 3));
    all(&mut before);
    acknowledge(&mut before, 2);
    let marks = before.take_marks();
    assert_eq!(marks, BTreeMap::from([(producer("out-a"), 2)]), "what was only read is not marked");
    assert_eq!(before.take_marks(), BTreeMap::new());
    let mut after = Inbox::new(vec![id("me")], producer("out-me"), MessageSeq(2), &data("e2", 5, 5), marks.clone());
    assert_eq!(names(&after.taken(&entry(8, "a", 1, 3))), ["a3"]);
    let mut adopting = Inbox::new(vec![id("me")], producer("none"), MessageSeq(2), &data("e2", 5, 5), BTreeMap::new());
    adopting.adopt(Kept { own: vec![producer("out-me")], marks, ..Kept::default() });
    assert_eq!(names(&adopting.taken(&entry(8, "a", 1, 3))), ["a3"]);
    assert_eq!(adopting.taken(&Entry { from: id("elder-me"), ..entry(9, "me", 1, 1) }), []);
}

#[test]
fn what_another_process_sends_under_an_id_before_a_rename_is_not_this_nodes_own() {
    let mut inbox = inbox(0);
    inbox.set_ids(vec![id("me-2"), id("me")]);
    inbox.taken(&entry(1, "me", 1, 1));
    let by_another = Entry { producer: producer("out-another"), ..entry(2, "me", 1, 1) };
    assert_eq!(names(&inbox.taken(&by_another)), ["me1"]);
    inbox.owns([producer("out-elder")]);
    assert_eq!(inbox.taken(&entry(3, "elder", 1, 1)), [], "its id, and a store that was taken over");
}

/// An id was taken by force: its store was given up later than receiving began, and knows more than Redis did.
#[test]
fn a_store_that_comes_later_tells_what_was_read_meanwhile_and_acknowledged_before() {
    let stream = [entry(2, "a", 1, 2), entry(3, "me-too", 1, 1), entry(5, "b", 1, 2)];
    let mut before =
        Inbox::new(vec![id("me")], producer("out-me-too"), MessageSeq(0), &data("e1", 0, 5), BTreeMap::new());
    stream.iter().for_each(|entry| _ = before.take(entry));
    all(&mut before);
    acknowledge(&mut before, 4);
    let kept = Kept {
        own: vec![producer("out-me-too")],
        marks: before.take_marks(),
        cursor: Some((MessageSeq(4), "e1".to_owned())),
        place: before.place(),
    };
    let mut after = inbox(1);
    after.taken(&stream[0]);
    after.taken(&stream[1]);
    after.adopt(kept.clone());
    assert_eq!((after.acknowledged(), after.is_empty()), (MessageSeq(4), true));
    after.taken(&stream[2]);
    assert_eq!(names(&all(&mut after).received), ["b2"]);
    // After a loss of data the marks tell, when all of it is read again.
    let lost = data("e2", 5, 5);
    let mut after = Inbox::new(vec![id("me")], producer("none"), MessageSeq(5), &lost, BTreeMap::new());
    let stream = [entry(7, "a", 2, 2), entry(8, "me-too", 2, 1)];
    stream.iter().for_each(|entry| _ = after.take(entry));
    assert!(after.adopt(kept));
    stream.iter().for_each(|entry| _ = after.take(entry));
    assert_eq!(names(&all(&mut after).received), ["a3"]);
}

#[test]
fn marks_that_could_not_be_kept_are_given_out_again_unless_higher_ones_came() {
    let mut inbox = inbox(0);
    inbox.taken(&entry(2, "a", 1, 2));
    inbox.taken(&entry(3, "b", 1, 1));
    all(&mut inbox);
    acknowledge(&mut inbox, 1);
    let failed = inbox.take_marks();
    acknowledge(&mut inbox, 3);
    inbox.return_marks(failed);
    assert_eq!(inbox.take_marks(), BTreeMap::from([(producer("out-a"), 2), (producer("out-b"), 1)]));
}

#[test]
fn a_cursor_beyond_what_was_offered_is_refused_and_changes_nothing() {
    let mut inbox = inbox(0);
    inbox.taken(&entry(3, "a", 1, 3));
    inbox.offer(2, usize::MAX);
    let refused = inbox.acknowledge(MessageSeq(3)).expect_err("it was not offered");
    assert_eq!(refused.to_string(), "ack 3-0 is beyond what was delivered (2-0); pass the cursor of an answer");
    assert_eq!((inbox.acknowledged(), inbox.waiting()), (MessageSeq(0), 3));
}

#[test]
fn what_an_earlier_process_offered_can_be_acknowledged_until_this_one_offers() {
    let restarted = || Inbox::new(vec![id("me")], producer("p"), MessageSeq(2), &data("e1", 0, 6), BTreeMap::new());
    let mut early = restarted();
    assert!(early.acknowledge(MessageSeq(7)).is_err(), "no process can have offered that");
    acknowledge(&mut early, 5);
    assert_eq!(early.acknowledge(MessageSeq(5)), Ok(false), "taken once");
    assert_eq!((early.acknowledged(), early.read()), (MessageSeq(5), MessageSeq(2)), "reading goes on where it was");
    assert_eq!(names(&early.taken(&entry(6, "a", 3, 4))), ["a6"]);
    // What was acknowledged unread is known all the same: after a loss of data it does not come a second time.
    assert_eq!(names(&early.taken(&entry(9, "a", 3, 3))), Vec::<String>::new());
    assert_eq!(early.take_marks().get(&producer("out-a")), Some(&5), "and kept for the next process");
    let mut late = restarted();
    late.taken(&entry(6, "a", 3, 4));
    assert_eq!(late.offer(0, usize::MAX).cursor, MessageSeq(2));
    assert_eq!(seqs(&late.offer(1, usize::MAX).received), [3]);
    assert!(late.acknowledge(MessageSeq(5)).is_err());
    acknowledge(&mut late, 3);
}

// Order (S3) and bounds.

#[test]
fn messages_of_all_producers_come_in_the_order_of_their_positions() {
    let mut inbox = inbox(0);
    for entry in [entry(2, "a", 1, 2), entry(3, "b", 1, 1), entry(1, "c", 1, 1), entry(5, "a", 3, 2)] {
        inbox.taken(&entry);
    }
    let offer = all(&mut inbox);
    assert_eq!(names(&offer.received), ["a1", "a2", "b1", "a3", "a4"]);
    assert_eq!(seqs(&offer.received), [1, 2, 3, 4, 5]);
}

#[test]
fn an_offer_keeps_to_its_limits_but_holds_at_least_one_message() {
    let mut inbox = inbox(0);
    inbox.taken(&entry(3, "a", 1, 3));
    let none = inbox.offer(0, usize::MAX);
    assert_eq!((none.received, none.cursor, none.more), (vec![], MessageSeq(0), true));
    let two = inbox.offer(2, usize::MAX);
    assert_eq!((seqs(&two.received), two.cursor, two.more), (vec![1, 2], MessageSeq(2), true));
    let one = inbox.offer(usize::MAX, 1);
    assert_eq!((seqs(&one.received), one.cursor, one.more), (vec![1], MessageSeq(1), true));
    let some = inbox.offer(usize::MAX, two.received.iter().map(line_bytes).sum());
    assert_eq!((seqs(&some.received), some.more), (vec![1, 2], true));
    let three = inbox.offer(3, usize::MAX);
    assert_eq!((seqs(&three.received), three.more), (vec![1, 2, 3], false));
}

#[test]
fn an_inbox_is_full_by_number_or_by_bytes_and_has_room_after_an_acknowledgement() {
    let mut many = inbox(0);
    let per_entry = crate::cluster::messages::packing::MAX_PER_ENTRY as u64;
    for first in (1..=MAX_MESSAGES as u64).step_by(per_entry as usize) {
        assert!(!many.is_full());
        many.taken(&entry(first + per_entry - 1, "a", first, per_entry));
    }
    assert!(many.is_full());
    all(&mut many);
    acknowledge(&mut many, 1);
    assert!(!many.is_full());

    let mut large = inbox(0);
    let text = format!("\"{}\"", "x".repeat(MAX_BYTES / 2));
    for seq in 1..=2 {
        assert!(!large.is_full());
        large.taken(&entry_with(seq, "a", seq, &[message("m", None, &text)]));
    }
    assert!(large.is_full());
    all(&mut large);
    acknowledge(&mut large, 2);
    assert!(!large.is_full() && large.is_empty() && large.bytes == 0);
}
