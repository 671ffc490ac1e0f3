//! The state that an earlier process of the node left on disk, with which the next one begins.
//!
//! Not here: the store itself (`outbox`).

use super::outbox::NodeStore;
use crate::cluster::ids::Nonce;
use crate::cluster::protocol::Numbers;

/// The state that an earlier process of the node left on disk.
pub(crate) struct Resumed {
    pub(crate) producer: Nonce,
    pub(crate) known: Numbers,
    pub(crate) cursor: Option<(crate::cluster::ids::MessageSeq, String)>,
    pub(crate) cursor_of: Option<crate::cluster::ids::NodeId>,
    /// All producers of the node, including the store's.
    pub(crate) own: Vec<Nonce>,
    /// Where receiving began under the cursor's id.
    pub(crate) began: Option<crate::cluster::ids::MessageSeq>,
}

impl Resumed {
    pub(crate) fn of(store: &NodeStore) -> Self {
        let saved = store.saved();
        let cursor = saved.cursor.zip(saved.epoch.map(|epoch| epoch.to_string()));
        let read = cursor.as_ref().map(|(seq, _)| seq.0).unwrap_or_default();
        let known = saved.numbers.max(Numbers { message: read, ..Numbers::default() });
        let (began, cursor_of) = saved.place.map(|place| (place.began, place.owner)).unzip();
        Self { producer: store.producer(), known, cursor, cursor_of, own: store.producers(), began }
    }
}
