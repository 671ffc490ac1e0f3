//! Who gossips: a node, one life of its process, and where it can be reached.
//!
//! 1. Of two identities of one node, the one with the later life is the current one. A process takes a later life when it starts, and
//!    when it learns that the others believe it to be gone.
//!
//! Not here: the bytes of an identity (`wire.rs`).

use crate::cluster::ids::NodeId;
use core::net::SocketAddr;

/// One life of a node, for the other nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The node.
    pub node_id: NodeId,
    /// The number of the life: milliseconds since the epoch at the start of the process, or more. Only its order has a meaning.
    pub life: u64,
    /// Where the node wants to be reached.
    pub address: SocketAddr,
}

impl foca::Identity for Identity {
    type Addr = NodeId;

    fn renew(&self) -> Option<Self> {
        Some(Self { life: self.life.saturating_add(1), ..self.clone() })
    }

    fn addr(&self) -> NodeId {
        self.node_id.clone()
    }

    fn win_addr_conflict(&self, adversary: &Self) -> bool {
        (self.life, self.address) > (adversary.life, adversary.address)
    }
}
