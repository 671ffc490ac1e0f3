//! Rows of packed messages: what is on disk is what goes into the stream, in memory and in the file, and rows of an older version.

use super::tables::{ADOPTED_UNSENT, FORMAT, NUMBERS, UNSENT};
use super::*;

fn bodies(entries: Vec<Packed>) -> Vec<(u64, u64, String)> {
    entries.into_iter().map(|entry| (entry.first, entry.count, entry.body)).collect()
}

#[test]
fn the_file_holds_the_bytes_that_are_sent_from_memory() {
    let root = tempfile::tempdir().unwrap();
    let store = dir(&root).lock_node(&id("a")).unwrap();
    store.accept(drafts(0..3000), 1).unwrap();
    store.accept(drafts(3000..3001), 1).unwrap();
    let from_memory = bodies(store.ready_entries(0, usize::MAX, usize::MAX).expect("it was just accepted"));
    assert_eq!(store.ready_entries(0, usize::MAX, usize::MAX), None, "what is under way is not kept twice");
    let from_file = bodies(store.next_entries(0, usize::MAX, usize::MAX).unwrap());
    assert_eq!(from_memory, from_file);
    assert!(from_file.len() < 10, "they are packed: {}", from_file.len());
    drop(store);
    let store = dir(&root).lock_node(&id("a")).unwrap();
    assert_eq!(bodies(store.next_entries(0, usize::MAX, usize::MAX).unwrap()), from_file);
    assert_eq!(store.unsent().messages, 3001);
}

#[test]
fn what_was_accepted_while_much_waited_is_sent_from_the_file_in_order() {
    let root = tempfile::tempdir().unwrap();
    let store = dir(&root).lock_node(&id("a")).unwrap();
    let payload = RawValue::from_string(format!("\"{}\"", "x".repeat(100_000))).unwrap();
    let large = |n: u64| Drafted {
        message: Message { payload: payload.clone(), ..draft(&format!("m{n}"), false).message },
        generated_id: false,
    };
    for call in 0..12 {
        store.accept((call * 10..call * 10 + 10).map(large).collect::<Vec<_>>(), 1).unwrap();
    }
    let (mut seen, mut after) = (Vec::new(), 0);
    while let Some(entry) = store.next_entries(after, 3, usize::MAX).unwrap().into_iter().next_back() {
        let first = seen.last().map_or(1, |last| last + 1);
        seen.extend(first..=entry.last());
        after = entry.last();
    }
    assert_eq!(seen, (1..=120).collect::<Vec<_>>());
}

#[test]
fn a_mark_within_a_row_leaves_the_rest_of_it() {
    let root = tempfile::tempdir().unwrap();
    let store = dir(&root).lock_node(&id("a")).unwrap();
    store.accept(drafts(0..10), 1).unwrap();
    store.accept(drafts(10..12), 1).unwrap();
    sent(&store, &[1, 2, 3, 4].map(|seq| (seq, MessageSeq(seq + 100)))).unwrap();
    assert_eq!(waiting(&store, 6).first().unwrap().producer_seq, 7, "reading may begin within a row, too");
    let check = |store: &NodeStore| {
        assert_eq!(seqs(store), (5..=12).collect::<Vec<_>>());
        assert_eq!(store.unsent().messages, 8);
        let bytes: usize = waiting(store, 0).iter().map(|o| serde_json::to_vec(&o.message).unwrap().len()).sum();
        assert_eq!(store.unsent().bytes, bytes as u64);
        let again = store.accept(vec![draft("m2", false), draft("m8", false)], 1).unwrap();
        let (sent, unsent) = (Some(MessageSeq(103)), None);
        assert_eq!(again[0], Accepted::Duplicate { producer_seq: 3, entry: sent });
        assert_eq!(again[1], Accepted::Duplicate { producer_seq: 9, entry: unsent });
    };
    check(&store);
    drop(store);
    check(&dir(&root).lock_node(&id("a")).unwrap());
}

#[test]
fn duplicates_within_a_packed_call_are_left_out_of_the_row() {
    let root = tempfile::tempdir().unwrap();
    let store = dir(&root).lock_node(&id("a")).unwrap();
    store.accept(drafts(3..6), 1).unwrap();
    let accepted = store.accept(drafts(0..10), 1).unwrap();
    assert_eq!(new(&accepted), [4, 5, 6, 7, 8, 9, 10]);
    let ids: Vec<String> = waiting(&store, 0).into_iter().map(|outgoing| outgoing.message.id).collect();
    assert_eq!(ids, ["m3", "m4", "m5", "m0", "m1", "m2", "m6", "m7", "m8", "m9"]);
}

#[test]
fn what_another_producer_sent_is_not_removed() {
    let root = tempfile::tempdir().unwrap();
    let store = dir(&root).lock_node(&id("a")).unwrap();
    store.accept(drafts(0..3), 1).unwrap();
    let run = Run { first: 1, last: 3, at: MessageSeq(9) };
    store.sent(&Nonce::from_bytes([7; 16]), vec![run]).unwrap();
    assert_eq!(seqs(&store), [1, 2, 3]);
}

