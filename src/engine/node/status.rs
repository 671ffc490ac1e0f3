//! The messages of other tasks to the driver, and the status of the node that it publishes.
//!
//! Not here: the loop (`driver.rs`).

use super::handle::KnownState;
use crate::cluster::event::ClusterEvent;
use crate::cluster::history::Sample;
use crate::cluster::ids::{NodeId, Term};
use crate::cluster::node::{Input, Refusal, Request, Response, Standing};
use crate::cluster::protocol::{Instance, Numbers};
use crate::engine::error::Error;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use tracing::Span;

/// A message to the loop.
pub(crate) enum Msg {
    Input(Input),
    /// A client's request, with the span of that request.
    Ask(Request, oneshot::Sender<Result<Response, Refusal>>, Span),
    State(oneshot::Sender<Arc<KnownState>>),
    /// A question for the samples that the node has not sent yet.
    Carried(oneshot::Sender<Vec<Sample>>),
    /// An event of the cluster.
    News(ClusterEvent),
}

/// What other tasks need to know about the node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Status {
    pub(crate) standing: Standing,
    pub(crate) settled: bool,
    /// Whether Redis accepts this node's heartbeats.
    pub(crate) link: bool,
    /// Whether Redis also has room for more data.
    pub(crate) well: bool,
    pub(crate) leads: bool,
    /// The holder of the leader's lease, as far as known.
    pub(crate) leader_id: Option<NodeId>,
    /// The highest term that the node knows.
    pub(crate) term: Term,
    pub(crate) draining: bool,
    pub(crate) node_id: NodeId,
    pub(crate) epoch: String,
    pub(crate) numbers: Numbers,
    /// The heartbeat interval of the cluster.
    pub(crate) interval: Duration,
    /// The presence grace of the cluster.
    pub(crate) grace: Duration,
}

impl Status {
    pub(crate) fn instance(&self) -> Option<&Instance> {
        match &self.standing {
            Standing::Member(instance) => Some(instance),
            _ => None,
        }
    }

    /// The error for a request that needs membership.
    pub(crate) fn refusal(&self) -> Error {
        match &self.standing {
            Standing::Refused(holder) => Error::NodeIdInUse { node_id: self.node_id.clone(), holder: holder.clone() },
            _ => Error::NotJoined,
        }
    }
}
