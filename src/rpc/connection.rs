//! Serving one client, over whatever carries its lines.
//!
//! 1. Requests run concurrently, at most [`Limits::in_flight`] lines at a time; beyond that, reading pauses. When none of them
//!    has ended for a while, further lines are refused instead, so that the end of the input is not overlooked.
//!    Lines that ask to wait are counted apart, and refused at once beyond as many: they hold up no release of what they wait for.
//! 2. One task writes. What waits for an answer to be written is told only after the sink has flushed it.
//! 3. Every queue is bounded, in number and in bytes. A client that does not read holds up only its own connection:
//!    no further line is begun while more than half of what may be held unwritten is.
//! 4. The end of the input, a request to stop and a lost output all end the connection within [`Limits::drain`];
//!    answers of calls in flight are still written within that time.
//!
//! A last line without its line end is taken when it is JSON, else ignored: then its writer died while writing it.
//!
//! Not here: where clients come from (`stdio.rs`, `socket.rs`).

use super::batch::{self, Outgoing};
use super::budget::Budget;
use super::errors::{ErrorKind, RpcError};
use super::framing::{DEFAULT_MAX_LINE_BYTES, Line, LineReader, LineSink, push_line};
use super::module::{AfterWrite, Module};
use super::request::{self, Incoming};
use super::subscription::Session;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncRead;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;

/// How many lines wait to be written.
const LINES_QUEUED: usize = 64;

/// How long a line waits while no call ends: a little longer than calls wait for a silent Redis, and short enough for the
/// node to end in time when the client has gone meanwhile.
const ALL_BUSY: Duration = Duration::from_millis(3_500);
/// Lines are written together up to this many bytes.
const WRITTEN_AT_ONCE: usize = 64 << 10;
/// How many bytes of lines are worked on at a time; a longer line is worked on alone.
const HELD_INPUT_BYTES: usize = 32 << 20;
/// How many bytes of answers and events wait to be written. What is made beyond it is refused.
pub(super) const UNWRITTEN_BYTES: usize = 32 << 20;

/// The bounds of a connection.
#[derive(Debug, Clone)]
pub struct Limits {
    /// The longest line taken, in bytes. Default 4 MiB.
    pub max_line_bytes: usize,
    /// How many lines are worked on at a time, and how many more that ask to wait. Default 256.
    pub in_flight: usize,
    /// How long the end of a connection may take. Default 1 s.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_line_bytes: DEFAULT_MAX_LINE_BYTES, in_flight: 256, drain: Duration::from_secs(1) }
    }
}

/// Why a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// The client sent the end of its input, or the input failed.
    InputClosed,
    /// Nothing can be written to the client any more.
    OutputClosed,
    /// This side was asked to stop.
    Stopped,
}

