//! Answering one line: a single request, or a batch.
//!
//! 1. A request gets one answer under its own id, a notification gets none. A batch gets one list of answers in the order
//!    of its requests, or nothing if it holds only notifications.
//! 2. An answer that would make the line longer than [`MAX_ANSWER_BYTES`], or that has no room because the client does not
//!    read, is replaced by an error under the same id. What waits for that answer to be written is dropped: nothing counts
//!    as delivered that was not sent.
//! 3. An answer counts as unwritten from when it is made until it is written, also while other answers of its batch are
//!    awaited.
//!
//! Not here: writing (`connection.rs`).

use super::budget::Held;
use super::errors::{ErrorKind, RpcError};
use super::module::Module;
use super::outgoing::{Draft, Outcome, Outgoing};
use super::request::{Incoming, Item};
use super::subscription::Session;
use futures_util::{StreamExt, stream};
use serde_json::value::RawValue;
use std::sync::Arc;
use tracing::Instrument;

/// The maximum length of an answer line, in bytes. Received messages use up to 4 MiB and the positions of sent messages
/// about 2 MiB; the rest is for the state of a cluster whose members have many labels.
pub(crate) const MAX_ANSWER_BYTES: usize = 16 << 20;
/// The bytes that surround an id and an outcome in an answer.
const FRAME_BYTES: usize = r#",{"jsonrpc":"2.0","id":,"#.len();
/// The maximum number of requests of one batch that run at a time.
const BATCH_PARALLEL: usize = 128;

/// Runs the requests of a line; `None`: there is nothing to answer.
pub(crate) async fn answer(module: &Module, session: &Arc<Session>, incoming: Incoming) -> Option<Outgoing> {
    match incoming {
        Incoming::Refused(error) => Some(Outgoing::refusal(error)),
        Incoming::Single(item) => {
            let answered = run(module, session, item).await?;
            let mut line = Draft::default();
            push(session, &mut line, answered);
            Some(line.into())
        }
        Incoming::Batch(items) => batch(module, session, items).await,
    }
}

/// Refuses the requests of a line; `None`: there is nothing to answer.
pub(crate) fn refuse(session: &Session, incoming: Incoming, error: &RpcError) -> Option<Outgoing> {
    let (items, single) = match incoming {
        Incoming::Refused(error) => return Some(Outgoing::refusal(error)),
        Incoming::Single(item) => (vec![item], true),
        Incoming::Batch(items) => (items, false),
    };
    let refused = items.into_iter().filter_map(|item| match item {
        Item::Invalid(id, error) => Some((id, error)),
        Item::Call(call) => call.id.map(|id| (id, error.clone())),
    });
    let mut line = Draft::default();
    for (id, error) in refused {
        line.text.push_str(if line.text.is_empty() { "" } else { "," });
        push(session, &mut line, Answered::refused(session, id, Outcome::error(error)));
    }
    if !single {
        line.text = format!("[{}]", line.text);
    }
    (!line.held.is_empty()).then(|| line.into())
}

async fn batch(module: &Module, session: &Arc<Session>, items: Vec<Item>) -> Option<Outgoing> {
    let mut outcomes = stream::iter(items).map(|item| run(module, session, item)).buffered(BATCH_PARALLEL);
    let mut line = Draft { text: "[".to_owned(), ..Draft::default() };
    while let Some(answered) = outcomes.next().await {
        let Some(answered) = answered else { continue };
        if line.text.len() > 1 {
            line.text.push(',');
        }
        push(session, &mut line, answered);
    }
    line.text.push(']');
    (line.text.len() > "[]".len()).then(|| line.into())
}

/// The answer of one request.
struct Answered {
    id: Box<RawValue>,
    outcome: Outcome,
    held: Held,
}

impl Answered {
    /// Counts an outcome as unwritten, or replaces it by an error if there is no room for it.
    fn new(session: &Session, id: Box<RawValue>, outcome: Outcome) -> Self {
        let bytes = outcome.tail.len() + id.get().len() + FRAME_BYTES;
        if bytes > MAX_ANSWER_BYTES {
            return Self::refused(session, id, too_long());
        }
        if let Some(held) = session.unwritten().try_take(bytes) {
            return Self { id, outcome, held };
        }
        let text = "too many unread answers on this connection; read them, then call again";
        let refusal = Outcome::error(RpcError::overloaded(text));
        if refusal.tail.len() < outcome.tail.len() {
            return Self::refused(session, id, refusal);
        }
        // Refusing it would not save memory.
        let held = session.unwritten().take_anyway(bytes);
        Self { id, outcome, held }
    }

    fn refused(session: &Session, id: Box<RawValue>, refusal: Outcome) -> Self {
        let held = session.unwritten().take_anyway(refusal.tail.len() + id.get().len() + FRAME_BYTES);
        Self { id, outcome: refusal, held }
    }
}

/// Not `overloaded`: a client may retry that unchanged, and this answer would be too long again.
fn too_long() -> Outcome {
    let text = format!("the answer is longer than {MAX_ANSWER_BYTES} bytes; ask for less at a time");
    Outcome::error(RpcError::new(ErrorKind::InternalError, text))
}

async fn run(module: &Module, session: &Arc<Session>, item: Item) -> Option<Answered> {
    match item {
        Item::Invalid(id, error) => Some(Answered::new(session, id, Outcome::error(error))),
        Item::Call(call) => {
            let span = module.span(&call);
            let calling = module.call(session, &call.method, call.params);
            let outcome = if span.is_disabled() { calling.await } else { calling.instrument(span.clone()).await };
            outcome.record_in(&span);
            call.id.map(|id| Answered::new(session, id, outcome))
        }
    }
}

fn push(session: &Session, line: &mut Draft, answered: Answered) {
    let Answered { id, mut outcome, held } = answered;
    if line.text.len() + outcome.tail.len() + id.get().len() + FRAME_BYTES > MAX_ANSWER_BYTES {
        drop((outcome, held));
        let mut refused = Answered::refused(session, id, too_long());
        refused.outcome.push_under(&refused.id, &mut line.text);
        line.held.push(refused.held);
        return;
    }
    outcome.push_under(&id, &mut line.text);
    line.after.extend(outcome.after);
    line.held.push(held);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rpc::budget::Budget;
    use crate::rpc::request::null;
    use tokio::sync::mpsc;

    #[test]
    fn what_there_is_no_room_for_is_refused_unless_that_saves_nothing() {
        let unwritten = Budget::new(1_000);
        let session = Session::new(mpsc::channel(1).0, Arc::clone(&unwritten));
        let outcome = |bytes: usize| Outcome { tail: "x".repeat(bytes), error: None, after: Vec::new() };
        let first = Answered::new(&session, null(), outcome(900));
        assert!(first.outcome.tail.starts_with('x') && unwritten.used() > 900);
        let second = Answered::new(&session, null(), outcome(900));
        assert!(second.outcome.tail.contains("-32006") && second.outcome.tail.contains("\"retryable\":true"));
        let small = Answered::new(&session, null(), outcome(10));
        assert!(small.outcome.tail.starts_with('x'));
        drop((first, second, small));
        assert_eq!(unwritten.used(), 0);
    }
}
