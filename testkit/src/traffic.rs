//! Senders and receivers that go on through crashes, and write down what is certain.
//!
//! 1. What a sender calls sent was answered as accepted; a call without an answer is repeated with the same ids.
//! 2. What a receiver calls taken was acknowledged: its acknowledgement was answered, or what came next shows that it counted.
//!
//! Not here: the verdict (`checker.rs`), what goes wrong meanwhile (the tests).

use crate::checker::{Taken, Traffic, entry_seq};
use crate::serve::{Launch, Serve};
use crate::wait::{eventually, secs, stamp};
use crate::wire::{Lost, RpcError};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Messages of one call.
pub const BATCH: usize = 100;

/// A node that can be replaced by its next life while others use it.
#[derive(Debug)]
pub struct Slot {
    launch: Mutex<Launch>,
    id: String,
    serve: Mutex<Arc<Serve>>,
    /// How many messages its receiver took so far.
    pub progress: AtomicUsize,
    /// How many messages were answered as queued so far.
    pub queued: AtomicUsize,
    /// Whether the sender waits with the second half of its messages.
    pub hold_half: AtomicBool,
    /// The sender's pause after each call.
    pause: Duration,
}

impl Slot {
    /// Takes a running node.
    pub fn new(launch: Launch, serve: Serve) -> Self {
        Self::paced(launch, serve, Duration::ZERO)
    }

    /// Takes a running node whose sender pauses after each call, so that messages are on their way for long.
    pub fn paced(launch: Launch, serve: Serve, pause: Duration) -> Self {
        Self {
            id: launch.label.clone(),
            launch: Mutex::new(launch),
            pause,
            serve: Mutex::new(Arc::new(serve)),
            progress: AtomicUsize::new(0),
            queued: AtomicUsize::new(0),
            hold_half: AtomicBool::new(false),
        }
    }

    /// The node's id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Its present life.
    pub fn get(&self) -> Arc<Serve> {
        Arc::clone(&self.serve.lock().unwrap())
    }

    /// Kills its present life with -9 and starts the next.
    pub fn kill_and_restart(&self) {
        self.get().kill9();
        self.start();
    }

    /// Ends its present life in order, and starts the next with another program.
    #[track_caller]
    pub fn replace(&self, program: &std::ffi::OsStr) {
        self.get().sigterm();
        self.get().exit_clean(secs(10.0));
        let mut launch = self.launch.lock().unwrap();
        *launch = launch.clone().program(program);
        drop(launch);
        self.start();
    }

    fn start(&self) {
        let next = Arc::new(self.launch.lock().unwrap().start());
        *self.serve.lock().unwrap() = next;
    }
}

