//! The store as the engine uses it, through restarts, kills and a failing disk.

mod ahead;
mod crashes;
pub(super) mod faults;
mod image;
mod line;
mod measured;
mod packed;
mod removed;
mod saved;

use super::*;
use crate::cluster::ids::{ClusterName, Incarnation, NodeId, Nonce};
use crate::cluster::messages::message::{Message, Outgoing};
use crate::cluster::protocol::Numbers;
use crate::engine::state_dir::StateDir;
use faults::{Faults, FaultyFile};
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};

/// A message to accept.
#[derive(Debug, Clone)]
struct Drafted {
    message: Message,
    generated_id: bool,
}

impl From<Vec<Drafted>> for Prepared {
    fn from(drafts: Vec<Drafted>) -> Self {
        let mut preparation = Preparation::default();
        for Drafted { message, generated_id } in drafts {
            let (topic, to) = (message.topic.as_deref(), message.to.as_deref());
            preparation.push(&message.id, generated_id, topic, to, &message.payload);
        }
        preparation.finish()
    }
}

/// The messages of entries, each with its sequence.
fn unpacked(entries: Vec<Packed>) -> Vec<Outgoing> {
    let unpack = |entry: Packed| {
        let messages: Vec<Message> = serde_json::from_str(&entry.body).unwrap();
        assert_eq!(messages.len() as u64, entry.count);
        (entry.first..).zip(messages).map(|(producer_seq, message)| Outgoing { producer_seq, message })
    };
    entries.into_iter().flat_map(unpack).collect()
}

/// All unsent messages after a sequence.
fn waiting(store: &NodeStore, after: u64) -> Vec<Outgoing> {
    unpacked(store.next_entries(after, usize::MAX, usize::MAX).unwrap())
}

fn sent(store: &NodeStore, assigned: &[(u64, MessageSeq)]) -> Result<(), StateError> {
    let mut runs = Vec::new();
    for (seq, at) in assigned {
        Run::add(&mut runs, Run { first: *seq, last: *seq, at: *at });
    }
    store.sent(&store.producer(), runs)
}

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

fn draft(id: &str, generated_id: bool) -> Drafted {
    let payload = RawValue::from_string(format!("{{\"text\":\"{}\"}}", "x".repeat(60))).unwrap();
    Drafted { message: Message { id: id.to_owned(), topic: None, to: None, payload }, generated_id }
}

fn drafts(range: std::ops::Range<u64>) -> Vec<Drafted> {
    range.map(|n| draft(&format!("m{n}"), false)).collect()
}

fn dir(root: &tempfile::TempDir) -> StateDir {
    StateDir::open(root.path(), &ClusterName::new("c").unwrap()).unwrap()
}

fn id(text: &str) -> NodeId {
    NodeId::new(text).unwrap()
}

fn new(accepted: &[Accepted]) -> Vec<u64> {
    let seq =
        |accepted: &Accepted| if let Accepted::New { producer_seq } = accepted { Some(*producer_seq) } else { None };
    accepted.iter().filter_map(seq).collect()
}

fn seqs(store: &NodeStore) -> Vec<u64> {
    waiting(store, 0).iter().map(|outgoing| outgoing.producer_seq).collect()
}

#[test]
fn what_was_accepted_comes_out_in_order_and_survives_a_restart() {
    let root = tempfile::tempdir().unwrap();
    let store = dir(&root).lock_node(&id("a")).unwrap();
    let producer = store.producer();
    assert_eq!(new(&store.accept(drafts(0..5), 1).unwrap()), [1, 2, 3, 4, 5]);
    sent(&store, &[(1, MessageSeq(10)), (2, MessageSeq(11))]).unwrap();
    drop(store);
    let store = dir(&root).lock_node(&id("a")).unwrap();
    assert_eq!(store.producer(), producer);
    assert_eq!(seqs(&store), [3, 4, 5]);
    let unsent = store.unsent();
    assert_eq!((unsent.messages, unsent.last_accepted_seq), (3, 5));
    let batch = store.next_entries(0, 10, 1).unwrap();
    assert_eq!(batch.len(), 1, "at least one however few bytes");
    assert_eq!(unpacked(batch)[0].message, draft("m2", false).message);
    assert_eq!(waiting(&store, 3)[0].producer_seq, 4);
    assert_eq!(new(&store.accept(drafts(5..6), 1).unwrap()), [6]);
    sent(&store, &(3..=6).map(|n| (n, MessageSeq(n))).collect::<Vec<_>>()).unwrap();
    let unsent = store.unsent();
    assert_eq!((unsent.messages, unsent.bytes, unsent.last_accepted_seq), (0, 0, 6));
}

