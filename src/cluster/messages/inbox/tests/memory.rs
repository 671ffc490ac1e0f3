//! What is in memory of the entries that were taken.

use super::*;

impl Inbox {
    /// Takes an entry; returns its messages that are new and for this node.
    pub(super) fn taken(&mut self, entry: &Entry) -> Vec<Received> {
        let count = self.take(entry);
        self.newest(count).cloned().collect()
    }
}

/// The bytes of the texts that the waiting messages keep.
fn held(inbox: &Inbox) -> usize {
    let messages = inbox.newest(usize::MAX).map(|received| received.message.shared());
    messages.collect::<BTreeMap<_, _>>().values().sum()
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
    assert!(held(&inbox) < 50 * 20 + entry.body.len() + 1, "those of one entry share its text");
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
