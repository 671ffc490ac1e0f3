//! A bounded queue of lines with a thread that writes them.
//!
//! 1. Sending a line never blocks.
//! 2. Lines that do not fit are counted, and the count is written once there is room again.
//!
//! Not here: the sinks (`rotate.rs`, `syslog.rs`).

use super::line::Line;
use crate::clock;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::Duration;

/// The most lines that wait in a queue.
const CAPACITY: usize = 4096;

/// How long a flush waits for a slow sink.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(2);

/// The number of lines that all queues of this process have dropped.
static DROPPED: AtomicU64 = AtomicU64::new(0);

/// The number of lines dropped because of a full queue since the process started; a line for two queues may count twice.
#[must_use]
pub fn dropped_lines() -> u64 {
    DROPPED.load(Ordering::Relaxed)
}

/// A destination of lines.
pub(super) trait Sink: Send + 'static {
    /// Writes a line; the sink handles its own errors.
    fn write(&mut self, line: &Line);
}

enum Item {
    Line(Arc<Line>),
    Flush(SyncSender<()>),
    Stop(SyncSender<()>),
}

/// The sending side of a queue.
#[derive(Debug, Clone)]
pub(super) struct Sender {
    items: SyncSender<Item>,
    dropped: Arc<AtomicU64>,
}

impl Sender {
    /// Queues a line, or counts it as dropped.
    pub(super) fn send(&self, line: &Arc<Line>) {
        if let Err(TrySendError::Full(_)) = self.items.try_send(Item::Line(Arc::clone(line))) {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            DROPPED.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// A queue and its thread. The thread ends with [`Queue::stop`].
#[derive(Debug)]
pub(super) struct Queue {
    sender: Sender,
}

impl Queue {
    /// Starts the thread.
    pub(super) fn start(name: &str, sink: impl Sink) -> std::io::Result<Self> {
        Self::with_capacity(name, CAPACITY, sink)
    }

    fn with_capacity(name: &str, capacity: usize, sink: impl Sink) -> std::io::Result<Self> {
        let (items, queued) = sync_channel(capacity);
        let sender = Sender { items, dropped: Arc::default() };
        let dropped = Arc::clone(&sender.dropped);
        thread::Builder::new().name(name.to_owned()).spawn(move || run(&queued, &dropped, sink))?;
        Ok(Self { sender })
    }

    pub(super) fn sender(&self) -> Sender {
        self.sender.clone()
    }

    /// Waits until the lines queued so far are written, at most 2 s.
    pub(super) fn flush(&self) {
        self.ask(Item::Flush, FLUSH_TIMEOUT);
    }

    /// Writes the lines queued so far and ends the thread; gives up after `timeout`. Later lines are dropped.
    pub(super) fn stop(&self, timeout: Duration) {
        self.ask(Item::Stop, timeout);
    }

    fn ask(&self, question: impl Fn(SyncSender<()>) -> Item, timeout: Duration) {
        let (done, answer) = sync_channel(1);
        let start = clock::now();
        let mut item = question(done);
        loop {
            match self.sender.items.try_send(item) {
                Ok(()) => break,
                Err(TrySendError::Full(back)) if clock::now().since(start) < timeout => {
                    item = back;
                    thread::sleep(Duration::from_millis(2));
                }
                Err(_) => return,
            }
        }
        let _ = answer.recv_timeout(timeout.saturating_sub(clock::now().since(start)));
    }
}

fn run(queued: &Receiver<Item>, dropped: &AtomicU64, mut sink: impl Sink) {
    while let Ok(item) = queued.recv() {
        let done = match &item {
            Item::Line(line) => {
                sink.write(line);
                None
            }
            Item::Flush(done) | Item::Stop(done) => Some(done),
        };
        let lost = dropped.swap(0, Ordering::Relaxed);
        if lost > 0 {
            sink.write(&Line::warning(format!(
                "{lost} log lines were dropped because they came faster than they could be written"
            )));
        }
        if let Some(done) = done {
            let _ = done.try_send(());
        }
        if matches!(item, Item::Stop(_)) {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    struct Slow {
        gate: Receiver<()>,
        lines: Arc<Mutex<Vec<String>>>,
    }

    impl Sink for Slow {
        fn write(&mut self, line: &Line) {
            let _ = self.gate.recv();
            self.lines.lock().unwrap().push(line.body());
        }
    }

    #[test]
    fn a_stuck_sink_holds_nobody_up_and_the_loss_is_reported() {
        let (open, gate) = sync_channel(1000);
        let lines: Arc<Mutex<Vec<String>>> = Arc::default();
        let queue = Queue::with_capacity("test", 8, Slow { gate, lines: Arc::clone(&lines) }).unwrap();
        for n in 0..100 {
            queue.sender().send(&Line::warning(format!("line {n}")));
        }
        drop(open);
        queue.flush();
        let lines = lines.lock().unwrap();
        let lost: u64 =
            lines.iter().find_map(|line| line.split_once(" log lines were dropped")?.0.parse().ok()).unwrap();
        assert_eq!(lines.len() as u64 - 1 + lost, 100);
        assert_eq!(lines[0], "line 0");
        assert!(dropped_lines() >= lost);
    }
}