#[test]
fn duplicates_are_known_within_a_call_for_a_day_and_after_a_restart() {
    let root = tempfile::tempdir().unwrap();
    let store = dir(&root).lock_node(&id("a")).unwrap();
    let call = vec![draft("a", false), draft("a", false), draft("g", true), draft("g", true)];
    let accepted = store.accept(call, 1000).unwrap();
    assert_eq!(accepted[1], Accepted::Duplicate { producer_seq: 1, entry: None });
    assert_eq!(new(&accepted), [1, 2, 3], "generated ids are not remembered");
    sent(&store, &[(1, MessageSeq(77))]).unwrap();
    drop(store);
    let store = dir(&root).lock_node(&id("a")).unwrap();
    let again = store.accept(vec![draft("a", false)], 1000 + DAY_MS - 1).unwrap();
    assert_eq!(again, [Accepted::Duplicate { producer_seq: 1, entry: Some(MessageSeq(77)) }]);
    let later = store.accept(vec![draft("a", false)], 1000 + DAY_MS).unwrap();
    assert_eq!(later, [Accepted::New { producer_seq: 4 }]);
    let later = store.accept(vec![draft("a", false)], 1000 + DAY_MS).unwrap();
    assert_eq!(later, [Accepted::Duplicate { producer_seq: 4, entry: None }]);
    let long = "y".repeat(100_000);
    store.accept(vec![draft(&long, false)], 1).unwrap();
    assert_eq!(new(&store.accept(vec![draft(&long, false), draft(&format!("{long}y"), false)], 1).unwrap()), [6]);
}

#[test]
fn only_the_last_hundred_thousand_ids_are_remembered() {
    let root = tempfile::tempdir().unwrap();
    let store = dir(&root).lock_node(&id("a")).unwrap();
    for start in (0..100_000).step_by(20_000) {
        store.accept(drafts(start..start + 20_000), 5).unwrap();
    }
    assert_eq!(new(&store.accept(drafts(0..1), 5).unwrap()), [] as [u64; 0]);
    store.accept(drafts(100_000..100_001), 5).unwrap();
    assert_eq!(new(&store.accept(drafts(1..2), 5).unwrap()), [] as [u64; 0]);
    assert_eq!(new(&store.accept(drafts(0..1), 5).unwrap()), [100_002]);
}

#[test]
fn a_full_outbox_refuses_the_whole_call_and_takes_it_once_there_is_room() {
    let root = tempfile::tempdir().unwrap();
    let store = dir(&root).with_outbox_bytes(1000).lock_node(&id("a")).unwrap();
    store.accept(drafts(0..5), 1).unwrap();
    let full = store.accept(drafts(4..20), 1).unwrap_err();
    assert!(matches!(full, AcceptError::Full { bound: 1000, .. }), "{full}");
    assert_eq!(seqs(&store), [1, 2, 3, 4, 5]);
    assert_eq!(new(&store.accept(drafts(0..5), 1).unwrap()), [] as [u64; 0], "duplicates need no room");
    sent(&store, &(1..=5).map(|n| (n, MessageSeq(n))).collect::<Vec<_>>()).unwrap();
    assert_eq!(new(&store.accept(drafts(5..13), 1).unwrap()), (6..14).collect::<Vec<_>>());
}

#[test]
fn the_marks_that_were_not_touched_for_longest_go_first() {
    let root = tempfile::tempdir().unwrap();
    let store = dir(&root).lock_node(&id("a")).unwrap();
    let p = |n: usize| Nonce::new(format!("p{n}")).unwrap();
    let change = |range: std::ops::Range<usize>| SavedChange {
        marks: range.map(|n| (p(n), 1)).collect(),
        ..SavedChange::default()
    };
    store.save(&change(0..10)).unwrap();
    store.save(&change(10..memory::MAX_MARKS)).unwrap();
    store.save(&change(0..5)).unwrap();
    store.save(&change(20_000..20_005)).unwrap();
    let check = |saved: Saved| {
        assert_eq!(saved.marks.len(), memory::MAX_MARKS);
        assert!((0..5).chain(10..20).chain(20_000..20_005).all(|n| saved.marks.contains_key(&p(n))));
        assert!((5..10).all(|n| !saved.marks.contains_key(&p(n))));
    };
    check(store.saved());
    drop(store);
    check(dir(&root).lock_node(&id("a")).unwrap().saved());
}

