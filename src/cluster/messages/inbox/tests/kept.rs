//! A store whose cursor lies before the data set, and ids that began to receive late.
//!
//! Not here: a store of the same data set (`tests.rs`).

use super::*;

/// Another process received under the id meanwhile, or this one had no store yet: neither hides what this client lost.
#[test]
fn a_store_of_an_earlier_data_set_shows_what_was_lost_and_has_had_nothing_since() {
    let kept = |epoch: &str| Kept {
        own: vec![producer("out-me")],
        marks: BTreeMap::from([(producer("out-a"), 3)]),
        cursor: Some((MessageSeq(4), epoch.to_owned())),
        place: inbox(4).place(),
    };
    for epoch in ["e1", "e2"] {
        let mut late =
            Inbox::new(vec![id("me")], producer("none"), MessageSeq(20), &data("e2", 10, 20), BTreeMap::new());
        late.taken(&entry(21, "b", 1, 1));
        assert_eq!(names(&all(&mut late).received), ["b1"]);
        acknowledge(&mut late, 21);
        assert!(late.adopt(kept(epoch)), "it reads on further back");
        late.found_nothing_after(MessageSeq(4));
        let offer = all(&mut late);
        assert_eq!((late.read(), offer.gap), (MessageSeq(10), gap(5, 10, None)));
        // The mark tells what a sender put in again, the position what was acknowledged without the store.
        let direct = message("d", Some(&["me"]), "1");
        late.taken(&entry(12, "a", 3, 2));
        late.taken(&entry_with(20, "c", 1, &vec![direct; 8]));
        late.taken(&entry(21, "b", 1, 1));
        late.taken(&entry(22, "b", 2, 1));
        assert_eq!(names(&all(&mut late).received), ["a4", "d", "d", "d", "d", "d", "d", "d", "d", "b2"]);
    }
}

#[test]
fn a_store_that_stands_in_this_data_set_moves_nothing_back() {
    let kept = Kept { cursor: Some((MessageSeq(12), "e2".to_owned())), place: inbox(12).place(), ..Kept::default() };
    let mut late = Inbox::new(vec![id("me")], producer("none"), MessageSeq(20), &data("e2", 10, 20), BTreeMap::new());
    assert!(!late.adopt(kept));
    assert_eq!((late.read(), late.acknowledged(), all(&mut late).gap), (MessageSeq(20), MessageSeq(20), None));
}

#[test]
fn what_was_for_everybody_before_an_id_began_to_receive_was_not_had_there() {
    let offered = |began: Option<u64>| {
        let mut inbox = inbox(0);
        inbox.taken(&entry(2, "a", 1, 2));
        all(&mut inbox);
        acknowledge(&mut inbox, 2);
        inbox.rename(vec![id("bot"), id("me")], MessageSeq(6), began.map(MessageSeq));
        let direct = message("d", Some(&["bot"]), "1");
        inbox.taken(&entry(5, "a", 3, 3));
        inbox.taken(&entry_with(6, "b", 1, &[direct]));
        inbox.taken(&entry(7, "a", 6, 1));
        names(&all(&mut inbox).received).join(" ")
    };
    assert_eq!(offered(Some(0)), "a6");
    assert_eq!(offered(Some(4)), "a3 a4 a6", "it began behind those");
    assert_eq!(offered(None), "a3 a4 a5 a6", "what was for the id alone was had in any case");
}

#[test]
fn a_server_without_a_data_set_does_not_end_the_one_that_was_read() {
    let mut inbox = inbox(8);
    inbox.taken(&entry(9, "a", 1, 1));
    lose(&mut inbox, &data("", 0, 0));
    assert_eq!(inbox.epoch(), "e1", "else the cursor would be one of no data set, and nobody would believe it");
    lose(&mut inbox, &data("e2", 20, 20));
    assert_eq!(names(&all(&mut inbox).received), ["a1"]);
    acknowledge(&mut inbox, 9);
    assert_eq!(all(&mut inbox).gap, gap(10, 20, None));
}
