//! What a store keeps besides messages: what the node knows, and under which producer it goes on once it was put back from a backup.

use super::*;

/// The store of this folder once more, in another one.
fn copied(root: &tempfile::TempDir) -> tempfile::TempDir {
    let other = tempfile::tempdir().unwrap();
    std::fs::copy(dir(root).database_path(&id("a")), dir(&other).database_path(&id("a"))).unwrap();
    other
}

#[test]
fn a_store_that_was_put_back_sends_what_is_new_under_another_producer() {
    let root = tempfile::tempdir().unwrap();
    let store = dir(&root).lock_node(&id("a")).unwrap();
    let producer = store.producer();
    assert!(store.confirm(0, 0).unwrap().renewed.is_none(), "it is new");
    store.accept(drafts(0..3), 1).unwrap();
    drop(store);
    let backup = copied(&root);
    // The stream took seven messages of this producer; the copy knows of three, and accepts more before it can ask.
    for range in [3..4, 4..5] {
        let store = dir(&backup).lock_node(&id("a")).unwrap();
        store.accept(drafts(range), 1).unwrap();
    }
    let store = dir(&backup).lock_node(&id("a")).unwrap();
    let confirmed = store.confirm(7, 0).unwrap();
    assert_eq!((confirmed.border, confirmed.renewed), (3, Some(store.producer())));
    assert_ne!(store.producer(), producer);
    assert_eq!(seqs(&store), [4, 5], "those of before were sent");
    assert_eq!(store.unsent().messages, 2);
    assert!(store.confirm(0, 0).unwrap().renewed.is_none());
    let known = store.producers();
    assert!(known.contains(&producer) && known.contains(&store.producer()));
    drop(store);
    let store = dir(&backup).lock_node(&id("a")).unwrap();
    assert_eq!((store.producers(), seqs(&store)), (known, vec![4, 5]));
}

#[test]
fn a_store_that_was_not_put_back_keeps_its_producer() {
    let root = tempfile::tempdir().unwrap();
    let store = dir(&root).lock_node(&id("a")).unwrap();
    let producer = store.producer();
    // Accepted before anybody could ask, then sent, with a removal that is lost.
    store.accept(drafts(0..3), 1).unwrap();
    assert!(store.confirm(0, 0).unwrap().renewed.is_none());
    store.accept(drafts(3..4), 1).unwrap();
    drop(store);
    let store = dir(&root).lock_node(&id("a")).unwrap();
    assert!(store.confirm(4, 0).unwrap().renewed.is_none());
    // What this process sent itself is no sign of another one; what it did not, is.
    store.accept(drafts(4..6), 1).unwrap();
    assert!(store.confirm(6, 6).unwrap().renewed.is_none());
    assert_eq!((store.producer(), seqs(&store)), (producer, vec![1, 2, 3, 4, 5, 6]));
    assert!(store.confirm(8, 6).unwrap().renewed.is_some());
    assert_eq!(seqs(&store), Vec::<u64>::new());
}

#[test]
fn what_was_saved_comes_back_and_marks_and_numbers_only_rise() {
    let root = tempfile::tempdir().unwrap();
    let store = dir(&root).lock_node(&id("a")).unwrap();
    let p = |n: u8| Nonce::from_bytes([n; 16]);
    let first = SavedChange {
        incarnation: Some(Incarnation(3)),
        epoch: Some(p(9)),
        cursor: Some(MessageSeq(40)),
        numbers: Some(Numbers { token: 5, event: 6, message: 7 }),
        marks: BTreeMap::from([(p(1), 10), (p(2), 20)]),
        producers: vec![p(7), p(8)],
        durable: true,
        ..SavedChange::default()
    };
    store.save(&first).unwrap();
    let numbers = Some(Numbers { token: 4, event: 60, message: 7 });
    let marks = BTreeMap::from([(p(1), 9), (p(2), 21)]);
    store.save(&SavedChange { numbers, marks, producers: vec![p(8)], ..SavedChange::default() }).unwrap();
    let saved = store.saved();
    let numbers = Numbers { token: 5, event: 60, message: 7 };
    assert_eq!((saved.numbers, &saved.producers), (numbers, &vec![p(7), p(8)]));
    assert_eq!(saved.marks, BTreeMap::from([(p(1), 10), (p(2), 21)]));
    assert_eq!((saved.incarnation, saved.cursor), (Incarnation(3), Some(MessageSeq(40))));
    drop(store);
    assert_eq!(dir(&root).lock_node(&id("a")).unwrap().saved(), saved);
}
