//! Answering one line: a single request, or a batch.
//!
//! 1. A request gets one answer under its own id, a notification none; a batch gets one list in the order of its
//!    requests, or nothing when it holds only notifications.
//! 2. An answer that would make the line longer than [`MAX_ANSWER_BYTES`] becomes an error under the same id, and what
//!    waits for it to be written is dropped: nothing counts as delivered that was not sent.
//!
//! Not here: writing (`connection.rs`).

use super::errors::RpcError;
use super::module::{AfterWrite, Module, Outcome};
use super::request::{Incoming, Item, null};
use super::subscription::Session;
use futures_util::{StreamExt, stream};
use serde_json::value::RawValue;
use std::sync::Arc;

/// The longest answer line, in bytes.
pub(crate) const MAX_ANSWER_BYTES: usize = 64 << 20;
/// How many requests of one batch run at a time.
const BATCH_PARALLEL: usize = 32;

/// A line on its way to the client.
pub(crate) struct Outgoing {
    /// One JSON text.
    pub(crate) text: String,
    /// What waits for it to be written.
    pub(crate) after: Vec<AfterWrite>,
}

impl Outgoing {
    /// An error that answers something without an id.
    pub(crate) fn refusal(error: RpcError) -> Self {
        Self { text: Outcome::error(error).under(&null()), after: Vec::new() }
    }
}

/// Runs what a line asks for; `None` when nothing is to be answered.
pub(crate) async fn answer(module: &Module, session: &Arc<Session>, incoming: Incoming) -> Option<Outgoing> {
    match incoming {
        Incoming::Refused(error) => Some(Outgoing::refusal(error)),
        Incoming::Single(item) => {
            let (id, outcome) = run(module, session, item).await?;
            let mut line = Outgoing { text: String::new(), after: Vec::new() };
            push(&mut line, &id, outcome);
            Some(line)
        }
        Incoming::Batch(items) => batch(module, session, items).await,
    }
}

async fn batch(module: &Module, session: &Arc<Session>, items: Vec<Item>) -> Option<Outgoing> {
    let mut outcomes = stream::iter(items).map(|item| run(module, session, item)).buffered(BATCH_PARALLEL);
    let mut line = Outgoing { text: String::from("["), after: Vec::new() };
    while let Some(answered) = outcomes.next().await {
        let Some((id, outcome)) = answered else { continue };
        if line.text.len() > 1 {
            line.text.push(',');
        }
        push(&mut line, &id, outcome);
    }
    line.text.push(']');
    (line.text.len() > "[]".len()).then_some(line)
}

async fn run(module: &Module, session: &Arc<Session>, item: Item) -> Option<(Box<RawValue>, Outcome)> {
    match item {
        Item::Invalid(id, error) => Some((id, Outcome::error(error))),
        Item::Call(call) => {
            let outcome = module.call(session, &call.method, call.params.as_deref()).await;
            call.id.map(|id| (id, outcome))
        }
    }
}

fn push(line: &mut Outgoing, id: &RawValue, outcome: Outcome) {
    if line.text.len() + outcome.tail.len() + id.get().len() > MAX_ANSWER_BYTES {
        let text = format!("the answer would make a line of over {MAX_ANSWER_BYTES} bytes, ask for less at a time");
        line.text.push_str(&Outcome::error(RpcError::overloaded(text)).under(id));
        return;
    }
    line.text.push_str(&outcome.under(id));
    line.after.extend(outcome.after);
}
