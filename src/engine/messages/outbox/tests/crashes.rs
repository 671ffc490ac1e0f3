//! The store through thousands of crashes: nothing that was answered is lost, nothing comes out that was not put in.
//!
//! 1. What [`NodeStore::accept`] answered as new and nobody removed comes out again, as it was put in, in its order.
//! 2. What comes out was put in: a call whose answer was lost is there as a whole or not at all.
//! 3. The position of what left the outbox is known: it is in the same write.
//! 4. No sequence is given twice to two messages, and an id that was answered as new is a duplicate after the crash.
//! 5. A damaged store (flipped bits, a sync that the disk only pretended) is set aside with an error in the log, or goes back to the
//!    write before with a warning; it never gives out anything that was not put in, and never panics.
//!
//! `CRASHES=10000 cargo test --lib outbox::tests::crashes` runs as many; `SEED=n` runs one story. A failing seed is printed.

use super::image::{Failure, Image, Random};
use super::*;
use std::collections::BTreeMap;

/// What the test knows of a store from outside.
#[derive(Debug, Default)]
struct Known {
    /// Answered as new, and not removed since: sequence and id.
    waiting: BTreeMap<u64, String>,
    /// Given to a call that was not answered: it may be there.
    unanswered: Vec<Vec<String>>,
    /// Removal was asked for: it may be gone or there.
    removed: BTreeMap<u64, String>,
    /// Answered as new, ever.
    ids: BTreeMap<String, u64>,
    highest: u64,
    next: u64,
    cursor: Option<MessageSeq>,
}

pub(super) fn open(root: &tempfile::TempDir, image: &Image) -> Result<NodeStore, StateError> {
    let dir = dir(root);
    let mut disk = Disk::new(&dir.database_path(&id("a")));
    disk.faults = Some(Arc::new(image.clone()));
    // A child that another test starts holds all locks of this process until it runs its program.
    let lock = loop {
        match dir.take_lock(&id("a")) {
            Ok(lock) => break lock,
            Err(StateError::InUse { .. }) => std::thread::yield_now(),
            Err(error) => panic!("{error}"),
        }
    };
    NodeStore::open_on(disk, lock, 256 << 20)
}

/// Some calls, as a node makes them; ends early when the disk fails.
fn use_store(store: &NodeStore, known: &mut Known, random: &mut Random) {
    for _ in 0..1 + random.below(12) {
        match random.below(10) {
            0..=5 => {
                let count = 1 + random.below(6);
                let ids: Vec<String> = (0..count).map(|n| format!("m{}", known.next + n)).collect();
                known.next += count;
                match store.accept(ids.iter().map(|id| draft(id, false)).collect::<Vec<_>>(), 1) {
                    Ok(accepted) => {
                        let seqs = new(&accepted);
                        assert_eq!(seqs.len(), ids.len(), "new ids are new: {accepted:?}");
                        for (seq, id) in seqs.into_iter().zip(ids) {
                            assert!(seq > known.highest, "{seq} is used twice");
                            known.highest = seq;
                            known.ids.insert(id.clone(), seq);
                            known.waiting.insert(seq, id);
                        }
                    }
                    Err(_) => known.unanswered.push(ids),
                }
            }
            6..=8 => {
                let count = random.below(4) as usize;
                let seqs: Vec<u64> = known.waiting.keys().copied().take(count).collect();
                let assigned: Vec<_> = seqs.iter().map(|seq| (*seq, MessageSeq(*seq + 1000))).collect();
                // Where it fails they stay, or are gone: both are allowed, since the stream has them.
                let _ = sent(store, &assigned);
                for seq in seqs {
                    let id = known.waiting.remove(&seq).unwrap();
                    known.removed.insert(seq, id);
                }
            }
            _ => {
                let cursor = MessageSeq(random.below(1000));
                let change = SavedChange { cursor: Some(cursor), durable: true, ..SavedChange::default() };
                known.cursor = if store.save(&change).is_ok() { Some(cursor) } else { None };
            }
        }
    }
}

