//! Going on under another id.

use super::*;

fn ids(names: &[&str]) -> Vec<NodeId> {
    names.iter().map(|name| id(name)).collect()
}

/// One message of `from` at this position, for everybody or for these.
fn one(seq: u64, to: Option<&[&str]>) -> Entry {
    entry_with(seq, "from", seq, &[message(&format!("m{seq}"), to, "1")])
}

/// To everybody, to `bot`, to `me`, to everybody and so on, from position 9 on.
fn stream(from: u64, to: u64) -> impl Iterator<Item = Entry> {
    (from..=to).map(|seq| match seq % 3 {
        0 => one(seq, None),
        1 => one(seq, Some(&["bot"])),
        _ => one(seq, Some(&["me"])),
    })
}

fn feed(inbox: &mut Inbox, to: u64) {
    for entry in stream(9, to).filter(|entry| entry.last > inbox.read()).collect::<Vec<_>>() {
        inbox.taken(&entry);
    }
}

fn offered(inbox: &mut Inbox) -> Vec<u64> {
    inbox.offer(100, 1 << 20).received.iter().map(|received| received.seq.0).collect()
}

#[test]
fn what_is_for_the_id_that_was_taken_comes_and_nothing_comes_twice() {
    let mut inbox = inbox(11);
    feed(&mut inbox, 17);
    assert_eq!(offered(&mut inbox), [12, 14, 15, 17]);
    inbox.acknowledge(MessageSeq(14)).expect("it was offered");
    inbox.rename(ids(&["bot", "me"]), MessageSeq(8), Some(MessageSeq(0)));
    feed(&mut inbox, 18);
    // What was for everybody before this inbox began comes, too; of 12 to 14 only what is for bot is new; the rest was not acknowledged.
    assert_eq!(offered(&mut inbox), [9, 10, 13, 15, 16, 17, 18]);
}

#[test]
fn what_the_id_that_was_taken_has_had_does_not_come_again() {
    let mut inbox = inbox(8);
    feed(&mut inbox, 17);
    inbox.rename(ids(&["bot", "me"]), MessageSeq(14), Some(MessageSeq(0)));
    feed(&mut inbox, 17);
    // Up to 14 bot has had what is for it and for everybody.
    assert_eq!(offered(&mut inbox), [11, 14, 15, 16, 17]);
}

#[test]
fn an_acknowledgement_of_what_was_offered_before_passes_over_nothing_new() {
    let mut inbox = inbox(11);
    feed(&mut inbox, 17);
    assert_eq!(offered(&mut inbox), [12, 14, 15, 17]);
    inbox.rename(ids(&["bot", "me"]), MessageSeq(8), Some(MessageSeq(0)));
    feed(&mut inbox, 18);
    inbox.acknowledge(MessageSeq(17)).expect("it was offered before the rename");
    assert_eq!(inbox.acknowledged(), MessageSeq(8));
    assert_eq!(offered(&mut inbox), [9, 10, 13, 16, 18]);
    assert!(inbox.acknowledge(MessageSeq(30)).is_err());
    inbox.acknowledge(MessageSeq(18)).expect("it was offered");
}

#[test]
fn the_next_process_knows_what_was_had_under_another_id() {
    let mut before = inbox(11);
    feed(&mut before, 17);
    offered(&mut before);
    before.acknowledge(MessageSeq(17)).expect("it was offered");
    before.rename(ids(&["bot", "me"]), MessageSeq(8), Some(MessageSeq(0)));
    feed(&mut before, 17);
    before.offer(2, 1 << 20);
    before.acknowledge(MessageSeq(10)).expect("it was offered");
    let (place, marks) = (before.place().expect("it has an id"), before.take_marks());
    let place = serde_json::from_str(&serde_json::to_string(&place).expect("JSON")).expect("the same");
    let mut after = Inbox::new(ids(&["me"]), producer("out-me"), MessageSeq(10), &data("e1", 0, 17), marks);
    after.resume(place, MessageSeq(10));
    feed(&mut after, 18);
    assert_eq!(offered(&mut after), [18], "as me again");
    after.rename(ids(&["bot", "me"]), MessageSeq(10), Some(MessageSeq(0)));
    feed(&mut after, 19);
    assert_eq!(offered(&mut after), [13, 16, 18, 19]);
}

/// The stream is lost after a rename gave up what had been read, and before it was read again: its producer sends it again.
#[test]
fn what_was_given_up_to_be_read_again_is_taken_when_the_stream_is_lost_before_that() {
    let mut inbox = inbox(8);
    inbox.taken(&entry(9, "from", 1, 1));
    inbox.offer(100, 1 << 20);
    inbox.acknowledge(MessageSeq(9)).expect("it was offered");
    inbox.taken(&entry(11, "from", 2, 2));
    inbox.rename(ids(&["bot", "me"]), MessageSeq(9), Some(MessageSeq(8)));
    inbox.begin_epoch(&data("e2", 100, 100));
    inbox.taken(&entry(103, "from", 1, 3));
    assert_eq!(offered(&mut inbox), [102, 103], "all but what was acknowledged");
}

/// A process goes on with the store that its former one had taken to another id, and takes that id again; Redis knows an older position.
#[test]
fn what_an_earlier_process_had_under_an_id_does_not_come_again_when_that_id_is_taken_once_more() {
    let mut before = inbox(8);
    before.rename(ids(&["bot", "me"]), MessageSeq(8), Some(MessageSeq(8)));
    feed(&mut before, 12);
    assert_eq!(offered(&mut before), [9, 10, 11, 12]);
    before.acknowledge(MessageSeq(12)).expect("it was offered");
    let place = before.place().expect("it has an id");
    let mut after = inbox(12);
    after.resume(place, MessageSeq(12));
    stream(13, 15).for_each(|entry| drop(after.taken(&entry)));
    assert_eq!(offered(&mut after), [14, 15], "what is for bot alone waits");
    after.acknowledge(MessageSeq(15)).expect("it was offered");
    after.rename(ids(&["bot", "me"]), MessageSeq(8), Some(MessageSeq(8)));
    stream(9, 16).for_each(|entry| drop(after.taken(&entry)));
    assert_eq!(offered(&mut after), [13, 16]);
}

#[test]
fn what_was_acknowledged_does_not_come_again_when_its_copy_of_a_new_data_set_is_read_again_under_another_id() {
    let mut inbox = inbox(0);
    inbox.taken(&one(1, None));
    inbox.taken(&one(2, Some(&["bot"])));
    inbox.taken(&one(3, None));
    assert_eq!(offered(&mut inbox), [1, 3]);
    inbox.acknowledge(MessageSeq(3)).expect("it was offered");
    // Redis lost all three, and their sender writes them again.
    inbox.begin_epoch(&data("e2", 10, 13));
    let copies = [(11, 1, None), (12, 2, Some(&["bot"][..])), (13, 3, None)];
    let copies = copies.map(|(seq, own, to)| entry_with(seq, "from", own, &[message(&format!("m{own}"), to, "1")]));
    copies.iter().for_each(|copy| _ = inbox.take(copy));
    inbox.rename(ids(&["bot", "me"]), MessageSeq(10), None);
    copies.iter().for_each(|copy| _ = inbox.take(copy));
    offered(&mut inbox);
    assert_eq!(offered(&mut inbox), [12], "the one for bot was not had");
}
