//! What is sent while the disk still writes: nothing answered is lost for it, through kills, failing and full disks.
//!
//! 1. A message that was answered as new is in the stream once, or waits to be sent, under a sequence above the stream's mark.
//! 2. A sequence that the stream has is never given to another message.
//! 3. A process that comes after a kill does not take its own messages in the stream for those of a copy of its store.
//! 4. Messages with ids of clients are never in the stream before they are on disk.

use super::image::{Failure, Image, Random};
use super::*;
use crate::engine::messages::outbox::Woken;
use std::sync::{Mutex, Weak, mpsc};

/// What Redis has of one producer.
#[derive(Debug, Default)]
struct Stream {
    mark: u64,
    ids: BTreeMap<u64, String>,
    /// How many messages came while their call was not answered yet.
    ahead: u64,
}

impl Stream {
    /// Takes what follows its mark, as the script that publishes does.
    fn take(&mut self, entries: Vec<Packed>) {
        for Outgoing { producer_seq, message } in unpacked(entries) {
            assert!(producer_seq > self.mark, "{producer_seq} comes after {}", self.mark);
            self.mark = producer_seq;
            self.ids.insert(producer_seq, message.id);
        }
    }
}

type Shared = Arc<Mutex<Stream>>;

/// Sends what is ready, on the writer's thread, before the disk has it and after.
fn waker(store: &Arc<NodeStore>, stream: &Shared) -> Woken {
    let (store, stream): (Weak<NodeStore>, _) = (Arc::downgrade(store), Arc::clone(stream));
    Woken::new(move || {
        let store = store.upgrade().unwrap();
        let mut stream = stream.lock().unwrap();
        let entries = store.ready_entries(stream.mark, usize::MAX, usize::MAX).unwrap_or_default();
        let written = store.unsent().last_accepted_seq;
        stream.ahead += entries.iter().filter(|entry| entry.first > written).map(|entry| entry.count).sum::<u64>();
        stream.take(entries);
    })
}

/// One life of a disk with processes that crash on it; returns how many messages were sent ahead of it.
fn story(seed: u64, crashes: u64) -> u64 {
    let random = &mut Random(seed);
    let root = tempfile::tempdir().unwrap();
    let (mut image, stream) = (Image::new(), Shared::default());
    let mut answered: BTreeMap<u64, String> = BTreeMap::new();
    let mut next = 0;
    for _ in 0..crashes {
        let store = Arc::new(crashes::open(&root, &image).unwrap());
        let mark = stream.lock().unwrap().mark;
        let confirmed = store.confirm(mark, 0).unwrap();
        assert!(
            confirmed.renewed.is_none(),
            "nobody copied this store: the stream has {mark}, it knows {}",
            confirmed.border
        );
        let failure = [Failure::Crash, Failure::Io, Failure::Full][random.below(3) as usize];
        image.plan(random.below(150), failure);
        for _ in 0..1 + random.below(16) {
            // Calls that are in the queue together.
            let (answer, answers) = mpsc::sync_channel(10_000);
            let (calls, before) = (1 + random.below(3), stream.lock().unwrap().ahead);
            let mut all_named = true;
            for _ in 0..calls {
                let named = random.chance(20);
                all_named &= named;
                let ids: Vec<String> = (0..1 + random.below(4)).map(|n| format!("m{}", next + n)).collect();
                next += ids.len() as u64;
                let drafts: Vec<_> = ids.iter().map(|id| draft(id, !named)).collect();
                let answer = answer.clone();
                let answer = move |outcome| answer.send((ids, outcome)).unwrap();
                store.begin_to_accept(drafts.into(), 1, waker(&store, &stream), answer).unwrap();
            }
            drop(answer);
            for (ids, accepted) in answers {
                if let Ok(accepted) = accepted {
                    answered.extend(new(&accepted).into_iter().zip(ids));
                }
            }
            assert!(!all_named || stream.lock().unwrap().ahead == before, "a client's id waits for the disk");
            if random.chance(50) {
                // The sender goes on from the disk, and what is sent leaves it.
                let mut stream = stream.lock().unwrap();
                if let Ok(entries) = store.next_entries(stream.mark, usize::MAX, usize::MAX) {
                    stream.take(entries);
                    let seqs: Vec<_> = stream.ids.keys().map(|seq| (*seq, MessageSeq(*seq))).collect();
                    let _ = sent(&store, &seqs);
                }
            }
        }
        let died = random.chance(60);
        let before = image.clone();
        if died {
            image = before.after_crash(random);
        }
        before.make_room();
        drop(Arc::into_inner(store).unwrap());
        if !died {
            image = before.after_crash(random);
        }
    }
    let store = crashes::open(&root, &image).unwrap();
    let mut stream = stream.lock().unwrap();
    let rest = store.next_entries(stream.mark, usize::MAX, usize::MAX).unwrap();
    stream.take(rest);
    for (seq, id) in &answered {
        assert_eq!(stream.ids.get(seq), Some(id), "message {seq} was answered");
    }
    let distinct: std::collections::BTreeSet<_> = stream.ids.values().collect();
    assert_eq!(distinct.len(), stream.ids.len(), "a message is in the stream twice");
    stream.ahead
}

#[test]
fn what_is_sent_ahead_of_the_disk_costs_no_answered_message() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    if let Some(seed) = number("SEED") {
        story(seed, 10);
        return;
    }
    let mut ahead = 0;
    for seed in 0..number("CRASHES").unwrap_or(300).div_ceil(10) {
        match std::panic::catch_unwind(|| story(seed, 10)) {
            Ok(count) => ahead += count,
            Err(panic) => {
                eprintln!("SEED={seed} shows it");
                std::panic::resume_unwind(panic);
            }
        }
    }
    assert!(ahead > 0, "nothing was sent ahead: this test shows nothing");
}

#[test]
fn a_call_whose_write_fails_gives_its_sequences_to_nobody() {
    let root = tempfile::tempdir().unwrap();
    let (store, faults) = faulty_store(&root);
    let store = Arc::new(store);
    let stream = Shared::default();
    store.confirm(0, 0).unwrap();
    for round in 0..3 {
        store.accept_and_send(vec![draft(&format!("a{round}"), true)], 1, waker(&store, &stream)).unwrap();
    }
    let before = stream.lock().unwrap().mark;
    faults.sync_fails.store(true, Ordering::SeqCst);
    store.accept_and_send(vec![draft("failed", true)], 1, waker(&store, &stream)).unwrap_err();
    let sent = stream.lock().unwrap().mark;
    assert!(sent > before, "it was sent ahead");
    faults.sync_fails.store(false, Ordering::SeqCst);
    let again = store.accept_and_send(vec![draft("later", true)], 1, waker(&store, &stream)).unwrap();
    assert!(new(&again)[0] > sent, "else the stream takes it for the one that failed: {again:?}");
    let waiting: Vec<_> = waiting(&store, 0).into_iter().map(|outgoing| outgoing.message.id).collect();
    assert_eq!(waiting, ["a0", "a1", "a2", "later"], "a refused call leaves nothing in the file");
}
