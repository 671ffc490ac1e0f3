//! Asks nodes for their role all the time while something happens to them.
//!
//! 1. Every answer counts, also one that a stopped process gives when it wakes.
//!
//! Not here: the verdict (`checker.rs`).

use crate::checker::Sample;
use crate::serve::Serve;
use crate::wire::Answer;
use serde_json::Value;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Reads a role out of an answer to `get_cluster_state`.
pub fn sample_of(node: &str, answer: &Answer) -> Option<Sample> {
    let state = answer.result.as_ref().ok()?;
    Some(Sample {
        node: node.to_owned(),
        sent: answer.sent,
        answered: answer.answered,
        leads: state["role"] == "leader",
        term: state["term"].as_u64().unwrap_or_default(),
    })
}

/// Runs `work` while a thread per node asks for its role; returns what all said. A node that dies is asked no more.
pub fn sampled<T>(nodes: &[&Serve], work: impl FnOnce() -> T) -> (T, Vec<Sample>) {
    let (samples, done) = (Mutex::new(Vec::new()), AtomicBool::new(false));
    let result = std::thread::scope(|scope| {
        let end = EndWith(&done);
        for &node in nodes {
            let (samples, done) = (&samples, &done);
            scope.spawn(move || ask(node, samples, done));
        }
        let result = work();
        drop(end);
        result
    });
    (result, samples.into_inner().unwrap())
}

/// Ends the asking also when `work` panics, so that the scope can end.
struct EndWith<'a>(&'a AtomicBool);

impl Drop for EndWith<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

fn ask(node: &Serve, samples: &Mutex<Vec<Sample>>, done: &AtomicBool) {
    while !done.load(Ordering::SeqCst) {
        let Ok(pending) = node.request("distributed.get_cluster_state", Value::Null) else { return };
        // A stopped process answers when it wakes: this waits for that, in short steps so as to see the end.
        let answer = loop {
            match pending.wait(Duration::from_millis(200)) {
                Ok(answer) => break Some(answer),
                Err(_) if done.load(Ordering::SeqCst) || !node.runs() => break None,
                Err(_) => {}
            }
        };
        let Some(sample) = answer.and_then(|answer| sample_of(&node.label, &answer)) else { continue };
        samples.lock().unwrap().push(sample);
        std::thread::sleep(Duration::from_millis(4));
    }
}