/// Compares what the store holds with what is known. `exact`: nothing may be missing.
fn check(store: &NodeStore, known: &mut Known, exact: bool) {
    let found = waiting(store, 0);
    let mut there = BTreeMap::new();
    let mut last = 0;
    for outgoing in found {
        assert!(outgoing.producer_seq > last, "order: {} after {last}", outgoing.producer_seq);
        last = outgoing.producer_seq;
        let expected = draft(&outgoing.message.id, false).message;
        assert_eq!(outgoing.message, expected, "what comes out is what was put in");
        assert!(there.insert(last, outgoing.message.id).is_none());
    }
    if exact {
        for (seq, id) in &known.waiting {
            assert_eq!(there.get(seq), Some(id), "message {seq} was answered and is lost");
        }
        let gone = known.removed.keys().filter(|seq| !there.contains_key(seq)).max();
        if let Some(seq) = gone {
            assert!(
                store.saved().numbers.message >= *seq + 1000,
                "the position of message {seq} is not known any more"
            );
        }
        if let Some(cursor) = known.cursor {
            assert_eq!(store.saved().cursor, Some(cursor), "what was saved durably is there");
        }
    }
    // What was not answered is there as a whole, or not at all.
    for call in std::mem::take(&mut known.unanswered) {
        let count = call.iter().filter(|id| there.values().any(|other| other == *id)).count();
        assert!(count == 0 || count == call.len(), "a part of a call: {count} of {}", call.len());
    }
    for (seq, id) in &there {
        let earlier = known.waiting.get(seq).or_else(|| known.removed.get(seq));
        assert!(earlier.is_none_or(|earlier| earlier == id), "sequence {seq} is {id}, and was {earlier:?}");
    }
    known.waiting = there;
    let counted = store.unsent();
    assert_eq!(counted.messages as usize, known.waiting.len());
    assert!(counted.last_accepted_seq >= known.waiting.keys().last().copied().unwrap_or(0));
    if exact {
        assert!(counted.last_accepted_seq >= known.highest, "sequences go on above {}", known.highest);
        let answered = known.ids.iter().next_back().map(|(id, seq)| (id.clone(), *seq));
        if let Some((id, seq)) = answered {
            let again = store.accept(vec![draft(&id, false)], 2).unwrap();
            assert!(
                matches!(again[0], Accepted::Duplicate { producer_seq, .. } if producer_seq == seq),
                "{id}: {again:?}"
            );
        }
    }
    known.highest = known.highest.max(counted.last_accepted_seq);
}

/// Counts warnings and errors.
#[derive(Debug, Clone, Default)]
struct Log(Arc<std::sync::atomic::AtomicU64>);

impl Log {
    fn warned(&self) -> bool {
        self.0.load(Ordering::SeqCst) > 0
    }
}

impl tracing::Subscriber for Log {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        *metadata.level() <= tracing::Level::WARN
    }
    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }
    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn event(&self, _: &tracing::Event<'_>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
}

#[test]
fn a_store_that_is_whole_is_opened_again_without_a_word() {
    let root = tempfile::tempdir().unwrap();
    let store = dir(&root).lock_node(&id("a")).unwrap();
    store.accept(drafts(0..5), 1).unwrap();
    sent(&store, &[(1, MessageSeq(10))]).unwrap();
    drop(store);
    let log = Log::default();
    tracing::subscriber::with_default(log.clone(), || drop(dir(&root).lock_node(&id("a")).unwrap()));
    assert!(!log.warned(), "nothing is wrong with it");
}

/// What goes wrong in a story.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Story {
    /// Power is lost, accesses fail, the disk is full: nothing that was answered may be lost.
    Honest,
    /// Syncs are pretended: a state of before may come back.
    Lying,
    /// Bits flip while no process runs.
    Flipping,
    /// Syncs are pretended, and the check is told that they are not: it must notice.
    Control,
}

