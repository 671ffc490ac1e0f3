//! Gossip of a running node: the socket and the task around the pure part.
//!
//! 1. Nothing waits for gossip: a datagram that the system does not take is dropped, and a question is answered at once or not at all.
//! 2. While gossip is off, none of this exists.
//!
//! `task.rs` the loop · `seeds.rs` where to find other nodes.
//!
//! Not here: what gossip says and means (`crate::cluster::gossip`).

mod seeds;
mod task;

use crate::cluster::gossip::Peer;
use crate::cluster::ids::{ClusterName, NodeId};
use crate::config::GossipConfig;
use crate::engine::error::Error;
use crate::engine::events::Hub;
use crate::engine::metrics::Metrics;
use crate::engine::node::status::{Msg, Status};
use crate::engine::state_dir::StateDir;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;

/// The most questions that wait for the task.
const WAITING: usize = 64;
/// How long the task has to answer; it never waits itself.
const ANSWER_TIMEOUT: Duration = Duration::from_millis(500);

/// What the task needs of the node.
pub(crate) struct Parts {
    pub(crate) cluster: ClusterName,
    pub(crate) state_dir: StateDir,
    pub(crate) status: watch::Receiver<Status>,
    pub(crate) node: mpsc::WeakSender<Msg>,
    pub(crate) hub: Arc<Hub>,
    pub(crate) metrics: Arc<Metrics>,
}

/// A note to send.
struct Noted {
    to: Option<BTreeSet<NodeId>>,
    topic: String,
    payload: String,
}

/// A question to the task.
enum Ask {
    Peers(oneshot::Sender<Vec<Peer>>),
    Notify(Noted, oneshot::Sender<Result<Vec<NodeId>, Duration>>),
    Leave(oneshot::Sender<()>),
}

/// The gossip of a node, for its other parts.
#[derive(Clone)]
pub(crate) struct GossipHandle {
    asks: mpsc::Sender<Ask>,
    /// Whether the task gossips now: the node is or becomes a member, and the address is its own.
    running: Arc<AtomicBool>,
}

impl GossipHandle {
    async fn ask<T>(&self, ask: impl FnOnce(oneshot::Sender<T>) -> Ask) -> Option<T> {
        if !self.running.load(Ordering::Relaxed) {
            return None;
        }
        let (answer, outcome) = oneshot::channel();
        self.asks.try_send(ask(answer)).ok()?;
        tokio::time::timeout(ANSWER_TIMEOUT, outcome).await.ok()?.ok()
    }

    /// The other nodes; `None`: gossip does not run now.
    pub(crate) async fn peers(&self) -> Option<Vec<Peer>> {
        self.ask(Ask::Peers).await
    }

    /// Sends a note; returns the nodes that it was sent to.
    pub(crate) async fn notify(
        &self,
        to: Option<BTreeSet<NodeId>>,
        topic: String,
        payload: String,
    ) -> Result<Vec<NodeId>, Error> {
        let note = Noted { to, topic, payload };
        match self.ask(|answer| Ask::Notify(note, answer)).await {
            Some(Ok(sent)) => Ok(sent),
            Some(Err(retry_after)) => {
                Err(Error::Overloaded { what: "this node has sent too many notes".to_owned(), retry_after })
            }
            None => Err(Error::NotJoined),
        }
    }

    /// Tells the other nodes that this one leaves.
    pub(crate) async fn leave(&self) {
        // Without an answer they notice it by themselves.
        let _ = self.ask(Ask::Leave).await;
    }
}

/// Starts the gossip of a node.
///
/// # Errors
/// [`std::io::Error`] when its metrics cannot be registered, which is a defect.
pub(crate) fn begin(config: GossipConfig, parts: Parts, tasks: &mut JoinSet<()>) -> std::io::Result<GossipHandle> {
    let (asks, inbox) = mpsc::channel(WAITING);
    let running = Arc::new(AtomicBool::new(false));
    let meters = parts.metrics.gossip()?;
    let (found, seeds) = watch::channel(Vec::new());
    tasks.spawn(seeds::find(config.clone(), parts.state_dir.clone(), parts.node.clone(), parts.status.clone(), found));
    tasks.spawn(task::Task::new(config, parts, inbox, Arc::clone(&running), meters, seeds).run());
    Ok(GossipHandle { asks, running })
}
