//! Who gossips: a node, one life of its process, and where it can be reached.
//!
//! 1. Of two identities of one node, the one with the later life is the current one. A process takes a later life when it starts, and
//!    when it learns that the others believe it to be gone.
//! 2. Nodes are told apart by a digest of their ids. The membership protocol compares a node with all known ones for each piece of news:
//!    with the texts, 1,000 nodes take most of their time for that.
//!
//! Not here: the bytes of an identity (`wire.rs`).

use crate::cluster::ids::NodeId;
use core::net::SocketAddr;
use ring::digest::{SHA256, digest};

/// One life of a node, for the other nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// First, so that a comparison ends with it.
    pub(super) digest: Digest,
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
        Self { digest, node_id, life, address }
    }
}

impl foca::Identity for Identity {
    type Addr = Digest;

    fn renew(&self) -> Option<Self> {
        Some(Self { life: self.life.saturating_add(1), ..self.clone() })
    }

    fn addr(&self) -> Digest {
        self.digest
    }

    fn win_addr_conflict(&self, adversary: &Self) -> bool {
        (self.life, self.address) > (adversary.life, adversary.address)
    }
}
