//! The lines of an MCP host, as a transport of the protocol's library.
//!
//! 1. A line that is not JSON is ignored. A line that is JSON but no message, or is too long, gets an error, under its id
//!    if that can be used; nothing else happens.
//! 2. At most [`Limits::in_flight`] requests, and at most [`HELD_BYTES`] of them, run at a time; beyond that, reading
//!    pauses. It also pauses while [`UNWRITTEN_BYTES`] of answers wait to be written, so that a host that does not read
//!    does not fill the memory.
//! 3. Until the host has sent `initialize`, or a request of a version without it, everything that is not a request is ignored: it would end the session.
//! 4. Receiving is cancel safe: what was read stays here until it is handed over.
//!
//! Not here: the meaning of messages (`server.rs`).

use crate::rpc::budget::{Budget, Held};
use crate::rpc::connection::{Ended, Limits};
use crate::rpc::framing::{Line, LineReader, LineSink};
use rmcp::model::{
    ClientJsonRpcMessage, ClientRequest, GetExtensions, GetMeta, JsonRpcMessage, ProtocolVersion, ServerJsonRpcMessage,
};
use rmcp::service::RoleServer;
use rmcp::transport::Transport;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::future::Future;
use std::sync::Arc;
use tokio::io::AsyncRead;
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;

/// The maximum number of bytes of requests that run at a time; a longer request runs alone.
const HELD_BYTES: usize = 32 << 20;
/// The maximum number of bytes of answers that wait to be written; beyond it, reading pauses.
const UNWRITTEN_BYTES: usize = 4 << 20;
/// The maximum number of refusals that wait to be written; beyond it, reading pauses.
const REFUSALS: usize = 16;
/// The protocol's code for an invalid request.
const INVALID_REQUEST: i32 = -32600;

/// Reports that the lines have ended, and why.
pub(super) struct EndOfLines(watch::Receiver<Option<Ended>>);

impl EndOfLines {
    /// Waits for the end.
    pub(super) async fn happened(&self) {
        // A dropped sender means that the lines have ended, too.
        let _ = self.0.clone().wait_for(Option::is_some).await;
    }

    /// Why they ended.
    pub(super) fn why(&self) -> Ended {
        self.0.borrow().unwrap_or(Ended::OutputClosed)
    }
}

/// The transport: reads the host's lines, and writes answers and notifications.
pub(super) struct Lines<R, S> {
    reader: LineReader<R>,
    sink: Arc<Mutex<S>>,
    stop: watch::Receiver<bool>,
    ended: watch::Sender<Option<Ended>>,
    introduced: bool,
    /// Messages that were read and not handed over yet, with their sizes: one line can hold a batch.
    waiting: VecDeque<(Value, usize)>,
    refusals: JoinSet<()>,
    slots: Arc<Semaphore>,
    held: Arc<Budget>,
    unwritten: Arc<Budget>,
    max_bytes: usize,
}

impl<R: AsyncRead + Unpin + Send, S: LineSink> Lines<R, S> {
    pub(super) fn new(input: R, sink: S, limits: &Limits, stop: watch::Receiver<bool>) -> (Self, EndOfLines) {
        let (ended, end) = watch::channel(None);
        let lines = Self {
            reader: LineReader::new(input, limits.max_line_bytes),
            sink: Arc::new(Mutex::new(sink)),
            stop,
            ended,
            introduced: false,
            waiting: VecDeque::new(),
            refusals: JoinSet::new(),
            slots: Arc::new(Semaphore::new(limits.in_flight)),
            held: Budget::new(HELD_BYTES),
            unwritten: Budget::new(UNWRITTEN_BYTES),
            max_bytes: limits.max_line_bytes,
        };
        (lines, EndOfLines(end))
    }

    fn end(&self, why: Ended) {
        self.ended.send_if_modified(|ended| {
            let first = ended.is_none();
            *ended = ended.or(Some(why));
            first
        });
    }

    /// Reads lines until one contains messages, or the session ends.
    async fn fill(&mut self) -> Result<(), Ended> {
        while self.waiting.is_empty() {
            while self.refusals.len() >= REFUSALS {
                self.refusals.join_next().await;
            }
            let mut broken = self.ended.subscribe();
            let line = tokio::select! {
                biased;
                _ = self.stop.wait_for(|stop| *stop) => return Err(Ended::Stopped),
                _ = broken.wait_for(Option::is_some) => return Err(Ended::OutputClosed),
                line = self.reader.next() => line.ok().flatten().ok_or(Ended::InputClosed)?,
            };
            let size = line.bytes();
            let (Line::Complete(bytes) | Line::Unfinished(bytes)) = line else {
                let text =
                    format!("the line is longer than {} bytes; send less, or raise rpc.max_line_bytes", self.max_bytes);
                self.refuse(&Value::Null, &text);
                continue;
            };
            match serde_json::from_slice(&bytes) {
                // Only 2025-03-26 has batches; each message of a batch is answered on its own.
                Ok(Value::Array(batch)) => {
                    let share = size / batch.len().max(1);
                    self.waiting.extend(batch.into_iter().map(|message| (message, share)));
                }
                Ok(message) => self.waiting.push_back((message, size)),
                Err(error) => tracing::warn!(%error, "ignored a line of standard input that is not JSON"),
            }
        }
        Ok(())
    }