/// Sends `count` messages in calls of [`BATCH`]; returns their ids in order.
pub fn send(slot: &Slot, count: usize, within: Duration) -> Vec<String> {
    let end = stamp() + within;
    let ids: Vec<String> = (0..count).map(|number| format!("{}-{number:06}", slot.id())).collect();
    for (at, batch) in ids.chunks(BATCH).enumerate() {
        eventually("the second half may be sent", within, || {
            if at * BATCH < count / 2 || !slot.hold_half.load(Ordering::SeqCst) { Ok(()) } else { Err("held") }
        });
        let messages: Vec<Value> = batch.iter().map(|id| json!({"id": id, "payload": {"of": id}})).collect();
        let params = json!({"messages": messages, "limit": 0});
        loop {
            assert!(stamp() < end, "{} could not send {:?} within {within:?}", slot.id(), batch.first());
            match slot.get().ask("distributed.sync_messages", params.clone(), secs(20.0)).map(|answer| answer.result) {
                Ok(Ok(answer)) => {
                    let counted: u64 =
                        ["published", "duplicates", "queued"].iter().map(|f| answer[f].as_u64().unwrap()).sum();
                    assert_eq!(counted, batch.len() as u64, "{answer}");
                    let queued = usize::try_from(answer["queued"].as_u64().unwrap()).unwrap();
                    slot.queued.fetch_add(queued, Ordering::SeqCst);
                    break;
                }
                Ok(Err(error)) if retryable(&error) => {}
                Ok(Err(error)) => panic!("{} could not send: {error:?}", slot.id()),
                Err(Lost) => {}
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        std::thread::sleep(slot.pause);
    }
    ids
}

fn retryable(error: &RpcError) -> bool {
    error.data["retryable"] == true
}

/// What a receiver has in hand.
#[derive(Debug, Default)]
struct Hand {
    taken: Vec<Taken>,
    /// Handed out, not certainly acknowledged, with the cursor that acknowledges it.
    open: Vec<Taken>,
    cursor: Option<String>,
    /// Whether an acknowledgement of `open` was sent whose answer was lost.
    doubt: bool,
    gaps: Vec<(u64, u64)>,
}

impl Hand {
    fn params(&self) -> Value {
        let mut params = json!({"auto_ack": false, "wait_ms": 300});
        if let Some(cursor) = self.cursor.as_ref().filter(|_| !self.doubt) {
            params["ack"] = cursor.as_str().into();
        }
        params
    }

    fn answered(&mut self, answer: &Value) {
        let received: Vec<Taken> = answer["received"].as_array().unwrap().iter().map(Taken::read).collect();
        let again = received.first().is_some_and(|first| self.open.first().is_some_and(|open| first.seq <= open.seq));
        if self.doubt {
            // Nothing new and nothing again: only the next messages can tell.
            if received.is_empty() {
                return;
            }
            self.doubt = false;
            if again {
                self.open.clear();
            }
        }
        self.taken.append(&mut self.open);
        self.open = received;
        self.cursor = answer["cursor"].as_str().map(str::to_owned);
        if let (Some(from), Some(to)) = (answer["gap"]["from"].as_str(), answer["gap"]["to"].as_str()) {
            self.gaps.push((entry_seq(from), entry_seq(to)));
        }
    }
}

/// Receives with `auto_ack: false` until `count` messages are taken; at `crash_at` of them it sends one more call and
/// kills the node before the answer.
pub fn receive(slot: &Slot, count: usize, crash_at: Option<usize>, within: Duration) -> (Vec<Taken>, Vec<(u64, u64)>) {
    let (end, mut hand, mut crash_at) = (stamp() + within, Hand::default(), crash_at);
    while hand.taken.len() < count {
        assert!(stamp() < end, "{} took {} of {count} messages within {within:?}", slot.id(), hand.taken.len());
        if crash_at.is_some_and(|at| hand.taken.len() >= at) {
            crash_at = None;
            let acknowledging = hand.cursor.is_some();
            slot.get().request("distributed.sync_messages", hand.params()).ok();
            slot.kill_and_restart();
            hand.doubt = acknowledging;
        }
        match slot.get().ask("distributed.sync_messages", hand.params(), secs(20.0)).map(|answer| answer.result) {
            Ok(Ok(answer)) => hand.answered(&answer),
            Ok(Err(error)) if retryable(&error) => std::thread::sleep(Duration::from_millis(20)),
            Ok(Err(error)) => panic!("{} could not receive: {error:?}", slot.id()),
            // It was replaced: whether the acknowledgement counted shows in what comes next.
            Err(Lost) => {
                hand.doubt |= hand.cursor.is_some();
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        slot.progress.store(hand.taken.len(), Ordering::SeqCst);
    }
    (hand.taken, hand.gaps)
}

/// All nodes send `count` messages each to all others and take what they get, while `trouble` happens.
pub fn run(slots: &[Slot], count: usize, crash: Option<usize>, within: Duration, trouble: impl FnOnce()) -> Traffic {
    let wanted = count * (slots.len() - 1);
    let mut traffic = Traffic::default();
    std::thread::scope(|scope| {
        let started: Vec<_> = slots
            .iter()
            .enumerate()
            .map(|(at, slot)| {
                let crash_at = crash.filter(|place| *place == at).map(|_| wanted / 2);
                (
                    slot,
                    scope.spawn(move || send(slot, count, within)),
                    scope.spawn(move || receive(slot, wanted, crash_at, within)),
                )
            })
            .collect();
        trouble();
        for (slot, sender, receiver) in started {
            traffic.sent.insert(slot.id().to_owned(), sender.join().expect("the sender ends well"));
            let (taken, gaps) = receiver.join().expect("the receiver ends well");
            traffic.taken.insert(slot.id().to_owned(), taken);
            traffic.gaps.insert(slot.id().to_owned(), gaps);
        }
    });
    traffic
}
