//! Calls that are in the queue together, with a sender on a thread of its own that waits to be woken.
//!
//! 1. Whatever is in the queue beside it, each answered message reaches the stream without being asked for again, once, in the order of its
//!    sequence.

use super::*;
use crate::engine::messages::outbox::Woken;
use std::sync::mpsc;
use std::time::Duration;

/// Longer than any test machine needs.
const PATIENCE: Duration = Duration::from_secs(30);

/// Sends what there is each time it is woken; a failing disk is asked again.
fn send(store: &NodeStore, woken: &mpsc::Receiver<()>, stream: &Mutex<BTreeMap<u64, String>>) {
    let mut mark = 0;
    while woken.recv().is_ok() {
        loop {
            match store.next_entries(mark, 3, usize::MAX) {
                Ok(entries) if entries.is_empty() => break,
                Ok(entries) => {
                    let entries = unpacked(entries);
                    let (first, last) = (entries[0].producer_seq, entries[entries.len() - 1].producer_seq);
                    assert!(first > mark, "{first} comes after {mark}");
                    mark = last;
                    stream.lock().unwrap().extend(entries.into_iter().map(|sent| (sent.producer_seq, sent.message.id)));
                    let run = Run { first, last, at: MessageSeq(first) };
                    // On a failing disk it stays there, and is recognised later.
                    let _ = store.sent(&store.producer(), vec![run]);
                }
                Err(_) => std::thread::yield_now(),
            }
        }
    }
}

fn calls_of_all_kinds(seed: u64, failing: bool) {
    let random = &mut image::Random(seed);
    let root = tempfile::tempdir().unwrap();
    let (store, faults) = faulty_store(&root);
    store.confirm(0, 0).unwrap();
    let stream = Mutex::<BTreeMap<u64, String>>::default();
    let (wake, woken) = mpsc::sync_channel(10_000);
    let mut answered = BTreeMap::new();
    std::thread::scope(|scope| {
        let (store, stream) = (&store, &stream);
        scope.spawn(move || send(store, &woken, stream));
        let (answer, answers) = mpsc::sync_channel(10_000);
        let wake = wake;
        for call in 0..400 {
            faults.sync_fails.store(failing && random.chance(10), Ordering::SeqCst);
            let generated = random.chance(80);
            let count = if random.chance(5) { 3_000 } else { 1 + random.below(3) };
            let ids: Vec<String> = (0..count).map(|at| format!("{call}-{at}")).collect();
            let drafts: Vec<_> = ids.iter().map(|id| draft(id, generated)).collect();
            let (wake, begun, waited) = (wake.clone(), answer.clone(), answer.clone());
            // The sender is there until all is answered.
            let woken = Woken::new(move || wake.send(()).unwrap_or_default());
            let taken = ids.clone();
            let begun = move |outcome| drop(begun.send((taken, outcome)));
            if let Err(back) = store.begin_to_accept(drafts.into(), 1, woken.clone(), begun) {
                // The queue is full.
                waited.send((ids, store.accept_and_send(back, 1, woken))).unwrap();
            }
        }
        faults.sync_fails.store(false, Ordering::SeqCst);
        drop(answer);
        for (ids, accepted) in answers {
            if let Ok(accepted) = accepted {
                answered.extend(new(&accepted).into_iter().zip(ids));
            }
        }
        let began = crate::clock::now();
        let missing = || answered.keys().filter(|seq| !stream.lock().unwrap().contains_key(seq)).count();
        while missing() > 0 {
            assert!(
                crate::clock::now().since(began) < PATIENCE,
                "{} messages wait although nobody is asked (seed {seed})",
                missing()
            );
            std::thread::yield_now();
        }
        drop(wake);
    });
    let stream = stream.into_inner().unwrap();
    for (seq, id) in &answered {
        assert_eq!(stream.get(seq), Some(id), "message {seq} was answered (seed {seed})");
    }
    let distinct: std::collections::BTreeSet<_> = stream.values().collect();
    assert_eq!(distinct.len(), stream.len(), "a message is in the stream twice (seed {seed})");
    assert!(answered.len() > 400, "{} of the calls' messages were answered", answered.len());
}

#[test]
fn calls_of_all_kinds_are_sent_in_order_and_without_being_asked_for() {
    (0..3).for_each(|seed| calls_of_all_kinds(seed, false));
}