/// Makes the file one of format 1, with these unsent messages, own ones and imported ones of `p`.
fn in_format_1(path: &Path, own: std::ops::RangeInclusive<u64>, imported: std::ops::RangeInclusive<u64>) {
    let database = redb::Database::open(path).unwrap();
    let transaction = database.begin_write().unwrap();
    {
        let mut numbers = transaction.open_table(NUMBERS).unwrap();
        numbers.insert("format", 1).unwrap();
        numbers.remove("unsent_rows").unwrap();
        numbers.insert("last_seq", own.end()).unwrap();
        numbers.insert("unsent_messages", own.clone().count() as u64).unwrap();
        let json = |seq: u64| serde_json::to_vec(&draft(&format!("old{seq}"), false).message).unwrap();
        numbers.insert("unsent_bytes", own.clone().map(|seq| json(seq).len() as u64).sum::<u64>()).unwrap();
        let mut unsent = transaction.open_table(UNSENT).unwrap();
        own.for_each(|seq| drop(unsent.insert(seq, json(seq).as_slice()).unwrap()));
        let mut adopted = transaction.open_table(ADOPTED_UNSENT).unwrap();
        imported.for_each(|seq| drop(adopted.insert(("p", seq), json(seq).as_slice()).unwrap()));
    }
    transaction.delete_table(super::tables::PACKED).unwrap();
    transaction.commit().unwrap();
}

#[test]
fn the_unsent_messages_of_the_format_before_are_sent_first_and_in_order() {
    let root = tempfile::tempdir().unwrap();
    let dir = dir(&root);
    drop(dir.lock_node(&id("a")).unwrap());
    in_format_1(&dir.database_path(&id("a")), 41..=50, 3..=6);
    let store = dir.lock_node(&id("a")).unwrap();
    assert_eq!((store.unsent().messages, store.unsent().last_accepted_seq), (10, 50));
    assert_eq!(new(&store.accept(drafts(0..3), 1).unwrap()), [51, 52, 53]);
    assert_eq!(seqs(&store), (41..=53).collect::<Vec<_>>());
    assert_eq!(waiting(&store, 0)[0].message, draft("old41", false).message);
    let p = Nonce::new("p").unwrap();
    let adopted = store.next_adopted(10, usize::MAX).unwrap().unwrap();
    assert_eq!((&adopted.producer, adopted.entries[0].first, adopted.entries[0].count), (&p, 3, 4));
    store.sent_adopted(&p, Run { first: 3, last: 5, at: MessageSeq(1) }).unwrap();
    assert_eq!(store.next_adopted(10, usize::MAX).unwrap().unwrap().entries[0].first, 6);
    sent(&store, &(41..=51).map(|seq| (seq, MessageSeq(seq))).collect::<Vec<_>>()).unwrap();
    let check = |store: &NodeStore| {
        assert_eq!((seqs(store), store.unsent().messages), (vec![52, 53], 2));
        assert!(store.has_adopted());
    };
    check(&store);
    drop(store);
    // Another id takes everything over: rows of both formats.
    let other = dir.lock_node(&id("b")).unwrap();
    let renamed = other.rename(&dir, &id("a")).unwrap();
    let mut found = Vec::new();
    while let Some(batch) = renamed.next_adopted(10, usize::MAX).unwrap() {
        for entry in batch.entries {
            found.push((entry.first, entry.last()));
            renamed
                .sent_adopted(&batch.producer, Run { first: entry.first, last: entry.last(), at: MessageSeq(1) })
                .unwrap();
        }
    }
    found.sort_unstable();
    assert_eq!(found, [(6, 6), (52, 53)]);
    assert!(!renamed.has_adopted());
    const { assert!(FORMAT == 2) };
}

#[test]
fn a_file_in_which_nothing_waits_is_one_of_the_format_before() {
    let root = tempfile::tempdir().unwrap();
    let dir = dir(&root);
    let format = || {
        let database = redb::Database::open(dir.database_path(&id("a"))).unwrap();
        let numbers = redb::ReadableDatabase::begin_read(&database).unwrap().open_table(NUMBERS).unwrap();
        numbers.get("format").unwrap().unwrap().value()
    };
    drop(dir.lock_node(&id("a")).unwrap());
    assert_eq!(format(), 1, "a new one");
    let store = dir.lock_node(&id("a")).unwrap();
    store.accept(drafts(0..3), 1).unwrap();
    drop(store);
    assert_eq!(format(), 2, "the version before must not take it for an empty outbox");
    let store = dir.lock_node(&id("a")).unwrap();
    assert_eq!(seqs(&store), [1, 2, 3]);
    sent(&store, &[1, 2, 3].map(|seq| (seq, MessageSeq(seq)))).unwrap();
    drop(store);
    assert_eq!(format(), 1);
    let store = dir.lock_node(&id("a")).unwrap();
    assert!(matches!(store.accept(drafts(0..1), 1).unwrap()[..], [Accepted::Duplicate { producer_seq: 1, .. }]));
}

#[test]
fn a_part_of_an_imported_row_may_be_sent() {
    let root = tempfile::tempdir().unwrap();
    let dir = dir(&root);
    let producer = {
        let store = dir.lock_node(&id("a")).unwrap();
        store.accept(drafts(0..9), 1).unwrap();
        store.producer()
    };
    let store = dir.lock_node(&id("b")).unwrap().rename(&dir, &id("a")).unwrap();
    store.sent_adopted(&producer, Run { first: 1, last: 4, at: MessageSeq(1) }).unwrap();
    let rest = store.next_adopted(10, usize::MAX).unwrap().unwrap();
    assert_eq!((rest.producer, unpacked(rest.entries).len()), (producer, 5));
}
