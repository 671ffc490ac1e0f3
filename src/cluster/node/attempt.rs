//! One join under way: its parameters, the clients that wait for it, and what is known about the holder of the id.
//!
//! Not here: when it is made, and the effect of its answer (`joining.rs`).

use super::{JoinRequest, Settings, Ticket};
use crate::cluster::ids::{Incarnation, MessageSeq, NodeId};
use crate::cluster::members::member::Metadata;
use crate::cluster::protocol::ServerId;
use crate::cluster::time::Moment;
use std::time::Duration;

/// A join under way.
#[derive(Debug, Clone)]
pub(super) struct Attempt {
    pub(super) node_id: NodeId,
    pub(super) metadata: Metadata,
    pub(super) force: bool,
    pub(super) rename_from: Option<NodeId>,
    pub(super) clients: Vec<Ticket>,
    pub(super) automatic: bool,
    pub(super) next: Option<Moment>,
    pub(super) ticket: Option<Ticket>,
    pub(super) seen_present: u32,
    pub(super) gone: Option<(String, Moment)>,
    /// The time left until the holder's deadline at the last look, and the server process that said so.
    pub(super) left: Option<(Duration, ServerId)>,
    /// Whether it may have happened: a call was sent, and no answer said otherwise.
    pub(super) unsettled: bool,
    /// Whether one of its calls was lost, and may still be executed.
    pub(super) lost: bool,
    /// Where receiving under the id stopped, according to a store of this host.
    pub(super) stood: Option<(MessageSeq, String)>,
    /// The revision of the node's statement about itself in the last call.
    pub(super) revision: u64,
    /// Whether that statement said that the node is draining.
    pub(super) draining: bool,
}

impl Attempt {
    pub(super) fn of(settings: &Settings, ask: Option<&JoinRequest>, now: Moment) -> Self {
        let mut metadata = settings.metadata.clone();
        if let Some(ask) = ask {
            metadata.name = ask.name.clone().unwrap_or(metadata.name);
            metadata.endpoint = ask.endpoint.clone().or(metadata.endpoint);
            metadata.capabilities = ask.capabilities.clone().unwrap_or(metadata.capabilities);
            metadata.labels = ask.labels.clone().unwrap_or(metadata.labels);
        }
        Self {
            node_id: ask.and_then(|a| a.node_id.clone()).unwrap_or_else(|| settings.node_id.clone()),
            metadata,
            force: ask.is_some_and(|a| a.force),
            rename_from: None,
            clients: Vec::new(),
            automatic: ask.is_none(),
            next: Some(now),
            ticket: None,
            seen_present: 0,
            gone: None,
            left: None,
            unsettled: false,
            lost: false,
            stood: ask.and_then(|ask| ask.stood.clone()),
            revision: 0,
            draining: false,
        }
    }
}

/// Describes the holder of an id.
pub(super) fn describe(node_id: &NodeId, incarnation: Incarnation, metadata: &str) -> String {
    let metadata: Metadata = serde_json::from_str(metadata).unwrap_or_default();
    let mut text = format!("another live process (incarnation {incarnation}");
    if !metadata.name.is_empty() && metadata.name != node_id.as_str() {
        text.push_str(&format!(", name {:?}", metadata.name));
    }
    if let Some(endpoint) = &metadata.endpoint {
        text.push_str(&format!(", endpoint {endpoint:?}"));
    }
    text.push(')');
    text
}
