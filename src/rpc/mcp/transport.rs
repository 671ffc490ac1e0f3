//! The lines of an MCP host, as the protocol's library takes them.
//!
//! 1. A line that is no JSON is passed over. One that is JSON but no message, or too long, is refused, under its id where
//!    it has one that can be used; nothing else happens.
//! 2. At most [`Limits::in_flight`] requests, and so many bytes of them, are worked on at a time; beyond that, reading pauses.
//!    It also pauses while many bytes of answers wait to be written, so a host that does not read does not fill the memory.
//! 3. Before the host has introduced itself, what is no request is passed over: it would end the session.
//! 4. Receiving is cancel safe: what was read stays here until it is handed over.
//!
//! Not here: what messages mean (`server.rs`).

use crate::rpc::budget::{Budget, Held};
use crate::rpc::connection::{Ended, Limits};
use crate::rpc::framing::{Line, LineReader, LineSink};
use rmcp::model::{ClientJsonRpcMessage, ClientRequest, GetExtensions, JsonRpcMessage, ServerJsonRpcMessage};
use rmcp::service::RoleServer;
use rmcp::transport::Transport;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::future::Future;
use std::sync::Arc;
use tokio::io::AsyncRead;
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;

/// How many bytes of requests are worked on at a time; a longer one is worked on alone.
const HELD_BYTES: usize = 32 << 20;
/// How many bytes of answers may wait to be written before reading pauses.
const UNWRITTEN_BYTES: usize = 4 << 20;
/// How many refusals may wait to be written before reading pauses.
const REFUSALS: usize = 16;
/// The protocol's number for what is no request.
const INVALID_REQUEST: i32 = -32600;

/// Says when and why the lines came to their end.
pub(super) struct EndOfLines(watch::Receiver<Option<Ended>>);

impl EndOfLines {
    /// Waits for the end.
    pub(super) async fn happened(&self) {
        // Without its sender the lines are gone, which is an end, too.
        let _ = self.0.clone().wait_for(Option::is_some).await;
    }

    /// Why they ended.
    pub(super) fn why(&self) -> Ended {
        self.0.borrow().unwrap_or(Ended::OutputClosed)
    }
}

/// See the module's text.
pub(super) struct Lines<R, S> {
    reader: LineReader<R>,
    sink: Arc<Mutex<S>>,
    stop: watch::Receiver<bool>,
    ended: watch::Sender<Option<Ended>>,
    introduced: bool,
    /// Read, not handed over yet, with their sizes: a line can hold a batch.
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

    /// Reads lines until one holds messages, or the session ends.
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
            let text = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&bytes);
            match serde_json::from_slice(text) {
                // Batches are of 2025-03-26; each message of one is answered by itself.
                Ok(Value::Array(batch)) => {
                    let share = size / batch.len().max(1);
                    self.waiting.extend(batch.into_iter().map(|message| (message, share)));
                }
                Ok(message) => self.waiting.push_back((message, size)),
                Err(error) => tracing::warn!(%error, "a line of standard input is no JSON; it was passed over"),
            }
        }
        Ok(())
    }

    /// Waits until one more request can be worked on: the first of the messages that wait.
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

    /// The first of the messages that wait; `None`: it is none, or not for now.
    fn understand(&mut self) -> Option<ClientJsonRpcMessage> {
        let (value, _) = self.waiting.front()?;
        match serde_json::from_value::<ClientJsonRpcMessage>(value.clone()) {
            Ok(message) => {
                let request = match &message {
                    JsonRpcMessage::Request(request) => Some(&request.request),
                    _ => None,
                };
                self.introduced |= matches!(request, Some(ClientRequest::InitializeRequest(_)));
                (self.introduced || request.is_some()).then_some(message)
            }
            Err(error) => {
                tracing::debug!(%error, "a line of standard input is no message of the protocol");
                let id = value.get("id").cloned().unwrap_or_default();
                // What looks like an answer or a notification is not answered, whatever is wrong with it.
                if value.get("method").is_none_or(|_| !id.is_null()) && value.get("result").is_none() {
                    self.refuse(&id, "this is no message of the Model Context Protocol");
                }
                None
            }
        }
    }

    fn refuse(&mut self, id: &Value, text: &str) {
        tracing::warn!("a line of standard input was refused: {text}");
        let mut refusal = json!({ "jsonrpc": "2.0", "error": { "code": INVALID_REQUEST, "message": text } });
        if id.is_string() || id.is_i64() || id.is_u64() {
            refusal["id"] = id.clone();
        }
        // Apart, as receiving may be given up at any moment, and a line that was begun must be finished.
        self.refusals.spawn(write(Arc::clone(&self.sink), self.ended.clone(), refusal.to_string()));
    }
}

/// Writes one line; a failure ends the session.
async fn write<S: LineSink>(sink: Arc<Mutex<S>>, ended: watch::Sender<Option<Ended>>, text: String) {
    if let Err(error) = sink.lock().await.write_line(&text).await {
        tracing::debug!(%error, "the host cannot be written to any more");
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
        // Counted at once: the next request may be asked for before this future is polled.
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
                // Given back when the request's own extensions are dropped, with its handler.
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
