//! The store's file, or its whole folder, is removed while the store is open.

use super::*;

#[test]
fn a_removed_store_is_written_again_with_all_that_was_in_it() {
    let root = tempfile::tempdir().unwrap();
    let store = dir(&root).lock_node(&id("a")).unwrap();
    let producer = store.producer();
    store.accept(drafts(0..3), 1).unwrap();
    sent(&store, &[(1, MessageSeq(10))]).unwrap();
    store.save(&SavedChange { cursor: Some(MessageSeq(7)), ..SavedChange::default() }).unwrap();
    for round in 0..2u64 {
        // The folder goes, then only the file.
        let file = dir(&root).database_path(&id("a"));
        if round == 0 { std::fs::remove_dir_all(root.path().join("c")) } else { std::fs::remove_file(file) }.unwrap();
        assert_eq!(new(&store.accept(drafts(10 + round..11 + round), 2).unwrap()), [4 + round]);
        assert!(matches!(dir(&root).lock_node(&id("a")), Err(StateError::InUse { .. })), "the id is held as before");
    }
    sent(&store, &[(2, MessageSeq(11))]).unwrap();
    drop(store);
    let store = dir(&root).lock_node(&id("a")).unwrap();
    assert_eq!((store.producer(), store.saved().cursor), (producer, Some(MessageSeq(7))));
    assert_eq!(seqs(&store), [3, 4, 5]);
    assert_eq!(new(&store.accept(drafts(0..3), 3).unwrap()), [0u64; 0], "ids are remembered");
}

#[test]
fn what_cannot_be_written_again_refuses_messages_and_keeps_what_waits() {
    let root = tempfile::tempdir().unwrap();
    let store = dir(&root).lock_node(&id("a")).unwrap();
    store.accept(drafts(0..3), 1).unwrap();
    let folder = root.path().join("c");
    std::fs::remove_dir_all(&folder).unwrap();
    // Something stands where the folder was.
    std::fs::write(&folder, "").unwrap();
    let refused = store.accept(drafts(3..4), 2).unwrap_err();
    assert!(refused.to_string().contains("was removed"), "{refused}");
    sent(&store, &[(1, MessageSeq(10))]).unwrap();
    assert_eq!(seqs(&store), [2, 3], "what waits can be sent");
    std::fs::remove_file(&folder).unwrap();
    let pause = std::time::Duration::from_millis(20);
    let again =
        (0..500).find_map(|_| store.accept(drafts(3..4), 3).ok().or_else(|| (std::thread::sleep(pause), None).1));
    assert_eq!(new(&again.unwrap()), [4]);
    drop(store);
    assert_eq!(seqs(&dir(&root).lock_node(&id("a")).unwrap()), [2, 3, 4]);
}

#[test]
fn a_store_whose_id_another_process_has_taken_meanwhile_stays_away() {
    let root = tempfile::tempdir().unwrap();
    let store = dir(&root).lock_node(&id("a")).unwrap();
    store.accept(drafts(0..1), 1).unwrap();
    std::fs::remove_dir_all(root.path().join("c")).unwrap();
    let other = dir(&root).lock_node(&id("a")).unwrap();
    assert_ne!(store.producer(), other.producer());
    assert!(store.accept(drafts(1..2), 2).is_err());
    assert_eq!(new(&other.accept(drafts(5..6), 2).unwrap()), [1]);
    drop(other);
    assert!(store.accept(drafts(1..2), 2).is_err(), "what the other one wrote is not replaced");
    drop(store);
    assert_eq!(seqs(&dir(&root).lock_node(&id("a")).unwrap()), [1]);
}

#[test]
fn a_generated_id_is_found_by_its_store_where_the_list_is_gone() {
    let root = tempfile::tempdir().unwrap();
    let (known, store) = dir(&root).lock_generated().unwrap();
    std::fs::remove_dir_all(root.path().join("c")).unwrap();
    store.accept(drafts(0..1), 1).unwrap();
    drop(store);
    let (found, store) = dir(&root).lock_generated().unwrap();
    assert_eq!((found, seqs(&store)), (known, vec![1]));
}

fn in_format(path: &std::path::Path, format: u64) {
    let database = redb::Database::open(path).unwrap();
    let transaction = database.begin_write().unwrap();
    transaction.open_table(super::super::tables::NUMBERS).unwrap().insert("format", format).unwrap();
    transaction.commit().unwrap();
}

#[test]
fn a_store_of_a_newer_version_is_set_aside_and_taken_over_once_it_can_be_read() {
    let root = tempfile::tempdir().unwrap();
    let dir = dir(&root);
    let store = dir.lock_node(&id("a")).unwrap();
    let producer = store.producer();
    store.accept(drafts(0..3), 1).unwrap();
    drop(store);
    in_format(&dir.database_path(&id("a")), super::super::tables::FORMAT + 1);
    for _ in 0..2 {
        let store = dir.lock_node(&id("a")).unwrap();
        assert_ne!(store.producer(), producer, "it cannot be read");
    }
    let store = dir.lock_node(&id("a")).unwrap();
    assert_eq!(new(&store.accept(drafts(5..6), 1).unwrap()), [1]);
    drop(store);
    let aside = dir.folder().join("a.redb.newer-1");
    in_format(&aside, super::super::tables::FORMAT);
    let store = dir.lock_node(&id("a")).unwrap();
    let adopted = store.next_adopted(10, usize::MAX).unwrap().unwrap();
    assert_eq!((adopted.producer, unpacked(adopted.entries).len()), (producer, 3));
    assert!(matches!(store.accept(drafts(0..1), 1).unwrap()[..], [Accepted::Duplicate { .. }]));
    assert!(!aside.exists());
}
