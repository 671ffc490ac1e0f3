//! The metrics and the health of a running node.
//!
//! 1. Nothing here waits for Redis, except briefly for the census, or longer than [`LOOP_TIMEOUT`] for the node's loop.
//! 2. A value that cannot be known now is omitted.
//!
//! Not here: the names of the metrics (`metrics/`), serving them (`crate::rpc`).

use super::handle::{Health, KnownState, Observed, Role, StateView};
use super::running::RunningNode;
use super::status::Msg;
use crate::clock;
use crate::cluster::ids::MessageSeq;
use crate::cluster::members::member::Status;
use crate::cluster::node::Standing;
use crate::engine::metrics::{Metrics, Snapshot, memory_bytes};
use serde_json::Number;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

/// How long the node's loop has to answer; the loop itself never waits.
const LOOP_TIMEOUT: Duration = Duration::from_secs(1);

impl RunningNode {
    /// The node's view; `None`: the loop does not answer.
    async fn look(&self) -> Option<Arc<KnownState>> {
        let (answer, outcome) = oneshot::channel();
        let asking = async {
            self.node.send(Msg::State(answer)).await.ok()?;
            outcome.await.ok()
        };
        tokio::time::timeout(LOOP_TIMEOUT, asking).await.ok().flatten()
    }

    /// The time left of the leader's lease, by what the node knows about the server's clock.
    fn lease_left(&self, view: &StateView) -> Duration {
        view.lease_expires_at.map(|end| end.since(self.hub.server_time())).unwrap_or_default()
    }

    async fn snapshot(&self) -> Snapshot {
        let linked = self.status.borrow().link;
        let census = async {
            match linked {
                true => self.counted.newest(&*self.store).await,
                false => self.counted.last(),
            }
        };
        let (seen, census) = tokio::join!(self.look(), census);
        let mut snapshot = Snapshot {
            outbox: self.store_holder.peek(|store| store.unsent()).map(|unsent| (unsent.messages, unsent.bytes)),
            census,
            unreadable: crate::store::redis::unreadable().to_vec(),
            dropped_lines: self.metrics.dropped_lines(),
            memory: memory_bytes(),
            cpu: clock::cpu(),
            ..Snapshot::default()
        };
        let status = self.status.borrow().clone();
        snapshot.cluster = self.cluster.to_string();
        snapshot.node_id = status.node_id.to_string();
        snapshot.member = status.instance().is_some();
        snapshot.redis = status.well;
        if snapshot.member {
            snapshot.lag = Some(self.sync.lag(MessageSeq(status.numbers.message)));
        }
        if let Some(known) = seen {
            let view = known.view();
            // Checked last: this process may have been suspended since the node answered.
            snapshot.leads = view.role == Role::Leader && known.role_holds(clock::now());
            snapshot.term = Some(view.term.0);
            snapshot.lease = Some(self.lease_left(view));
            snapshot.nodes = by_status(view);
        }
        snapshot
    }
}

fn by_status(view: &StateView) -> BTreeMap<&'static str, u64> {
    let word = |status: Status| match status {
        Status::Online => "online",
        Status::Draining => "draining",
        Status::Suspect => "suspect",
        Status::Offline => "offline",
        Status::Left => "left",
    };
    let all = [Status::Online, Status::Draining, Status::Suspect, Status::Offline, Status::Left];
    let mut counts: BTreeMap<&'static str, u64> = all.into_iter().map(|status| (word(status), 0)).collect();
    for node in &view.nodes {
        *counts.entry(word(node.status)).or_default() += 1;
    }
    counts
}

impl Observed for RunningNode {
    fn meters(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    async fn metrics_text(&self) -> String {
        self.metrics.text(&self.snapshot().await)
    }

    async fn samples(&self) -> BTreeMap<String, Number> {
        self.metrics.samples(&self.snapshot().await)
    }

    async fn health(&self) -> Health {
        if *self.failed.borrow() {
            return Health {
                trouble: Some("an internal task of the node failed; see the log, and restart the node".to_owned()),
                missing: Vec::new(),
            };
        }
        let Some(known) = self.look().await else {
            let why = format!("the node's main loop has not answered for {} ms", LOOP_TIMEOUT.as_millis());
            return Health { trouble: Some(why), missing: Vec::new() };
        };
        let view = known.view();
        let mut missing = Vec::new();
        if view.node_id.is_none() {
            missing.push(match &self.status.borrow().standing {
                Standing::Refused(holder) => format!("the node id is in use by {holder}"),
                _ => "this node is not a member of the cluster".to_owned(),
            });
        }
        if !view.redis_ok {
            missing.push(
                view.redis_trouble.clone().unwrap_or_else(|| "Redis has not accepted a heartbeat yet".to_owned()),
            );
        }
        if view.leader_id.is_none() || self.lease_left(view).is_zero() {
            missing.push("the cluster has no leader".to_owned());
        }
        Health { trouble: None, missing }
    }
}