    /// Waits until one more request may run: the first of the waiting messages.
    async fn room(&mut self) -> Result<(OwnedSemaphorePermit, Held), Ended> {
        let size = self.waiting.front().map_or(0, |(_, size)| *size);
        let (slots, mut broken) = (Arc::clone(&self.slots), self.ended.subscribe());
        let room = async {
            let slot = slots.acquire_owned().await.ok()?;
            let held = self.held.take(size).await;
            self.unwritten.half_free().await;
            Some((slot, held))
        };
        tokio::select! {
            biased;
            _ = self.stop.wait_for(|stop| *stop) => Err(Ended::Stopped),
            _ = broken.wait_for(Option::is_some) => Err(Ended::OutputClosed),
            room = room => room.ok_or(Ended::Stopped),
        }
    }

    /// The first of the waiting messages; `None`: it is invalid, or is ignored at this time.
    fn understand(&mut self) -> Option<ClientJsonRpcMessage> {
        let (value, _) = self.waiting.front()?;
        match serde_json::from_value::<ClientJsonRpcMessage>(value.clone()) {
            Ok(message) => {
                let request = match &message {
                    JsonRpcMessage::Request(request) => Some(&request.request),
                    _ => None,
                };
                // From 2026-07-28 on a request says its version itself, and no host introduces itself. `server/discover` only asks.
                self.introduced |= match request {
                    Some(ClientRequest::InitializeRequest(_)) => true,
                    Some(ClientRequest::DiscoverRequest(_)) | None => false,
                    Some(request) => {
                        request.get_meta().missing_required_keys(&ProtocolVersion::V_2026_07_28).is_empty()
                    }
                };
                (self.introduced || request.is_some()).then_some(message)
            }
            Err(error) => {
                tracing::debug!(%error, "a line of standard input is not an MCP message");
                let id = value.get("id").cloned().unwrap_or_default();
                // An invalid answer or notification gets no answer.
                if value.get("method").is_none_or(|_| !id.is_null()) && value.get("result").is_none() {
                    self.refuse(&id, "this is not a message of the Model Context Protocol");
                }
                None
            }
        }
    }

    fn refuse(&mut self, id: &Value, text: &str) {
        tracing::warn!("refused a line of standard input: {text}");
        let mut refusal = json!({ "jsonrpc": "2.0", "error": { "code": INVALID_REQUEST, "message": text } });
        if id.is_string() || id.is_i64() || id.is_u64() {
            refusal["id"] = id.clone();
        }
        // In a task of its own: receiving may be cancelled at any time, and a line that was started must be completed.
        self.refusals.spawn(write(Arc::clone(&self.sink), self.ended.clone(), refusal.to_string()));
    }
}

/// Writes one line; an error ends the session.
async fn write<S: LineSink>(sink: Arc<Mutex<S>>, ended: watch::Sender<Option<Ended>>, text: String) {
    if let Err(error) = sink.lock().await.write_line(&text).await {
        tracing::debug!(%error, "cannot write to the host; ending the session");
        ended.send_replace(Some(Ended::OutputClosed));
    }
}

impl<R: AsyncRead + Unpin + Send + 'static, S: LineSink> Transport<RoleServer> for Lines<R, S> {
    type Error = std::io::Error;

    fn send(
        &mut self,
        message: ServerJsonRpcMessage,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send + 'static {
        let (sink, ended) = (Arc::clone(&self.sink), self.ended.clone());
        let text = serde_json::to_string(&message);
        // Count it at once: the next request may be read before this future is polled.
        let held = self.unwritten.take_anyway(text.as_ref().map_or(0, String::len));
        async move {
            write(sink, ended, text?).await;
            drop(held);
            Ok(())
        }
    }

    async fn receive(&mut self) -> Option<ClientJsonRpcMessage> {
        loop {
            if let Err(why) = self.fill().await {
                self.end(why);
                return None;
            }
            let Some(mut message) = self.understand() else {
                self.waiting.pop_front();
                continue;
            };
            if let JsonRpcMessage::Request(request) = &mut message {
                let room = match self.room().await {
                    Ok(room) => room,
                    Err(why) => {
                        self.end(why);
                        return None;
                    }
                };
                // Returned to the budget when the request's extensions are dropped, together with its handler.
                request.request.extensions_mut().insert(Arc::new(room));
            }
            self.waiting.pop_front();
            return Some(message);
        }
    }

    async fn close(&mut self) -> Result<(), Self::Error> {
        while self.refusals.join_next().await.is_some() {}
        Ok(())
    }
}
