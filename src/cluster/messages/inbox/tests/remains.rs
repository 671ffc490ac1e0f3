//! What a new data set holds of the one before it.

use super::*;

#[test]
fn what_a_failover_kept_is_read_before_the_rest_counts_as_lost() {
    let mut inbox = inbox(0);
    inbox.taken(&entry(2, "a", 1, 2));
    // Somebody knew a position that the promoted server had not: a new data set begins behind it.
    assert!(inbox.begin_epoch(&data("e2", 9000, 9000)), "the stream is to be read again");
    assert!(!inbox.begin_epoch(&data("e2", 9000, 9000)));
    assert_eq!(names(&inbox.taken(&entry(5, "a", 3, 3))), ["a3", "a4", "a5"]);
    assert_eq!((all(&mut inbox).gap, inbox.seeks_remains()), (None, true), "there may be more");
    inbox.found_nothing_after(MessageSeq(2));
    assert!(inbox.seeks_remains(), "an answer to an earlier question");
    inbox.found_nothing_after(MessageSeq(5));
    acknowledge(&mut inbox, 5);
    assert_eq!((all(&mut inbox).gap, inbox.seeks_remains()), (gap(6, 9000, None), false));
    assert_eq!(names(&inbox.taken(&entry(9002, "a", 5, 2))), ["a6"], "what is sent again is known");
}

#[test]
fn the_first_message_of_the_new_data_set_ends_the_search() {
    let mut inbox = inbox(4);
    inbox.begin_epoch(&data("e2", 9000, 9000));
    assert_eq!(names(&inbox.taken(&entry(6, "a", 1, 2))), ["a1", "a2"]);
    assert_eq!(names(&inbox.taken(&entry(9001, "a", 3, 1))), ["a3"]);
    assert_eq!(names(&all(&mut inbox).received), ["a1", "a2"]);
    acknowledge(&mut inbox, 6);
    assert_eq!(all(&mut inbox).gap, gap(7, 9000, None));
}

#[test]
fn a_hole_in_what_is_left_is_a_gap_of_its_own() {
    let mut inbox = inbox(0);
    inbox.begin_epoch(&data("e2", 9000, 9000));
    inbox.taken(&entry(5, "a", 4, 2));
    let offer = all(&mut inbox);
    assert_eq!((offer.gap, seqs(&offer.received)), (gap(1, 3, None), vec![4, 5]), "numbers may have jumped there");
}

#[test]
fn a_process_that_starts_later_finds_them_too() {
    let mut away = Inbox::new(vec![id("me")], producer("p"), MessageSeq(2), &data("e2", 9000, 9000), BTreeMap::new());
    assert!(away.seeks_remains());
    assert_eq!(names(&away.taken(&entry(5, "a", 3, 3))), ["a3", "a4", "a5"]);
}

#[test]
fn an_id_that_is_taken_later_finds_them_too() {
    let mut inbox = inbox(6);
    inbox.begin_epoch(&data("e2", 9000, 9000));
    inbox.found_nothing_after(MessageSeq(6));
    inbox.rename(vec![id("bot"), id("me")], MessageSeq(3), Some(MessageSeq(0)));
    let direct = message("d", Some(&["bot"]), "1");
    assert_eq!(names(&inbox.taken(&entry_with(5, "a", 4, &[message("x", None, "1"), direct]))), ["x", "d"]);
}

#[test]
fn a_new_epoch_is_a_gap_of_unknown_length_behind_what_was_read() {
    let mut inbox = inbox(0);
    inbox.taken(&entry(2, "a", 1, 2));
    inbox.begin_epoch(&data("e1", 5, 5));
    assert_eq!(inbox.read(), MessageSeq(2), "the same data set loses nothing");
    lose(&mut inbox, &data("e2", 5, 5));
    assert_eq!((inbox.epoch(), inbox.read()), ("e2", MessageSeq(5)));
    assert_eq!(names(&all(&mut inbox).received), ["a1", "a2"]);
    acknowledge(&mut inbox, 2);
    assert_eq!(all(&mut inbox).gap, gap(3, 5, None));
    let mut away = Inbox::new(vec![id("me")], producer("p"), MessageSeq(2), &data("e3", 8, 8), BTreeMap::new());
    away.found_nothing_after(MessageSeq(2));
    let away = away.offer(1, 1);
    assert_eq!((away.gap, away.cursor), (gap(3, 8, None), MessageSeq(8)), "a restart tells it, too");
}

