//! Sending notes by gossip, and who notes and messages may be for.
//!
//! 1. A note goes to the nodes that gossip reaches now; whether it arrives is not known.
//!
//! Not here: how it travels (`crate::cluster::gossip`), sending messages (`running.rs`).

use super::handle::{Node, NotifyRequest, StateView};
use super::running::RunningNode;
use crate::cluster::gossip::{MAX_PAYLOAD_BYTES, Peer};
use crate::cluster::ids::NodeId;
use crate::engine::error::Error;
use std::collections::BTreeSet;

impl RunningNode {
    /// The other nodes, by gossip; `None`: it does not run.
    pub(crate) async fn peers(&self) -> Option<Vec<Peer>> {
        match &self.gossip {
            Some(gossip) => gossip.peers().await,
            None => None,
        }
    }

    pub(crate) async fn send_note(&self, request: NotifyRequest) -> Result<Vec<NodeId>, Error> {
        let Some(gossip) = &self.gossip else {
            let key = "gossip.listen in config.json and gossip.key in secrets.json";
            return Err(Error::NotConfigured { what: "gossip is off, and notes travel by gossip".to_owned(), key });
        };
        let NotifyRequest { to, topic, payload } = request;
        if payload.len() > MAX_PAYLOAD_BYTES {
            let (bytes, max) = (payload.len(), MAX_PAYLOAD_BYTES);
            return Err(Error::TooLarge { what: "payload", bytes, max });
        }
        let to = match to {
            Some(names) => Some(self.known(names).await?),
            None => None,
        };
        gossip.notify(to, topic, payload).await
    }

    /// Checks that the named receivers of messages are members.
    pub(crate) async fn check_recipients(&self, wanted: &BTreeSet<NodeId>) -> Result<(), Error> {
        if wanted.is_empty() {
            return Ok(());
        }
        let unknown = |view: &StateView| -> Vec<String> {
            let knows = |id: &NodeId| view.nodes.iter().any(|n| n.member.node_id == *id);
            wanted.iter().filter(|id| !knows(id)).map(ToString::to_string).collect()
        };
        let mut names = unknown(&self.state(false).await?);
        if !names.is_empty() && self.is_linked() {
            // A node may have joined just now.
            names = unknown(&self.state(true).await?);
        }
        if names.is_empty() { Ok(()) } else { Err(Error::UnknownNode { names }) }
    }

    /// The ids of these nodes, if each is a member in the last view or known by gossip.
    async fn known(&self, names: Vec<String>) -> Result<BTreeSet<NodeId>, Error> {
        let state = self.state(false).await?;
        let members = state.nodes.iter().map(|node| &node.member.node_id);
        let peers = state.peers.iter().flatten().map(|peer| &peer.node_id);
        let known: BTreeSet<&str> = members.chain(peers).map(NodeId::as_str).collect();
        let unknown: Vec<String> = names.iter().filter(|name| !known.contains(name.as_str())).cloned().collect();
        if !unknown.is_empty() {
            return Err(Error::UnknownNode { names: unknown });
        }
        Ok(names.into_iter().filter_map(|name| NodeId::new(name).ok()).collect())
    }
}
