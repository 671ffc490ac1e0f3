//! The local view, as it was at one moment.
//!
//! Not here: keeping it until it is out of date (`kept_view.rs`).

use super::{Role, StateView};
use crate::cluster::time::Moment;
use std::time::Duration;

/// The local view at one moment. Until the node's next step only its age changes, and the role of a leader whose time is over.
#[derive(Debug)]
pub struct KnownState {
    view: StateView,
    taken: Moment,
    leads_until: Moment,
}

impl KnownState {
    /// A view that was taken at this moment by the node's clock, and until when the node leads if it does.
    #[must_use]
    pub fn new(view: StateView, taken: Moment, leads_until: Moment) -> Self {
        Self { view, taken, leads_until }
    }

    /// The view as it was taken.
    #[must_use]
    pub fn view(&self) -> &StateView {
        &self.view
    }

    /// Whether the node's role is still the one of the view.
    #[must_use]
    pub fn role_holds(&self, now: Moment) -> bool {
        self.view.role != Role::Leader || now < self.leads_until
    }

    /// The age of the view.
    #[must_use]
    pub fn age(&self, now: Moment) -> Duration {
        self.view.age.saturating_add(now.since(self.taken))
    }

    /// The view as it is to be shown at this moment.
    #[must_use]
    pub fn at(&self, now: Moment) -> StateView {
        let view = StateView { age: self.age(now), ..self.view.clone() };
        if self.role_holds(now) { view } else { view.without_lead() }
    }
}

impl StateView {
    /// The same, once this node's time as the leader is over.
    #[must_use]
    pub fn without_lead(mut self) -> Self {
        self.role = Role::Follower;
        let own = self.nodes.iter_mut().filter(|node| Some(&node.member.node_id) == self.node_id.as_ref());
        own.for_each(|node| node.role = Role::Follower);
        self
    }
}