/// One life of a disk: processes that crash on it, one after the other. How often the store did not hold what it should.
fn story(seed: u64, crashes: u64, kind: Story) -> u64 {
    let random = &mut Random(seed);
    let root = tempfile::tempdir().unwrap();
    let mut image = Image::new();
    let mut known = Known::default();
    let (mut exact, mut set_aside, mut producer) = (true, 0, None);
    for _ in 0..crashes {
        if kind == Story::Flipping && random.chance(60) {
            image.flip(random);
            exact = false;
        }
        let log = Log::default();
        if random.chance(20) {
            // Power is lost while the file is opened, too; that one may tell what the next one finds repaired.
            image.plan(random.below(60), Failure::Crash);
            tracing::subscriber::with_default(log.clone(), || drop(open(&root, &image)));
            image = image.after_crash(random);
        }
        let opened = tracing::subscriber::with_default(log.clone(), || open(&root, &image));
        let store = opened.unwrap_or_else(|error| panic!("a store opens once the disk works: {error}"));
        if exact {
            check(&store, &mut known, true);
        } else {
            let before = std::mem::take(&mut known);
            known.next = before.next;
            let went_back = before.highest > store.unsent().last_accepted_seq;
            if producer == Some(store.producer()) {
                assert!(!went_back || kind == Story::Lying || log.warned(), "a state of before came back silently");
                (known.waiting, known.removed) = (before.waiting, before.removed);
            }
            set_aside += u64::from(went_back);
            check(&store, &mut known, false);
            // What was removed since the state that came back is there again, or never was.
            known.removed.clear();
        }
        exact = true;
        producer = Some(store.producer());
        let failure = match kind {
            Story::Lying | Story::Control if random.chance(60) => Failure::Lie,
            _ => [Failure::Crash, Failure::Io, Failure::Full][random.below(3) as usize],
        };
        image.plan(random.below(120), failure);
        use_store(&store, &mut known, random);
        if matches!(failure, Failure::Io | Failure::Full) {
            // The process lives on, and so does the store.
            image.make_room();
            check(&store, &mut known, true);
            use_store(&store, &mut known, random);
            check(&store, &mut known, true);
        }
        drop(store);
        exact &= kind == Story::Control || !image.lied();
        image = image.after_crash(random);
    }
    set_aside
}

/// Runs stories of 10 crashes each until `CRASHES` (300) are over; a failing one says its seed.
fn stories(kind: Story) -> u64 {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    if let Some(seed) = number("SEED") {
        return story(seed, 10, kind);
    }
    let mut set_aside = 0;
    for seed in 0..number("CRASHES").unwrap_or(300).div_ceil(10) {
        match std::panic::catch_unwind(|| story(seed, 10, kind)) {
            Ok(count) => set_aside += count,
            Err(panic) => {
                eprintln!("SEED={seed} shows it ({kind:?})");
                std::panic::resume_unwind(panic);
            }
        }
    }
    set_aside
}

#[test]
fn nothing_that_was_answered_is_lost_by_a_crash_a_failing_or_a_full_disk() {
    assert_eq!(stories(Story::Honest), 0);
}

#[test]
fn the_check_notices_a_disk_that_loses_what_it_synced() {
    let noticed = (0..30).any(|seed| std::panic::catch_unwind(|| story(seed, 10, Story::Control)).is_err());
    assert!(noticed, "a check that finds nothing proves nothing");
}

#[test]
fn a_disk_that_only_pretends_to_sync_brings_back_a_state_of_before_or_a_loud_error() {
    let set_aside = stories(Story::Lying);
    eprintln!("{set_aside} states of before");
}

#[test]
fn flipped_bits_are_seen_or_harmless() {
    let set_aside = stories(Story::Flipping);
    eprintln!("{set_aside} damaged stores were set aside");
}
