//! What is in memory of the entries that were taken.

use super::*;

impl Inbox {
    /// Takes an entry; returns its messages that are new and for this node.
    pub(super) fn taken(&mut self, entry: &Entry) -> Vec<Received> {
        let count = self.take(entry);
        let mut newest: Vec<Received> = self.newest(count).cloned().collect();
        newest.reverse();
        newest
    }
}

/// The texts that the newest waiting messages keep, by their addresses, with their bytes.
fn texts(inbox: &Inbox, newest: usize) -> BTreeMap<usize, usize> {
    inbox.newest(newest).map(|received| received.message.shared()).collect()
}

/// The bytes of the texts that the waiting messages keep.
fn held(inbox: &Inbox) -> usize {
    texts(inbox, usize::MAX).values().sum()
}

#[test]
fn the_newest_messages_of_several_entries_are_counted_without_the_gaps_between_them() {
    let mut inbox = inbox(0);
    let mut count = inbox.take(&entry(2, "a", 1, 2));
    inbox.mark_lost(MessageSeq(3));
    count += inbox.take(&entry(5, "a", 5, 1));
    let newest: Vec<Received> = inbox.newest(count).cloned().collect();
    assert_eq!((count, names(&newest)), (3, ["a5", "a2", "a1"].map(str::to_owned).to_vec()));
}

#[test]
fn few_messages_of_an_entry_do_not_keep_its_text() {
    let mut inbox = inbox(0);
    let long = format!("\"{}\"", "x".repeat(1_000));
    for at in 0..50 {
        let mut messages = vec![message("other", Some(&["b"]), &long); 99];
        messages.push(message("mine", Some(&["me"]), "1"));
        assert_eq!(names(&inbox.taken(&entry_with((at + 1) * 100, "a", at * 100 + 1, &messages))), ["mine"]);
    }
    assert_eq!(inbox.waiting(), 50);
    assert!(held(&inbox) < 50 * 20, "{}", held(&inbox));
    let all = vec![message("mine", None, &long); 100];
    let entry = entry_with(5_100, "a", 5_001, &all);
    assert_eq!(inbox.taken(&entry).len(), 100);
    let shared = texts(&inbox, 100).into_values().collect::<Vec<_>>();
    assert_eq!(shared, [entry.body.len()], "those of one entry share its text");
}

#[test]
fn messages_that_are_left_of_an_entry_do_not_keep_its_text() {
    let mut inbox = inbox(0);
    let long = format!("\"{}\"", "x".repeat(1_000));
    let mut messages = vec![message("old", Some(&["old"]), &long); 99];
    messages.push(message("both", Some(&["me"]), "1"));
    inbox.set_ids(vec![id("me"), id("old")]);
    assert_eq!(inbox.taken(&entry_with(100, "a", 1, &messages)).len(), 100);
    inbox.keep_items(|item| matches!(item, Item::Message { received, .. } if received.message.payload() == "1"));
    assert!(inbox.waiting() == 1 && held(&inbox) < 20, "{}", held(&inbox));
}

#[test]
fn what_is_acknowledged_of_a_foreign_entry_does_not_stay_in_memory() {
    let mut inbox = inbox(0);
    let long = format!("\"{}\"", "x".repeat(1_000_000));
    let body = format!(r#"[{{"id":"1","payload":{long}}},{{"id":"2","payload":2}}]"#);
    inbox.take(&Entry { body: body.into(), ..entry(2, "a", 1, 2) });
    assert_eq!(inbox.offer(1, usize::MAX).received.len(), 1);
    acknowledge(&mut inbox, 1);
    assert!(inbox.waiting() == 1 && held(&inbox) < 20, "{}", held(&inbox));
}