#[test]
fn a_rename_takes_everything_along_and_respects_a_live_holder() {
    let root = tempfile::tempdir().unwrap();
    let dir = dir(&root);
    let store = dir.lock_node(&id("a")).unwrap();
    store.accept(drafts(0..3), 1).unwrap();
    let producer = store.producer();
    let other = dir.lock_node(&id("b")).unwrap();
    let (store, error) = store.rename(&dir, &id("b")).unwrap_err();
    assert!(matches!(error, StateError::InUse { .. }), "{error}");
    assert_eq!(new(&store.accept(drafts(3..4), 1).unwrap()), [4]);
    drop(other);
    let store = store.rename(&dir, &id("b")).unwrap();
    assert_eq!(store.producer(), producer);
    assert_eq!(seqs(&store), [1, 2, 3, 4]);
    assert!(!dir.folder().join("b.redb.adopted-1").exists(), "all of it was taken over");
    assert!(matches!(dir.lock_node(&id("b")), Err(StateError::InUse { .. })));
    assert_ne!(dir.lock_node(&id("a")).unwrap().producer(), producer, "the old id is free and begins anew");
    drop(store);
    assert_eq!(seqs(&dir.lock_node(&id("b")).unwrap()), [1, 2, 3, 4]);
}

fn faulty_store(root: &tempfile::TempDir) -> (NodeStore, Arc<Faults>) {
    let dir = dir(root);
    let faults = Arc::new(Faults::default());
    let mut disk = Disk::new(&dir.database_path(&id("a")));
    disk.faults = Some(Arc::new(FaultyFile(Arc::clone(&faults))));
    (NodeStore::open_on(disk, dir.take_lock(&id("a")).unwrap(), 256 << 20).unwrap(), faults)
}

#[test]
fn a_full_or_failing_disk_keeps_nothing_of_a_call_and_the_store_recovers() {
    let root = tempfile::tempdir().unwrap();
    let (store, faults) = faulty_store(&root);
    store.accept(drafts(0..10), 1).unwrap();
    sent(&store, &[(1, MessageSeq(5))]).unwrap();
    let p = Nonce::from_bytes([1; 16]);
    store.save(&SavedChange { marks: BTreeMap::from([(p.clone(), 4)]), ..SavedChange::default() }).unwrap();
    for flag in [&faults.full, &faults.sync_fails] {
        flag.store(true, Ordering::SeqCst);
        for _ in 0..3 {
            let error = store.accept(drafts(10..20), 1).unwrap_err();
            assert!(matches!(error, AcceptError::State(StateError::Io { .. })), "{error}");
        }
        flag.store(false, Ordering::SeqCst);
        assert_eq!(seqs(&store), (2..=10).collect::<Vec<_>>());
        assert_eq!(store.unsent().messages, 9);
        assert_eq!(store.saved().marks[&p], 4);
    }
    assert_eq!(new(&store.accept(drafts(10..20), 1).unwrap()), (11..=20).collect::<Vec<_>>());
    drop(store);
    let store = dir(&root).lock_node(&id("a")).unwrap();
    assert_eq!(seqs(&store), (2..=20).collect::<Vec<_>>());
    assert_eq!(store.saved().marks[&p], 4);
    let bytes: usize = waiting(&store, 0).iter().map(|o| serde_json::to_vec(&o.message).unwrap().len()).sum();
    assert_eq!(store.unsent().bytes, bytes as u64);
}

