//! The node's view, kept between two steps of its loop, so that those who ask often do not wait for the loop.
//!
//! 1. What is kept was taken after everything that the loop had begun when it was asked for: each step makes it out of date before it
//!    does anything. So a caller finds in the state what an answer or an event has told it.
//!
//! Not here: what the view shows (`state_view.rs`).

use super::handle::KnownState;
use super::status::{Msg, Status};
use crate::engine::error::Error;
use crate::engine::store_calls::gone;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};

/// How long the first answer of a new node waits for its first join.
const FIRST_JOIN_TIMEOUT: Duration = Duration::from_secs(2);

/// The newest view, and the number of the step after which it was taken.
#[derive(Debug, Default)]
pub(crate) struct KeptView {
    step: AtomicU64,
    kept: Mutex<Option<(u64, Arc<KnownState>)>>,
}

impl KeptView {
    fn lock(&self) -> MutexGuard<'_, Option<(u64, Arc<KnownState>)>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The loop begins a step.
    pub(crate) fn begin_step(&self) {
        self.step.fetch_add(1, Ordering::AcqRel);
    }

    /// Keeps a view that the loop has taken between two steps.
    pub(crate) fn keep(&self, state: &Arc<KnownState>) {
        *self.lock() = Some((self.step.load(Ordering::Acquire), Arc::clone(state)));
    }

    /// The view, unless a step has begun since it was taken.
    fn get(&self) -> Option<Arc<KnownState>> {
        let step = self.step.load(Ordering::Acquire);
        self.lock().as_ref().filter(|(taken, _)| *taken == step).map(|(_, state)| Arc::clone(state))
    }

    /// The node's view: the kept one, or a new one from the loop.
    pub(crate) async fn read(
        &self,
        status: &watch::Receiver<Status>,
        node: &mpsc::Sender<Msg>,
    ) -> Result<Arc<KnownState>, Error> {
        let settled = status.borrow().settled;
        if !settled {
            // It needs no membership, but the first answer of a new node should include one.
            let _ = tokio::time::timeout(FIRST_JOIN_TIMEOUT, status.clone().wait_for(|status| status.settled)).await;
        }
        // Once the loop has ended, the view will not change any more.
        if let Some(state) = self.get().filter(|_| !node.is_closed()) {
            return Ok(state);
        }
        let (answer, outcome) = oneshot::channel();
        node.send(Msg::State(answer)).await.map_err(|_| gone())?;
        outcome.await.map_err(|_| gone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::ids::{ClusterName, Term};
    use crate::cluster::time::{Moment, ServerTime};
    use crate::engine::node::handle::{Role, StateView};

    fn at(ms: u64) -> Moment {
        Moment(Duration::from_millis(ms))
    }

    fn leader() -> Arc<KnownState> {
        let view = StateView {
            cluster: ClusterName::new("c").unwrap(),
            node_id: None,
            role: Role::Leader,
            leader_id: None,
            term: Term(1),
            lease_expires_at: None,
            nodes: Vec::new(),
            redis_ok: true,
            redis_trouble: None,
            servers: crate::store::redis::Servers::default(),
            as_of: ServerTime(5),
            age: Duration::from_millis(30),
            peers: None,
        };
        Arc::new(KnownState::new(view, at(1_000), at(2_000)))
    }

    #[test]
    fn a_view_is_out_of_date_as_soon_as_a_step_begins() {
        let kept = KeptView::default();
        assert!(kept.get().is_none());
        let state = leader();
        kept.keep(&state);
        assert!(Arc::ptr_eq(&kept.get().unwrap(), &state));
        kept.begin_step();
        assert!(kept.get().is_none());
        kept.keep(&state);
        assert!(kept.get().is_some());
    }

    #[test]
    fn a_kept_view_ages_and_shows_no_leader_whose_time_is_over() {
        let state = leader();
        let shown = state.at(at(1_500));
        assert_eq!((shown.age, shown.role), (Duration::from_millis(530), Role::Leader));
        assert_eq!(state.at(at(2_000)).role, Role::Follower);
    }
}
