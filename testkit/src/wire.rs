//! What goes over a node's pipes, as the tests see it, and the sorting of what comes back.
//!
//! 1. Every line is stamped when it is read; answers are kept by id, notifications in order.
//! 2. A line that is no JSON-RPC is kept as noise, for tests to fail on.
//!
//! Not here: processes (`serve.rs`).

use crate::wait::{Stamp, stamp};
use serde_json::Value;
use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

/// An error answer.
#[derive(Debug, Clone, PartialEq)]
pub struct RpcError {
    /// The number.
    pub code: i64,
    /// The sentence.
    pub message: String,
    /// `data.kind` and so on.
    pub data: Value,
}

/// An answer with the times that frame it.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Before the request was written.
    pub sent: Stamp,
    /// When its line had been read.
    pub answered: Stamp,
    /// What it says.
    pub result: Result<Value, RpcError>,
}

/// No answer came: the process is gone, or the time was up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lost;

/// A notification.
#[derive(Debug, Clone)]
pub struct Note {
    /// When its line had been read.
    pub at: Stamp,
    /// The event's name.
    pub method: String,
    /// The whole of its parameters.
    pub params: Value,
}

impl Note {
    /// The event in it.
    pub fn event(&self) -> &Value {
        &self.params["result"]
    }
}

/// All that came so far.
#[derive(Debug, Default)]
pub struct Inbox {
    /// Answers by id, as JSON text.
    pub answers: HashMap<String, (Stamp, Value)>,
    /// Answers with the id null, in order.
    pub orphans: Vec<Value>,
    /// Answers to batches, in order.
    pub batches: Vec<Vec<Value>>,
    /// Notifications, in order.
    pub notes: Vec<Note>,
    /// Lines that are none of these.
    pub noise: Vec<String>,
    /// Whether the other end closed the pipe.
    pub closed: bool,
}

impl Inbox {
    fn take_in(&mut self, line: &[u8]) {
        let at = stamp();
        match serde_json::from_slice::<Value>(line) {
            Ok(Value::Array(batch)) => self.batches.push(batch),
            Ok(mut value) if value["jsonrpc"] == "2.0" => {
                if let Some(method) = value["method"].as_str().map(str::to_owned) {
                    self.notes.push(Note { at, method, params: value["params"].take() });
                } else if value["id"].is_null() {
                    self.orphans.push(value);
                } else {
                    self.answers.insert(value["id"].to_string(), (at, value));
                }
            }
            _ => self.noise.push(String::from_utf8_lossy(line).into_owned()),
        }
    }
}

/// An inbox that a reader thread fills.
#[derive(Debug, Clone, Default)]
pub struct Mailbox {
    shared: Arc<(Mutex<Inbox>, Condvar)>,
}

impl Mailbox {
    /// Reads lines from a pipe until it ends, on a thread of its own.
    pub fn fill_from(&self, pipe: impl Read + Send + 'static) {
        let this = self.clone();
        std::thread::spawn(move || {
            let mut reader = BufReader::with_capacity(1 << 20, pipe);
            let mut line = Vec::new();
            while reader.read_until(b'\n', &mut line).is_ok_and(|size| size > 0) {
                this.update(|inbox| inbox.take_in(line.strip_suffix(b"\n").unwrap_or(&line)));
                line.clear();
            }
            this.update(|inbox| inbox.closed = true);
        });
    }

    fn update(&self, change: impl FnOnce(&mut Inbox)) {
        change(&mut self.shared.0.lock().unwrap());
        self.shared.1.notify_all();
    }

    /// Looks into the inbox.
    pub fn look<T>(&self, look: impl FnOnce(&Inbox) -> T) -> T {
        look(&self.shared.0.lock().unwrap())
    }

    /// Waits until `pick` finds what it looks for, the pipe closes or the time is up.
    pub fn wait<T>(&self, within: Duration, mut pick: impl FnMut(&mut Inbox) -> Option<T>) -> Option<T> {
        let end = stamp() + within;
        let mut inbox = self.shared.0.lock().unwrap();
        loop {
            if let Some(found) = pick(&mut inbox) {
                return Some(found);
            }
            let rest = end.checked_sub(stamp()).filter(|rest| !rest.is_zero())?;
            if inbox.closed {
                return None;
            }
            inbox = self.shared.1.wait_timeout(inbox, rest).unwrap().0;
        }
    }
}

/// Turns an answer's line into a result.
pub fn result_of(mut answer: Value) -> Result<Value, RpcError> {
    if answer["error"].is_null() {
        return Ok(answer["result"].take());
    }
    let error = &mut answer["error"];
    Err(RpcError {
        code: error["code"].as_i64().unwrap_or_default(),
        message: error["message"].as_str().unwrap_or_default().to_owned(),
        data: error["data"].take(),
    })
}
