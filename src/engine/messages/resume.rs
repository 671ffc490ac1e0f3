//! Where receiving begins: the inbox of a new membership or of another node id, and acknowledgements that arrive while the
//! node is not a member.
//!
//! 1. (S2) An acknowledgement that returned no error is valid: it is on disk with its data epoch, and the next join begins
//!    after it.
//! 2. An acknowledgement that this node cannot check is refused with a retryable error, never forgotten.
//!
//! Not here: receiving and acknowledging as a member (`sync.rs`).

use super::outbox::SavedChange;
use super::sync::Sync;
use crate::cluster::ids::{MessageSeq, NodeId, Nonce};
use crate::cluster::messages::inbox::Inbox;
use crate::cluster::node::Admission;
use crate::engine::error::Error;
use crate::engine::refusals::unavailable;
use std::collections::BTreeMap;
use std::sync::PoisonError;

impl Sync {
    /// Begins, continues, or moves the inbox of a membership; `known` is the node id before it. True: reading continues at
    /// another position.
    pub(crate) fn begin(&self, place: &mut Option<Inbox>, known: Option<&NodeId>, admission: &Admission) -> bool {
        let mut ids = vec![admission.instance.node_id.clone()];
        ids.extend(admission.aliases.iter().cloned());
        let goes_on = known.is_some_and(|id| ids.contains(id));
        if let Some(inbox) = place.as_mut().filter(|_| goes_on) {
            let renamed = admission.stood.filter(|_| known != Some(&admission.instance.node_id));
            match renamed {
                Some(stood) => {
                    let (own, began) = std::mem::take(&mut *self.met.lock().unwrap_or_else(PoisonError::into_inner));
                    inbox.rename(ids, stood, began);
                    inbox.owns(own);
                }
                None => inbox.set_ids(ids),
            }
            return inbox.begin_epoch(&admission.data) || renamed.is_some();
        }
        let nobody = Nonce::from_bytes([0; 16]);
        let mut inbox = Inbox::new(ids, nobody, self.beyond_early(admission), &admission.data, BTreeMap::new());
        if let Some(kept) = self.kept() {
            inbox.adopt(kept);
        }
        *place = Some(inbox);
        true
    }

    /// Takes an acknowledgement; returns the change to save, `None` if an earlier acknowledgement covers it.
    pub(crate) fn take_early(&self, cursor: MessageSeq) -> Result<Option<SavedChange>, Error> {
        let status = self.status.borrow().clone();
        let Some(saved) = self.store_holder.peek(|store| store.saved()) else { return Err(status.refusal()) };
        if saved.cursor.is_some_and(|known| cursor <= known) {
            return Ok(None);
        }
        // What was delivered had been seen; sequence numbers of another data set than the cursor's say nothing.
        let seen = if saved.epoch.as_ref().is_some_and(|epoch| epoch.as_str() == status.epoch) {
            status.numbers.message
        } else {
            0
        };
        let Some(epoch) = saved.epoch.filter(|_| cursor.0 <= saved.numbers.message.max(seen)) else {
            return Err(unavailable(
                "this node can check the acknowledgement only while it is a member; call again after it has joined",
            ));
        };
        let mut early = self.early.lock().unwrap_or_else(PoisonError::into_inner);
        *early = early
            .take()
            .filter(|(seq, of)| of == epoch.as_str() && *seq > cursor)
            .or(Some((cursor, epoch.to_string())));
        Ok(Some(SavedChange { cursor: Some(cursor), epoch: Some(epoch), durable: true, ..SavedChange::default() }))
    }

    /// Saves the change on disk, and tells the node, which sends it with its join.
    pub(crate) async fn keep_early(&self, change: Option<SavedChange>) -> Result<(), Error> {
        let Some(change) = change else { return Ok(()) };
        let (cursor, epoch) = (change.cursor, change.epoch.clone());
        match self.store_holder.with(move |store| store.save(&change)).await {
            Some(Ok(())) => {}
            Some(Err(error)) => return Err(Error::Internal(format!("cannot save the acknowledgement: {error}"))),
            None => return Err(self.status.borrow().refusal()),
        }
        if let Some((cursor, epoch)) = cursor.zip(epoch) {
            self.report_acknowledged(cursor, epoch.to_string()).await;
        }
        Ok(())
    }

    /// Where an inbox begins: at the position of the store, or after an acknowledgement in the meantime. An acknowledgement
    /// in an earlier data set skips nothing of a later one.
    pub(crate) fn beyond_early(&self, admission: &Admission) -> MessageSeq {
        let early = self.early.lock().unwrap_or_else(PoisonError::into_inner).take();
        // It was made under another id, before a rename.
        let Some((seq, epoch)) = early.filter(|_| admission.stood.is_none()) else { return admission.cursor };
        let within = if epoch == admission.data.epoch { seq } else { seq.min(admission.data.message_start) };
        admission.cursor.max(within)
    }
}
