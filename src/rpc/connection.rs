//! Serving one client over any transport that carries lines.
//!
//! 1. Requests run concurrently, at most [`Limits::in_flight`] lines at a time; beyond that, reading pauses. If none of
//!    them ends for a while, further lines are refused instead, so that the end of the input is noticed. Lines with
//!    `wait_ms` have a limit of their own, the same number, and are refused at once beyond it: they do not hold up the
//!    release of what they wait for.
//! 2. One task writes. Actions that wait for an answer to be written run only after the sink has flushed it.
//! 3. Every queue is bounded, in entries and in bytes. A client that does not read holds up only its own connection: no
//!    further line is read while more than half of `UNWRITTEN_BYTES` is in use.
//! 4. The end of the input, a request to stop, and a failed output each end the connection within [`Limits::drain`];
//!    answers of calls in flight are still written within that time.
//!
//! A last line without a line end is processed if it is JSON, else ignored: its writer died while writing it.
//!
//! Not here: where clients come from (`stdio.rs`, `socket.rs`).

use super::batch;
use super::budget::Budget;
use super::errors::{ErrorKind, RpcError};
use super::framing::{DEFAULT_MAX_LINE_BYTES, Line, LineReader, LineSink, push_line};
use super::module::Module;
use super::outgoing::{AfterWrite, Outgoing};
use super::request::{self, Incoming};
use super::subscription::Session;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncRead;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;

/// The maximum number of lines that wait to be written.
const LINES_QUEUED: usize = 64;

/// How long a line waits while no call ends: slightly longer than calls wait for a silent Redis, and short enough for the
/// node to stop in time if the client has gone.
const SLOT_TIMEOUT: Duration = Duration::from_millis(3_500);
/// The maximum number of bytes of lines that are written together.
const WRITTEN_AT_ONCE: usize = 64 << 10;
/// The maximum number of bytes of lines that are worked on at a time; a longer line is worked on alone.
const HELD_INPUT_BYTES: usize = 32 << 20;
/// The maximum number of bytes of answers and events that wait to be written; further answers are refused.
pub(super) const UNWRITTEN_BYTES: usize = 32 << 20;

/// The limits of a connection.
#[derive(Debug, Clone)]
pub struct Limits {
    /// The maximum length of a line, in bytes; a longer line is refused and skipped. Raising it raises the memory that one
    /// client can use. Default 4 MiB.
    pub max_line_bytes: usize,
    /// The maximum number of lines that run at a time, and of further lines that wait for something (`wait_ms`). Default
    /// 256.
    pub in_flight: usize,
    /// How long the connection may take to end; answers that are not written by then are dropped. Default 1 s.
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
    /// The client closed its end, or reading failed.
    InputClosed,
    /// Writing to the client failed.
    OutputClosed,
    /// The node asked the connection to stop.
    Stopped,
}

/// Serves one client until its input ends, its output fails or `stop` becomes true (or its sender is dropped).
pub async fn serve<R, S>(module: &Module, input: R, sink: S, limits: &Limits, mut stop: watch::Receiver<bool>) -> Ended
where
    R: AsyncRead + Unpin + Send,
    S: LineSink,
{
    let (out, queue) = mpsc::channel(LINES_QUEUED);
    // In sets, so that their tasks end when this future is dropped.
    let mut writer = JoinSet::new();
    writer.spawn(write(queue, sink));
    let mut work = JoinSet::new();
    let (held_input, unwritten) = (Budget::new(HELD_INPUT_BYTES), Budget::new(UNWRITTEN_BYTES));
    let session = Arc::new(Session::new(out.clone(), Arc::clone(&unwritten)));
    let mut reader = LineReader::new(input, limits.max_line_bytes);
    let slots = Arc::new(Semaphore::new(limits.in_flight));
    let waiting = Arc::new(Semaphore::new(limits.in_flight));
    let mut slot_timeout = SLOT_TIMEOUT;

    let ended = loop {
        while let Some(done) = work.try_join_next() {
            report(done);
        }
        // First the line, then its slot: so the end of the input is noticed even while every slot is taken.
        let next = async {
            let line = reader.next().await.ok().flatten()?;
            let slot = if asks_to_wait(&line) {
                Arc::clone(&waiting).try_acquire_owned().ok()
            } else {
                let slot = tokio::time::timeout(slot_timeout, Arc::clone(&slots).acquire_owned()).await;
                // A line that waited in vain shows that the next ones would, too.
                slot_timeout = if slot.is_ok() { SLOT_TIMEOUT } else { Duration::ZERO };
                slot.ok().and_then(Result::ok)
            };
            let held = held_input.take(line.bytes()).await;
            // Let running calls progress first, so that quick answers are counted before more lines are read.
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
                // The writer is gone only when the connection is; then nobody can be answered.
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
        // The writer ends when its last sender is dropped and everything is written.
        while writer.join_next().await.is_some() {}
    };
    if tokio::time::timeout(limits.drain, end).await.is_err() {
        tracing::debug!("a connection ended with unwritten answers");
    }
    ended
}

/// Whether a line contains the parameter name `wait_ms`; a line that only mentions it counts too.
fn asks_to_wait(line: &Line) -> bool {
    const NAME: &[u8] = b"\"wait_ms\"";
    let (Line::Complete(bytes) | Line::Unfinished(bytes)) = line else { return false };
    bytes.windows(NAME.len()).any(|window| window == NAME)
}

fn all_busy() -> RpcError {
    RpcError::overloaded("too many pending calls on this connection; wait for some to finish or open another")
}

/// Logs a task that panicked.
pub(super) fn report(done: Result<(), tokio::task::JoinError>) {
    if let Err(error) = done
        && error.is_panic()
    {
        tracing::error!("a connection task failed unexpectedly; its request gets no answer");
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

/// Writes the queued lines, several at once if several wait.
async fn write<S: LineSink>(mut queue: mpsc::Receiver<Outgoing>, mut sink: S) {
    while let Some(first) = queue.recv().await {
        let (mut lines, mut written) = (Vec::with_capacity(first.text.len() + 1), Vec::new());
        let mut next = Some(first);
        while let Some(Outgoing { text, after, held }) = next {
            push_line(&mut lines, &text);
            written.push((after, held));
            next = if lines.len() < WRITTEN_AT_ONCE { queue.try_recv().ok() } else { None };
        }
        if let Err(error) = sink.write_lines(lines).await {
            tracing::debug!(%error, "cannot write to a client; closing its connection");
            return;
        }
        for (after, held) in written {
            drop(held);
            after.into_iter().for_each(AfterWrite::written);
        }
    }
}