#[test]
fn a_call_costs_one_sync_and_concurrent_calls_share_them() {
    let root = tempfile::tempdir().unwrap();
    let (store, faults) = faulty_store(&root);
    let before = faults.syncs.load(Ordering::SeqCst);
    store.accept(drafts(0..100), 1).unwrap();
    assert!(faults.syncs.load(Ordering::SeqCst) - before <= 2);
    std::thread::scope(|scope| {
        for thread in 0..8u64 {
            let store = &store;
            scope.spawn(move || {
                for n in 0..10 {
                    store.accept(drafts(1000 + thread * 100 + n..1001 + thread * 100 + n), 1).unwrap();
                }
            });
        }
    });
    assert_eq!(seqs(&store), (1..=180).collect::<Vec<_>>(), "contiguous whoever called");
}

#[test]
fn files_that_are_no_store_are_set_aside_and_never_panic() {
    let root = tempfile::tempdir().unwrap();
    let dir = dir(&root);
    let path = dir.database_path(&id("a"));
    let store = dir.lock_node(&id("a")).unwrap();
    store.accept(drafts(0..50), 1).unwrap();
    drop(store);
    let good = std::fs::read(&path).unwrap();
    let mut random = vec![0; 10_000];
    getrandom::fill(&mut random).unwrap();
    let mut cases = vec![b"x".to_vec(), random, good[..good.len() / 2].to_vec(), good[..100].to_vec()];
    for place in [9, 12, 20, 64, 70, 130, 4096, 4200, 8192, 9000, 20_000] {
        let mut flipped = good.clone();
        for byte in flipped.iter_mut().skip(place).take(8) {
            *byte ^= 0x5a;
        }
        cases.push(flipped);
    }
    for (number, case) in cases.iter().enumerate() {
        std::fs::write(&path, case).unwrap();
        match dir.lock_node(&id("a")) {
            Ok(store) => {
                let after = store.unsent().last_accepted_seq;
                let accepted = store.accept(vec![draft(&format!("new{number}"), false)], 1).unwrap();
                assert_eq!(new(&accepted), [after + 1], "case {number}");
                store.next_entries(0, 1000, usize::MAX).unwrap();
            }
            Err(error) => panic!("case {number}: {error}"),
        }
    }
    assert!(dir.folder().join("a.redb.corrupt-1").exists());
}

/// Not a test by itself: the process that the test below kills.
#[test]
fn child_that_accepts_until_it_is_killed() {
    let Some(root) = std::env::var_os("CLAWSTER_TEST_OUTBOX_ROOT") else { return };
    let dir = StateDir::open(Path::new(&root), &ClusterName::new("c").unwrap()).unwrap();
    let store = dir.lock_node(&id("a")).unwrap();
    let mut out = std::io::stdout().lock();
    for start in (store.unsent().last_accepted_seq..).step_by(3) {
        store.accept(drafts(start..start + 3), 1).unwrap();
        std::io::Write::write_all(&mut out, format!("\naccepted {}\n", start + 3).as_bytes()).unwrap();
        std::io::Write::flush(&mut out).unwrap();
    }
}

#[test]
fn nothing_accepted_is_missing_after_kill_9() {
    let root = tempfile::tempdir().unwrap();
    // Without the crate's name.
    let (_, module) = module_path!().split_once("::").unwrap();
    let mut accepted = 0;
    for round in 1..=5u64 {
        let mut child = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", &format!("{module}::child_that_accepts_until_it_is_killed"), "--nocapture"])
            .env("CLAWSTER_TEST_OUTBOX_ROOT", root.path())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut wanted = 5 * round;
        for line in lines.by_ref().map(Result::unwrap) {
            let Some(seq) = line.strip_prefix("accepted ") else { continue };
            accepted = seq.parse().unwrap();
            // Lines that were written before the kill was carried out follow it.
            if wanted == 0 {
                continue;
            }
            wanted -= 1;
            if wanted == 0 {
                assert!(
                    matches!(dir(&root).lock_node(&id("a")), Err(StateError::InUse { holder, .. }) if holder == format!("process {}", child.id()))
                );
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
        assert_eq!(wanted.min(1), 0);
        for line in lines.map_while(Result::ok) {
            accepted = line.strip_prefix("accepted ").map_or(accepted, |seq| seq.parse().unwrap());
        }
        let store = dir(&root).lock_node(&id("a")).unwrap();
        let last = store.unsent().last_accepted_seq;
        assert!(last >= accepted, "{last} on disk, {accepted} answered");
        assert_eq!(last % 3, 0, "a call is kept as a whole");
        assert_eq!(seqs(&store), (1..=last).collect::<Vec<_>>());
    }
}