#[test]
fn numbers_that_were_left_out_before_the_data_set_began_may_be_what_it_began_for() {
    let mut inbox = inbox(4);
    inbox.begin_epoch(&data("e2", 9000, 9000));
    inbox.taken(&entry(6, "a", 1, 2));
    // A server lost 7 to 10, its follower went on behind 1000, and only then somebody came who knew one of them.
    inbox.taken(&Entry { after: Some(MessageSeq(6)), ..entry(1002, "a", 3, 2) });
    assert_eq!(seqs(&all(&mut inbox).received), [5, 6]);
    acknowledge(&mut inbox, 6);
    let offer = all(&mut inbox);
    assert_eq!((offer.gap, seqs(&offer.received)), (gap(7, 1000, None), vec![1001, 1002]));
}

#[test]
fn a_gap_that_begins_before_what_was_acknowledged_is_told_whole_once() {
    let mut inbox = inbox(4);
    inbox.taken(&Entry { after: Some(MessageSeq(4)), ..entry(1002, "a", 5, 2) });
    lose(&mut inbox, &data("e2", 9000, 9000));
    assert_eq!(seqs(&all(&mut inbox).received), [1001, 1002]);
    acknowledge(&mut inbox, 1002);
    assert_eq!(all(&mut inbox).gap, gap(5, 9000, None));
    acknowledge(&mut inbox, 2000);
    assert_eq!(all(&mut inbox).gap, gap(2001, 9000, None), "the rest of it");
}

#[test]
fn an_entry_that_cannot_be_read_behind_the_beginning_ends_the_search() {
    let mut inbox = inbox(4);
    inbox.begin_epoch(&data("e2", 9000, 9000));
    inbox.mark_lost(MessageSeq(9001));
    assert_eq!((all(&mut inbox).gap, inbox.seeks_remains()), (gap(5, 9001, None), false));
}

#[test]
fn what_is_left_counts_as_lag_until_it_is_acknowledged() {
    let mut inbox = inbox(0);
    inbox.begin_epoch(&data("e2", 9000, 9000));
    inbox.taken(&entry(3, "a", 1, 3));
    assert_eq!(inbox.lag(MessageSeq(9002)), 5);
    all(&mut inbox);
    acknowledge(&mut inbox, 3);
    assert_eq!(inbox.lag(MessageSeq(9002)), 2);
}

/// What a process saves under an id that it took at 50, having acknowledged under another one up to 100.
fn renamed() -> Kept {
    let passed = vec![Passed { after: MessageSeq(0), to: MessageSeq(100), ids: vec![id("me")], strict: false }];
    Kept {
        own: vec![producer("out-me")],
        marks: BTreeMap::from([(producer("out-a"), 100)]),
        cursor: Some((MessageSeq(50), "e1".to_owned())),
        place: Some(Place { owner: id("bot"), began: MessageSeq(0), passed }),
    }
}

#[test]
fn what_was_to_come_under_a_new_id_comes_although_a_data_set_began_in_between() {
    for epoch in ["e1", "e2"] {
        let (start, ids) = (if epoch == "e1" { 0 } else { 9000 }, vec![id("bot"), id("me")]);
        let mut inbox =
            Inbox::new(ids, producer("none"), MessageSeq(50), &data(epoch, start, start.max(100)), BTreeMap::new());
        inbox.adopt(renamed());
        let direct = message("d", Some(&["bot"]), "1");
        inbox.taken(&entry_with(55, "a", 51, &[message("x", None, "1"), message("x", None, "1"), direct]));
        assert_eq!(names(&all(&mut inbox).received), ["d"], "{epoch}");
    }
}

#[test]
fn what_was_acknowledged_before_the_data_set_began_does_not_come_under_an_older_id() {
    let place = Some(Place { owner: id("me"), began: MessageSeq(10), passed: Vec::new() });
    let mut inbox =
        Inbox::new(vec![id("me")], producer("none"), MessageSeq(100), &data("e2", 9000, 9000), BTreeMap::new());
    inbox.adopt(Kept { cursor: Some((MessageSeq(100), "e1".to_owned())), place, ..Kept::default() });
    inbox.rename(vec![id("bot"), id("me")], MessageSeq(50), Some(MessageSeq(0)));
    inbox.taken(&entry(52, "a", 51, 2));
    assert_eq!(names(&all(&mut inbox).received), [""; 0]);
}
