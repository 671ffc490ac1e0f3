//! Where other nodes may be found: the configured addresses, and the endpoints that Redis named last, kept on disk.
//!
//! 1. What Redis named is kept in the state directory, so that a node that starts while Redis is away finds the others.
//! 2. A name that does not resolve is left out until it does; nothing else waits for it.
//!
//! Not here: saying hello to them (`crate::cluster::gossip`).

use crate::cluster::ids::NodeId;
use crate::cluster::members::member::Status as MemberStatus;
use crate::config::{GossipConfig, place};
use crate::engine::node::handle::{KnownState, StateView};
use crate::engine::node::status::{Msg, Status};
use crate::engine::state_dir::StateDir;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};

/// How often the endpoints are read from the node's view; it is a question to the node, not to Redis.
const LOOK: Duration = Duration::from_secs(3);
/// The most addresses that are kept.
const MAX_SEEDS: usize = 256;
/// How long a name may take to resolve.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(5);

/// Something that a process keeps for the next one of its node, in a file of its own.
pub(super) trait Kept: Default + Serialize + DeserializeOwned + Send + 'static {
    /// The name of the file.
    const NAME: &'static str;

    /// Reads it; what cannot be read counts as nothing.
    async fn load(dir: &StateDir, node_id: &NodeId) -> Self {
        let (dir, node_id) = (dir.clone(), node_id.clone());
        let reading = tokio::task::spawn_blocking(move || dir.gossip(&node_id, Self::NAME));
        let bytes = reading.await.ok().flatten().unwrap_or_default();
        serde_json::from_slice(&bytes).unwrap_or_default()
    }

    /// Keeps it.
    async fn save(&self, dir: &StateDir, node_id: &NodeId) {
        let Ok(json) = serde_json::to_vec(self) else { return };
        let (dir, node_id) = (dir.clone(), node_id.clone());
        let writing = tokio::task::spawn_blocking(move || dir.keep_gossip(&node_id, Self::NAME, &json));
        if let Ok(Err(error)) = writing.await {
            tracing::warn!(%error, "cannot save what gossip knows; after a restart this node finds the others through Redis");
        }
    }
}

/// The number of the last life of a node's process.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Life(pub(super) u64);

impl Kept for Life {
    const NAME: &'static str = "life";
}

/// The endpoints of the other nodes, as Redis named them last.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Endpoints(BTreeSet<String>);

impl Kept for Endpoints {
    const NAME: &'static str = "seeds";
}

/// Resolves `host:port`.
pub(super) async fn resolve(place: &str) -> Option<SocketAddr> {
    if let Ok(address) = place.parse() {
        return Some(address);
    }
    let looking = tokio::net::lookup_host(place.to_owned());
    tokio::time::timeout(RESOLVE_TIMEOUT, looking).await.ok()?.ok()?.next()
}

/// The node's view; `None`: it is being stopped.
async fn view(node: &mpsc::WeakSender<Msg>) -> Option<Arc<KnownState>> {
    let (answer, outcome) = oneshot::channel();
    node.upgrade()?.send(Msg::State(answer)).await.ok()?;
    outcome.await.ok()
}

/// The endpoints of the other members.
fn endpoints(view: &StateView, port: u16) -> BTreeSet<String> {
    let others = view.nodes.iter().filter(|node| Some(&node.member.node_id) != view.node_id.as_ref());
    let there = others.filter(|node| node.status != MemberStatus::Left);
    let places = there.filter_map(|node| place(node.member.metadata.endpoint.as_deref()?, port));
    places.take(MAX_SEEDS).collect()
}

/// Keeps the addresses current, as long as the node runs.
pub(super) async fn find(
    config: GossipConfig,
    dir: StateDir,
    node: mpsc::WeakSender<Msg>,
    mut status: watch::Receiver<Status>,
    found: watch::Sender<Vec<SocketAddr>>,
) {
    let id = |status: &watch::Receiver<Status>| status.borrow().node_id.clone();
    let Endpoints(mut known) = Endpoints::load(&dir, &id(&status)).await;
    let mut resolved: (BTreeSet<String>, bool) = (BTreeSet::new(), false);
    loop {
        if let Some(view) = view(&node).await {
            let named = endpoints(view.view(), config.listen.port());
            // An empty view says nothing: the node has not seen Redis yet, or Redis lost its data.
            if !named.is_empty() && named != known {
                known = named;
                Endpoints(known.clone()).save(&dir, &id(&status)).await;
            }
        }
        let places: BTreeSet<String> = config.seeds.iter().chain(&known).cloned().collect();
        if resolved.0 != places || !resolved.1 {
            let mut addresses = Vec::new();
            let mut all = true;
            for place in &places {
                match resolve(place).await {
                    Some(address) => addresses.push(address),
                    None => all = false,
                }
            }
            resolved = (places, all);
            found.send_if_modified(|known| {
                let changed = *known != addresses;
                *known = addresses;
                changed
            });
        }
        // A change of the node's standing is the moment at which Redis names the others.
        let standing = status.borrow().instance().is_some();
        let joined = async {
            if status.wait_for(|status| status.instance().is_some() != standing).await.is_err() {
                // The node is being stopped, and this task with it.
                std::future::pending::<()>().await;
            }
        };
        let _ = tokio::time::timeout(LOOK, joined).await;
    }
}
