//! The state of the cluster as JSON, written once for each view of the node.
//!
//! 1. The text is the one that the type would give: only the age, its last member, is put behind what is kept.
//!
//! Not here: when a view is out of date (`crate::engine`).

use super::errors::RpcError;
use super::outgoing::{Written, written};
use super::wire::state::ClusterState;
use crate::clock;
use crate::cluster::time::millis;
use crate::engine::node::handle::KnownState;
use std::sync::{Arc, Mutex, PoisonError};

/// A view, and its JSON text up to its age, which comes last.
type Kept = (Arc<KnownState>, Arc<str>);

/// The text of the newest view.
#[derive(Default)]
pub(crate) struct KeptState(Mutex<Option<Kept>>);

impl KeptState {
    /// The answer that shows this view now.
    pub(crate) fn show(
        &self,
        method: &'static str,
        known: &Arc<KnownState>,
        redis_mode: &str,
    ) -> Result<Written, RpcError> {
        let now = clock::now();
        if known.role_holds(now)
            && let Some(text) = self.text(known, redis_mode)
        {
            return Ok(Written::pieces(&[&text, &millis(known.age(now)).to_string(), "}"]));
        }
        written(method, &ClusterState::new(known.at(now), redis_mode))
    }

    fn text(&self, known: &Arc<KnownState>, redis_mode: &str) -> Option<Arc<str>> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((of, text)) = &*kept
            && Arc::ptr_eq(of, known)
        {
            return Some(Arc::clone(text));
        }
        let state = ClusterState { age_ms: 0, ..ClusterState::new(known.view().clone(), redis_mode) };
        let text: Arc<str> = serde_json::to_string(&state).ok()?.strip_suffix("0}")?.into();
        *kept = Some((Arc::clone(known), Arc::clone(&text)));
        Some(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::time::Moment;
    use crate::engine::node::handle::{Node, Role, StateView};
    use crate::rpc::outgoing::Outcome;
    use std::time::Duration;

    fn text(kept: &KeptState, known: &Arc<KnownState>) -> ClusterState {
        let tail = Outcome::result(kept.show("m", known, "standalone").unwrap(), Vec::new()).tail;
        let json = tail.strip_prefix(r#""result":"#).unwrap().strip_suffix('}').unwrap().to_owned();
        let state: ClusterState = serde_json::from_str(&json).unwrap();
        assert_eq!(json, serde_json::to_string(&state).unwrap(), "the text is the one that the type gives");
        state
    }

    async fn view(age: Duration) -> StateView {
        let (node, _) = crate::rpc::tests::module();
        StateView { age, redis_trouble: Some("\"0}\"".to_owned()), ..node.state(false).await.unwrap() }
    }

    #[tokio::test]
    async fn the_kept_text_is_that_of_the_view_with_its_age_and_its_role_at_the_time() {
        let kept = KeptState::default();
        let taken = Moment(clock::now().0.saturating_sub(Duration::from_secs(5)));
        let never = Moment(Duration::MAX);
        let known = Arc::new(KnownState::new(view(Duration::from_secs(20)).await, taken, never));
        for _ in 0..2 {
            let state = text(&kept, &known);
            assert!((25_000..60_000).contains(&state.age_ms), "{}", state.age_ms);
            let expected =
                ClusterState { age_ms: state.age_ms, ..ClusterState::new(known.view().clone(), "standalone") };
            assert_eq!(state, expected);
        }
        let newer =
            Arc::new(KnownState::new(StateView { redis_ok: false, ..view(Duration::ZERO).await }, taken, never));
        assert_eq!(
            text(&kept, &newer),
            ClusterState {
                age_ms: text(&kept, &newer).age_ms,
                ..ClusterState::new(newer.view().clone(), "standalone")
            }
        );
        let over = Arc::new(KnownState::new(view(Duration::ZERO).await, taken, taken));
        assert_eq!(text(&kept, &over).role, Role::Follower);
    }
}
