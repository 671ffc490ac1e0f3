//! What other tasks tell the driver, and what it tells them of the node.
//!
//! Not here: the loop (`driver.rs`).

use super::handle::StateView;
use crate::cluster::event::ClusterEvent;
use crate::cluster::history::Sample;
use crate::cluster::ids::NodeId;
use crate::cluster::node::{Input, Refusal, Request, Response, Standing};
use crate::cluster::protocol::{Instance, Numbers};
use crate::cluster::time::Moment;
use crate::engine::error::Error;
use std::time::Duration;
use tokio::sync::oneshot;
use tracing::Span;

/// What reaches the loop.
pub(crate) enum Msg {
    Input(Input),
    /// A client asks, in the span of its request.
    Ask(Request, oneshot::Sender<Result<Response, Refusal>>, Span),
    State(oneshot::Sender<(StateView, Moment)>),
    /// Which samples the node still carries.
    Carried(oneshot::Sender<Vec<Sample>>),
    /// An event, and how many were missed before it.
    News(ClusterEvent),
}

/// What other tasks need to know of the node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Status {
    pub(crate) standing: Standing,
    pub(crate) settled: bool,
    /// Redis takes this node's beats.
    pub(crate) link: bool,
    /// That, and it has room for more.
    pub(crate) well: bool,
    pub(crate) leads: bool,
    pub(crate) node_id: NodeId,
    pub(crate) epoch: String,
    pub(crate) numbers: Numbers,
    /// The cluster's heartbeat interval.
    pub(crate) interval: Duration,
    /// The cluster's grace.
    pub(crate) grace: Duration,
}

impl Status {
    pub(crate) fn instance(&self) -> Option<&Instance> {
        match &self.standing {
            Standing::Member(instance) => Some(instance),
            _ => None,
        }
    }

    /// Why a request that needs membership cannot be met.
    pub(crate) fn refusal(&self) -> Error {
        match &self.standing {
            Standing::Refused(holder) => Error::NodeIdInUse { node_id: self.node_id.clone(), holder: holder.clone() },
            _ => Error::NotJoined,
        }
    }
}