#[test]
fn so_are_those_of_a_disk_that_fails_now_and_then() {
    (10..13).for_each(|seed| calls_of_all_kinds(seed, true));
}

/// Begins a call that tells each time that its message can be sent; returns whether it was accepted.
fn begin_call(store: &NodeStore, name: &'static str, wakes: &mpsc::SyncSender<&'static str>) -> mpsc::Receiver<bool> {
    let (wake, (answer, answered)) = (wakes.clone(), mpsc::sync_channel(1));
    let woken = Woken::new(move || wake.send(name).unwrap());
    let answer = move |outcome: Result<_, AcceptError>| answer.send(outcome.is_ok()).unwrap();
    store.begin_to_accept(vec![draft(name, true)].into(), 1, woken, answer).unwrap();
    answered
}

fn ready(store: &NodeStore, after: u64) -> usize {
    store.ready_entries(after, 9, 9_999).map(unpacked).map_or(0, |ready| ready.len())
}

/// A store that has sent one message, under the returned sequence, so that the next ones get theirs in the queue.
fn store_after_one(root: &tempfile::TempDir, wakes: &mpsc::SyncSender<&'static str>) -> (NodeStore, Arc<Faults>, u64) {
    let (store, faults) = faulty_store(root);
    store.confirm(0, 0).unwrap();
    assert!(begin_call(&store, "first", wakes).recv().unwrap());
    let mark = store.unsent().last_accepted_seq;
    sent(&store, &[(mark, MessageSeq(1))]).unwrap();
    (store, faults, mark)
}

#[test]
fn what_was_taken_and_not_sent_is_woken_for_once_it_is_on_disk() {
    let root = tempfile::tempdir().unwrap();
    let (wake, wakes) = mpsc::sync_channel(99);
    let (store, faults, mark) = store_after_one(&root, &wake);
    let held = faults.held.lock().unwrap();
    let second = begin_call(&store, "second", &wake);
    while wakes.try_recv() != Ok("second") {}
    // The sender takes it, cannot send it, and looks again before the disk has it.
    assert_eq!((ready(&store, mark), ready(&store, mark)), (1, 0));
    drop(held);
    assert!(second.recv().unwrap());
    assert!(wakes.try_iter().any(|name| name == "second"), "else it waits until somebody looks");
    assert_eq!(waiting(&store, mark).len(), 1);
}

#[test]
fn what_comes_behind_a_hole_is_woken_for_once_it_is_on_disk() {
    let root = tempfile::tempdir().unwrap();
    let (wake, wakes) = mpsc::sync_channel(99);
    let (store, faults, mark) = store_after_one(&root, &wake);
    faults.sync_fails_once.store(true, Ordering::SeqCst);
    assert!(!begin_call(&store, "burnt", &wake).recv().unwrap());
    store.flush().unwrap();
    while wakes.try_recv().is_ok() {}
    let held = faults.held.lock().unwrap();
    let second = begin_call(&store, "second", &wake);
    while wakes.try_recv() != Ok("second") {}
    assert_eq!(ready(&store, mark), 0, "it does not follow what was sent");
    drop(held);
    assert!(second.recv().unwrap());
    assert!(wakes.try_iter().any(|name| name == "second"), "else it waits until somebody looks");
    assert_eq!(waiting(&store, mark).len(), 1);
}

#[test]
fn what_waits_behind_a_call_that_fails_is_woken_for_once_it_is_on_disk() {
    let root = tempfile::tempdir().unwrap();
    let (wake, wakes) = mpsc::sync_channel(99);
    let (store, faults, mark) = store_after_one(&root, &wake);
    let before = faults.asked.load(Ordering::SeqCst);
    let held = faults.held.lock().unwrap();
    let fails = begin_call(&store, "fails", &wake);
    while faults.asked.load(Ordering::SeqCst) == before {
        std::thread::yield_now();
    }
    let behind = begin_call(&store, "behind", &wake);
    assert_eq!(ready(&store, mark), 2, "both can be sent");
    faults.sync_fails_once.store(true, Ordering::SeqCst);
    while wakes.try_recv().is_ok() {}
    drop(held);
    assert!(!fails.recv().unwrap() && behind.recv().unwrap());
    assert!(wakes.try_iter().any(|name| name == "behind"), "else it waits until somebody looks");
    let waiting: Vec<_> = waiting(&store, mark).into_iter().map(|outgoing| outgoing.message.id).collect();
    assert_eq!(waiting, ["behind"]);
}
