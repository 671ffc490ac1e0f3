//! What is sent in one round, and what came of it.
//!
//! 1. A message is a JSON object of exactly the given number of bytes; it tells when it was sent.
//!
//! Not here: how it is sent.

use memchr::memmem;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How many batches are on their way at a time.
pub const IN_FLIGHT: usize = 16;

/// What one round sends.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Load {
    /// Bytes of a message.
    pub bytes: usize,
    /// Messages in a batch.
    pub batch: usize,
    /// Messages in all.
    pub count: usize,
    /// Messages a second, one by one and each with its time; 0: as many as go, as many batches as are allowed under way.
    pub paced: u64,
}

impl Load {
    /// The sizes of the batches in their order.
    pub fn batches(&self) -> impl Iterator<Item = usize> + use<> {
        let Self { count, batch, .. } = *self;
        (0..count).step_by(batch).map(move |first| batch.min(count - first))
    }

    /// A message that was sent at this time.
    pub fn message(&self, at: Duration) -> String {
        let head = format!(r#"{{"at":"{:020}","pad":""#, at.as_nanos());
        let rest = self.bytes.checked_sub(head.len() + 2).expect("a message has room for its time");
        format!("{head}{}\"}}", "x".repeat(rest))
    }

    /// Waits until the message with this number is due.
    pub fn pace(&self, began: Duration, number: usize) {
        let due = began + Duration::from_nanos(number as u64 * 1_000_000_000 / self.paced);
        if let Some(rest) = due.checked_sub(testkit::stamp()) {
            std::thread::sleep(rest);
        }
    }
}

/// The times at which the messages in these bytes were sent.
pub fn sent_at(bytes: &[u8]) -> impl Iterator<Item = Duration> {
    const MARK: &[u8] = b"\"at\":\"";
    memmem::find_iter(bytes, MARK).map(|at| {
        let digits = &bytes[at + MARK.len()..at + MARK.len() + 20];
        Duration::from_nanos(std::str::from_utf8(digits).unwrap().parse().unwrap())
    })
}

/// What an end of a peer tells when it is done.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Report {
    pub began_ns: u64,
    pub ended_ns: u64,
    pub cpu_ns: u64,
    /// From sending to receiving, in the order of arrival; empty unless the load is paced.
    pub latencies_ns: Vec<u64>,
}

/// What a round showed.
#[derive(Debug, Clone, Default)]
pub struct Run {
    /// From the first message sent to the last one received.
    pub seconds: f64,
    /// Processor time of sender, receiver and server per message, in microseconds; `None` where it is not known.
    pub cpu: [Option<f64>; 3],
    /// In microseconds.
    pub latencies: Vec<f64>,
}

impl Run {
    /// From processor times and the times of both ends.
    pub fn new(load: &Load, seconds: f64, cpu: [Option<Duration>; 3], latencies_ns: &[u64]) -> Self {
        let each = |time: Duration| time.as_secs_f64() * 1e6 / load.count as f64;
        let latencies = latencies_ns.iter().map(|&ns| ns as f64 / 1e3).collect();
        Self { seconds, cpu: cpu.map(|time| time.map(each)), latencies }
    }
}

/// Something that carries messages from one process to another.
pub trait Subject {
    fn name(&self) -> &str;
    /// One round; `None` where it cannot carry this load.
    fn run(&mut self, load: &Load) -> Option<Run>;
}
