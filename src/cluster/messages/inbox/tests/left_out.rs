//! Numbers that nobody was given.

use super::*;

#[test]
fn a_gap_of_a_new_data_set_begins_where_numbers_were_left_out() {
    let lifted = |last, after, own| Entry { after: Some(MessageSeq(after)), ..entry(last, "a", own, 2) };
    let mut inbox = inbox(4);
    inbox.taken(&lifted(1002, 4, 5));
    inbox.taken(&lifted(2002, 1002, 7));
    let offer = all(&mut inbox);
    assert_eq!((offer.gap, seqs(&offer.received)), (None, vec![1001, 1002, 2001, 2002]));
    inbox.acknowledge(offer.cursor).unwrap();
    // Somebody knew a message with the number 5, which a server lost.
    lose(&mut inbox, &data("e2", 9000, 9000));
    let offer = all(&mut inbox);
    assert_eq!((offer.gap, offer.cursor), (gap(5, 9000, None), MessageSeq(9000)));
    inbox.acknowledge(offer.cursor).unwrap();
    lose(&mut inbox, &data("e3", 9500, 9500));
    assert_eq!(all(&mut inbox).gap, gap(9001, 9500, None), "once");
}

#[test]
fn numbers_that_were_left_out_are_no_gap_for_those_who_read_up_to_them() {
    let lifted = |last| Entry { after: Some(MessageSeq(4)), ..entry(last, "a", 5, 2) };
    for (read, reported) in [(4, None), (2, gap(3, 4, Some(2))), (6, None)] {
        let mut inbox = inbox(read);
        inbox.taken(&lifted(1002));
        let offer = all(&mut inbox);
        assert_eq!(
            (offer.gap, seqs(&offer.received), offer.cursor),
            (reported, vec![1001, 1002], MessageSeq(1002)),
            "{read}"
        );
        assert_eq!(
            inbox.lag(MessageSeq(1003)),
            3 + 4_u64.saturating_sub(read),
            "{read}: what was left out is no message"
        );
        inbox.taken(&entry(1005, "a", 7, 2));
        assert!(all(&mut inbox).more, "a real gap behind it");
    }
}
