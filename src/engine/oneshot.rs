//! One heartbeat of a host without a running node: makes the calls of [`Run`] and saves what it learned for the next run.
//!
//! 1. A reboot makes what was saved void.
//!
//! Not here: the rules (`crate::cluster::oneshot`), retries (`crate::cli`), the file with the state (`oneshot/state.rs`).

use super::history::OneBeat;
use crate::clock;
use crate::cluster::ids::NodeId;
use crate::cluster::oneshot::{Beaten, Host, Next, Run};
use crate::cluster::protocol::{Fault, Numbers};
use crate::cluster::settings::Versioned;
use crate::engine::node::handle::{Beat, Role};
use crate::engine::oneshot::state::OneshotState;
use crate::store::Answer;
use crate::store::redis::RedisStore;

/// The parameters of a one-shot heartbeat.
pub struct Oneshot<'a> {
    /// The store of the cluster's state.
    pub store: &'a RedisStore,
    /// What the host states about itself.
    pub host: Host,
    /// The settings of the cluster as this host knows them.
    pub settings: Versioned,
    /// The highest sequence numbers seen.
    pub known: Numbers,
}

/// Why a heartbeat failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// Redis did not answer, or refused.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// A live process holds the node id.
    #[error("node id {0} is in use by another live process; stop it or choose another id")]
    InUse(NodeId),
}

impl Oneshot<'_> {
    /// Sends one heartbeat, continuing from `state`, which is updated; also returns the settings of the cluster.
    ///
    /// # Errors
    /// [`Failure`]; `state` stays as it was.
    pub async fn beat(&self, boot_id: &str, state: &mut Option<OneshotState>) -> Result<(OneBeat, Versioned), Failure> {
        let saved = state.as_ref().map(|state| state.run.clone());
        let mut run = Run::new(self.host.clone(), saved, self.settings, self.known);
        let mut next = run.begin(clock::now());
        let beaten = loop {
            next = match next {
                Next::Call(call) => {
                    let sent = clock::now();
                    let Answer { reply, server } = self.store.attempt_call(&call, 1).await?;
                    run.answered(clock::now(), sent, reply, &server)
                }
                Next::Wait(until) => {
                    tokio::time::sleep(until.since(clock::now())).await;
                    run.waited(clock::now())
                }
                Next::Done(beaten) => break *beaten,
                Next::InUse => return Err(Failure::InUse(self.host.node_id.clone())),
            };
        };
        let number = Self::keep(boot_id, state, &run);
        let Beaten { incarnation, term, leader_id, at, round_trip } = beaten;
        let role = if run.leads(clock::now()) { Role::Leader } else { Role::Follower };
        let node_id = self.host.node_id.clone();
        let beat = Beat { node_id, incarnation, role, term, leader_id, at, round_trip, attempts: 1 };
        let interval = run.settings().settings.timing.heartbeat_interval;
        Ok((OneBeat { beat, number, delay: round_trip, interval }, run.settings()))
    }

    /// Takes what the run learned into the state; returns the number of the heartbeat within its incarnation.
    fn keep(boot_id: &str, state: &mut Option<OneshotState>, run: &Run) -> u64 {
        let Some(saved) = run.saved() else { return 0 };
        let before = state.take().filter(|before| before.run.incarnation == saved.incarnation);
        let beats = before.as_ref().map_or(0, |before| before.beats) + 1;
        let summary = before.and_then(|before| before.summary);
        *state = Some(OneshotState { boot_id: boot_id.to_owned(), run: saved.clone(), beats, summary });
        beats
    }
}

pub mod state;