/// Serves one client until its input ends, its output fails or `stop` becomes true (or its sender is dropped).
pub async fn serve<R, S>(module: &Module, input: R, sink: S, limits: &Limits, mut stop: watch::Receiver<bool>) -> Ended
where
    R: AsyncRead + Unpin + Send,
    S: LineSink,
{
    let (out, queue) = mpsc::channel(LINES_QUEUED);
    // In sets, so that nothing goes on when this future is dropped.
    let mut writer = JoinSet::new();
    writer.spawn(write(queue, sink));
    let mut work = JoinSet::new();
    let (held_input, unwritten) = (Budget::new(HELD_INPUT_BYTES), Budget::new(UNWRITTEN_BYTES));
    let session = Arc::new(Session::new(out.clone(), Arc::clone(&unwritten)));
    let mut reader = LineReader::new(input, limits.max_line_bytes);
    let slots = Arc::new(Semaphore::new(limits.in_flight));
    let waiting = Arc::new(Semaphore::new(limits.in_flight));
    let mut patience = ALL_BUSY;

    let ended = loop {
        while let Some(done) = work.try_join_next() {
            report(done);
        }
        // The line first, then the slot for it: so the end of the input is seen also while every slot is taken.
        let next = async {
            let line = reader.next().await.ok().flatten()?;
            let slot = if asks_to_wait(&line) {
                Arc::clone(&waiting).try_acquire_owned().ok()
            } else {
                let slot = tokio::time::timeout(patience, Arc::clone(&slots).acquire_owned()).await;
                // Whoever has waited in vain has waited for all that come next.
                patience = if slot.is_ok() { ALL_BUSY } else { Duration::ZERO };
                slot.ok().and_then(Result::ok)
            };
            let held = held_input.take(line.bytes()).await;
            // What was begun gets on first, so that quick answers are counted before more of them are asked for.
            tokio::task::yield_now().await;
            unwritten.half_free().await;
            Some((line, (slot, held)))
        };
        let next = tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => break Ended::Stopped,
            _ = writer.join_next() => break Ended::OutputClosed,
            next = next => next,
        };
        let Some((line, slot)) = next else { break Ended::InputClosed };
        let (module, session, out) = (module.clone(), Arc::clone(&session), out.clone());
        let max_bytes = limits.max_line_bytes;
        work.spawn(async move {
            let answer = match understand(line, max_bytes) {
                Some(incoming) if slot.0.is_some() => batch::answer(&module, &session, incoming).await,
                Some(incoming) => batch::refuse(&session, incoming, &all_busy()),
                None => None,
            };
            if let Some(answer) = answer {
                // The writer is gone only when the connection is; then there is nobody to answer.
                let _ = out.send(answer).await;
            }
            drop(slot);
        });
    };

    let end = async {
        while let Some(done) = work.join_next().await {
            report(done);
        }
        session.close();
        drop((session, out));
        // With its last sender gone the writer ends once everything is written.
        while writer.join_next().await.is_some() {}
    };
    if tokio::time::timeout(limits.drain, end).await.is_err() {
        tracing::debug!("a connection ended with answers unwritten");
    }
    ended
}

/// Whether a line names the parameter by which calls wait; one that only mentions it is counted with them.
fn asks_to_wait(line: &Line) -> bool {
    const NAME: &[u8] = b"\"wait_ms\"";
    let (Line::Complete(bytes) | Line::Unfinished(bytes)) = line else { return false };
    bytes.windows(NAME.len()).any(|window| window == NAME)
}

fn all_busy() -> RpcError {
    RpcError::overloaded("as many calls as a connection may have are waiting; let some end, or use another connection")
}

/// Makes a failed task heard.
pub(super) fn report(done: Result<(), tokio::task::JoinError>) {
    if let Err(error) = done
        && error.is_panic()
    {
        tracing::error!("a task of a connection failed unexpectedly; what it worked on stays unanswered");
    }
}

fn understand(line: Line, max_bytes: usize) -> Option<Incoming> {
    match line {
        Line::Complete(bytes) => Some(request::parse(&bytes)),
        Line::Unfinished(bytes) => {
            let incoming = request::parse(&bytes);
            let broken = matches!(&incoming, Incoming::Refused(error) if error.kind == ErrorKind::ParseError);
            (!broken).then_some(incoming)
        }
        Line::TooLong => {
            let text =
                format!("the line is longer than {max_bytes} bytes; send less per line, or raise rpc.max_line_bytes");
            Some(Incoming::Refused(RpcError::new(ErrorKind::InvalidRequest, text)))
        }
    }
}

/// Writes what waits, several lines at once where several wait.
async fn write<S: LineSink>(mut queue: mpsc::Receiver<Outgoing>, mut sink: S) {
    while let Some(first) = queue.recv().await {
        let (mut lines, mut told) = (Vec::with_capacity(first.text.len() + 1), Vec::new());
        let mut next = Some(first);
        while let Some(Outgoing { text, after, held }) = next {
            push_line(&mut lines, &text);
            told.push((after, held));
            next = if lines.len() < WRITTEN_AT_ONCE { queue.try_recv().ok() } else { None };
        }
        if let Err(error) = sink.write_lines(lines).await {
            tracing::debug!(%error, "a client cannot be written to any more");
            return;
        }
        for (after, held) in told {
            drop(held);
            after.into_iter().for_each(AfterWrite::written);
        }
    }
}
