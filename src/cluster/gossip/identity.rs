//! Who gossips: a node, one life of its process, and where it can be reached.
//!
//! 1. Of two identities of one node, the one with the later life is the current one. A process takes a later life when it starts, and
//!    when it learns that the others believe it to be gone.
//! 2. Nodes are told apart by a digest of their ids, and the rest is shared. The membership protocol compares a node with all known ones for
//!    each piece of news, and copies it often: with the texts, 1,000 nodes take most of their time for that.
//!
//! Not here: the bytes of an identity (`wire.rs`).

use crate::cluster::ids::NodeId;
use core::net::SocketAddr;
use core::ops::Deref;
use ring::digest::{SHA256, digest};
use std::sync::Arc;

/// One life of a node, for the other nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// First, so that a comparison ends with it.
    digest: Digest,
    shared: Arc<Life>,
}

/// What an [`Identity`] says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Life {
    /// The node.
    pub node_id: NodeId,
    /// The number of the life: milliseconds since the epoch at the start of the process, or more. Only its order has a meaning.
    pub life: u64,
    /// Where the node wants to be reached.
    pub address: SocketAddr,
}

/// The first bytes of the SHA-256 of a node id: no two nodes have the same.
pub(super) type Digest = u128;

impl Identity {
    /// One life of a node.
    #[must_use]
    pub fn new(node_id: NodeId, life: u64, address: SocketAddr) -> Self {
        let whole = digest(&SHA256, node_id.as_str().as_bytes());
        let digest = whole.as_ref().first_chunk().copied().map(Digest::from_be_bytes).unwrap_or_default();
        Self { digest, shared: Arc::new(Life { node_id, life, address }) }
    }

    /// Another life of the same node.
    pub(super) fn living(&self, life: u64) -> Self {
        Self { digest: self.digest, shared: Arc::new(Life { life, ..Life::clone(&self.shared) }) }
    }
}

impl Deref for Identity {
    type Target = Life;

    fn deref(&self) -> &Life {
        &self.shared
    }
}

impl foca::Identity for Identity {
    type Addr = Digest;

    fn renew(&self) -> Option<Self> {
        Some(self.living(self.life.saturating_add(1)))
    }

    fn addr(&self) -> Digest {
        self.digest
    }

    fn win_addr_conflict(&self, adversary: &Self) -> bool {
        (self.life, self.address) > (adversary.life, adversary.address)
    }
}
