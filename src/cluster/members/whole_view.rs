//! Reads the whole table of members, for those who keep no view: a command, a heartbeat without a running node.
//!
//! Not here: the calls themselves (`crate::store`), the view of a running node (`crate::cluster::node`).

use super::view::ClusterView;
use crate::cluster::protocol::{View, ViewReply};

/// The maximum number of members of one call.
const ROWS: u64 = 1000;

/// A view that is being read, page by page.
#[derive(Debug, Clone, Default)]
pub struct WholeView {
    view: ClusterView,
    asked: u64,
}

impl WholeView {
    /// The call that reads the next page.
    pub fn call(&mut self) -> View {
        self.asked = self.view.version;
        View {
            epoch: self.view.epoch().to_owned(),
            version: self.view.version,
            floor: self.view.floor,
            rows: ROWS,
            beats: 1_000_000,
        }
    }

    /// Takes a page. True: that was the last one.
    pub fn take(&mut self, reply: ViewReply) -> bool {
        let view = &mut self.view;
        view.as_of = reply.now;
        view.take_data(reply.data);
        view.take_leader(reply.leader);
        let more = reply.delta.more;
        let more = !view.take_delta(reply.delta, self.asked) || more;
        view.take_beats(&reply.beats, reply.alive);
        !more
    }

    /// What has been read.
    #[must_use]
    pub fn into_view(self) -> ClusterView {
        self.view
    }
}
