//! Numbers that nobody was given.

use super::*;

#[test]
fn numbers_that_were_left_out_are_no_gap_for_those_who_read_up_to_them() {
    let lifted = |last| Entry { after: Some(MessageSeq(4)), ..entry(last, "a", 5, 2) };
    for (read, reported) in [(4, None), (2, gap(3, 4, Some(2))), (6, None)] {
        let mut inbox = inbox(read);
        inbox.take(&lifted(1002));
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
        inbox.take(&entry(1005, "a", 7, 2));
        assert!(all(&mut inbox).more, "a real gap behind it");
    }
}
