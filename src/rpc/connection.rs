//! Serving one client over any transport that carries lines.
//!
//! 1. Requests run concurrently, at most [`Limits::in_flight`] lines at a time; beyond that, reading pauses. If none of
//!    them ends for a while, further lines are refused instead, so that the end of the input is noticed. Lines with
//!    `wait_ms` have a limit of their own, the same number, and are refused at once beyond it: they do not hold up the
//!    release of what they wait for.
//!    A short line is answered on the spot if nothing must be waited for, and such answers are handed over to be written together.
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
use super::framing::{DEFAULT_MAX_LINE_BYTES, Line, LineReader, LineSink};
use super::module::Module;
use super::outgoing::{AfterWrite, Outgoing};
use super::request::{self, Incoming};
use super::subscription::Session;
use futures_util::FutureExt;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
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
/// The maximum length of a line that is answered on the spot; reading a longer one would hold up the lines behind it.
const SHORT_LINE_BYTES: usize = 4 << 10;
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
    let mut ready = Outgoing::default();
    let mut spawned = false;

    let ended = loop {
        while let Some(done) = work.try_join_next() {
            report(done);
        }
        if ready.lines.len() >= WRITTEN_AT_ONCE {
            hand_over(&mut ready, &out, &mut work);
        }
        // First the line, then its slot: so the end of the input is noticed even while every slot is taken.
        let next = async {
            let line = match reader.next().now_or_never() {
                Some(line) => line,
                None => {
                    // What is done is handed over before more input is waited for.
                    hand_over(&mut ready, &out, &mut work);
                    reader.next().await
                }
            };
            let line = line.ok().flatten()?;
            let (waits, bytes) = (asks_to_wait(&line), line.bytes());
            let admitted = async {
                let slot = match Arc::clone(if waits { &waiting } else { &slots }).try_acquire_owned() {
                    Err(_) if !waits => {
                        let slot = tokio::time::timeout(slot_timeout, Arc::clone(&slots).acquire_owned()).await;
                        // A line that waited in vain shows that the next ones would, too.
                        slot_timeout = if slot.is_ok() { SLOT_TIMEOUT } else { Duration::ZERO };
                        slot.ok().and_then(Result::ok)
                    }
                    free => {
                        if free.is_ok() && !waits {
                            slot_timeout = SLOT_TIMEOUT;
                        }
                        free.ok()
                    }
                };
                let held = held_input.take(bytes).await;
                // Let a call that began to run progress first, so that its quick answer is counted before more lines are read.
                if std::mem::take(&mut spawned) {
                    tokio::task::yield_now().await;
                }
                unwritten.half_free().await;
                (slot, held)
            };
            let mut admitted = pin!(admitted);
            let slot = match (&mut admitted).now_or_never() {
                Some(slot) => slot,
                None => {
                    // It may wait for just these answers to be written.
                    hand_over(&mut ready, &out, &mut work);
                    admitted.await
                }
            };
            Some((line, slot))
        };
        let next = tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => break Ended::Stopped,
            _ = writer.join_next() => break Ended::OutputClosed,
            next = next => next,
        };
        let Some((line, slot)) = next else { break Ended::InputClosed };
        let short = line.bytes() <= SHORT_LINE_BYTES;
        let (module, session, max_bytes, free) =
            (module.clone(), Arc::clone(&session), limits.max_line_bytes, slot.0.is_some());
        let mut answering = Box::pin(
            AssertUnwindSafe(async move {
                match understand(line, max_bytes) {
                    Some(incoming) if free => batch::answer(&module, &session, incoming).await,
                    Some(incoming) => batch::refuse(&session, incoming, &all_busy()),
                    None => None,
                }
            })
            .catch_unwind(),
        );
        let answered = if short { (&mut answering).now_or_never() } else { None };
        match answered {
            Some(Ok(answer)) => answer.into_iter().for_each(|answer| ready.append(answer)),
            Some(Err(_)) => report_panic(),
            None => {
                let out = out.clone();
                spawned = true;
                work.spawn(async move {
                    let Ok(answer) = answering.await else { return report_panic() };
                    if let Some(answer) = answer {
                        // The writer is gone only when the connection is; then nobody can be answered.
                        let _ = out.send(answer).await;
                    }
                    drop(slot);
                });
            }
        }
    };
    hand_over(&mut ready, &out, &mut work);

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
    let (Line::Complete(bytes) | Line::Unfinished(bytes)) = line else { return false };
    memchr::memmem::find(bytes, b"\"wait_ms\"").is_some()
}

/// Gives lines to the writer. If its queue is full, a task waits for room: reading goes on until too much is unwritten.
fn hand_over(ready: &mut Outgoing, out: &mpsc::Sender<Outgoing>, work: &mut JoinSet<()>) {
    if ready.lines.is_empty() {
        return;
    }
    if let Err(mpsc::error::TrySendError::Full(lines)) = out.try_send(std::mem::take(ready)) {
        let out = out.clone();
        work.spawn(async move {
            // The writer is gone only when the connection is; then nobody can be answered.
            let _ = out.send(lines).await;
        });
    }
}

fn all_busy() -> RpcError {
    RpcError::overloaded("too many pending calls on this connection; wait for some to finish or open another")
}

/// Logs a task that panicked.
pub(super) fn report(done: Result<(), tokio::task::JoinError>) {
    if let Err(error) = done
        && error.is_panic()
    {
        report_panic();
    }
}

fn report_panic() {
    tracing::error!("a connection task failed unexpectedly; its request gets no answer");
}

fn understand(line: Line, max_bytes: usize) -> Option<Incoming> {
    match line {
        Line::Complete(bytes) => Some(request::parse(bytes)),
        Line::Unfinished(bytes) => {
            let incoming = request::parse(bytes);
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
        let mut together = first;
        while together.lines.len() < WRITTEN_AT_ONCE
            && let Ok(next) = queue.try_recv()
        {
            together.append(next);
        }
        let Outgoing { lines, after, held } = together;
        if let Err(error) = sink.write_lines(lines).await {
            tracing::debug!(%error, "cannot write to a client; closing its connection");
            return;
        }
        drop(held);
        after.into_iter().for_each(AfterWrite::written);
    }
}
